"""Logs: one JSON object a line, or lines for people; each names the request and the job that it belongs to.

None carries a credential, and nothing that a client sends can make one line look like two.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType

# Set by the web process for each request and by a worker for each slice (from the job's row), so that one search
# for a request id finds every line from the first byte in to the last file written.
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
# Set by a worker for each slice.
job_id: ContextVar[str | None] = ContextVar("job_id", default=None)

_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "data"}
_GONE = "…"
# What JSON leaves as it is, although a terminal obeys it or an editor takes it for the end of a line, and halves of
# characters, which cannot be written at all.
_UNSEEN = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_COLOURS = {"WARNING": "33", "ERROR": "31", "CRITICAL": "1;31", "DEBUG": "2"}
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


@contextmanager
def belonging(*, request: str | None, job: str | None) -> Iterator[None]:
    """Lines written in the block are of this request and this job."""
    request_mark, job_mark = request_id.set(request), job_id.set(job)
    try:
        yield
    finally:
        request_id.reset(request_mark)
        job_id.reset(job_mark)


class JsonFormatter(logging.Formatter):
    """A log record as one line of JSON; what is passed as ``extra`` becomes fields."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "timestamp": timestamp(record),
            "level": record.levelname,
            "logger": record.name,
            "message": without_credentials(record.getMessage()),
            "request_id": request_id.get(),
            "job_id": job_id.get(),
        }
        # A field that was passed may not stand in for one of these.
        line |= {(f"{name}_" if name in line else name): value for name, value in _passed(record).items()}
        if record.exc_info:
            line["exception"] = without_credentials(self.formatException(record.exc_info))
        return _UNSEEN.sub(_escaped_in_json, json.dumps(line, default=str, ensure_ascii=False))


class PrettyFormatter(logging.Formatter):
    """A log record for people: time, level, where, what, then its fields; a traceback is indented below.

    Args:
        colour: Whether the level is told by a colour too, for terminals.
    """

    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        level = f"{record.levelname:<8}"
        if self._colour and (code := _COLOURS.get(record.levelname)):
            level = f"\x1b[{code}m{level}\x1b[0m"
        fields = {"request": request_id.get(), "job": job_id.get()}
        passed = {name: value for name, value in (fields | _passed(record)).items() if value is not None}
        words = [
            timestamp(record)[11:23],
            level,
            printable(f"{record.name}: {without_credentials(record.getMessage())}"),
            *(printable(f"{name}={value}") for name, value in passed.items()),
        ]
        text = " ".join(words)
        if record.exc_info:
            trace = without_credentials(self.formatException(record.exc_info)).split("\n")
            text += "".join(f"\n    | {printable(part)}" for part in trace)
        return text


def printable(text: str) -> str:
    """``text`` with line breaks, escape codes and all else that is not seen written out (as ``\\n``, ``\\x1b``)."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def timestamp(record: logging.LogRecord) -> str:
    """When a line was written."""
    return datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z")


def _passed(record: logging.LogRecord) -> dict[str, object]:
    """What was passed as ``extra``, fit to be shown."""
    return {
        name: _GONE if _SECRET_FIELD.fullmatch(name) else _shown(value)
        for name, value in vars(record).items()
        if name not in _STANDARD_FIELDS
    }


def _escaped_in_json(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _shown(value: object) -> object:
    """A field as it may be shown; numbers stay numbers, of anything deeper only its text is searched."""
    if value is None or isinstance(value, bool | int | float):
        return value
    shown = without_credentials(str(value))
    return value if isinstance(value, list | dict | tuple) and shown == str(value) else shown


def formatter(style: str) -> logging.Formatter:
    """What lays lines out for standard error: ``json`` or ``pretty``."""
    if style == "pretty":
        return PrettyFormatter(colour=sys.stderr.isatty() and "NO_COLOR" not in os.environ)
    return JsonFormatter()


class Malformed(logging.Filter):
    """Of gunicorn's lines about requests that are none, one a second, without the client's whole address.

    Anybody can cause them, without a credential and as fast as the network is.
    """

    _BEGINNING = "Invalid request from ip="

    def __init__(self) -> None:
        super().__init__()
        self._next_at = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        said = record.getMessage()
        if not said.startswith(self._BEGINNING):
            return True
        now = time.monotonic()
        if now < self._next_at:
            return False
        self._next_at = now + 1.0
        _, _, fault = said.removeprefix(self._BEGINNING).partition(": ")
        record.msg, record.args = f"Invalid request: {fault}", ()
        return True


def configure(level: str, style: str = "json") -> None:
    """Sends everything that is logged or warned of to standard error; called once by every process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(style))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for apart in _APART:
        for other in logging.getLogger(apart).handlers:
            other.setFormatter(handler.formatter)
    # What would be written past the log, in several lines and of no request.
    logging.captureWarnings(True)
    sys.excepthook = _log_end
    threading.excepthook = _log_end_of_thread
    # These say at INFO what our own lines say better.
    for chatty in ("celery.worker.strategy", "celery.app.trace", "kombu", "geventwebsocket"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # It tells at DEBUG of every query, where services take their keys by whichever name.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)


def _log_end(kind: type[BaseException], value: BaseException, at: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, value, at)
    else:
        logging.getLogger("process").critical("It ends by an error: %s", value, exc_info=(kind, value, at))


def _log_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value is not None and not isinstance(ended.exc_value, SystemExit):
        name = ended.thread.name if ended.thread else "?"
        told = (ended.exc_type, ended.exc_value, ended.exc_traceback)
        logging.getLogger("process").error("Thread %s ended by an error: %s", name, ended.exc_value, exc_info=told)
