"""Groups: who may call which tools. Administrators alone change them."""

from __future__ import annotations

from typing import Any

from marshmallow import EXCLUDE, Schema, fields, validate

from app import context
from app.http.access import ADMIN, OPERATOR
from app.http.answers import MESSAGE, Answer, Shown
from app.http.parsing import Listing, Text
from app.surfaces import GATEWAY, SurfaceBlueprint
from app.tools import calling, catalogue
from models import users
from models.base import iso
from models.errors import NotFound
from models.gateway import groups, people
from models.gateway.groups import Shown as GroupFound

blueprint = SurfaceBlueprint("groups", surface=GATEWAY, description="Who may call which tools")

MAX_PATTERNS, MAX_MEMBERS = 1000, 10_000
_NAME: dict[str, Any] = {"minimum": 1, "maximum": 200, "spoken": True}


def _patterns(**kwargs: Any) -> Listing:
    pattern = Text(
        minimum=1,
        maximum=100,
        validate=validate.Regexp(
            r"^[A-Za-z0-9_*]+$(?!\n)", error="{input!r} is no tool's name or pattern (letters, digits, _ and *)"
        ),
    )
    return Listing(pattern, validate=validate.Length(max=MAX_PATTERNS), **kwargs)


def _members(**kwargs: Any) -> Listing:
    return Listing(Text(minimum=1, maximum=200), validate=validate.Length(max=MAX_MEMBERS), **kwargs)


class NewGroup(Schema):
    """A group; in ``tool_permissions`` a ``*`` stands for anything."""

    name = Text(required=True, **_NAME)
    description = Text(load_default="", maximum=2000)
    tool_permissions = _patterns(load_default=list)
    members = _members(load_default=list)


class ChangedGroup(Schema):
    """What changes of a group; what is not named stays."""

    name = Text(**_NAME)
    description = Text(maximum=2000)
    tool_permissions = _patterns()
    members = _members()


class Permissions(Schema):
    """What the group may call from now on, and nothing else."""

    tools = _patterns(required=True)


class Members(Schema):
    """Who is in the group from now on, by canonical name, and nobody else."""

    members = _members(required=True)


class Question(Schema):
    """Who (by canonical name, user name or address), and which tool."""

    class Meta:
        unknown = EXCLUDE

    user = Text(required=True, minimum=1, maximum=320)
    tool = Text(required=True, minimum=1, maximum=100)


class GroupShown(Shown):
    """A group, and who is in it."""

    id = fields.Integer()
    name = fields.String()
    description = fields.String()
    tool_permissions = fields.List(fields.String())
    members = fields.List(fields.String())
    created_at = fields.DateTime()


class Explained(Shown):
    """Whether somebody may call a tool, and why; by which group's pattern, where it is one."""

    allowed = fields.Boolean()
    reason = fields.String()
    group = fields.String(allow_none=True)
    pattern = fields.String(allow_none=True)


GROUP = Answer(schema=GroupShown)
_PATH = "/api/groups/<int:group_id>"


@blueprint.endpoint("/api/groups", access=OPERATOR, answers={200: Answer(schema=GroupShown, many=True)})
def everything() -> list[dict[str, Any]]:
    """All groups by name."""
    with context.current().database.reading() as session:
        return [shown(found) for found in groups.everything(session)]


@blueprint.endpoint("/api/groups", access=ADMIN, methods=("POST",), answers={201: GROUP}, refuses=(409,))
@blueprint.arguments(NewGroup)
def create(body: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """A new group."""
    members = body.pop("members")
    with context.current().database.transaction() as session:
        return shown(groups.create(session, body, members)), 201


@blueprint.endpoint("/api/groups/explain", access=OPERATOR, answers={200: Answer(schema=Explained)}, refuses=(404,))
@blueprint.arguments(Question, location="query")
def explain(query: dict[str, str]) -> dict[str, Any]:
    """Whether somebody may call a tool, and why: the decision that every call is subject to."""
    with context.current().database.reading() as session:
        offered = catalogue.find(session, query["tool"])
        if offered is None:
            raise NotFound(f"There is no tool {query['tool']!r}.", code="tool_not_found")
        account = users.called(session, query["user"])
        if account is None:
            mapping = people.called(session, query["user"], query["user"])
            account = users.called(session, mapping.canonical_name, mapping.email) if mapping else None
        else:
            mapping = people.called(session, account.username, account.email)
        if account is None and mapping is None:
            raise NotFound(f"Nobody is called {query['user']!r}: there is no account and no user mapping of that name.")
        role = account.role if account else None
        found = groups.rights(session, mapping, is_admin=role == "admin")
    return vars(calling.may(found, role, offered.tool))


@blueprint.endpoint(_PATH, access=OPERATOR, answers={200: GROUP})
def get(group_id: int) -> dict[str, Any]:
    """A group."""
    with context.current().database.reading() as session:
        return shown(groups.get(session, group_id))


@blueprint.endpoint(_PATH, access=ADMIN, methods=("PUT",), answers={200: GROUP}, refuses=(409,))
@blueprint.arguments(ChangedGroup)
def change(body: dict[str, Any], group_id: int) -> dict[str, Any]:
    """Changes a group."""
    members = body.pop("members", None)
    with context.current().database.transaction() as session:
        changed = groups.change(session, group_id, body)
        return shown(changed if members is None else groups.set_members(session, group_id, members))


@blueprint.endpoint(f"{_PATH}/permissions", access=ADMIN, methods=("PUT",), answers={200: GROUP})
@blueprint.arguments(Permissions)
def set_permissions(body: dict[str, Any], group_id: int) -> dict[str, Any]:
    """Says what the group may call; it holds for the next call."""
    with context.current().database.transaction() as session:
        return shown(groups.change(session, group_id, {"tool_permissions": body["tools"]}))


@blueprint.endpoint(f"{_PATH}/members", access=ADMIN, methods=("PUT",), answers={200: GROUP})
@blueprint.arguments(Members)
def set_members(body: dict[str, Any], group_id: int) -> dict[str, Any]:
    """Says who is in the group; it holds for the next call."""
    with context.current().database.transaction() as session:
        return shown(groups.set_members(session, group_id, body["members"]))


@blueprint.endpoint(_PATH, access=ADMIN, methods=("DELETE",), answers={200: MESSAGE})
def remove(group_id: int) -> dict[str, str]:
    """Removes a group; its people stay."""
    with context.current().database.transaction() as session:
        groups.remove(session, group_id)
    return {"message": f"Group {group_id} was removed."}


def shown(found: GroupFound) -> dict[str, Any]:
    """A group as every answer shows one."""
    group = found.group
    return {
        "id": group.id,
        "name": group.name,
        "description": group.description,
        "tool_permissions": group.tool_permissions,
        "members": found.members,
        "created_at": iso(group.created_at),
    }
