"""The one guard: a JWT or an API key, accepted everywhere, checked against the roles a route declares."""

from __future__ import annotations

import functools
import hmac
import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from flask import g, request
from flask_jwt_extended import decode_token
from flask_jwt_extended.exceptions import JWTExtendedException
from jwt.exceptions import PyJWTError

from app import context
from app.context import Context
from app.http import idempotency, signed
from models import accounts, sign_ins, tickets
from models.accounts import Caller

# Who may use a route; None is everybody.
Access = frozenset[str] | None

PUBLIC: Access = None
ADMIN: Access = frozenset({"admin"})
OPERATOR: Access = frozenset({"admin", "operator"})
CLIENT: Access = frozenset({"admin", "operator", "client"})
TRANSCRIBER: Access = frozenset({"admin", "operator", "agent"})
SIGNED_IN: Access = frozenset(accounts.ROLES)
# And whoever holds ``METRICS_TOKEN``, which opens nothing else.
METRICS: Access = frozenset({"admin", "metrics"})


@dataclass(frozen=True)
class Whose:
    """What is somebody's of what a route leads to: who may reach everybody's, and what others are told (a status).

    ``own`` says what belongs to whom. ``refused`` is None where nothing is refused: what is somebody else's is not
    among what is answered.
    """

    own: str
    everybodys: frozenset[str]
    refused: int | None


_RUNNERS = frozenset({"admin", "operator"})
# Who may not know of it is told what they are told of an id that nobody has.
OWN = Whose("what the account made", _RUNNERS, 404)
OWN_LISTED = Whose("what the account made, which alone is listed", _RUNNERS, None)
OWN_KEY = Whose("the account's keys", frozenset({"admin"}), 404)
# Detectors may be used by everybody who may use any.
OWN_DETECTOR = Whose("the detectors that the account trained", frozenset({"admin"}), 403)
# Transcribers have numbers, which their keys hold.
OWN_NUMBER = Whose("what the transcriber of the key has in hand", _RUNNERS, 403)

_ANYBODY = Caller(None, "anybody", "admin")
# What everybody may send, before anybody knows them: a name and a password, or a token.
PUBLIC_BODY_BYTES = 2 * 2**20
# Names of machines in a house; any other leads a browser here that a stranger's page may have sent (DNS rebinding).
_HOUSE = re.compile(r"localhost|[^.]+|.+\.(local|lan|home|internal|localdomain|home\.arpa|test)", re.IGNORECASE)
_SCRAPER = Caller(None, "metrics", "metrics")
# Whoever holds ``TZ_SYSTEM_API_KEY``: acts as any transcriber, and runs their work.
_SYSTEM = Caller(None, "system", "operator")


class Unauthorized(Exception):
    """No credential, or one that opens nothing."""


class Forbidden(Exception):
    """A good credential of the wrong role."""


def guarded(view: Callable[..., Any], *, allowed: Access, enter: Callable[[], str], audited: bool = False) -> Any:
    """``view`` behind the rule; carries it as ``view.access`` so that a test finds routes without one.

    ``enter`` is called first in every request and names the surface whose openness counts. Of an ``audited`` view every
    call is kept of whoever may make it (``app.http.recording``).
    """

    @functools.wraps(view)
    def enforce(*args: Any, **kwargs: Any) -> Any:
        surface_name = enter()
        if allowed is not None:
            g.caller = authorize(surface_name, allowed)
            g.audited = audited
            return idempotency.once(lambda: view(*args, **kwargs))
        request.max_content_length = PUBLIC_BODY_BYTES
        return view(*args, **kwargs)

    enforce.access = allowed  # type: ignore[attr-defined]
    enforce.audited = audited  # type: ignore[attr-defined]
    enforce.declares_access = True  # type: ignore[attr-defined]
    return enforce


def authorize(surface_name: str, allowed: Access) -> Caller:
    """Who asks.

    Raises:
        Unauthorized: no credential, or a wrong one.
        Forbidden: the credential's role may not.
    """
    caller = admitted(context.current(), _caller(), surface_name, allowed, offered())
    if is_anybody(caller) and not (origin_fits() and _host_fits()):
        raise Unauthorized("A page or a name of another server needs a credential here.")
    return caller


def is_anybody(caller: Caller) -> bool:
    """Whether it is somebody without a credential, on a surface that needs none."""
    return caller is _ANYBODY


