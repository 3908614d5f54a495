"""How work gets into the queue: the row first, the doorbell after its commit."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import redis
from celery.exceptions import QueueNotFound
from kombu.exceptions import OperationalError
from sqlalchemy.orm import Session

from config import voices
from config.logs import belonging, request_id
from config.settings import Settings
from models import events, idle_workers, workers
from models.base import new_id
from models.db import Database
from models.errors import Unavailable
from models.events import Doorbell, Ended, Event, Signal
from models.jobs import lifecycle
from models.jobs.tables import Job
from tasks import kinds
from tasks.celery_app import app, know

log = logging.getLogger(__name__)

# A worker that was killed is back in about two seconds.
RETRY_AFTER_SECONDS = 5


def open_redis(url: str, *, connections: int = 50) -> redis.Redis:
    """A client of one of our Redis servers."""
    # Enough for a burst of publishing greenlets; of the queue's connections none is held while waiting.
    return redis.Redis.from_url(url, max_connections=connections, socket_timeout=5, socket_connect_timeout=1)


def open_database(settings: Settings, client: redis.Redis, *, pool_size: int = 10) -> Database:
    """The database whose commits ring workers, tell watchers and are counted."""

    def deliver(signals: list[Signal]) -> None:
        # Events first: whoever is woken may publish the next one before we had published ours.
        events.publish(client, [signal for signal in signals if isinstance(signal, Event)])
        for signal in signals:
            if isinstance(signal, Doorbell):
                ring(signal, client)
            elif isinstance(signal, Ended):
                events.count(signal)

    return Database(settings.database_url, deliver, pool_size=pool_size)


def ring(doorbell: Doorbell, client: redis.Redis | None = None) -> None:
    """Wakes workers; a doorbell that cannot be rung now is rung by the reclaimer.

    With a ``client``, an idle resident worker of the lane is woken before any other: it has more threads and normal
    priority. The lane of an old job may be gone from the catalogue; it waits until its pool is back.
    """
    lane = doorbell.lane
    know(lane)
    try:
        for _ in range(doorbell.count):
            resident = client is not None and idle_workers.take(client, lane)
            app.send_task(doorbell.kind, args=[doorbell.job_id], queue=voices.head_of(lane) if resident else lane)
    except (OperationalError, QueueNotFound, redis.RedisError, OSError) as fault:
        log.warning("Lane %s was not rung: %s", doorbell.lane, fault)


def submit(
    session: Session,
    kind_name: str,
    *,
    lane: str,
    params: dict[str, Any],
    resolution: dict[str, Any] | None = None,
    account_id: str | None = None,
    items: Sequence[lifecycle.NewItem] = (),
    dedupe: Sequence[object] = (),
    certain: bool = False,
    callback_url: str | None = None,
    run_after: datetime | None = None,
    job_id: str | None = None,
) -> tuple[Job, bool]:
    """The stored job, and whether it is new; ``dedupe`` names what an unfinished one would have in common with it.

    With ``certain`` the caller knows that somebody can do it, if not at once. ``callback_url`` is told of its end; a
    job that is joined is told to one more. One that is to be begun later (``run_after``) is rung by the reclaimer.
    ``job_id`` is that of what the job belongs to, where it was there before.

    Raises:
        Unavailable: there is something to do, and no worker of the lane is alive.
    """
    kind = kinds.get(kind_name)
    able = workers.able(session, lane)
    open_items = sum(item.result is None for item in items)
    # What is all there already needs nobody.
    if not able and not certain and (open_items or not kind.sliced):
        raise Unavailable(f"No worker of lane {lane} is running.", retry_after_seconds=RETRY_AFTER_SECONDS, lane=lane)
    new = lifecycle.NewJob(
        id=job_id or new_id(kind.id_prefix),
        kind=kind.name,
        lane=lane,
        live=kind.live,
        params=params,
        resolution=resolution or {},
        account_id=account_id,
        request_id=request_id.get(),
        dedupe_key=_digest(kind.name, account_id, *dedupe) if dedupe else None,
        items=items,
        sliced=kind.sliced,
        callback_url=callback_url,
        run_after=run_after,
    )
    doorbells = min(open_items, able) if kind.sliced else 1
    job, is_new = lifecycle.submit(session, new, doorbells=0 if run_after else doorbells)
    if is_new:
        with belonging(request=job.request_id, job=job.id):
            log.info("%s was submitted to lane %s", kind.name, lane)
    return job, is_new


def consume(node: str, lanes: Sequence[str], *, wanted: bool) -> None:
    """Has a worker take from these lanes, or not; one that does not hear it finds out when it starts."""
    tell = app.control.add_consumer if wanted else app.control.cancel_consumer
    try:
        for lane in lanes:
            tell(lane, destination=[node])
    except (OperationalError, redis.RedisError, OSError) as fault:
        log.warning("Worker %s was not told: %s", node, fault)


def resume(session: Session, job_id: str, *, lane: str) -> Job:
    """The job, queued again after a pause, its workers woken."""
    return lifecycle.resume(session, job_id, able_workers=workers.able(session, lane))


def retry(session: Session, job_id: str, *, lane: str) -> Job:
    """The job (or its failed items), queued again, its workers woken."""
    return lifecycle.retry(session, job_id, able_workers=workers.able(session, lane))


def _digest(*parts: object) -> str:
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()
