"""Once a second: what waits and for how long, and what each process of the product holds."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePath

import psutil
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from bench.load.asking import Line, Who
from bench.load.ledger import Ledger
from bench.processes import Tree
from bench.service import Service
from models.db import Database
from models.jobs import figures

EVERY_SECONDS = 1.0
# Looking through all processes of the machine takes longer than asking those that are known.
_LOOK_AGAIN_SECONDS = 10.0
POSTGRES = "postgres"
# What the product holds back by: as it counts itself, and at this moment.
_WAITING = text("select account_id, count(*) from jobs where live and state = 'queued' group by account_id")
_PROGRAMS = {
    "tasks.fleet": "fleet",
    "tasks.flower": "flower",
    "mcp": "mcp",
    "serve": "supervisor",
    "beat": "beat",
}


@dataclass(frozen=True, slots=True)
class Held:
    """By one process, or by all of Postgres: bytes in memory, those that it shares with nobody, open files."""

    resident: int
    own: int
    descriptors: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment: live jobs that have not started, in all and of one account, units by lane with the oldest's age."""

    second: float
    waiting: int
    waiting_of_one: int
    lanes: dict[str, tuple[int, float]]
    processes: dict[str, Held]


class Sampler(threading.Thread):
    """Looks until it is told to stop."""

    def __init__(self, service: Service, ledger: Ledger) -> None:
        super().__init__(name="sampler", daemon=True)
        self.samples: list[Sample] = []
        self._ledger, self._tree, self._over = ledger, service.tree, threading.Event()
        port, key = service.address
        self._line = Line(Who("sampler", port, key), ledger)
        self._database = Database(service.database_url, lambda signals: None, pool_size=1)
        self._known: dict[str, psutil.Process] = {}
        self._looked = float("-inf")

    def run(self) -> None:
        """Looks."""
        due = time.monotonic()
        while not self._over.wait(max(0.0, due - time.monotonic())):
            due = max(due + EVERY_SECONDS, time.monotonic())
            with suppress(DBAPIError):
                self.samples.append(self._sample())

    def stop(self) -> None:
        """Looks no more."""
        self._over.set()
        self.join()
        self._database.dispose()

    def _sample(self) -> Sample:
        second = self._ledger.second()
        with self._database.reading() as session:
            counts = [count for _, count in session.execute(_WAITING)]
            depths = figures.depths(session)
        lanes = {lane: (depth.units, round(depth.oldest_seconds, 1)) for lane, depth in depths.items()}
        held = self._held()
        # As a dashboard asks; what it is told of the queue is some seconds old, so that is looked up here.
        self._line.ask("metrics", "GET", "/api/v1/metrics")
        return Sample(round(second, 2), sum(counts), max(counts, default=0), lanes, held)

    def _held(self) -> dict[str, Held]:
        if time.monotonic() - self._looked > _LOOK_AGAIN_SECONDS:
            self._known, self._looked = named(self._tree), time.monotonic()
        found: dict[str, Held] = {}
        for name, process in self._known.items():
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                with process.oneshot():
                    memory = process.memory_info()
                    held = Held(memory.rss, memory.rss - memory.shared, process.num_fds())
                # Its processes come and go with connections.
                label = POSTGRES if name.startswith(f"{POSTGRES} ") else name
                before = found.get(label, Held(0, 0, 0))
                found[label] = Held(
                    before.resident + held.resident, before.own + held.own, before.descriptors + held.descriptors
                )
        return found


def named(tree: Tree) -> dict[str, psutil.Process]:
    """The processes of the product by what they are and their number."""
    found = {}
    for process in tree.processes():
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            found[f"{_name(process)} {process.pid}"] = process
    return found


def _name(process: psutil.Process) -> str:
    words = process.cmdline()
    line = " ".join(words)
    for word in words:
        if word.startswith("--hostname="):
            return word.partition("=")[2].partition("@")[0]
    if "gunicorn" in line:
        parent = process.parent()
        return "web" if parent is not None and "gunicorn" in " ".join(parent.cmdline()) else "web's first"
    if "valkey" in line:
        return "valkey of streams" if "stream.sock" in line else "valkey of queues"
    if POSTGRES in line:
        return POSTGRES
    for word in words[1:]:
        if word in _PROGRAMS:
            return _PROGRAMS[word]
    return PurePath(words[0]).name if words else process.name()
