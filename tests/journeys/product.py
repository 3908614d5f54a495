"""The whole product as a user starts it: one command on a folder of its own, with a client's and a coroner's view."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
import requests
import websocket
from sqlalchemy import text
from sqlalchemy.orm import Session

from config import settings
from config.child import Child, running_pid
from config.settings import Settings
from models import accounts, workers
from models.db import Database
from models.files import FileStore
from tasks import fleet
from tests.conftest import eventually
from tests.web import Socket
from workers import device

ROOT = Path(__file__).parents[2]
API_KEY = "vw_the_key_of_the_journeys_0123456789"
PASSWORD = "the password of the journeys"
HOST = socket.gethostname()
# What must run once everything has started; the pid files have these names.
PROGRAMS = (
    "queue",
    "stream",
    "postgres",
    "web",
    "fleet",
    "worker_upkeep",
    "worker_io",
    "worker_imports",
    "beat",
    "mcp",
    "flower",
)
SPEAKERS = tuple(member.node for member in fleet.members(device.cores()))
LIVE, BULK = SPEAKERS[0], SPEAKERS[1:]
# Ten times what an idle machine needs: these tests share two cores with whatever else runs.
START_SECONDS = 60.0
Value = TypeVar("Value")


class Voiceworks:
    """One installation. ``programs`` are those of the Procfile to be started, when not all.

    Attributes:
        var_dir: Where everything lies that it keeps.
        port: Where its API listens.
    """

    def __init__(self, folder: Path, programs: Sequence[str] = ()) -> None:
        self.var_dir = folder / "var"
        self.port, flower_port, mcp_port = _free_ports(3)
        self._programs = tuple(programs)
        self.environment = {
            "VAR_DIR": str(self.var_dir),
            "HOST": "127.0.0.1",
            "PORTS": str(self.port),
            "FLOWER_PORT": str(flower_port),
            "MCP_PORT": str(mcp_port),
            "LOG_LEVEL": "INFO",
            "RATE_LIMITS": "off",
            "VOICEWORKS_API_KEY": API_KEY,
            "VOICEWORKS_ADMIN_PASSWORD": PASSWORD,
        }
        if programs and "worker_io" not in programs:
            # Nobody would ever take what the clock begins.
            self.environment |= {"CLEANUP_ON_STARTUP": "0", "CLEANUP_INTERVAL_HOURS": "0"}
        self.console = folder / "console.log"
        self.settings = self._settings()
        self.files = FileStore(self.var_dir / "files")
        # What it commits rings nobody and tells nobody: as if every message had been lost.
        self.silent = Database(self.settings.database_url, lambda signals: None, pool_size=3)
        self._command = self._child()
        self._helpers: list[Child] = []

    # --- Life ---------------------------------------------------------------------------------------------------------

    def start(self) -> float:
        """Seconds from the command until it answers and, where it has a fleet, can speak."""
        began = time.monotonic()
        self._command = self._child()
        self._command.start()
        eventually(self._can_serve, within_seconds=START_SECONDS)
        return time.monotonic() - began

    def stop(self) -> None:
        """Ctrl-C, after which nothing of it is left."""
        for helper in self._helpers:
            helper.stop()
        self.silent.dispose()
        self._command.stop()
        status, left = self._command.poll(), self.processes()
        assert status == 0, f"exit status {status}: {self.said()}"
        assert not left, f"left behind: {[psutil.Process(pid).cmdline() for pid in left]}"

    def demolish(self) -> None:
        """Kills whatever is left of it, whether a test stopped it or failed."""
        self.silent.dispose()
        while found := self.processes():
            for pid in found:
                _send(pid, signal.SIGKILL)
            time.sleep(0.02)
        self._command.poll()

    def settled(self) -> bool:
        """Whether all of it is up: every program, every worker registered by its present process, nothing draining."""
        if not self._command.alive or None in map(self.pid, PROGRAMS):
            return False
        try:
            if self.api("GET", "/health", timeout=2).json()["database"] != "connected":
                return False
        except requests.RequestException:
            return False
        present = {worker.node: worker.pid for worker in self.read(workers.alive) if not worker.draining}
        wanted = {name: name for name in SPEAKERS} | {
            "upkeep": "worker_upkeep",
            "io": "worker_io",
            "imports": "worker_imports",
        }
        return all(present.get(f"{node}@{HOST}") == self.pid(name) for node, name in wanted.items())

    def said(self) -> str:
        """What it showed on the console."""
        return self.console.read_text(errors="replace")

    # --- Processes ----------------------------------------------------------------------------------------------------

    def pid(self, name: str) -> int | None:
        """The process of a program, a server or a speech worker; ``supervisor`` is the command itself."""
        if name == "supervisor":
            return self._command.pid if self._command.alive else None
        if name == "web process":
            return next(iter(self._web_processes()), None)
        return running_pid(self.var_dir / "run" / f"{name}.pid")

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Sends a signal, by default the one that cannot be refused; gives the process that got it."""
        pid = eventually(lambda: self.pid(name))
        assert pid
        os.kill(pid, number)
        return pid

    def until_replaced(self, name: str, former: int, *, within_seconds: float = 30.0) -> float:
        """Seconds until another process is in the place of ``former``; a speech worker also has to be registered."""
        began = time.monotonic()

        def replaced() -> bool:
            if name == "web process":
                return former not in (pids := self._web_processes()) and len(pids) == self.settings.web_processes
            present = self.pid(name)
            return present not in (None, former) and (name not in SPEAKERS or self._registered(name) == present)

        eventually(replaced, within_seconds=within_seconds)
        return time.monotonic() - began

    def processes(self) -> list[int]:
        """Every live process that was started for it, whoever its parent is by now."""
        marks = {f"VAR_DIR={self.var_dir}".encode(), f"VOICEWORKS_OWNER={self.var_dir}".encode()}
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                environment = (entry / "environ").read_bytes()
                # Postgres writes its title over its environment, but works in its data.
                inside = (entry / "cwd").readlink().is_relative_to(self.var_dir)
            except OSError:
                continue  # ended while we looked
            if inside or any(variable.startswith(tuple(marks)) for variable in environment.split(b"\0")):
                found.append(int(entry.name))
        return [pid for pid in found if pid != os.getpid()]

    def worker(self, node: str, *, app: str = "tasks.worker", **environment: str) -> Child:
        """A speech worker of one's own beside the fleet (or in its place), registered once this returns."""
        number = len(self._helpers)
        child = Child(
            name=f"{node}-{number}",
            argv=[
                *(sys.executable, "-m", "celery", f"--app={app}", "worker", "--pool=solo", f"--hostname={node}@%h"),
                "--queues=tts.live.neural,tts.background.neural",
                *("--without-gossip", "--without-mingle", "--loglevel=INFO"),
            ],
            log_path=self.var_dir / "log" / f"{node}-{number}.log",
            env={**self.environment, "WORKER_ENGINES": "hibari", "WORKER_THREADS": "1", **environment},
            cwd=ROOT,
        )
        child.start()
        self._helpers.append(child)

        def registered() -> bool:
            assert child.alive, child.log_tail()
            return self._registered(node) == child.pid

        eventually(registered, within_seconds=START_SECONDS)
        return child

    # --- A client's view ----------------------------------------------------------------------------------------------

    def url(self, path: str) -> str:
        """The address of a path."""
        return f"http://127.0.0.1:{self.port}{path}"

    def api(
        self, method: str, path: str, *, key: str = API_KEY, timeout: float = 60.0, headers: Any = None, **kwargs: Any
    ) -> requests.Response:
        """A request by an administrator (or whoever ``key`` belongs to), over a connection of its own."""
        headers = {"X-API-Key": key, **(headers or {})}
        return requests.request(method, self.url(path), headers=headers, timeout=timeout, **kwargs)

    def speak(self, words: str, **kwargs: Any) -> requests.Response:
        """A spoken text for somebody who waits."""
        return self.api("POST", "/api/tts", json={"text": words}, **kwargs)

    def ask(self, words: str) -> HTTPConnection:
        """A connection on which a spoken text was asked for and has not been answered yet."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"X-API-Key": API_KEY, "Content-Type": "application/json"}
        connection.request("POST", "/api/tts", json.dumps({"text": words}), headers)
        return connection

    def course(self, texts: Sequence[str]) -> str:
        """The id of a new course with these segments."""
        content = [{"title": "All of it", "segments": list(texts)}]
        stored = self.api("POST", "/api/curriculum", json={"title": texts[0][:40], "content": content})
        assert stored.status_code == 201, stored.text
        return str(stored.json()["id"])

    def prefetch(self, texts: Sequence[str]) -> str:
        """The id of the job that makes a new course with these segments."""
        started = self.api("POST", "/api/tts/prefetch/topic", json={"curriculum_id": self.course(texts)})
        assert started.status_code == 202, started.text
        return str(started.json()["job_id"])

    def add_client(self, name: str) -> str:
        """The API key of a new ordinary client."""
        secret = f"vw_{name}_of_the_journeys_0123456789"
        with self.silent.transaction() as session:
            account = accounts.create(session, username=name, password=PASSWORD, role="client")
            accounts.store_key(session, account, name=name, role="client", secret=secret)
        return secret

    @contextmanager
    def socket(self, path: str) -> Iterator[Socket]:
        """A program's websocket."""
        connection = websocket.create_connection(
            f"ws://127.0.0.1:{self.port}{path}",
            timeout=10,
            header=[f"X-API-Key: {API_KEY}"],
            suppress_origin=True,
        )
        try:
            yield Socket(connection)
        finally:
            connection.close(timeout=1)

    # --- A coroner's view ---------------------------------------------------------------------------------------------

    def read(self, question: Callable[[Session], Value]) -> Value:
        """What the database answers, once it does: it may just have been killed."""
        return self.silent.persist(question, durable=False)

    def rows(self, query: str, **values: Any) -> list[Any]:
        """The rows of a query."""
        return self.read(lambda session: list(session.execute(text(query), values)))

    def value(self, query: str, **values: Any) -> Any:
        """The first value of the first row of a query, None where there is none."""
        return self.read(lambda session: session.execute(text(query), values).scalar())

    def done(self, job_id: str) -> int:
        """How many items of a job have been made."""
        return int(self.value("select items_succeeded from jobs where id = :job", job=job_id))

    def state(self, job_id: str) -> str:
        """The state of a job."""
        return str(self.value("select state from jobs where id = :job", job=job_id))

    def until_ended(self, job_id: str, *, within_seconds: float = 90.0) -> str:
        """The state in which a job ends."""
        eventually(
            lambda: self.state(job_id) in ("succeeded", "failed", "cancelled"),
            within_seconds=within_seconds,
        )
        return self.state(job_id)

    # ------------------------------------------------------------------------------------------------------------------

    def _child(self) -> Child:
        if self._programs:
            script = (
                "import sys; from pathlib import Path; from config import settings, supervisor; "
                f"sys.exit(supervisor.serve(settings.load(), Path('Procfile'), only={self._programs!r}))"
            )
            argv = [sys.executable, "-c", script]
        else:
            argv = [sys.executable, "-m", "app", "serve"]
        return Child(
            name="voiceworks",
            argv=argv,
            log_path=self.console,
            env=self.environment,
            cwd=ROOT,
            stop_signal=signal.SIGINT,
            grace_seconds=60.0,
        )

    def _can_serve(self) -> bool:
        assert self._command.alive, self.said()
        try:
            healthy = requests.get(self.url("/health"), timeout=1).ok
        except requests.RequestException:
            return False
        return healthy and (bool(self._programs) or self._registered(LIVE) == self.pid(LIVE))

    def _registered(self, name: str) -> int | None:
        found = "select pid from workers where node = :node and not draining"
        return self.value(found, node=f"{name}@{HOST}")

    def _web_processes(self) -> list[int]:
        master = self.pid("web")
        try:
            return [process.pid for process in psutil.Process(master).children()] if master else []
        except psutil.NoSuchProcess:
            return []

    def _settings(self) -> Settings:
        with pytest.MonkeyPatch.context() as environment:
            for name, value in self.environment.items():
                environment.setenv(name, value)
            return settings.load()


def _free_ports(count: int) -> list[int]:
    # All held at once, so that none is given twice.
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [held.getsockname()[1] for held in sockets]
    for held in sockets:
        held.close()
    return ports


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
