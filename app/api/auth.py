"""Signing in."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask_jwt_extended import create_access_token, create_refresh_token
from marshmallow import Schema

from app import context
from app.http.access import PUBLIC, Unauthorized
from app.http.offload import offload
from app.http.parsing import Text
from app.surfaces import MANAGEMENT, SurfaceBlueprint
from models import accounts
from models.accounts import Account

blueprint = SurfaceBlueprint("auth", surface=MANAGEMENT, description="Signing in")


class Login(Schema):
    """Who signs in."""

    username = Text(required=True, minimum=1, maximum=200)
    password = Text(required=True, minimum=1, maximum=1000)


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
