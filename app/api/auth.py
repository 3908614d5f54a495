"""Signing in and out, and what everybody does with their own account: password, keys, tickets."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import g
from flask_jwt_extended import create_access_token, create_refresh_token
from marshmallow import Schema, fields
from sqlalchemy.orm import Session

from app import context
from app.api import users
from app.http.access import OWN_KEY, PUBLIC, SIGNED_IN, Forbidden, Unauthorized, claims_of
from app.http.answers import MESSAGE, Answer, Shown
from app.http.offload import offload
from app.http.parsing import MAX_EXACT_INTEGER, Moment, Text, Whole, one_of
from app.surfaces import MANAGEMENT, SurfaceBlueprint
from models import accounts, redis_keys, sign_ins, tickets
from models import users as user_rows
from models.accounts import GIVES, ROLES, Account, ApiKey
from models.base import iso
from models.errors import Invalid, NotFound
from models.sign_ins import SignIn

blueprint = SurfaceBlueprint("auth", surface=MANAGEMENT, description="Signing in")


class Login(Schema):
    """Who signs in."""

    username = Text(required=True, minimum=1, maximum=200)
    password = Text(required=True, minimum=1, maximum=1000)


class Refresh(Schema):
    """The refresh token that is good now."""

    refresh_token = Text(required=True, minimum=1, maximum=4000)


class Logout(Schema):
    """The sign-in that ends, where it is not the one of the access token."""

    refresh_token = Text(load_default=None, allow_none=True, maximum=4000)


class NewPassword(Schema):
    """The password that counts now, and the one that shall."""

    old_password = Text(required=True, minimum=1, maximum=1000)
    new_password = Text(required=True, minimum=1, maximum=1000)


class NewKey(Schema):
    """A credential for a program."""

    name = Text(required=True, minimum=1, maximum=200, spoken=True)
    role = Text(load_default=None, allow_none=True, maximum=20, validate=one_of(list(ROLES)))
    expires_at = Moment(load_default=None, allow_none=True, years_ahead=None)
    agent_id = Whole(0, MAX_EXACT_INTEGER, load_default=None, allow_none=True)


class Me(users.UserShown):
    """Who the credential stands for; ``agent_id`` is the transcriber whose key it is."""

    agent_id = fields.Integer(allow_none=True)


class KeyListed(Shown):
    """A key, without its secret."""

    id = fields.String()
    name = fields.String()
    role = fields.String()
    agent_id = fields.Integer(allow_none=True)
    created_at = fields.DateTime()
    expires_at = fields.DateTime(allow_none=True)
    last_used_at = fields.DateTime(allow_none=True)


class KeyMade(KeyListed):
    """A key, this once with its secret."""

    key = fields.String()


class KeyList(Shown):
    """All of them."""

    keys = fields.List(fields.Nested(KeyListed))
    total = fields.Integer()


class Tokens(Shown):
    """What opens the rest, for how many seconds, and what gives new ones after them."""

    access_token = fields.String()
    refresh_token = fields.String()
    expires_in = fields.Integer()


class Ticket(Shown):
    """What opens one websocket, and for how many seconds it is good."""

    ticket = fields.String()
    expires_in = fields.Integer()


TOKENS = Answer(schema=Tokens)


@blueprint.endpoint(
    "/api/auth/login", access=PUBLIC, methods=("POST",), limit="auth", answers={200: TOKENS}, refuses=(401,)
)
@blueprint.arguments(Login)
def login(body: dict[str, str]) -> dict[str, Any]:
    """Tokens for a username and password; refused alike whether the name or the password is wrong."""
    here = context.current()
    g.login_username = body["username"].casefold()
    here.limits.count("login")
    here.limits.count("login_account")
    with here.database.reading() as session:
        account = accounts.find(session, body["username"])
    # 50 ms of argon2 would stall every other request of this process.
    if not offload(accounts.password_fits, account, body["password"]) or account is None:
        raise Unauthorized("Invalid username or password")
    with here.database.transaction() as session:
        # It may have been changed, disabled or removed while the password was looked at.
        if accounts.lock_unchanged(session, account):
            return _tokens(sign_ins.begin(session, account.id, seconds=here.settings.refresh_token_seconds))
    raise Unauthorized("Invalid username or password")


@blueprint.endpoint(
    "/api/auth/refresh", access=PUBLIC, methods=("POST",), limit="auth", answers={200: TOKENS}, refuses=(401,)
)
@blueprint.arguments(Refresh)
def refresh(body: dict[str, str]) -> dict[str, Any]:
    """New tokens for a refresh token, which is good this once; used again, it ends the sign-in."""
    here = context.current()
    claims = claims_of(body["refresh_token"])
    if claims is None or claims["type"] != "refresh":
        raise Unauthorized("Invalid refresh token")
    seconds = here.settings.refresh_token_seconds
    with here.database.transaction() as session:
        row = sign_ins.refresh(session, claims["sign_in"], claims["turn"], seconds=seconds)
        caller = sign_ins.caller(session, row.id) if row is not None else None
    if row is None or caller is None:
        raise Unauthorized("This refresh token was used before or its sign-in has ended; sign in again")
    return _tokens(row)


@blueprint.endpoint("/api/auth/logout", access=SIGNED_IN, methods=("POST",), answers={200: MESSAGE})
@blueprint.arguments(Logout)
def logout(body: dict[str, str | None]) -> dict[str, str]:
    """Ends a sign-in: that of the refresh token in the body, else that of the access token."""
    ended = g.caller.sign_in_id
    if body["refresh_token"]:
        claims = claims_of(body["refresh_token"])
        if claims is None or claims["type"] != "refresh" or claims["sub"] != g.caller.account_id:
            raise Invalid("refresh_token: it is not a refresh token of this account")
        ended = claims["sign_in"]
    if ended is None:
        raise Invalid("An API key has no sign-in to end; DELETE /api/auth/keys/{id} revokes it.")
    with context.current().database.transaction() as session:
        sign_ins.end(session, ended)
    return {"message": "Signed out."}


@blueprint.endpoint("/api/auth/ws-ticket", access=SIGNED_IN, methods=("POST",), answers={200: Answer(schema=Ticket)})
def ws_ticket() -> dict[str, Any]:
    """A ticket that opens one websocket (``?ticket=``), for browsers, which cannot set headers on it."""
    ticket = tickets.issue(context.current().redis, g.caller)
    return {"ticket": ticket, "expires_in": redis_keys.TICKET_SECONDS}


@blueprint.endpoint("/api/auth/me", access=SIGNED_IN, answers={200: Answer(schema=Me)}, refuses=(404,))
def me() -> dict[str, Any]:
    """Who the credential stands for, and the role that counts."""
    with context.current().database.reading() as session:
        return users.shown(_own(session)) | {"role": g.caller.role, "agent_id": g.caller.agent_id}


@blueprint.endpoint(
    "/api/auth/password",
    access=SIGNED_IN,
    methods=("POST",),
    limit="auth",
    answers={200: MESSAGE},
    refuses=(404,),
    audited=True,
)
@blueprint.arguments(NewPassword)
def change_password(body: dict[str, str]) -> dict[str, str]:
    """Changes the own password, and ends every other sign-in of the account."""
    with context.current().database.reading() as session:
        account = _own(session)
    if not offload(accounts.password_fits, account, body["old_password"]):
        raise Invalid("old_password: it is not the password of this account")
    password_hash = offload(accounts.hash_password, body["new_password"])
    with context.current().database.transaction() as session:
        user_rows.change(session, account.id, {"password_hash": password_hash}, keep_sign_in=g.caller.sign_in_id)
    return {"message": "The password was changed."}


@blueprint.endpoint("/api/auth/keys", access=SIGNED_IN, answers={200: Answer(schema=KeyList)}, refuses=(404,))
def list_keys() -> dict[str, Any]:
    """The own keys, without their secrets."""
    with context.current().database.reading() as session:
        found = user_rows.keys(session, _own(session).id)
    return {"keys": [_key(key) for key in found], "total": len(found)}


@blueprint.endpoint(
    "/api/auth/keys",
    access=SIGNED_IN,
    methods=("POST",),
    answers={201: Answer(schema=KeyMade)},
    refuses=(404,),
    audited=True,
)
@blueprint.arguments(NewKey)
def create_key(body: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """A new key; its secret is shown this once, as ``key``."""
    # What a credential may not do, no key that it makes may.
    role = body["role"] or g.caller.role
    if role not in GIVES[g.caller.role]:
        raise Forbidden(f"Role {g.caller.role} cannot give role {role}.")
    if body["agent_id"] is not None and g.caller.role != "admin":
        raise Forbidden("Whose key a transcriber's is says an administrator (agent_id).")
    with context.current().database.transaction() as session:
        key, secret = accounts.create_key(session, _own(session), **body | {"role": role})
        return _key(key) | {"key": secret}, 201


@blueprint.endpoint(
    "/api/auth/keys/<key_id>",
    access=SIGNED_IN,
    whose=OWN_KEY,
    methods=("DELETE",),
    answers={200: MESSAGE},
    audited=True,
)
def revoke_key(key_id: str) -> dict[str, str]:
    """The key opens nothing any more; administrators may revoke anybody's."""
    with context.current().database.transaction() as session:
        if g.caller.role != "admin":
            _refuse_to_revoke(session, key_id)
        accounts.revoke_key(session, key_id)
    return {"message": f"API key {key_id} was revoked."}


