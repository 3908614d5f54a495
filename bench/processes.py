"""What processes use: whole trees of them, and how long some of them go on working."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

# A process is free when it has done next to nothing for so long; what it did last counts as its end.
QUIET_SECONDS = 0.4
# A heartbeat takes less of a core, a synthesis more.
_WORKING = 0.2
_LOOK_SECONDS = 0.01


class Tree:
    """A process and everything that it started."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def processes(self) -> list[psutil.Process]:
        """Those that live now."""
        first = psutil.Process(self._pid)
        return [first, *first.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """Processor time of all of them so far, that of those which have ended included."""
        total = 0.0
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                total += sum(process.cpu_times()[:4])
        return total

    def memory_bytes(self) -> int:
        """What they hold in memory, shared pages counted in each."""
        return sum(process.memory_info().rss for process in self.processes())


class Threads:
    """Processor time of single threads, to the nanosecond: for moments too short for a process's own clock."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = list(pids)
        self._before = self._read()

    def spent(self) -> float:
        """Seconds since the last look."""
        now = self._read()
        spent = sum(nanoseconds - self._before.get(thread, 0) for thread, nanoseconds in now.items())
        self._before = now
        return spent / 1e9

    def _read(self) -> dict[Path, int]:
        found = {}
        for pid in self._pids:
            for thread in Path(f"/proc/{pid}/task").glob("*"):
                with suppress(OSError):
                    found[thread] = int((thread / "schedstat").read_text().split()[0])
        return found


def working_on(pids: Sequence[int], act: Callable[[], None], *, at_most_seconds: float = 60.0) -> tuple[float, float]:
    """How many seconds the processes still work once ``act`` is begun, and the processor time that this takes."""
    threads = Threads(pids)
    began = looked = time.perf_counter()
    act()
    worked_until, spent, spent_until = began, 0.0, 0.0
    while looked - max(worked_until, began) < QUIET_SECONDS and looked - began < at_most_seconds:
        time.sleep(_LOOK_SECONDS)
        now = time.perf_counter()
        more = threads.spent()
        spent += more
        if more / (now - looked) > _WORKING:
            worked_until, spent_until = now, spent
        looked = now
    return worked_until - began, spent_until


def share_of_others(before: tuple[float, float], own: float) -> float:
    """Which share of the machine others took since ``before`` (``busy_and_all()`` then), ``own`` seconds being ours."""
    busy, all_ = busy_and_all()
    passed = all_ - before[1]
    return max(0.0, busy - before[0] - own) / passed if passed else 0.0


def busy_and_all() -> tuple[float, float]:
    """Seconds that the machine's processors have worked, and those that there were."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    everything = sum(times[:8])
    return everything - idle, everything
