"""Who may come in, before the protocol is spoken; each request has its name, and is counted."""

from __future__ import annotations

import time
from http import HTTPStatus

import redis
from sqlalchemy.exc import DBAPIError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.context import Context
from app.http import access, errors, observe
from app.http.access import SIGNED_IN, Forbidden, Unauthorized
from app.mcp.threads import Threads
from app.surfaces import GATEWAY
from config import logs
from models.accounts import Caller
from models.metrics import families

# Of the route, as figures show it.
PATH = "/mcp"
# Calls that wait for a thread; of more than these even the first waits for longer than a client does.
WAITING_MAX = 500


def refusal(status: int, code: str, message: str, **headers: str) -> Response:
    """An error in the gateway's shape."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return JSONResponse(GATEWAY.error_body(code, message, {}), status, headers=named)


def caller_of(request: Request) -> Caller:
    """Who makes a request that was let in."""
    caller: Caller = request.state.caller
    return caller


class Door:
    """Lets requests with a good credential through to ``inside``."""

    def __init__(self, inside: ASGIApp, here: Context, asking: Threads, calling: Threads) -> None:
        self._inside = inside
        self._here = here
        self._asking = asking
        self._calling = calling

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        request = Request(scope)
        name = observe.named(request.headers.get("X-Request-ID", ""))
        logs.request_id.set(name)
        began = time.perf_counter()

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", name.encode())]
                families.REQUESTS.add(GATEWAY.name, _method(request), PATH, str(message["status"]))
                families.REQUEST_SECONDS.observe(_method(request), PATH, seconds=time.perf_counter() - began)
            await send(message)

        answer = await self._refused(request) or self._inside
        await answer(scope, receive, sending)

    async def _refused(self, request: Request) -> Response | None:
        """Why the request goes no further; None where it does, and whose it is."""
        credential = access.in_headers(request.headers.get)
        asked = await self._asking.settled(lambda: self._admitted(credential))
        fault = asked.exception()
        if isinstance(fault, Unauthorized):
            return refusal(HTTPStatus.UNAUTHORIZED, "unauthorized", str(fault), WWW_Authenticate="Bearer")
        if isinstance(fault, Forbidden):
            return refusal(HTTPStatus.FORBIDDEN, "forbidden", str(fault))
        if isinstance(fault, DBAPIError | redis.RedisError):
            return _later("The database is not available at the moment.", 5)
        if isinstance(fault, Exception):
            errors.log.error("Unexpected error", exc_info=fault)
            return refusal(*errors.meaning(fault))
        if request.method != "POST":
            # Nothing is ever told without being asked for, and there are no sessions that could be ended.
            message = "The tools are called by POST."
            return refusal(HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", message, Allow="POST")
        if self._calling.unfinished >= WAITING_MAX:
            return _later("Too many calls are waiting.", 1)
        request.state.caller = asked.result()
        return None

    def _admitted(self, credential: str) -> Caller:
        caller = access.caller_of(self._here, credential)
        return access.admitted(self._here, caller, GATEWAY.name, SIGNED_IN, credential)


def _later(message: str, seconds: int) -> Response:
    return refusal(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", message, Retry_After=str(seconds))


def _method(request: Request) -> str:
    return request.method if request.method in ("GET", "POST", "DELETE", "OPTIONS") else observe.UNKNOWN
