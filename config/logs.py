"""Logs as one JSON object a line, each carrying the request that caused it, none carrying a credential."""

from __future__ import annotations

import json
import logging
import re
import sys
from contextvars import ContextVar
from datetime import UTC, datetime

# Set by the web process for each request and by a worker for each slice (from the job's row), so that one search
# for a request id finds every line from the first byte in to the last file written.
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "data"}
_GONE = "…"
# Libraries that write lines of their own, past the root logger.
_APART = ("gunicorn.error", "gunicorn.access")

_NAMES = (
    r"(?:access_|refresh_|id_|api[_-]?|x-api-|secret_|auth_)?(?:token|ticket|key|password|passwd|passphrase|secret)"
)
# What stands before a credential is kept (the first group), the credential is not.
_CREDENTIALS = (
    # In a query string, a connection string or a form; "%3F" and so on where an address is part of another.
    re.compile(
        rf"((?:(?<![\w-])|(?<=%3F)|(?<=%26)){_NAMES}(?:=|%3D))(?:(?!%26)[^\s&'\"<>,;)}}\]])+",
        re.IGNORECASE,
    ),
    # In JSON or in what Python shows of a dictionary.
    re.compile(rf"(['\"]{_NAMES}['\"]\s*:\s*)(?:b?\"(?:[^\"\\]|\\.)*\"|b?'(?:[^'\\]|\\.)*')", re.IGNORECASE),
    # In headers, also as Python shows a pair.
    re.compile(
        r"((?:authorization|x-api-key)['\"]?\s*[:=,]\s*(?:b(?=['\"]))?['\"]?(?:(?:bearer|basic|token)\s+)?)[^\s'\",;}]+",
        re.IGNORECASE,
    ),
    re.compile(r"(\bBearer\s+)[\w.~+/=-]+"),
    # In the address of a server: what stands between the user's name and the host.
    re.compile(r"(://[^\s/:@?#]*:)[^\s/@]+(?=@)"),
    # An API key and a token of ours, wherever they stand.
    re.compile(r"(\bvw_)[\w-]{8,}"),
    re.compile(r"()\beyJ[\w-]+\.[\w-]+\.[\w-]*"),
)
_SECRET_FIELD = re.compile(rf"{_NAMES}|authorization|x-api-key", re.IGNORECASE)


def without_credentials(text: str) -> str:
    """``text`` with ``…`` where it held a password, key, ticket or token."""
    for credential in _CREDENTIALS:
        text = credential.sub(rf"\1{_GONE}", text)
    return text


class JsonFormatter(logging.Formatter):
    """A log record as one line of JSON; what is passed as ``extra`` becomes fields."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "timestamp": timestamp(record),
            "level": record.levelname,
            "logger": record.name,
            "message": without_credentials(record.getMessage()),
            "request_id": request_id.get(),
        }
        for name, value in vars(record).items():
            if name not in _STANDARD_FIELDS:
                line[name] = _GONE if _SECRET_FIELD.fullmatch(name) else _shown(value)
        if record.exc_info:
            line["exception"] = without_credentials(self.formatException(record.exc_info))
        return json.dumps(line, default=str, ensure_ascii=False)


def timestamp(record: logging.LogRecord) -> str:
    """When a line was written."""
    return datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z")


def _shown(value: object) -> object:
    """A field as it may be shown; numbers stay numbers, of anything deeper only its text is searched."""
    if value is None or isinstance(value, bool | int | float):
        return value
    shown = without_credentials(str(value))
    return value if isinstance(value, list | dict | tuple) and shown == str(value) else shown


def configure(level: str) -> None:
    """Sends the root logger to standard error as JSON; called once by every process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for apart in _APART:
        for other in logging.getLogger(apart).handlers:
            other.setFormatter(JsonFormatter())
    # These say at INFO what our own lines say better.
    for chatty in ("celery.worker.strategy", "celery.app.trace", "kombu", "geventwebsocket"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
