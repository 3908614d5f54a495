"""Users, by administrators."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from app import context
from app.http.access import ADMIN
from app.http.answers import MESSAGE, Answer, Shown, page_of
from app.http.offload import offload
from app.http.parsing import Flag, Paging, Text, one_of
from app.surfaces import MANAGEMENT, SurfaceBlueprint
from models import accounts, users
from models.accounts import ROLES, Account
from models.base import iso

blueprint = SurfaceBlueprint("users", surface=MANAGEMENT, description="Who may sign in")


class NewUser(Schema):
    """Somebody who may sign in."""

    username = Text(required=True, minimum=1, maximum=200, spoken=True)
    password = Text(required=True, minimum=1, maximum=1000)
    role = Text(load_default="client", maximum=20, validate=one_of(list(ROLES)))
    email = Text(load_default=None, allow_none=True, maximum=320)


class ChangedUser(Schema):
    """What changes of a user; what is not named stays."""

    password = Text(minimum=1, maximum=1000)
    role = Text(maximum=20, validate=one_of(list(ROLES)))
    email = Text(allow_none=True, maximum=320)
    disabled = Flag()


class UserShown(Shown):
    """A user."""

    id = fields.String()
    username = fields.String()
    role = fields.String()
    email = fields.String(allow_none=True)
    disabled = fields.Boolean()
    created_at = fields.DateTime()


USER = Answer(schema=UserShown)


@blueprint.endpoint("/api/users", access=ADMIN, answers={200: page_of("users", UserShown)})
@blueprint.arguments(Paging, location="query")
def page(query: dict[str, int]) -> dict[str, Any]:
    """Users by name."""
    with context.current().database.reading() as session:
        found, total = users.page(session, **query)
    return {"users": [shown(account) for account in found], "total": total, **query}


@blueprint.endpoint("/api/users", access=ADMIN, methods=("POST",), answers={201: USER}, refuses=(409,))
@blueprint.arguments(NewUser)
def create(body: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """A new user."""
    password_hash = offload(accounts.hash_password, body.pop("password"))
    with context.current().database.transaction() as session:
        return shown(accounts.store(session, password_hash=password_hash, **body)), 201


@blueprint.endpoint("/api/users/<user_id>", access=ADMIN, answers={200: USER})
def get(user_id: str) -> dict[str, Any]:
    """A user."""
    with context.current().database.reading() as session:
        return shown(users.get(session, user_id))


@blueprint.endpoint("/api/users/<user_id>", access=ADMIN, methods=("PATCH",), answers={200: USER}, refuses=(409,))
@blueprint.arguments(ChangedUser)
def change(body: dict[str, Any], user_id: str) -> dict[str, Any]:
    """Changes a user; one who is disabled opens nothing from then on."""
    if "password" in body:
        body["password_hash"] = offload(accounts.hash_password, body.pop("password"))
    with context.current().database.transaction() as session:
        return shown(users.change(session, user_id, body))


@blueprint.endpoint("/api/users/<user_id>", access=ADMIN, methods=("DELETE",), answers={200: MESSAGE}, refuses=(409,))
def remove(user_id: str) -> dict[str, str]:
    """Removes a user with the keys; what the user made stays."""
    with context.current().database.transaction() as session:
        users.remove(session, user_id)
    return {"message": f"User {user_id} was removed."}


def shown(account: Account) -> dict[str, Any]:
    """A user as every answer shows one."""
    return {
        "id": account.id,
        "username": account.username,
        "role": account.role,
        "email": account.email,
        "disabled": account.disabled,
        "created_at": iso(account.created_at),
    }
