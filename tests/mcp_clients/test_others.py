"""The MCP endpoint as others see it: the SDK's previous major version, and the inspector's command line."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.tools import own
from config.settings import Settings
from models.db import Database
from models.gateway import groups, people
from tests.app.mcp_served import Mcp, rows, served, tool
from tests.conftest import CLIENT_KEY

pytestmark = pytest.mark.slow

# Lists, calls what it may while it is told how far that is, and is refused the other.
PROGRAM = """
import asyncio, json, sys
from mcp import ClientSession, McpError
from mcp.client.streamable_http import streamablehttp_client

async def main(url, key):
    told = []

    async def hear(share, total, message):
        told.append([share, total, message])

    async with streamablehttp_client(url, headers={"X-API-Key": key}) as (read, write, _):
        async with ClientSession(read, write) as session:
            version = (await session.initialize()).protocolVersion
            tools = [tool.name for tool in (await session.list_tools()).tools]
            called = await session.call_tool("lamp_on", {"word": "now"}, progress_callback=hear)
            try:
                refused = (await session.call_tool("door_open", {})).model_dump(mode="json")
            except McpError as fault:
                refused = fault.error.message
    shown = {"version": version, "tools": tools, "called": called.structuredContent, "told": told, "refused": refused}
    print(json.dumps(shown))

asyncio.run(main(*sys.argv[1:]))
"""


def turn_on(asked: own.Asked, arguments: Any) -> Any:
    asked.report(0.5, "warming up")
    # Longer than until the next time that it is told.
    time.sleep(1.0)
    return {"said": arguments.get("word")}


@pytest.fixture
def mcp(configured: Settings, clean: None, database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mcp]:
    """The endpoint with two tools, of which the client may call one."""
    offered = {each.name: each for each in (tool("lamp_on", turn_on), tool("door_open"))}
    monkeypatch.setattr(own, "tools", lambda: offered)
    with database.transaction() as session:
        people.create(session, {"canonical_name": "client"})
        groups.create(session, {"name": "Lamps", "tool_permissions": ["lamp_*"]}, ["client"])
    with served(configured) as running:
        yield running


def ran(argv: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    said = {"PATH": os.environ["PATH"], "HOME": str(folder), "NO_COLOR": "1"}
    return subprocess.run(argv, capture_output=True, text=True, timeout=90, cwd=folder, env=said)


def test_the_previous_major_version_lists_and_calls_what_is_permitted(
    mcp: Mcp, previous: Path, tmp_path: Path, database: Database
) -> None:
    done = ran([str(previous), "-c", PROGRAM, mcp.url, CLIENT_KEY], tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "version": "2025-11-25",
        "tools": ["lamp_on"],
        "called": {"said": "now"},
        "told": [[0.5, 1.0, "warming up"]],
        "refused": "Unknown tool: door_open",
    }
    assert rows(database) == [("lamp_on", "success", None), ("door_open", "failed", "TOOL_FORBIDDEN")]


def test_the_inspector_lists_and_calls_what_is_permitted(
    mcp: Mcp, inspector: Path, tmp_path: Path, database: Database
) -> None:
    def inspect(*arguments: str, key: str = CLIENT_KEY) -> subprocess.CompletedProcess[str]:
        where = ["--cli", mcp.url, "--transport", "http", "--header", f"X-API-Key: {key}"]
        return ran([str(inspector), *where, *arguments], tmp_path)

    listed = inspect("--method", "tools/list")
    assert listed.returncode == 0, listed.stderr
    assert [tool["name"] for tool in json.loads(listed.stdout)["tools"]] == ["lamp_on"]
    called = inspect("--method", "tools/call", "--tool-name", "lamp_on", "--tool-arg", "word=now")
    assert called.returncode == 0, called.stderr
    assert json.loads(called.stdout)["structuredContent"] == {"said": "now"}
    refused = inspect("--method", "tools/call", "--tool-name", "door_open")
    assert refused.returncode != 0
    assert "Unknown tool: door_open" in refused.stdout + refused.stderr
    stranger = inspect("--method", "tools/list", key="wrong")
    assert stranger.returncode != 0
    assert "lamp_on" not in stranger.stdout
    # It asks for nothing but what it was told to.
    assert [row[:2] for row in rows(database)] == [("lamp_on", "success"), ("door_open", "failed")]
