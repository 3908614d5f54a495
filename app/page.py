"""The page at ``/`` and its files."""

from __future__ import annotations

from pathlib import Path

from flask import Response, send_from_directory

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


@blueprint.endpoint("/static/<path:name>", access=PUBLIC, limit=UNCOUNTED)
def asset(name: str) -> Response:
    """A file of the page."""
    return _send(name)


def _send(name: str) -> Response:
    response = send_from_directory(_FOLDER, name)
    # connect-src 'self' covers the websocket of the same host.
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
