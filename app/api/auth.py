"""Signing in, and what everybody does with their own account: password, keys."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any

from flask import g
from flask_jwt_extended import create_access_token, create_refresh_token
from marshmallow import Schema, fields
from sqlalchemy.orm import Session

from app import context
from app.api import users
from app.http.access import PUBLIC, SIGNED_IN, Forbidden, Unauthorized
from app.http.offload import offload
from app.http.parsing import Text, one_of
from app.surfaces import MANAGEMENT, SurfaceBlueprint
from models import accounts
from models import users as user_rows
from models.accounts import ROLES, Account, ApiKey
from models.base import iso
from models.errors import Invalid, NotFound

blueprint = SurfaceBlueprint("auth", surface=MANAGEMENT, description="Signing in")


class Login(Schema):
    """Who signs in."""

    username = Text(required=True, minimum=1, maximum=200)
    password = Text(required=True, minimum=1, maximum=1000)


class NewPassword(Schema):
    """The password that counts now, and the one that shall."""

    old_password = Text(required=True, minimum=1, maximum=1000)
    new_password = Text(required=True, minimum=1, maximum=1000)


class NewKey(Schema):
    """A credential for a program."""

    name = Text(required=True, minimum=1, maximum=200, spoken=True)
    role = Text(load_default=None, allow_none=True, maximum=20, validate=one_of(list(ROLES)))
    expires_at = fields.AwareDateTime(load_default=None, allow_none=True, default_timezone=UTC)


@blueprint.endpoint("/api/auth/login", access=PUBLIC, methods=("POST",))
@blueprint.arguments(Login)
def login(body: dict[str, str]) -> dict[str, Any]:
    """Tokens for a username and password; refused alike whether the name or the password is wrong."""
    here = context.current()
    with here.database.reading() as session:
        account = accounts.find(session, body["username"])
    # 50 ms of argon2 would stall every other request of this process.
    if not offload(accounts.password_fits, account, body["password"]) or account is None:
        raise Unauthorized("Invalid username or password")
    return tokens(account)


@blueprint.endpoint("/api/auth/me", access=SIGNED_IN)
def me() -> dict[str, Any]:
    """Who the credential stands for, and the role that counts."""
    with context.current().database.reading() as session:
        return users.shown(_own(session)) | {"role": g.caller.role}


@blueprint.endpoint("/api/auth/password", access=SIGNED_IN, methods=("POST",))
@blueprint.arguments(NewPassword)
def change_password(body: dict[str, str]) -> dict[str, str]:
    """Changes the own password."""
    with context.current().database.reading() as session:
        account = _own(session)
    if not offload(accounts.password_fits, account, body["old_password"]):
        raise Invalid("old_password: it is not the password of this account")
    password_hash = offload(accounts.hash_password, body["new_password"])
    with context.current().database.transaction() as session:
        user_rows.change(session, account.id, {"password_hash": password_hash})
    return {"message": "The password was changed."}


@blueprint.endpoint("/api/auth/keys", access=SIGNED_IN)
def list_keys() -> dict[str, Any]:
    """The own keys, without their secrets."""
    with context.current().database.reading() as session:
        found = user_rows.keys(session, _own(session).id)
    return {"keys": [_key(key) for key in found], "total": len(found)}


@blueprint.endpoint("/api/auth/keys", access=SIGNED_IN, methods=("POST",))
@blueprint.arguments(NewKey)
def create_key(body: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """A new key; its secret is shown this once, as ``key``."""
    # What a credential may not do, no key that it makes may.
    if body["role"] is not None and g.caller.role not in ("admin", body["role"]):
        raise Forbidden(f"Role {g.caller.role} cannot give role {body['role']}.")
    with context.current().database.transaction() as session:
        key, secret = accounts.create_key(session, _own(session), **body | {"role": body["role"] or g.caller.role})
        return _key(key) | {"key": secret}, 201


@blueprint.endpoint("/api/auth/keys/<key_id>", access=SIGNED_IN, methods=("DELETE",))
def revoke_key(key_id: str) -> dict[str, str]:
    """The key opens nothing any more; administrators may revoke anybody's."""
    with context.current().database.transaction() as session:
        if g.caller.role != "admin" and key_id not in {key.id for key in user_rows.keys(session, _own(session).id)}:
            raise NotFound(f"There is no API key {key_id!r}.")
        accounts.revoke_key(session, key_id)
    return {"message": f"API key {key_id} was revoked."}


def _own(session: Session) -> Account:
    """The account behind the credential; on an open surface there may be none."""
    return user_rows.get(session, g.caller.account_id or "")


def _key(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "role": key.role,
        "created_at": iso(key.created_at),
        "expires_at": iso(key.expires_at),
        "last_used_at": iso(key.last_used_at),
    }


def tokens(account: Account) -> dict[str, Any]:
    """An access token and a refresh token for an account."""
    settings = context.current().settings
    lifetime = timedelta(seconds=settings.access_token_seconds)
    return {
        "access_token": create_access_token(
            account.id, additional_claims={"role": account.role}, expires_delta=lifetime
        ),
        "refresh_token": create_refresh_token(account.id),
        "expires_in": settings.access_token_seconds,
    }
