"""A request id for every answer, the same in the logs of every process that works on it; and its figures."""

from __future__ import annotations

import re
import time

from flask import Flask, Response, g, request
from werkzeug.exceptions import NotFound

from app import surfaces
from app.http import access
from config import logs
from models.base import new_id
from models.metrics import families

# Of what no route has: a name of its own for each would be a series of its own.
UNKNOWN = "unknown"
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_SANE = re.compile(r"[A-Za-z0-9._:-]{1,100}\Z")


def install(app: Flask) -> None:
    """Names and counts every request of ``app``."""

    @app.before_request
    def begin() -> None:
        g.began = time.perf_counter()
        g.request_id = named(request.headers.get("X-Request-ID", ""))
        logs.request_id.set(g.request_id)
        if "\0" in request.path:
            # No id holds it, and Postgres would refuse the question.
            raise NotFound

    @app.after_request
    def end(response: Response) -> Response:
        response.headers["X-Request-ID"] = g.get("request_id") or new_id("req_")
        _count(response.status_code)
        return response


def named(offered: str) -> str:
    """What a request is called: as its client calls it, where that makes sense."""
    return offered if _SANE.match(offered) else new_id("req_")


def endpoint() -> str:
    """The template of the route that answers, the same for all that it answers."""
    return request.url_rule.rule if request.url_rule is not None else UNKNOWN


def _count(status: int) -> None:
    # A socket that was opened is no request that is answered: it ends when somebody leaves.
    if access.is_socket() and status < 400:
        return
    method = request.method if request.method in _METHODS else UNKNOWN
    families.REQUESTS.add(surfaces.current().name, method, endpoint(), str(status))
    if "began" in g:
        families.REQUEST_SECONDS.observe(method, endpoint(), seconds=time.perf_counter() - g.began)
