"""Tools, called over REST, and the history of every call by whichever door."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import g
from marshmallow import EXCLUDE, Schema, fields

from app import context
from app.http.access import OWN_LISTED, SIGNED_IN
from app.http.answers import Answer, Shown
from app.http.parsing import MAX_INTEGER, Paging, QueryWhole, Text, Whole, one_of
from app.surfaces import GATEWAY, SurfaceBlueprint
from app.tools import calling, catalogue
from app.tools.calling import Call
from app.tools.catalogue import Offered
from models.accounts import Caller
from models.base import iso, utc_now
from models.gateway import calls
from models.gateway.tables import FAILED, PENDING, SUCCESS, ToolCall

blueprint = SurfaceBlueprint("tools", surface=GATEWAY, description="Tools, and what was called")

DOOR = "rest"
_FIGURES_DAYS = 30


class ToolCalled(Schema):
    """A call. ``confirmation_token`` is what the first answer to a destructive one gave."""

    arguments = fields.Dict(keys=fields.String(), load_default=dict)
    service_id = Whole(1, MAX_INTEGER, load_default=None, allow_none=True)
    confirmation_token = Text(load_default=None, allow_none=True, maximum=1000)


class Query(Paging):
    """Which calls."""

    tool_name = Text(load_default=None, maximum=100)
    status = Text(load_default=None, maximum=20, validate=one_of([SUCCESS, FAILED, PENDING]))
    user = Text(load_default=None, maximum=320)


class Since(Schema):
    """Of how many days."""

    class Meta:
        unknown = EXCLUDE

    days = QueryWhole(1, 3650, load_default=_FIGURES_DAYS)


class ToolShown(Shown):
    """A tool; ``available`` says whether there is a service to call it at."""

    promised = frozenset(("name", "description", "parameters"))

    name = fields.String()
    description = fields.String()
    parameters = fields.Dict(keys=fields.String(), values=fields.Dict())
    service_type = fields.String(allow_none=True)
    read_only = fields.Boolean()
    destructive = fields.Boolean()
    available = fields.Boolean()


class Result(Shown):
    """What a tool gave."""

    success = fields.Boolean()
    result = fields.Raw(allow_none=True)
    duration_ms = fields.Float()


class CallShown(Shown):
    """A call that was made."""

    id = fields.Integer()
    timestamp = fields.DateTime()
    tool_name = fields.String()
    user = fields.String(allow_none=True)
    service = fields.String(allow_none=True)
    door = fields.String()
    arguments = fields.Dict()
    status = fields.String(validate=one_of([SUCCESS, FAILED, PENDING]))
    error_code = fields.String(allow_none=True)
    error = fields.String(allow_none=True)
    duration_ms = fields.Float(allow_none=True)
    request_id = fields.String(allow_none=True)


class History(Shown):
    """A page of calls, newest first."""

    items = fields.List(fields.Nested(CallShown))
    total = fields.Integer()
    limit = fields.Integer()
    offset = fields.Integer()


class FiguresShown(Shown):
    """How often something was called, and how long that took (milliseconds)."""

    name = fields.String(allow_none=True)
    calls = fields.Integer()
    failed = fields.Integer()
    p50_ms = fields.Float(allow_none=True)
    p95_ms = fields.Float(allow_none=True)


class Statistics(Shown):
    """Calls by tool and by user, most called first."""

    days = fields.Integer()
    by_tool = fields.List(fields.Nested(FiguresShown))
    by_user = fields.List(fields.Nested(FiguresShown))


@blueprint.endpoint("/api/mcp/tools", access=SIGNED_IN, answers={200: Answer(schema=ToolShown, many=True)})
def everything() -> list[dict[str, Any]]:
    """The tools that the caller may call."""
    with context.current().database.reading() as session:
        found, _ = calling.rights(session, g.caller)
        offered = catalogue.everything(session).values()
    return [shown(each) for each in offered if calling.may(found, g.caller.role, each.tool).allowed]


@blueprint.endpoint(
    "/api/mcp/tools/<name>",
    access=SIGNED_IN,
    methods=("POST",),
    answers={200: Answer(schema=Result)},
    refuses=(404, 409, 502),
    audited=False,
)
@blueprint.arguments(ToolCalled)
def call(body: dict[str, Any], name: str) -> dict[str, Any]:
    """Calls a tool; one that may destroy something is first answered 409 with a `confirmation_token`, good for once."""
    asked = Call(name, body["arguments"], DOOR, body["service_id"], body["confirmation_token"])
    answered = calling.call(context.current(), g.caller, asked)
    return {"success": True, "result": answered.result, "duration_ms": answered.duration_ms}


@blueprint.endpoint("/api/mcp/history", access=SIGNED_IN, whose=OWN_LISTED, answers={200: Answer(schema=History)})
@blueprint.arguments(Query, location="query")
def history(query: dict[str, Any]) -> dict[str, Any]:
    """Calls, newest first; those of others for administrators and operators only."""
    with context.current().database.snapshot() as session:
        found, total = calls.page(session, account_id=_own(g.caller), **query)
    return {
        "items": [_call_shown(each) for each in found],
        "total": total,
        "limit": query["limit"],
        "offset": query["offset"],
    }


@blueprint.endpoint("/api/mcp/statistics", access=SIGNED_IN, whose=OWN_LISTED, answers={200: Answer(schema=Statistics)})
@blueprint.arguments(Since, location="query")
def statistics(query: dict[str, int]) -> dict[str, Any]:
    """Figures of the calls that the caller may see."""
    since = utc_now() - timedelta(days=query["days"])
    with context.current().database.snapshot() as session:
        by = {each: calls.figures(session, each, since=since, account_id=_own(g.caller)) for each in ("tool", "user")}
    return {"days": query["days"], **{f"by_{each}": [vars(line) for line in lines] for each, lines in by.items()}}


def shown(offered: Offered) -> dict[str, Any]:
    """A tool as the document shows one."""
    tool = offered.tool
    return {
        "name": tool.name,
        "description": tool.description,
        "parameters": {name: dict(parameter) for name, parameter in tool.parameters.items()},
        "service_type": tool.service_type,
        "read_only": tool.read_only,
        "destructive": tool.destructive,
        "available": offered.available,
    }


def _own(caller: Caller) -> str | None:
    """The account whose calls the caller may see; None: all of them."""
    return None if caller.role in ("admin", "operator") else caller.account_id or ""


def _call_shown(call: ToolCall) -> dict[str, Any]:
    return {
        "id": call.id,
        "timestamp": iso(call.at),
        "tool_name": call.tool,
        "user": call.user,
        "service": call.service,
        "door": call.door,
        "arguments": call.arguments,
        "status": call.status,
        "error_code": call.error_code,
        "error": call.error,
        "duration_ms": call.duration_ms,
        "request_id": call.request_id,
    }
