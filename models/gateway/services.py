"""Outside services: which there are, how to reach them, and whether they answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import case, delete, func, insert, select, update
from sqlalchemy.orm import Session

from models import unique
from models.base import utc_now
from models.errors import Conflict, Invalid, NotFound
from models.gateway import vault
from models.gateway.tables import Service, ServiceCheck

# So often the clock looks; a look ends long before.
CHECK_SECONDS = 60
# So many calls in a row without an answer, and nobody is sent there for a while: each would wait for its timeout.
FAILURES, CLOSED_SECONDS = 5, 30
# More looks at one service than this are forgotten: a day of them.
CHECKS_KEPT = 1500

_PURPOSE = "a service's key"


@dataclass(frozen=True)
class Look:
    """What a look at a service found; ``problem`` says why it is not well."""

    healthy: bool
    response_time_ms: int | None
    problem: str | None = None


def everything(session: Session) -> list[Service]:
    """All of them, oldest first."""
    return list(session.scalars(select(Service).order_by(Service.id)))


def get(session: Session, service_id: int) -> Service:
    """The service.

    Raises:
        NotFound: there is none.
    """
    service = session.get(Service, service_id)
    if service is None:
        raise NotFound(f"There is no service {service_id}.", code="service_not_found", service_id=service_id)
    return service


def declaring(session: Session, tool: str) -> list[Service]:
    """The services whose configuration declares a tool of this name, oldest first."""
    found = select(Service).where(Service.config.contains({"tools": [{"name": tool}]}))
    return list(session.scalars(found.order_by(Service.id)))


def create(session: Session, fields: Mapping[str, Any]) -> Service:
    """A new one.

    Raises:
        Conflict: there is one of this name.
    """
    service = Service(**fields)
    session.add(service)
    unique.flush(session, f"There is a service {fields['name']!r} already.")
    session.refresh(service)
    return service


def change(session: Session, service_id: int, fields: Mapping[str, Any]) -> Service:
    """The service with these ``fields``; where it is reached by others than before, it is looked at anew.

    Raises:
        NotFound: there is none.
        Conflict: there is another of this name.
    """
    service = session.get(Service, service_id, with_for_update=True)
    if service is None:
        return get(session, service_id)
    for name, value in fields.items():
        setattr(service, name, value)
    if fields.keys() & {"url", "sealed_key", "config", "enabled", "type"}:
        service.is_healthy = service.problem = service.response_time_ms = service.closed_until = None
        service.failures, service.check_at = 0, utc_now()
    unique.flush(session, f"There is a service {fields.get('name')!r} already.")
    session.refresh(service)
    return service


def remove(session: Session, service_id: int) -> None:
    """Removes the service; what was called of it stays in the history.

    Raises:
        NotFound: there is none.
    """
    get(session, service_id)
    session.execute(delete(Service).where(Service.id == service_id))


def hold_names(session: Session) -> None:
    """Keeps others from declaring tools until the transaction ends: of two of one name there is one."""
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("names of declared tools", 0))))


def usable(service: Service) -> Service:
    """The service.

    Raises:
        Conflict: it is switched off.
    """
    if not service.enabled:
        raise Conflict(f"Service {service.name} is switched off.", code="service_disabled")
    return service


def for_tool(session: Session, type_name: str, service_id: int | None) -> Service:
    """The service that a tool of its type is called at: the one named, else the first enabled and healthy.

    One that nobody looked at yet counts before those that are known not to be well.

    Raises:
        NotFound: there is none of this type.
        Invalid: the one named is of another.
        Conflict: it is switched off, or none is switched on.
    """
    if service_id is not None:
        named = get(session, service_id)
        if named.type != type_name:
            raise Invalid(f"service_id: service {service_id} is of type {named.type}, not {type_name}.")
        return usable(named)
    health = case((Service.is_healthy.is_(True), 0), (Service.is_healthy.is_(None), 1), else_=2)
    of_type = select(Service).where(Service.type == type_name).order_by(Service.enabled.desc(), health, Service.id)
    found = session.scalars(of_type.limit(1)).one_or_none()
    if found is None:
        raise NotFound(f"There is no service of type {type_name}; add one.", code="service_not_found")
    if not found.enabled:
        raise Conflict(f"Every service of type {type_name} is switched off.", code="service_disabled")
    return found


def key_of(service: Service, secret_key: str) -> str | None:
    """The service's credential, in clear.

    Raises:
        Unreadable: it was stored under another ``SECRET_KEY``.
    """
    return None if service.sealed_key is None else vault.unseal(secret_key, service.sealed_key, _PURPOSE)


def seal_key(key: str, secret_key: str) -> str:
    """A service's credential, as it is stored."""
    return vault.seal(secret_key, key, _PURPOSE)


