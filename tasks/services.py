"""Whether outside services are well: looked at by the clock, each for itself: one that hangs delays nobody."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor

from models.errors import ModelError
from models.gateway import calls, services
from models.gateway.services import Look
from models.gateway.tables import Service
from tasks.process import Process, current
from workers.clients.looking import look_at
from workers.clients.networks import Networks

log = logging.getLogger(__name__)

# A look lasts ten seconds at most, and nobody waits for it: the lane goes on meanwhile.
_pool = ThreadPoolExecutor(32, thread_name_prefix="service-look")


def check() -> None:
    """Begins to look at every service whose time has come, and closes calls whose process is gone."""
    process = current()
    with process.database.transaction() as session:
        if lost := calls.give_up(session):
            log.warning("%d calls of tools ended with their process", lost)
    with process.database.transaction() as session:
        due = services.due(session)
    for service in due:
        _pool.submit(_look_at, process, service).add_done_callback(_tell)


def _look_at(process: Process, service: Service) -> None:
    try:
        key = services.key_of(service, process.settings.secret_key)
        found = look_at(service, key=key, networks=Networks(process.settings.service_networks))
        seen = Look(found.healthy, found.response_time_ms, found.problem)
    except ModelError as fault:
        seen = Look(False, None, fault.message)
    with process.database.transaction() as session:
        services.looked(session, service.id, seen, url=service.url)
    if service.is_healthy is not seen.healthy:
        log.log(
            logging.INFO if seen.healthy else logging.WARNING,
            "Service %s is %s",
            service.name,
            "well" if seen.healthy else f"not well: {seen.problem}",
        )


def _tell(done: Future[None]) -> None:
    fault = done.exception()
    if fault is not None:
        log.error("A service was not looked at", exc_info=fault)
