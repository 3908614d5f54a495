"""A call of a tool, whichever door it comes by: decided, confirmed where it has to be, run, and written down.

There is exactly one row in the history for each, whatever comes of it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from app.context import Context
from app.http.access import is_anybody
from app.tools import catalogue, confirming, own
from app.tools.catalogue import Offered
from app.tools.redaction import redacted
from config import logs
from models.accounts import Caller
from models.base import utc_now
from models.errors import Conflict, Denied, Invalid, ModelError, NotFound, UpstreamFailed
from models.gateway import calls, groups, people, services
from models.gateway.calls import NewCall, Outcome
from models.gateway.groups import Rights
from models.gateway.tables import Service
from workers.clients.networks import Networks
from workers.clients.service import NoAnswer, ServiceError
from workers.clients.tools import Tool
from workers.clients.types import connect
from workers.errors import BadInput, WorkError

log = logging.getLogger(__name__)

# Of what is kept of a call.
LONGEST_NAME, LONGEST_MESSAGE = 100, 2000


class Unconfirmed(Conflict):
    """The call may destroy something; made again with ``token`` it is carried out."""

    code = "confirmation_required"

    def __init__(self, tool: str, token: str) -> None:
        super().__init__(
            f"{tool} may destroy something. Call it again within {confirming.SECONDS // 60} minutes with this "
            f"confirmation_token: {token}",
            confirmation_token=token,
        )
        self.token = token


@dataclass(frozen=True)
class Call:
    """A call as it came in. ``report`` tells whoever waits how far it is."""

    tool: str
    arguments: Mapping[str, Any]
    door: str
    service_id: int | None = None
    confirmation: str | None = None
    report: own.Report = lambda share, phase: None


@dataclass(frozen=True)
class Answered:
    """What a tool gave."""

    result: Any
    duration_ms: float


def rights(session: Session, caller: Caller) -> tuple[Rights, str | None]:
    """What decides over the calls of whoever asks, and what they are called."""
    mapping = people.behind(session, caller.account_id)
    found = groups.rights(session, mapping, is_admin=caller.role == "admin", signed_in=not is_anybody(caller))
    return found, found.name or caller.username


def may(found: Rights, caller_role: str | None, tool: Tool) -> groups.Decision:
    """Whether a caller of this role may call a tool: by their groups, and of ours by the role its endpoint takes."""
    decision = found.decide(tool.name)
    access = tool.access if isinstance(tool, own.OwnTool) else None
    if access is not None and not found.signed_in:
        # What they stand for may be closed.
        return groups.Decision(False, "The tools of Voiceworks itself take a credential, also where others take none.")
    if decision.allowed and access is not None and caller_role is not None and caller_role not in access:
        return groups.Decision(False, f"{tool.name} takes {' or '.join(sorted(access))}, not role {caller_role}.")
    return decision


def call(here: Context, caller: Caller, asked: Call) -> Answered:
    """What the tool gives.

    Raises:
        NotFound: there is no such tool, or no service to call it at.
        Denied: the caller may not.
        Invalid: it does not take these arguments.
        Unconfirmed: it may destroy something.
        Conflict: its service is switched off.
        UpstreamFailed: its service did not do it.
    """
    began = time.perf_counter()
    with here.database.reading() as session:
        found, name = rights(session, caller)
        offered = catalogue.find(session, asked.tool)
    decision = None if offered is None else may(found, caller.role, offered.tool)
    new = NewCall(
        tool=asked.tool[:LONGEST_NAME],
        user=name,
        account_id=caller.account_id,
        door=asked.door,
        # What was not to be is nothing to keep.
        arguments=redacted(offered.tool, asked.arguments) if offered and decision and decision.allowed else {},
        request_id=logs.request_id.get(),
    )
    with _written_down(here, new, began) as told:
        if offered is None or decision is None:
            raise NotFound(f"There is no tool {asked.tool[:LONGEST_NAME]!r}.", code="tool_not_found")
        if not decision.allowed:
            raise Denied(decision.reason, code="tool_forbidden")
        try:
            offered.tool.check(asked.arguments)
            service = _service(here, asked, offered)
            if service is not None:
                told(service.name)
            _confirm(here, caller, asked, offered.tool, service)
            if service is None:
                result = offered.tool.run(own.Asked(here, caller, asked.report), asked.arguments)
            else:
                result = _run(here, asked, offered.tool, service, found.names)
        except BadInput as fault:
            raise Invalid(fault.message, code=fault.code) from fault
    return Answered(result, _milliseconds(began))


@contextmanager
def _written_down(here: Context, new: NewCall, began: float) -> Iterator[Callable[[str], None]]:
    """Writes the call down before it, and what became of it after it; gives what is told the service's name."""
    service: list[str] = []
    with here.database.noting() as session:
        number = calls.begin(session, new)
    # Of what nobody foresaw no more is told than that.
    error: tuple[str | None, str | None] = ("INTERNAL_ERROR", None)
    try:
        yield service.append
        error = (None, None)
    except (ModelError, WorkError) as fault:
        # A token would be good for whoever reads the history.
        error = (fault.code.upper(), None if isinstance(fault, Unconfirmed) else fault.message)
        raise
    finally:
        code, message = error
        if code is not None:
            log.info("Tool %s failed for %s: %s", new.tool, new.user, code)
        kept = message and logs.without_credentials(message)[:LONGEST_MESSAGE]
        done = Outcome(_milliseconds(began), code, kept, *service[:1])
        here.database.persist(lambda session: calls.end(session, number, done), opened=here.database.noting)


