"""A request id for every answer, the same in the logs of every process that works on it."""

from __future__ import annotations

import re

from flask import Flask, Response, g, request
from werkzeug.exceptions import NotFound

from config import logs
from models.base import new_id

_SANE = re.compile(r"[A-Za-z0-9._:-]{1,100}\Z")


def install(app: Flask) -> None:
    """Names every request of ``app``."""

    @app.before_request
    def begin() -> None:
        offered = request.headers.get("X-Request-ID", "")
        g.request_id = offered if _SANE.match(offered) else new_id("req_")
        logs.request_id.set(g.request_id)
        if "\0" in request.path:
            # No id holds it, and Postgres would refuse the question.
            raise NotFound

    @app.after_request
    def end(response: Response) -> Response:
        response.headers["X-Request-ID"] = g.get("request_id") or new_id("req_")
        return response
