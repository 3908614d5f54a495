"""Which tools there are: our own, those of the types of services, and those that services declare."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from sqlalchemy.orm import Session

from app.tools import own
from models.gateway import services
from models.gateway.tables import Service
from workers.clients.tools import Tool
from workers.clients.types import types


@dataclass(frozen=True)
class Offered:
    """A tool, and whether there is a service that is switched on to call it at.

    A declared one is of one service, ``declared_by``.
    """

    tool: Tool
    available: bool
    declared_by: Service | None = None


def everything(session: Session) -> dict[str, Offered]:
    """All tools by name, in that order."""
    there = services.everything(session)
    used = {service.type for service in there if service.enabled}
    found = {name: Offered(tool, available=True) for name, tool in own.tools().items()}
    for kind in types().values():
        found |= {tool.name: Offered(tool, available=kind.name in used) for tool in kind.tools}
    for service in there:
        for name, offered in _declared(service).items():
            # The first that declared a name has it; another is refused it when it is stored.
            found.setdefault(name, offered)
    return dict(sorted(found.items()))


def find(session: Session, name: str) -> Offered | None:
    """The tool of this name."""
    if name in own.tools():
        return Offered(own.tools()[name], available=True)
    if name in _of_types():
        # Whether there is a service is found out when one is chosen.
        return Offered(_of_types()[name], available=True)
    return next((_declared(each)[name] for each in services.declaring(session, name) if name in _declared(each)), None)


def taken(session: Session, names: set[str], *, but: int | None) -> set[str]:
    """Which of these names are other tools' already; those that service ``but`` declares do not count."""
    others = {name for service in services.everything(session) if service.id != but for name in _declared(service)}
    return names & (set(own.tools()) | set(_of_types()) | others)


def _of_types() -> Mapping[str, Tool]:
    return {tool.name: tool for kind in types().values() for tool in kind.tools}


def _declared(service: Service) -> dict[str, Offered]:
    if not service.config:
        return {}
    tools = _tools_of(service.type, json.dumps(service.config))
    return {tool.name: Offered(tool, service.enabled, declared_by=service) for tool in tools}


@lru_cache(maxsize=256)
def _tools_of(type_name: str, config: str) -> tuple[Tool, ...]:
    # Kept with what they check arguments by, which takes longer to make than a call.
    kind = types().get(type_name)
    declared = kind.declared(json.loads(config)) if kind is not None else ()
    return tuple(replace(tool, service_type=type_name) for tool in declared)
