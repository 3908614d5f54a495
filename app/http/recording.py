"""What is kept of requests for those who run this: the error that one was answered with, what was administered.

Here it is only put by; ``models.records`` says how it gets into Postgres.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, current_app, g, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from app import context
from app.http import errors, observe
from models import error_reports
from models.audit import Call
from models.base import utc_now
from models.records import Records

# Nobody was there to be answered.
CLIENT_GONE = 499
# The close codes of sockets that say what a status would: 4401 is a 401.
_REFUSALS = range(4400, 4500)


def install(app: Flask) -> None:
    """Keeps the errors that ``app`` answers, and the calls that are audited."""

    @app.after_request
    def keep(response: Response) -> Response:
        status = response.status_code
        if status >= 400 and status != CLIENT_GONE:
            code, message = errors.said(response)
            Place.here().note(status, code, message)
        # Whoever was refused was not authorized, and did nothing.
        if g.get("audited"):
            _keep_call(status)
        return response


@dataclass(frozen=True)
class Place:
    """Where something went wrong; known beyond the request, which an answer that is sent in pieces outlives."""

    records: Records
    endpoint: str
    request_id: str | None
    user_ip: str | None

    @classmethod
    def here(cls) -> Place:
        """This request."""
        return cls(context.current().counters.records, _endpoint(), g.get("request_id"), _user_ip())

    def note(self, status: int, code: str, message: str, *, level: str = "") -> None:
        """An error of this status, or a socket that was closed with this code."""
        level = level or error_reports.level_of(status)
        where = {"request_id": self.request_id, "user_ip": self.user_ip}
        found = error_reports.report(utc_now(), self.endpoint, code, level, message, status=status, **where)
        self.records.errors.add(found)

    def broke_off(self, fault: Exception) -> None:
        """An answer that had begun ended by this; its status had been sent, and said that all was well."""
        status, code, message = errors.meaning(fault)
        self.note(status, code, f"The answer broke off: {message}")


def watch_closing(ws: Any) -> None:
    """From here on the socket's ``close`` keeps a refusal."""
    close: Callable[..., None] = ws.close
    place = Place.here()

    def close_and_keep(reason: int | None = None, message: str | None = None) -> None:
        if reason is not None and reason in _REFUSALS:
            status = reason - 4000
            level = error_reports.level_of(status)
            place.note(reason, errors.code_of(status), message or "", level=level)
        close(reason, message)

    ws.close = close_and_keep


def _endpoint() -> str:
    refused = request.routing_exception
    if not isinstance(refused, MethodNotAllowed) or not refused.valid_methods:
        return observe.endpoint()
    # The route is known, only not in this way.
    adapter = current_app.create_url_adapter(request)
    assert adapter is not None
    try:
        rule, _ = adapter.match(method=next(iter(refused.valid_methods)), return_rule=True)
    except HTTPException:
        return observe.UNKNOWN
    return rule.rule


def _user_ip() -> str | None:
    return error_reports.masked(context.current().limits.address())


def _keep_call(status: int) -> None:
    call = Call(
        at=utc_now(),
        account_id=g.caller.account_id,
        method=request.method,
        endpoint=_endpoint(),
        path=error_reports.storable(request.path)[:1000],
        status=status,
        request_id=g.get("request_id") and error_reports.storable(g.request_id),
        user_ip=_user_ip(),
    )
    context.current().counters.records.calls.add(call)
