"""The pages at ``/``, ``/wakewords`` and ``/transcribe``, and their files."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from flask import redirect, request, send_from_directory
from werkzeug.wrappers import Response

from app import context
from app.http.access import PUBLIC
from app.http.limits import UNCOUNTED
from app.surfaces import SHARED, SurfaceBlueprint

blueprint = SurfaceBlueprint("page", surface=SHARED, description="The page for people")

_FOLDER = Path(__file__).parent / "static"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; media-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


@blueprint.endpoint("/", access=PUBLIC, limit=UNCOUNTED)
def index() -> Response:
    """The page: courses, play, live jobs."""
    return _send("index.html")


@blueprint.endpoint("/wakewords", access=PUBLIC, limit=UNCOUNTED)
def wakewords() -> Response:
    """The page where wake words are trained and tried."""
    return _send("wakewords.html")


@blueprint.endpoint("/transcribe", access=PUBLIC, limit=UNCOUNTED)
def transcribe() -> Response:
    """The page where transcribers work."""
    return _send("transcribe.html")


@blueprint.endpoint("/static/<path:name>", access=PUBLIC, limit=UNCOUNTED)
def asset(name: str) -> Response:
    """A file of the pages."""
    return _send(name)


@blueprint.endpoint("/flower", access=PUBLIC, limit=UNCOUNTED)
def flower() -> Response:
    """The way to Flower, which has a port and a password of its own."""
    configured = context.current().settings
    # As the browser came to us: an address of ours may mean nothing to it.
    host = urlsplit(f"//{request.host}").hostname or "localhost"
    named = f"[{host}]" if ":" in host else host
    response = redirect(configured.flower_url or f"http://{named}:{configured.flower_port}/", 302)
    # Another host's answer is not this one's.
    response.headers["Cache-Control"] = "no-store"
    return response


def _send(name: str) -> Response:
    response = send_from_directory(_FOLDER, name)
    # connect-src 'self' covers the websocket of the same host.
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