def _refuse_to_revoke(session: Session, key_id: str) -> None:
    """Raises NotFound for somebody else's key, and Forbidden for one that the caller could not have made.

    A key that is less than its account may be in others' hands.
    """
    account = _own(session)
    role = next((key.role for key in user_rows.keys(session, account.id) if key.id == key_id), None)
    if role is None:
        raise NotFound(f"There is no API key {key_id!r}.")
    role = accounts.role_now(role, account.role)
    if role not in GIVES[g.caller.role]:
        raise Forbidden(f"Role {g.caller.role} cannot revoke a key of role {role}.")


def _own(session: Session) -> Account:
    """The account behind the credential; on an open surface there may be none."""
    return user_rows.get(session, g.caller.account_id or "")


def _key(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "role": key.role,
        "agent_id": key.agent_id,
        "created_at": iso(key.created_at),
        "expires_at": iso(key.expires_at),
        "last_used_at": iso(key.last_used_at),
    }


def sign_in(account_id: str) -> dict[str, Any]:
    """The tokens of a new sign-in."""
    here = context.current()
    with here.database.transaction() as session:
        return _tokens(sign_ins.begin(session, account_id, seconds=here.settings.refresh_token_seconds))


def _tokens(row: SignIn) -> dict[str, Any]:
    settings = context.current().settings
    claims = {"sign_in": row.id}
    return {
        "access_token": create_access_token(
            row.account_id,
            additional_claims=claims,
            expires_delta=timedelta(seconds=settings.access_token_seconds),
        ),
        "refresh_token": create_refresh_token(
            row.account_id,
            additional_claims=claims | {"turn": row.turn},
            expires_delta=timedelta(seconds=settings.refresh_token_seconds),
        ),
        "expires_in": settings.access_token_seconds,
    }