def due(session: Session) -> list[Service]:
    """Services to be looked at now; nobody else is given them until the next time."""
    now = select(Service.id).where(Service.enabled, Service.check_at <= func.now()).with_for_update(skip_locked=True)
    later = {"check_at": func.now() + timedelta(seconds=CHECK_SECONDS), "updated_at": Service.updated_at}
    return list(session.scalars(update(Service).where(Service.id.in_(now)).values(**later).returning(Service)))


def looked(session: Session, service_id: int, look: Look, *, url: str) -> None:
    """Keeps what a look found, unless the service is gone or elsewhere (not at ``url``) by now."""
    kept = session.scalar(
        update(Service)
        .where(Service.id == service_id, Service.url == url)
        .values(
            is_healthy=look.healthy,
            last_check=func.now(),
            response_time_ms=look.response_time_ms,
            problem=look.problem,
            updated_at=Service.updated_at,
            **({"failures": 0, "closed_until": None} if look.healthy else {}),
        )
        .returning(Service.id)
    )
    if kept is None:
        return
    session.execute(
        insert(ServiceCheck).values(
            service_id=service_id,
            healthy=look.healthy,
            response_time_ms=look.response_time_ms,
            problem=look.problem,
        )
    )
    oldest = select(ServiceCheck.id).where(ServiceCheck.service_id == service_id).order_by(ServiceCheck.id.desc())
    session.execute(
        delete(ServiceCheck).where(
            ServiceCheck.service_id == service_id,
            ServiceCheck.id <= oldest.offset(CHECKS_KEPT).limit(1).scalar_subquery(),
        )
    )


def history(session: Session, service_id: int, *, limit: int, offset: int) -> list[ServiceCheck]:
    """Looks at the service, newest first.

    Raises:
        NotFound: there is no such service.
    """
    get(session, service_id)
    found = select(ServiceCheck).where(ServiceCheck.service_id == service_id).order_by(ServiceCheck.id.desc())
    return list(session.scalars(found.limit(limit).offset(offset)))


def healthy(session: Session) -> tuple[int, int]:
    """How many of the services that are switched on are well, and how many there are."""
    well = func.count().filter(Service.is_healthy.is_(True))
    count, total = session.execute(select(well, func.count()).where(Service.enabled)).one()
    return count, total


def answered(session: Session, service: Service) -> None:
    """A call was answered, if only by a refusal: the way is open."""
    if service.failures or service.closed_until:
        session.execute(update(Service).where(Service.id == service.id).values(failures=0, closed_until=None))


def silent(session: Session, service: Service) -> None:
    """A call got no answer; after several nobody is sent there for a while."""
    closes = Service.failures + 1 >= FAILURES
    until = case((closes, func.now() + timedelta(seconds=CLOSED_SECONDS)), else_=Service.closed_until)
    session.execute(
        # Whether it is well is looked at as soon as may be.
        update(Service)
        .where(Service.id == service.id)
        .values(failures=Service.failures + 1, closed_until=until, check_at=func.now())
    )


def closed(service: Service, now: datetime) -> bool:
    """Whether nobody is sent there now."""
    return service.closed_until is not None and service.closed_until > now