def _confirm(here: Context, caller: Caller, asked: Call, tool: Tool, service: Service | None) -> None:
    if not tool.destructive:
        return
    # Nothing else, nowhere else, by nobody else; nor where it leads elsewhere by now.
    where = None if service is None else [service.id, service.url, service.config]
    subject = [tool.name, dict(asked.arguments), where, caller.account_id]
    key = here.settings.secret_key
    if asked.confirmation is None:
        raise Unconfirmed(tool.name, confirming.token(key, subject))
    if not confirming.confirmed(key, here.redis, asked.confirmation, subject):
        raise Invalid("confirmation_token: it is not for this call, too old, or was used before.")


def _run(here: Context, asked: Call, tool: Tool, service: Service, names: Mapping[str, str]) -> Any:
    if services.closed(service, utc_now()):
        raise UpstreamFailed(
            f"{service.name} gave no answer {service.failures} times in a row; nobody is sent there for a moment.",
            code="upstream_unavailable",
        )
    client = connect(
        service,
        key=services.key_of(service, here.settings.secret_key),
        networks=Networks(here.settings.service_networks),
        on_behalf_of=names.get(service.name) or names.get(service.type),
    )
    answered = True
    try:
        return tool.run(client, asked.arguments)
    except ServiceError as fault:
        answered = not isinstance(fault, NoAnswer)
        raise UpstreamFailed(fault.message, code=fault.code) from fault
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as fault:
        # A client reads what it knows of; whatever else answers is not that service, or of a version unknown.
        raise UpstreamFailed(f"{service.name} answered what no {service.type} does.", code="upstream_error") from fault
    finally:
        if not answered or service.failures or service.closed_until:
            with here.database.transaction(durable=False) as session:
                (services.answered if answered else services.silent)(session, service)


def _service(here: Context, asked: Call, offered: Offered) -> Service | None:
    """The service that a tool is called at; None of a tool of ours."""
    tool, own_service = offered.tool, offered.declared_by
    if tool.service_type is None:
        if asked.service_id is not None:
            raise Invalid(f"service_id: {tool.name} is a tool of Voiceworks itself.")
        return None
    if own_service is None:
        with here.database.reading() as session:
            return services.for_tool(session, tool.service_type, asked.service_id)
    if asked.service_id not in (None, own_service.id):
        raise Invalid(f"service_id: service {asked.service_id} declares no tool {tool.name}.")
    return services.usable(own_service)


def _milliseconds(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 2)
