"""The pages at ``/``, ``/wakewords`` and ``/transcribe``, and their files."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from flask import redirect, request, send_from_directory
from markupsafe import escape
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.wrappers import Response

from app import context
from app.http.access import PUBLIC
from app.http.limits import UNCOUNTED
from app.surfaces import SHARED, SurfaceBlueprint
from models.gateway import site

blueprint = SurfaceBlueprint("page", surface=SHARED, description="The page for people")

_FOLDER = Path(__file__).parent / "static"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; media-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


@blueprint.endpoint("/", access=PUBLIC, limit=UNCOUNTED)
def index() -> Response:
    """The page: courses, play, live jobs; called as administrators named the site."""
    chosen = None
    # It is there, too, while Postgres is not.
    with suppress(SQLAlchemyError), context.current().database.reading() as session:
        chosen = site.chosen(session).get("site_name")
    if chosen is None:
        return _send("index.html")
    page = (_FOLDER / "index.html").read_text()
    named = page.replace(f"<title>{site.DEFAULTS['site_name']}</title>", f"<title>{escape(chosen)}</title>", 1)
    response = Response(named, mimetype="text/html")
    response.add_etag()
    response.headers["Cache-Control"] = "no-cache"
    return _guarded(response.make_conditional(request))


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
    return _guarded(send_from_directory(_FOLDER, name))


def _guarded(response: Response) -> Response:
    # connect-src 'self' covers the websocket of the same host.
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
