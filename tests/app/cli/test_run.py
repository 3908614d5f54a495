"""``run`` and ``serve``, as a newcomer meets them: real processes on ports of their own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import eventually

ROOT = Path(__file__).parents[3]


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in held]
    for server in held:
        server.close()
    return ports


class Started:
    """A running command, with what it has shown so far."""

    def __init__(self, *arguments: str, var_dir: Path, ports: list[int]) -> None:
        web, flower = ports
        (mcp,) = free_ports(1)
        environment = {"VAR_DIR": str(var_dir), "PORTS": str(web), "FLOWER_PORT": str(flower), "MCP_PORT": str(mcp)}
        environment["WEB_PROCESSES"] = "1"
        self._shown = (var_dir / f"shown-{time.monotonic_ns()}").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app", *arguments],
            cwd=ROOT,
            env=os.environ | environment,
            stdout=self._shown,
            stderr=subprocess.STDOUT,
        )

    @property
    def shown(self) -> str:
        return Path(self._shown.name).read_text()

    def wait_for(self, words: str, within_seconds: float = 60.0) -> str:
        def there() -> bool:
            assert self.process.poll() is None or words in self.shown, self.shown
            return words in self.shown

        eventually(there, within_seconds=within_seconds)
        return self.shown

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    """Starts commands in one place; what a test leaves running is stopped."""
    ports, started = free_ports(2), []

    def call(*arguments: str) -> Started:
        started.append(Started(*arguments, var_dir=tmp_path, ports=ports))
        return started[-1]

    yield call
    for one in started:
        if one.process.poll() is None:
            one.stop()


@pytest.mark.slow
def test_a_first_start_shows_the_password_once_and_speaks_a_course_that_a_second_start_finds(
    start: Callable[..., Started], tmp_path: Path
) -> None:
    first = start("run")
    shown = first.wait_for("Ctrl-C stops everything.", within_seconds=110)
    password = re.search(r"admin with password (\S+)", shown)
    assert password is not None
    assert shown.count(password[1]) == 1
    assert 'Speaking "Finding Longitude"' in shown
    assert re.search(r"\d+ segments spoken, \d+ min \d+ s of speech in ", shown)
    link = re.search(r"(http://127\.0\.0\.1:\d+)/#token=(\S+)", shown)
    assert link is not None
    request = urllib.request.Request(f"{link[1]}/api/curriculum", headers={"Authorization": f"Bearer {link[2]}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert [course["title"] for course in json.load(answer)["curricula"]] == ["Finding Longitude"]
    again = start("run")
    assert again.process.wait(10) == 1
    assert again.shown.startswith(f"Voiceworks already runs on {tmp_path}: process {first.process.pid} ")
    assert first.stop() == 0

    second = start("run")
    shown = second.wait_for("Ctrl-C stops everything.")
    # Flower's is kept, and only where is told.
    assert "sign in as admin" not in shown
    assert (tmp_path / "flower.password").read_text() not in shown
    assert '"Finding Longitude" is ready: ' in shown
    assert second.stop() == 0
    assert "Traceback" not in first.shown + second.shown


@pytest.mark.slow
def test_serve_shows_where_to_go_and_speaks_nothing(start: Callable[..., Started]) -> None:
    served = start("serve")
    shown = served.wait_for("Ctrl-C stops everything.")
    assert "Finding Longitude" not in shown
    for name in ("Listen", "API", "Flower", "Logs"):
        assert re.search(rf"^  {name} +\S", shown, re.MULTILINE), name
    joined = start("run", "worker_io")
    assert joined.process.wait(10) == 1
    assert re.fullmatch(r"worker_io runs here already: process \d+\.\n", joined.shown)
    assert served.stop() == 0


def test_a_program_that_is_not_in_the_procfile_is_a_slip_of_the_pen(start: Callable[..., Started]) -> None:
    refused = start("run", "nothing")
    assert refused.process.wait(10) == 2
    assert " has no nothing; it has " in refused.shown
