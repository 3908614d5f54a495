"""The five documented surfaces: each has its error shape, validation status and port; routes are declared with one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flask_smorest
from flask import current_app, g, request

from app import context
from app.http import access
from app.http.access import ADMIN
from app.http.answers import JSON, Answers
from app.http.parsing import BodyParser
from models.base import iso, utc_now

_NUMBERED = "voiceworks-numbered"
Body = dict[str, Any]
View = Callable[..., Any]


def _management(code: str, message: str, details: Body) -> Body:
    return {"error": message, "code": code.upper(), "details": details}


def _gateway(code: str, message: str, details: Body) -> Body:
    # What a call has to be made again with is for programs to read.
    token = {name: details[name] for name in ("confirmation_token",) if name in details}
    return {"detail": message, "error_code": code.upper(), "timestamp": iso(utc_now())} | token


def _wakewords(code: str, message: str, details: Body) -> Body:
    return {"error": "internal_error" if code == "server_error" else code, "message": message, "details": details}


def _transcription(code: str, message: str, details: Body) -> Body:
    return {"detail": message}


# Whatever else is wrong is wrong here, so that a client tries again.
_ASKED_WRONGLY = (
    *("validation_error", "not_found", "model_not_found", "conflict", "error"),
    *("method_not_allowed", "payload_too_large", "unsupported_media_type", "range_not_satisfiable"),
)


def _openai(code: str, message: str, details: Body) -> Body:
    kind = {
        "unauthorized": "authentication_error",
        "forbidden": "permission_error",
        "rate_limited": "rate_limit_error",
    }.get(code, "invalid_request_error" if code in _ASKED_WRONGLY else "server_error")
    named = details.get("fields", details) if kind == "invalid_request_error" else {}
    param = details.get("param") or next(iter(named), None)
    # What our own words are called there.
    param = {"voice_id": "voice", "text": "input", "provider": "model"}.get(str(param), param)
    # OpenAI's own word for a key that opens nothing, which clients look for.
    shown = "invalid_api_key" if code == "unauthorized" else code
    return {"error": {"message": message, "type": kind, "param": param, "code": shown}}


def _unknown(code: str, message: str, details: Body) -> Body:
    # Before a surface is known, an answer that every client can read.
    return _management(code, message, details) | {"detail": message}


@dataclass(frozen=True)
class Surface:
    """One API document's manners."""

    name: str
    port: int | None
    validation_status: int
    error_body: Callable[[str, str, Body], Body]


MANAGEMENT = Surface("management", 8766, 400, _management)
GATEWAY = Surface("gateway", 8002, 422, _gateway)
ADMINISTRATION = Surface("administration", 7860, 400, _management)
WAKEWORDS = Surface("wakewords", 8000, 400, _wakewords)
TRANSCRIPTION = Surface("transcription", 8010, 400, _transcription)
OPENAI = Surface("openai", None, 400, _openai)
SHARED = Surface("shared", None, 400, _unknown)

_BY_PORT = {surface.port: surface for surface in (MANAGEMENT, GATEWAY, ADMINISTRATION, WAKEWORDS, TRANSCRIPTION)}


def current() -> Surface:
    """The surface of the request: its route's, else that of the port it came in by, else none in particular."""
    declared: Surface | None = g.get("surface")
    if declared is not None and declared is not SHARED:
        return declared
    port = request.environ.get("SERVER_PORT", "")
    return _BY_PORT.get(int(port) if port.isdigit() else None, SHARED)


def meant() -> Surface | None:
    """The surface of the path asked for, also of one with something else in the place of a number."""
    views: dict[str, Any] = current_app.view_functions
    if request.endpoint in views:
        return getattr(views[request.endpoint], "surface", None)
    numbered: list[tuple[re.Pattern[str], Surface]] = current_app.extensions.setdefault(_NUMBERED, [])
    if not numbered:
        numbered += [
            (re.compile(re.sub(r"<[^<>]+>", "[^/]+", re.escape(rule.rule))), views[rule.endpoint].surface)
            for rule in current_app.url_map.iter_rules()
            if "<int:" in rule.rule
        ]
    return next((surface for pattern, surface in numbered if pattern.fullmatch(request.path)), None)


class SurfaceBlueprint(flask_smorest.Blueprint):
    """A blueprint whose every route belongs to a surface and says who may use it."""

    ARGUMENTS_PARSER = BodyParser()

    def __init__(self, name: str, *, surface: Surface, description: str) -> None:
        super().__init__(name, name, description=description)
        self.surface = surface

    def endpoint(
        self,
        rule: str,
        *,
        access: access.Access,
        methods: tuple[str, ...] = ("GET",),
        limit: str | None = None,
        answers: Answers | None = None,
        refuses: tuple[int, ...] = (),
        audited: bool | None = None,
        whose: access.Whose | None = None,
    ) -> Any:
        """Declares a route: its path, its methods, and who may use it (checked before the body is read).

        ``limit`` names what a request counts as (``app.http.limits``), where that is not its surface's name. For the
        API's description: ``answers`` are the good ones by status (200 with JSON unless given), ``refuses`` the errors
        that do not follow from the rest (``app.openapi``). ``audited`` says whether it is kept who calls it; what only
        administrators may do is, unless it says otherwise. ``whose`` is stated where it matters who made what is
        asked for; the view itself sees to it, and a test that it does.
        """

        def declare(view: View) -> View:
            guarded = guard(view, self.surface, access, limit, audited=access == ADMIN if audited is None else audited)
            declared = {"limit": limit, "answers": answers or {200: JSON}, "refuses": refuses, "whose": whose}
            vars(guarded).update(declared)
            return self.route(rule, methods=list(methods))(guarded)

        return declare


def guard(
    view: View, surface: Surface, allowed: access.Access, limit: str | None = None, *, audited: bool = False
) -> View:
    """The view, behind its surface's rules; a shared one is as open as the surface of the port it came in by."""

    def enter() -> str:
        g.surface = surface
        name = current().name
        # Before anything is looked up for whoever asks too often.
        context.current().limits.count(limit or name)
        return name

    guarded = access.guarded(view, allowed=allowed, enter=enter, audited=audited)
    guarded.surface = surface
    return guarded
