"""The tools as the protocol shows them to one caller, and a call's arguments as it sends them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import mcp_types as types
from sqlalchemy.orm import Session

from app.http.parsing import MAX_INTEGER, refuse_bad_text
from app.tools import calling, catalogue, own
from app.tools.calling import Call
from app.tools.catalogue import Offered
from models.accounts import Caller
from models.gateway import services
from models.gateway.tables import Service
from workers.clients.tools import Tool

DOOR = "mcp"
# What a call says beside the tool's own arguments, and how long a token may be.
SERVICE, CONFIRMATION = "service_id", "confirmation_token"
_LONGEST_TOKEN = 1000


def listed(session: Session, caller: Caller) -> list[types.Tool]:
    """What the caller may call, of what can be called now, by name."""
    rights, _ = calling.rights(session, caller)
    of_type: defaultdict[str, list[Service]] = defaultdict(list)
    for service in services.everything(session):
        if service.enabled:
            of_type[service.type].append(service)
    return [
        _shown(offered, of_type[offered.tool.service_type or ""])
        for offered in catalogue.everything(session).values()
        if offered.available and calling.may(rights, caller.role, offered.tool).allowed
    ]


def call_of(session: Session, name: str, arguments: Mapping[str, Any], report: own.Report) -> Call:
    """A call as it came in, what is not the tool's own taken out of its arguments.

    Raises:
        Invalid: there is text in it that nobody could write down.
    """
    refuse_bad_text(name, "name")
    refuse_bad_text(dict(arguments), "")
    offered = catalogue.find(session, name)
    rest, beside = dict(arguments), _beside(offered.tool) if offered else set()
    service_id, token = rest.get(SERVICE), rest.get(CONFIRMATION)
    # What makes no sense stays where it is: the tool refuses it as an argument that it does not know.
    if SERVICE in beside and type(service_id) is int and 1 <= service_id <= MAX_INTEGER:
        del rest[SERVICE]
    else:
        service_id = None
    if CONFIRMATION in beside and isinstance(token, str) and len(token) <= _LONGEST_TOKEN:
        del rest[CONFIRMATION]
    else:
        token = None
    return Call(name, rest, DOOR, service_id, token, report)


def _beside(tool: Tool) -> set[str]:
    """What a call of the tool may say beside its own arguments."""
    said = {SERVICE} if tool.service_type is not None else set()
    return (said | ({CONFIRMATION} if tool.destructive else set())) - tool.parameters.keys()


def _shown(offered: Offered, there: Sequence[Service]) -> types.Tool:
    tool, schema = offered.tool, offered.tool.schema
    beside = _beside(tool)
    # A declared one is of one service.
    if SERVICE in beside and len(there) > 1 and offered.declared_by is None:
        names = ", ".join(f"{service.id}: {service.name}" for service in there)
        schema["properties"][SERVICE] = {
            "type": "integer",
            "enum": [service.id for service in there],
            "description": f"Which one ({names}); the first that is well, unless given",
        }
    if CONFIRMATION in beside:
        schema["properties"][CONFIRMATION] = {
            "type": "string",
            "description": "What the answer to the first call gave, to have it carried out",
        }
    return types.Tool(
        name=tool.name,
        description=tool.description,
        input_schema=schema,
        annotations=types.ToolAnnotations(
            read_only_hint=tool.read_only,
            destructive_hint=tool.destructive,
            # Of what changes something nobody said so.
            idempotent_hint=tool.read_only,
            open_world_hint=tool.service_type is not None,
        ),
    )
