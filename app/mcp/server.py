"""The web application around the protocol: the SDK's server, our door before it, and the process that serves it."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import uvicorn
from flask import Flask
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from app import without_routes
from app.context import Context
from app.http.errors import code_of
from app.mcp.door import PATH, Door, refusal
from app.mcp.threads import Threads
from app.mcp.tools import EVENTS, Tools
from app.tools import own
from config.settings import Settings
from config.versions import VERSION

log = logging.getLogger(__name__)

# Calls wait for servers outside, nearly all their time. Questions to our own take milliseconds: a few threads do, which
# no call keeps from answering others.
CALLS, QUESTIONS = 48, 8
# What a tool takes is text; sound goes by its own ways.
LARGEST_REQUEST_BYTES = 4 * 2**20
# A call that takes longer than this at a stop is finished and written down, but its answer reaches nobody. With what
# servers outside may take after it, it fits into the supervisor's grace.
STOP_SECONDS = 5

_INSTRUCTIONS = (
    "The tools of a Voiceworks installation, and of the services that it is connected to. A tool that may destroy "
    "something answers the first call with a confirmation_token: make sure that the user wants it, then call it again "
    "with the same arguments and the token. A result with a job_id is work that goes on: job_status says how far it is."
)
# One says at INFO what our own lines say better; the other warns of every request that is none, which anybody can send.
_CHATTY = {"mcp.server": logging.WARNING, "uvicorn.error": logging.ERROR}
_THIS_MACHINE = ("localhost", "127.0.0.1", "[::1]")
_EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - looked for, not listened on


def serve(configured: Settings) -> None:
    """Serves until SIGTERM or Ctrl-C, by which it leaves (KeyboardInterrupt)."""
    app = without_routes(configured)
    app.extensions["log_stream"].install()
    for chatty, least in _CHATTY.items():
        logging.getLogger(chatty).setLevel(least)
    application = build(app, leaving=lambda: server.should_exit)
    server = uvicorn.Server(
        uvicorn.Config(
            application,
            host=configured.host,
            port=configured.mcp_port,
            # Its lines are laid out as all others (config.logs).
            log_config=None,
            access_log=False,
            lifespan="on",
            loop="asyncio",
            ws="none",
            # The door reads addresses nowhere.
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
    )
    # The server raises again, at its end, what ended it: without a handler that would be the process's end, whatever
    # was still being written down.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    log.info("Tools are called at %s, port %s", PATH, configured.mcp_port)
    server.run()


def build(app: Flask, *, leaving: Callable[[], bool] = lambda: False) -> Starlette:
    """The application of ``app``'s tools; ``leaving`` says whether the process is about to end."""
    here: Context = app.extensions["voiceworks"]
    asking, calls = Threads(app, QUESTIONS, "ask"), Threads(app, CALLS, "call")
    tools = Tools(here, asking, calls, leaving)
    server = Server(
        "voiceworks",
        version=VERSION,
        title="Voiceworks",
        instructions=_INSTRUCTIONS,
        on_list_tools=tools.everything,
        on_call_tool=tools.call,
        # No tool takes arguments from headers; the SDK would list all tools before each call to find out.
        get_tool_input_schema=lambda name: None,
    )
    make = partial(
        StreamableHTTPSessionManager,
        server,
        stateless=True,
        security_settings=_guard(here.settings),
        max_request_body_size=LARGEST_REQUEST_BYTES,
    )
    events, plain = make(json_response=False), make(json_response=True)

    async def inside(scope: Scope, receive: Receive, send: Send) -> None:
        """As the client accepts it: events, which tell of progress, or one JSON."""
        accepted = Request(scope).headers.get("Accept", "")
        manager = events if EVENTS in accepted or "*/*" in accepted else plain
        await manager.handle_request(scope, receive, send)

    @asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        here.hub.start(alive=lambda: not leaving())
        # Half a second, once, that the first who asks need not wait for.
        loaded = asyncio.create_task(asking.settled(own.tools))
        async with events.run(), plain.run():
            yield
        await loaded
        # What was called is finished and written down, even if nobody waits for it any more.
        await anyio.to_thread.run_sync(calls.close)
        await anyio.to_thread.run_sync(asking.close)
        await anyio.to_thread.run_sync(here.hub.stop)
        here.database.dispose()

    return Starlette(
        routes=[
            Route(PATH, Door(inside, here, asking, calls)),
            Route("/health/live", _live),
        ],
        exception_handlers={HTTPException: _refused},
        lifespan=life,
    )


def _guard(configured: Settings) -> TransportSecuritySettings:
    """Which hosts a request may name: a web page can lead a browser here under a name of its own."""
    ours = [*_THIS_MACHINE, *([] if configured.host in _EVERY_ADDRESS else [_bracketed(configured.host)])]
    hosts = [*ours, *(f"{host}:*" for host in ours), *configured.mcp_hosts]
    origins = [f"{scheme}://{host}" for host in hosts for scheme in ("http", "https")]
    return TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=origins)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


async def _live(_: Request) -> Response:
    return JSONResponse({"status": "alive"})


async def _refused(_: Request, fault: Any) -> Response:
    return refusal(fault.status_code, code_of(fault.status_code), str(fault.detail))
