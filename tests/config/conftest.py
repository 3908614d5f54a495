"""Programs for a supervisor to run, which write down what happens to them, and real servers of one test."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import redis

from config import embedded, settings
from config.child import Child, running_pid

ROOT = Path(__file__).parents[2]

# A program with a life of its own. It writes what happens to it, and when, into one file for all programs of a test.
PROGRAM = """
import argparse, os, signal, socket, subprocess, sys, time

options = argparse.ArgumentParser()
options.add_argument("name")
options.add_argument("--exit", type=int, help="end at once with this status")
options.add_argument("--stop-seconds", type=float, default=0)
options.add_argument("--deaf", action="store_true", help="do not stop when asked")
options.add_argument("--helper", choices=["group", "session"], help="start a deaf process, in our group or its own")
options.add_argument("--listen", type=int, help="answer every request on this port with 200")
options.add_argument("--load-seconds", type=float, default=0, help="how long it takes until it can serve")
options.add_argument("--touch", help="a file to make then")
options.add_argument("--needs", help="a socket that must still answer at the stop")
options = options.parse_args()
events = os.open(os.path.join(os.path.dirname(__file__), "events"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def note(event):
    os.write(events, f"{time.monotonic()} {options.name} {event}\\n".encode())

def stop(*_):
    note("asked")
    if options.needs:
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(options.needs)
            server.sendall(b"PING\\r\\n")
            note("served" if server.recv(5) == b"+PONG" else "starved")
    time.sleep(options.stop_seconds)
    note("ended")
    sys.exit(0)

signal.signal(signal.SIGTERM, signal.SIG_IGN if options.deaf else stop)
if options.helper:
    argv = [sys.executable, __file__, "helper", "--deaf"]
    helper = subprocess.Popen(argv, start_new_session=options.helper == "session")
note("started")
print(options.name, "was here")
if options.exit is not None:
    sys.exit(options.exit)
time.sleep(options.load_seconds)
if options.touch:
    note("touched")
    open(options.touch, "w").close()
if options.listen:
    server = socket.create_server(("127.0.0.1", options.listen))
    note("listening")
    while True:
        client, _ = server.accept()
        client.recv(1000)
        client.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n")
        client.close()
while True:
    time.sleep(0.05)  # not pause(): a signal just before it would be noticed after the next one only
"""


def eventually(condition: Callable[[], object], seconds: float = 10.0) -> bool:
    """Whether the condition becomes true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def processes_of(folder: Path) -> list[int]:
    """The live processes that work in a folder or were started with its path."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes()
            if os.fsencode(folder) in words or (entry / "cwd").readlink().is_relative_to(folder):
                found.append(int(entry.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


def kill_processes_of(folder: Path) -> None:
    """Ends what a failed test leaves."""
    for pid in processes_of(folder):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@dataclass(frozen=True)
class Event:
    at: float
    name: str
    what: str


@dataclass(frozen=True)
class Stage:
    """A folder with the program, and what the program's processes wrote."""

    folder: Path

    def events(self, name: str = "", what: str = "") -> list[Event]:
        path = self.folder / "events"
        found = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return [Event(float(at), who, did) for at, who, did in found if name in ("", who) and what in ("", did)]

    def at(self, name: str, what: str) -> float:
        """When that happened the first time."""
        return self.events(name, what)[0].at

    def started(self, *names: str, times: int = 1) -> bool:
        """Whether all of them start that often in time."""
        return eventually(lambda: all(len(self.events(name, "started")) >= times for name in names))

    def ended(self, name: str) -> bool:
        """Whether it ends in good order in time."""
        return eventually(lambda: self.events(name, "ended"))

    def child(self, name: str, *options: str, **named: object) -> Child:
        argv = [sys.executable, str(self.folder / "program.py"), name, *options]
        return Child(name, argv, self.folder / f"{name}.log", **named)  # type: ignore[arg-type]

    def processes(self) -> list[int]:
        """The live processes of the test."""
        return processes_of(self.folder)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    (tmp_path / "program.py").write_text(PROGRAM)
    stage = Stage(tmp_path)
    yield stage
    kill_processes_of(tmp_path)


@dataclass
class Site:
    """A Procfile of test programs, and the settings under which a supervisor runs it."""

    stage: Stage
    port: int
    environment: dict[str, str]

    @property
    def var_dir(self) -> Path:
        return self.stage.folder / "var"

    def procfile(self, **options: str) -> Path:
        path = self.stage.folder / "Procfile"
        path.write_text("".join(f"{name}: python program.py {name} {text}\n" for name, text in options.items()))
        return path

    def command(self, *only: str, script: str = "") -> list[str]:
        serve = f"sys.exit(supervisor.serve(settings.load(), procfile, only={list(only) or None}))"
        start = "import sys; from pathlib import Path; from config import settings, supervisor\nprocfile = Path({!r})\n"
        return [sys.executable, "-c", start.format(str(self.stage.folder / "Procfile")) + (script or serve)]

    def start(self, *only: str, script: str = "") -> subprocess.Popen[str]:
        """A supervisor alone in its process group, as a terminal's Ctrl-C would find it."""
        return subprocess.Popen(
            self.command(*only, script=script),
            cwd=ROOT,
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def settings(self) -> settings.Settings:
        """What a supervisor of this process would read."""
        with pytest.MonkeyPatch.context() as environment:
            for name, value in self.environment.items():
                environment.setenv(name, value)
            return settings.load()

    def pid(self, name: str) -> int | None:
        return running_pid(self.var_dir / "run" / f"{name}.pid")

    def restarted(self, name: str, former: int) -> bool:
        """Whether it gets another process in time."""
        return eventually(lambda: self.pid(name) not in (None, former))


@pytest.fixture
def site(stage: Stage) -> Site:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # Stores that are somebody else's business, and that these programs do not ask for.
    given = {"DATABASE_URL": "postgresql://elsewhere/x", "REDIS_URL": "redis://elsewhere"}
    environment = {"VAR_DIR": str(stage.folder / "var"), "PORTS": str(port), **given}
    return Site(stage, port, environment)


@pytest.fixture
def var_dir(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "var"
    kill_processes_of(tmp_path)


def connect(url: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True, connect_timeout=5)


def valkey(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=5, decode_responses=True)


def serves(servers: embedded.Servers) -> bool:
    with connect(servers.database_url) as database:
        answer = database.execute("SELECT current_database()").fetchone()
    pongs = [valkey(url).ping() for url in (servers.redis_url, servers.stream_redis_url)]
    return answer == ("voiceworks",) and pongs == [True, True]
