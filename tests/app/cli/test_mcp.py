"""The ``mcp`` process: it serves until it is stopped, in good order, and says in a sentence why it cannot."""

from __future__ import annotations

import signal
import socket
import sys
from functools import partial
from pathlib import Path

import pytest
import requests

from app.cli import parser
from config.child import Child
from config.settings import Settings
from config.supervisor import answers_health
from tests.conftest import API_KEY, eventually
from tests.test_house_rules import ROOT, imported_by


def child(port: int, log_path: Path) -> Child:
    return Child(
        name="mcp",
        argv=[sys.executable, "-m", "app", "mcp"],
        log_path=log_path,
        env={"MCP_PORT": str(port), "LOG_LEVEL": "INFO"},
        cwd=ROOT,
        probe=partial(answers_health, "127.0.0.1", port),
    )


@pytest.fixture
def port() -> int:
    """A free one."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_tools_until_it_is_asked_to_stop(
    configured: Settings, clean: None, port: int, tmp_path: Path, number: signal.Signals
) -> None:
    running = child(port, tmp_path / "mcp.log")
    running.stop_signal = number
    running.start()
    try:
        assert running.ready(timeout_seconds=30), running.log_tail()
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        headers = {"X-API-Key": API_KEY, "Accept": "application/json"}
        answer = requests.post(f"http://127.0.0.1:{port}/mcp", json=body, headers=headers, timeout=20)
        assert "job_status" in {tool["name"] for tool in answer.json()["result"]["tools"]}
    finally:
        running.stop()
    assert running.poll() == 0, running.log_tail()
    # One line of it, and none of the libraries'.
    lines = [line for line in (tmp_path / "mcp.log").read_text().splitlines() if '"level": "INFO"' in line]
    assert len(lines) == 1
    assert f"Tools are called at /mcp, port {port}" in lines[0]


def test_a_port_that_is_taken_is_named(configured: Settings, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        running = child(port, tmp_path / "mcp.log")
        running.start()
        eventually(lambda: running.poll() is not None, within_seconds=30)
    assert running.poll() == 1
    assert f"Port {port} of 127.0.0.1 cannot be used by mcp" in running.log_tail()
    assert "choose another with MCP_PORT" in running.log_tail()


def test_nothing_else_pays_for_the_protocol() -> None:
    for statements in ("import app.cli", "import app\napp.create_app()", "import app.tools.calling"):
        assert not {name for name in imported_by(statements) if name.split(".")[0] in ("mcp", "mcp_types", "uvicorn")}
    assert parser.build().parse_args(["mcp"]).command == "mcp:serve"
