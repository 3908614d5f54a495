"""What is done to it: a table of faults, each of which says what it hit, or that there was nothing to hit."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import psutil
from sqlalchemy.exc import DBAPIError

from bench.faults import clock, messages
from bench.faults.place import Disk, Place
from tests.journeys.product import BULK, LIVE

# Of what comes and goes (a training's process, a message): how long one is waited for.
_WAIT_SECONDS = 3.0
Found = TypeVar("Found")


class NothingThere(Exception):
    """There was nothing to hit."""


@dataclass
class Scene:
    """Where a fault strikes.

    Attributes:
        chance: What decides everything about this fault.
        later: What has to be undone, and when (by the monotonic clock).
        jumped: Called with the seconds when the clock has jumped.
    """

    place: Place
    chance: random.Random
    later: list[tuple[float, str, Callable[[], None]]] = field(default_factory=list)
    jumped: Callable[[float], None] = lambda seconds: None

    def undo_after(self, seconds: float, what: str, undo: Callable[[], None]) -> None:
        """What was broken is whole again in so many seconds."""
        self.later.append((time.monotonic() + seconds, what, undo))

    def pending(self, what: str) -> bool:
        """Whether that is broken already."""
        return any(name == what for _, name, _ in self.later)

    def tend(self, *, all_of_it: bool = False) -> None:
        """Undoes what is due, or everything."""
        now = time.monotonic()
        due = [each for each in self.later if all_of_it or each[0] <= now]
        self.later[:] = [each for each in self.later if each not in due]
        for _, _, undo in due:
            undo()


@dataclass(frozen=True)
class Kind:
    """A kind of fault. ``share`` is how often it comes among all."""

    name: str
    share: float
    strike: Callable[[Scene], str]


def _kill(*names: str) -> Callable[[Scene], str]:
    def strike(scene: Scene) -> str:
        name = scene.chance.choice(names)
        return f"{name} ({_end(_until(lambda: scene.place.pid(name)))})"

    return strike


def _web_process(scene: Scene) -> str:
    master = _until(lambda: scene.place.pid("web"))
    return f"web process ({_end(scene.chance.choice(_until(lambda: _children(master))))})"


def _training_child(scene: Scene) -> str:
    def there() -> list[int]:
        worker = scene.place.pid("worker_train")
        return _children(worker) if worker else []

    return f"training process ({_end(_until(there)[0])})"


def _other_host(scene: Scene) -> str:
    other = scene.place.other
    if other is None or other.fleet.pid is None:
        raise NothingThere
    workers = [pid for pid in _descendants(other.fleet.pid) if "celery" in _words(pid)]
    if not workers:
        raise NothingThere
    return f"worker of the other host ({_end(scene.chance.choice(workers))})"


def _queue_without_file(scene: Scene) -> str:
    pid = _end(_until(lambda: scene.place.pid("queue")))
    # The supervisor starts it again in 0.2 s at the earliest.
    shutil.rmtree(scene.place.var_dir / "queue" / "appendonlydir", ignore_errors=True)
    return f"queue ({pid}) and its file"


def _backend(scene: Scene, how: str) -> str:
    query = (
        "select pid from pg_stat_activity where backend_type = 'client backend' and datname = current_database()"
        " and pid <> pg_backend_pid() order by pid"
    )
    try:
        pids = [row.pid for row in scene.place.rows(query)]
        pid = scene.chance.choice(pids or [0])
        if not pid:
            raise NothingThere
        if how == "ended":
            scene.place.value("select pg_terminate_backend(:pid)", pid=pid)
        else:
            _end(pid)
    except DBAPIError as fault:
        raise NothingThere from fault
    return f"connection of Postgres {how} ({pid})"


def _full(scene: Scene, what: str, disk: Callable[[Place], Disk]) -> str:
    if scene.pending(what):
        raise NothingThere
    seconds = scene.chance.choice((1.0, 4.0, 12.0, 40.0))
    full = disk(scene.place)
    full.fill()
    scene.undo_after(seconds, what, full.clear)
    return f"{what} for {seconds:.0f} s"


def _cut(scene: Scene) -> str:
    other = scene.place.other
    if other is None or scene.pending("line"):
        raise NothingThere
    seconds = scene.chance.choice((2.0, 6.0, 15.0, 40.0))
    other.cut()
    scene.undo_after(seconds, "line", other.mend)
    return f"line to the other host for {seconds:.0f} s"


def _jump(scene: Scene, choices: tuple[float, ...]) -> str:
    seconds = scene.chance.choice(choices)
    try:
        clock.jump(scene.place, seconds)
    except DBAPIError as fault:
        # Others wrote the same rows over and over, or Postgres was away.
        raise NothingThere from fault
    scene.jumped(seconds)
    return f"clock by {seconds:+.0f} s"


def _message(scene: Scene, how: str) -> str:
    number, lane = _until(partial(messages.meddle, scene, how))
    return f"{number} messages of {lane} {how}"


KINDS = (
    Kind("live worker killed", 6, _kill(LIVE)),
    Kind("bulk worker killed", 10, _kill(*BULK)),
    Kind("fleet killed", 2, _kill("fleet")),
    Kind("io worker killed", 6, _kill("worker_io")),
    Kind("import worker killed", 6, _kill("worker_imports")),
    Kind("training worker killed", 4, _kill("worker_train")),
    Kind("training process killed", 8, _training_child),
    Kind("upkeep worker killed", 5, _kill("worker_upkeep")),
    Kind("clock process killed", 3, _kill("beat")),
    Kind("web process killed", 6, _web_process),
    Kind("web server killed", 2, _kill("web")),
    Kind("worker of the other host killed", 4, _other_host),
    Kind("queue killed", 4, _kill("queue")),
    Kind("queue killed and its file removed", 4, _queue_without_file),
    Kind("streams killed", 4, _kill("stream")),
    Kind("connection of Postgres ended", 8, partial(_backend, how="ended")),
    Kind("connection of Postgres killed", 3, partial(_backend, how="killed")),
    Kind("Postgres killed", 3, _kill("postgres")),
    Kind("disk of the files full", 4, partial(_full, what="disk of the files", disk=lambda place: place.files_disk)),
    Kind("disk of everything full", 3, partial(_full, what="disk of everything", disk=lambda place: place.whole)),
    Kind("line between hosts cut", 5, _cut),
    Kind("clock jumped ahead", 4, partial(_jump, choices=(20.0, 120.0, 3600.0, 5 * 3600.0))),
    Kind("clock jumped back", 3, partial(_jump, choices=(-5.0, -20.0, -60.0))),
    Kind("messages twice", 9, partial(_message, how="twice")),
    Kind("messages late", 7, partial(_message, how="late")),
    Kind("messages never", 9, partial(_message, how="never")),
)


def _until(look: Callable[[], Found | None]) -> Found:
    ends = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < ends:
        if found := look():
            return found
        time.sleep(0.003)
    raise NothingThere


def _end(pid: int) -> int:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError as fault:
        raise NothingThere from fault
    return pid


def _children(pid: int) -> list[int]:
    with suppress(psutil.Error):
        return [child.pid for child in psutil.Process(pid).children()]
    return []


def _descendants(pid: int) -> list[int]:
    with suppress(psutil.Error):
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    return []


def _words(pid: int) -> list[str]:
    with suppress(psutil.Error):
        return psutil.Process(pid).cmdline()
    return []