def origin_fits() -> bool:
    """Whether a browser's page may ask: ours, one that may read answers (CORS), or none (a program)."""
    origin = request.headers.get("Origin")
    if origin is None or origin.split("://")[-1] == request.host:
        return True
    return not {"*", origin.lower()}.isdisjoint(map(str.lower, context.current().settings.cors_origins))


def _host_fits() -> bool:
    """Whether the server was asked for by an address, or a name that a house has."""
    host = urlsplit(f"//{request.host}").hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        named = {each.rpartition(":")[0] or each for each in context.current().settings.mcp_hosts}
        return bool(_HOUSE.fullmatch(host)) or host in named
    return True


def admitted(here: Context, caller: Caller | None, surface_name: str, allowed: Access, credential: str) -> Caller:
    """Who asks, by whichever door: ``caller``, whom the credential is of; anybody who has none where that is enough.

    Raises:
        Unauthorized: no credential, or a wrong one.
        Forbidden: the credential's role may not.
    """
    if caller is None:
        if surface_name in here.settings.open_surfaces and not credential:
            return _ANYBODY
        raise Unauthorized("Missing or invalid token" if surface_name != "transcription" else "Invalid API key")
    if allowed is not None and caller.role not in allowed:
        raise Forbidden(f"Role {caller.role} may not do this; it takes {' or '.join(sorted(allowed))}.")
    return caller


def administer(what: str) -> None:
    """Makes sure that an administrator asks where the route is open to others, too; the call is kept.

    Raises:
        Forbidden: somebody else asks; ``what`` is done here by administrators only.
    """
    if g.caller.role != "admin":
        raise Forbidden(f"Role {g.caller.role} may not do this; {what} takes admin.")
    g.audited = True


def visible_to(caller: Caller) -> str | None:
    """The account whose jobs the caller may see; None: all of them."""
    return None if caller.role in ("admin", "operator") else caller.account_id or ""


def offered() -> str:
    """The credential of the request, empty when there is none; an empty one never equals an unset key."""
    # Browsers cannot set headers on a websocket.
    return in_headers(request.headers.get) or (request.args.get("token", "") if is_socket() else "")


def in_headers(header: Callable[[str, str], str]) -> str:
    """The credential among the headers of a request, empty when there is none.

    ``header`` gives the one of a name, in any case of letters, else what it is told to.
    """
    scheme, _, token = header("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return header("X-API-Key", "")


def is_socket() -> bool:
    """Whether a socket's route answers; a header alone makes no other request one."""
    return request.url_rule is not None and request.url_rule.websocket


def _caller() -> Caller | None:
    here = context.current()
    credential = offered()
    if not credential or "\0" in credential:
        if signature := request.args.get("signature", ""):
            return signed.caller(here.settings.secret_key, request.path, signature)
        ticket = request.args.get("ticket", "") if is_socket() else ""
        issued_to = tickets.redeem(here.redis, ticket) if ticket else None
        if issued_to is None:
            return None
        with here.database.reading() as session:
            return issued_to if issued_to in sign_ins.still(session, [issued_to]) else None
    return caller_of(here, credential)


def caller_of(here: Context, credential: str) -> Caller | None:
    """Who holds a token or a key; None of one that opens nothing. Asked within the application."""
    if not credential or "\0" in credential:
        return None
    if same(credential, here.settings.metrics_token):
        return _SCRAPER
    if same(credential, here.settings.tz_system_api_key):
        return _SYSTEM
    claims = claims_of(credential)
    with here.database.reading() as session:
        if claims is not None:
            return sign_ins.caller(session, claims["sign_in"]) if claims["type"] == "access" else None
        caller = accounts.caller_of_key(session, credential)
    if caller is not None:
        here.counters.key_used(credential)
    return caller


def same(offered: str, secret: str | None) -> bool:
    """Whether a credential is the secret, in a time that tells nothing of it; an unset secret is nobody's."""
    return bool(secret) and hmac.compare_digest(offered.encode(), (secret or "").encode())


def claims_of(offered: str) -> dict[str, Any] | None:
    """What a token of ours says; None of anything else, as a key that an operator chose may have dots, too."""
    if offered.count(".") != 2:
        return None
    try:
        claims: dict[str, Any] = decode_token(offered)
    except (PyJWTError, JWTExtendedException, ValueError):
        return None
    return claims if "sign_in" in claims else None
