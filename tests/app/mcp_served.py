"""The MCP endpoint on a port of this machine, with tools that do what a test says; and what is asked of it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import anyio
import httpx2
import mcp_types as types
import pytest
import requests
import uvicorn
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from sqlalchemy import select

from app import without_routes
from app.http.access import SIGNED_IN
from app.mcp import server
from app.tools.own import Asked, OwnTool
from config.settings import Settings
from models.accounts import Caller
from models.db import Database
from models.gateway.tables import ToolCall
from tests.conftest import API_KEY, eventually

Value = TypeVar("Value")
Mode = Literal["auto", "legacy"]
MODES: tuple[Mode, ...] = ("auto", "legacy")
NEWEST = "2026-07-28"
_EITHER = "application/json, text/event-stream"


class Mcp:
    """A running endpoint."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}/mcp"
        # Set, it says that its process is about to end.
        self.leaving = threading.Event()

    def talk(
        self, act: Callable[[Client], Awaitable[Value]], *, mode: Mode = "auto", key: str = API_KEY, **client: Any
    ) -> Value:
        """What ``act`` gives, with the official client."""

        async def run() -> Value:
            async with (
                httpx2.AsyncClient(headers={"X-API-Key": key}, timeout=30) as http,
                Client(streamable_http_client(self.url, http_client=http), mode=mode, **client) as connected,
            ):
                return await act(connected)

        return anyio.run(run)

    def call(self, name: str, *, mode: Mode = "auto", key: str = API_KEY, **arguments: Any) -> types.CallToolResult:
        """What a call is answered."""

        async def act(client: Client) -> types.CallToolResult:
            return await client.call_tool(name, arguments)

        return self.talk(act, mode=mode, key=key)

    def refused(self, name: str, *, mode: Mode = "auto", key: str = API_KEY) -> str:
        """How a call is refused by the protocol itself."""

        async def act(client: Client) -> str:
            with pytest.raises(MCPError) as refusal:
                await client.call_tool(name, {})
            return refusal.value.message

        return self.talk(act, mode=mode, key=key)

    def listed(self, *, mode: Mode = "auto", key: str = API_KEY) -> dict[str, types.Tool]:
        """The tools that are shown, by name."""

        async def act(client: Client) -> types.ListToolsResult:
            return await client.list_tools()

        return {tool.name: tool for tool in self.talk(act, mode=mode, key=key).tools}

    def post(
        self, method: str = "tools/list", *, generation: str = "2025-11-25", headers: Any = None, **params: Any
    ) -> requests.Response:
        """What one request is answered, as JSON unless it is accepted otherwise."""
        said = {"X-API-Key": API_KEY, "Accept": "application/json", "MCP-Protocol-Version": generation} | (
            headers or {}
        )
        if generation == NEWEST:
            said |= {"Mcp-Method": method, "Accept": _EITHER} | (
                {"Mcp-Name": params["name"]} if "name" in params else {}
            )
            meta = {types.PROTOCOL_VERSION_META_KEY: NEWEST, types.CLIENT_CAPABILITIES_META_KEY: {}}
            params = params | {"_meta": meta}
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        sent = {name: value for name, value in said.items() if value is not None}
        return requests.post(
            self.url, data=json.dumps(body), headers={"Content-Type": "application/json"} | sent, timeout=30
        )


@contextmanager
def served(configured: Settings) -> Iterator[Mcp]:
    """The endpoint, as its process has it, in a thread of this one."""
    listening = socket.create_server(("127.0.0.1", 0))
    mcp = Mcp(listening.getsockname()[1])
    application = server.build(without_routes(configured), leaving=mcp.leaving.is_set)
    running = uvicorn.Server(
        uvicorn.Config(application, log_config=None, access_log=False, ws="none", timeout_graceful_shutdown=2)
    )
    thread = threading.Thread(target=running.run, args=([listening],), name="mcp")
    thread.start()
    try:
        eventually(lambda: running.started or not thread.is_alive())
        yield mcp
    finally:
        running.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def tool(
    name: str, run: Callable[[Asked, Any], Any] = lambda asked, arguments: {"done": True}, **fields: Any
) -> OwnTool:
    """A tool of our own that does what a test says."""
    fields = {"access": SIGNED_IN, "parameters": {"word": {"type": "string"}}} | fields
    return OwnTool(name, f"What {name} does", fields.pop("parameters"), run, **fields)


def rows(database: Database) -> list[tuple[str, str, str | None]]:
    """The history, oldest first: the tool, what became of the call, and the code of its error."""
    with database.reading() as session:
        found = session.scalars(select(ToolCall).order_by(ToolCall.id)).all()
    assert {row.door for row in found} <= {"mcp"}
    return [(row.tool, row.status, row.error_code) for row in found]


def text_of(result: types.CallToolResult) -> str:
    """What a model reads."""
    (content,) = result.content
    assert isinstance(content, types.TextContent)
    return content.text


def caller(account_id: str, username: str, role: str) -> Caller:
    """Whoever has this account."""
    return Caller(account_id, username, role)
