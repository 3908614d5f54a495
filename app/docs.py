"""``/openapi.json``, and the two pages that show it: ``/docs`` (Swagger UI) and ``/redoc`` (ReDoc)."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from importlib.metadata import version
from pathlib import Path

from flask import Response, current_app, request, send_file
from werkzeug.exceptions import NotFound

from app import openapi
from app.http.access import PUBLIC
from app.http.limits import UNCOUNTED
from app.surfaces import SHARED, SurfaceBlueprint

blueprint = SurfaceBlueprint("docs", surface=SHARED, description="The API's description")

_SWAGGER, _REDOC = "flask_swagger_ui", "flask_openapi3_redoc"
# Nothing else of these packages is served, and none of their code runs.
_ASSETS = {
    "swagger-ui-bundle.js": (_SWAGGER, "dist/swagger-ui-bundle.js"),
    "swagger-ui.css": (_SWAGGER, "dist/swagger-ui.css"),
    "favicon-32x32.png": (_SWAGGER, "dist/favicon-32x32.png"),
    "redoc.standalone.js": (_REDOC, "templates/redoc/js/redoc.standalone.js"),
    "redoc-logo.svg": (_REDOC, "templates/redoc/images/redoc.svg"),
}
# ReDoc would load its maker's logo from there; it gets the one of the package.
_REDOC_LOGO = b"https://cdn.redoc.ly/redoc/logo-mini.svg"

# Beyond what the page at / needs: both write styles into the document, their icons are data, ReDoc searches in a worker
# that it makes of a blob, and Swagger UI plays and saves an answer's sound from one.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self'; media-src 'self' blob:; worker-src blob:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="{assets}/favicon-32x32.png">
{styles}</head>
<body>
<div id="description"></div>
<script src="{assets}/{script}"></script>
<script src="/static/{start}"></script>
</body>
</html>
"""


@blueprint.endpoint("/openapi.json", access=PUBLIC, limit=UNCOUNTED)
def description() -> Response:
    """The API's description (OpenAPI 3.1)."""
    response = Response(openapi.as_json(current_app), mimetype="application/json")
    response.add_etag()
    response.make_conditional(request)
    return response


@blueprint.endpoint("/docs", access=PUBLIC, limit=UNCOUNTED)
def swagger_ui() -> Response:
    """The description as a page on which every request can be tried."""
    assets = _assets_path()
    styles = f'<link rel="stylesheet" href="{assets}/swagger-ui.css">\n'
    return _page("Voiceworks API", assets, styles=styles, script="swagger-ui-bundle.js", start="docs.js")


@blueprint.endpoint("/redoc", access=PUBLIC, limit=UNCOUNTED)
def redoc() -> Response:
    """The description as a page to read."""
    return _page("Voiceworks API reference", _assets_path(), script="redoc.standalone.js", start="redoc.js")


@blueprint.endpoint("/docs/<release>/<name>", access=PUBLIC, limit=UNCOUNTED)
def asset(release: str, name: str) -> Response:
    """A script, style or picture of these pages; another release has another address, so it may be kept for ever."""
    if name not in _ASSETS or release != _release():
        raise NotFound
    path = _path(*_ASSETS[name])
    if name == "redoc.standalone.js":
        response = Response(_redoc_script(path), mimetype="text/javascript")
        response.add_etag()
        response.make_conditional(request)
    else:
        response = send_file(path, conditional=True)
    response.cache_control.no_cache = None
    response.cache_control.public = True
    response.cache_control.max_age = 365 * 86400
    response.cache_control.immutable = True
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@functools.cache
def _redoc_script(path: Path) -> bytes:
    """The script, with the logo from here."""
    return path.read_bytes().replace(_REDOC_LOGO, f"{_assets_path()}/redoc-logo.svg".encode())


def _page(title: str, assets: str, *, script: str, start: str, styles: str = "") -> Response:
    response = Response(_PAGE.format(title=title, assets=assets, styles=styles, script=script, start=start))
    response.mimetype = "text/html"
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.cache_control.no_cache = True
    return response


def _assets_path() -> str:
    return f"/docs/{_release()}"


@functools.cache
def _release() -> str:
    """Both packages' versions as one word."""
    both = f"{version('flask-swagger-ui')} {version('flask-openapi3-redoc')}"
    return hashlib.sha256(both.encode()).hexdigest()[:12]


def _path(package: str, name: str) -> Path:
    """A file of a package, found without running the package."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise NotFound(f"{package} is not installed.")
    return Path(found.submodule_search_locations[0]) / name
