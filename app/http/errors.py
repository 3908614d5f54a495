"""Every error as the answer its surface promises. The only broad ``except`` of a web process is here."""

from __future__ import annotations

import errno
import logging
from typing import Any

import redis
from flask import Flask, Response, g, jsonify
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import HTTPException

from app import surfaces
from app.http.access import Forbidden, Unauthorized
from models import db
from models.errors import Busy, Conflict, Denied, Invalid, ModelError, NotFound, OverShare, Unavailable, UpstreamFailed

log = logging.getLogger(__name__)

MAX_MESSAGE_CHARACTERS = 2000
_UNEXPECTED = "Internal server error"
# What Postgres says of a row whose other end was removed since it was looked for (foreign_key_violation).
_REFERRED_TO_IS_GONE = "23503"
# What a disk says that takes no more.
_FULL = (errno.ENOSPC, errno.EDQUOT)
# How Redis begins its refusal to write what it could not keep: its disk is full or broken.
_CANNOT_KEEP = "MISCONF"

_CODES = {
    400: "validation_error",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    409: "conflict",
    412: "precondition_failed",
    413: "payload_too_large",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
    422: "validation_error",
    429: "rate_limited",
    503: "unavailable",
}

_STATUS: list[tuple[type[ModelError], int]] = [
    (NotFound, 404),
    (Denied, 403),
    (Conflict, 409),
    (UpstreamFailed, 502),
    (OverShare, 429),
    (Unavailable, 503),
    (Busy, 503),
    # Its surface may have another (``_refused``).
    (Invalid, 400),
]


def answer(status: int, code: str, message: str, details: dict[str, Any] | None = None) -> Response:
    """An error in the shape of the request's surface; of a sentence that quotes a book only the beginning."""
    if len(message) > MAX_MESSAGE_CHARACTERS:
        message = f"{message[:MAX_MESSAGE_CHARACTERS]}…"
    response = jsonify(surfaces.current().error_body(code, message, details or {}))
    response.status_code = status
    g.refused = (status, code, message)
    return response


def said(response: Response) -> tuple[str, str]:
    """The code and the sentence of an error that this request is answered with."""
    status, code, message = g.get("refused", (None, "", ""))
    # Some answer by themselves.
    return (code, message) if status == response.status_code else (code_of(response.status_code), response.status)


def code_of(status: int) -> str:
    """The code of an error of which only the status is known."""
    return _CODES.get(status, "server_error" if status >= 500 else "error")


def meaning(fault: Exception) -> tuple[int, str, str]:
    """The status, the code and the sentence that stand for an error, as far as they are anybody's business."""
    if not isinstance(fault, ModelError):
        return 500, "server_error", _UNEXPECTED
    return next((status for kind, status in _STATUS if isinstance(fault, kind)), 500), fault.code, fault.message


def install(app: Flask) -> None:
    """Handles every error of ``app``."""
    app.register_error_handler(ModelError, _refused)
    app.register_error_handler(Unauthorized, lambda fault: _unauthorized(str(fault)))
    app.register_error_handler(Forbidden, lambda fault: answer(403, "forbidden", str(fault)))
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(DBAPIError, _database)
    app.register_error_handler(redis.RedisError, _queue)
    app.register_error_handler(OSError, _disk)
    app.register_error_handler(Exception, _unexpected)


def _unauthorized(message: str) -> Response:
    response = answer(401, "unauthorized", message)
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _refused(fault: ModelError) -> Response:
    if isinstance(fault, Invalid):
        return answer(surfaces.current().validation_status, fault.code, fault.message, fault.details)
    response = answer(*meaning(fault), fault.details)
    if isinstance(fault, Busy):
        response.headers["Retry-After"] = str(fault.retry_after_seconds)
    return response


def _http(fault: HTTPException) -> Any:
    status = fault.code or 500
    if status < 400:
        return fault
    if status == 404 and "surface" not in g:
        # Nothing was entered, but what was meant is plain.
        g.surface = surfaces.meant()
    response = answer(status, code_of(status), fault.description or fault.name)
    for name, value in fault.get_headers():
        if name in ("Allow", "Content-Range", "Retry-After"):
            response.headers[name] = value
    return response


def _database(fault: DBAPIError) -> Response:
    if getattr(fault.orig, "sqlstate", None) == _REFERRED_TO_IS_GONE:
        log.warning("Something was removed while it was being referred to: %s", fault.orig)
        return answer(409, "conflict", "Something that this refers to was removed at the same moment.")
    if not db.is_disconnect(fault):
        return _unexpected(fault)
    log.warning("Postgres is away: %s", fault.orig)
    return _away("database")


def _queue(fault: redis.RedisError) -> Response:
    passing = redis.ConnectionError | redis.TimeoutError | redis.exceptions.OutOfMemoryError
    if not isinstance(fault, passing) and not str(fault).startswith(_CANNOT_KEEP):
        return _unexpected(fault)
    log.warning("Redis is away: %s", fault)
    return _away("queue")


def _disk(fault: OSError) -> Response:
    if fault.errno not in _FULL:
        return _unexpected(fault)
    log.error("The disk is full: %s", fault)
    return _away("disk", "The disk is full; nothing was stored.")


def _away(name: str, message: str = "") -> Response:
    response = answer(503, "unavailable", message or f"The {name} is not available at the moment.")
    response.headers["Retry-After"] = "5"
    return response


def _unexpected(fault: Exception) -> Response:
    log.error("Unexpected error", exc_info=fault)
    # The request id is in the header; nothing of the cause leaves the house.
    return answer(*meaning(fault))
