"""The machine, or the container, that this process runs in: processor, disk, memory, temporary files."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")


@dataclass(frozen=True)
class Space:
    """How much there is of something, in bytes; ``available_bytes`` is what we may still take."""

    total_bytes: int
    used_bytes: int
    available_bytes: int

    @property
    def used_percent(self) -> float:
        """As ``df`` has it: of what may be used at all."""
        return round(100 * self.used_bytes / max(1, self.used_bytes + self.available_bytes), 1)


def disk(var_dir: Path) -> Space:
    """The disk of everything that is kept; of its own and that of stored files, where these differ, the fuller one."""
    places = [place for place in (var_dir, var_dir / "files") if place.exists()]
    found = min((shutil.disk_usage(place) for place in places), key=lambda usage: usage.free)
    return Space(found.total, found.used, found.free)


def cpu_percent() -> float:
    """The share of all processors that was busy since this process asked before, a second ago at least."""
    return _cpu.percent()


def memory(cgroups: Path = _CGROUPS, own: Path = _OWN_CGROUP) -> Space:
    """The memory that we may use: the machine's, or that of the narrowest container around us."""
    whole = psutil.virtual_memory()
    found = Space(whole.total, whole.total - whole.available, whole.available)
    for folder in _limits(cgroups, own):
        limited = _of_cgroup(folder)
        if limited is not None and limited.total_bytes < found.total_bytes:
            found = limited
    return found


def count_temporary_files(var_dir: Path) -> int:
    """How many temporary files there are, and files of the store that are not finished."""
    # Links are not followed: os.walk lists one that leads to a folder among the folders.
    return sum(
        len(files) for folder in (var_dir / "tmp", var_dir / "files" / "unfinished") for _, _, files in os.walk(folder)
    )


def _limits(cgroups: Path, own: Path) -> list[Path]:
    """The folders of the groups that this process is in, from its own to the outermost."""
    found: list[Path] = []
    with suppress(OSError):
        for line in own.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            # Version 2 is one tree; of version 1's there is one for memory.
            if controllers in ("", "memory") or "memory" in controllers.split(","):
                root = cgroups if not controllers else cgroups / "memory"
                inner = root / path.lstrip("/")
                found += [each for each in (inner, *inner.parents) if each.is_relative_to(root)]
    return found


def _of_cgroup(folder: Path) -> Space | None:
    """What a group may use; None where it may use everything."""
    for limit_name, used_name, cache_name in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        # "max", or no such files: nothing is limited here.
        with suppress(OSError, ValueError):
            limit = int((folder / limit_name).read_text())
            used = int((folder / used_name).read_text())
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            # What the kernel keeps of files it gives back when it is needed.
            used = max(0, used - int(stat.get(cache_name, 0)))
            return Space(limit, used, max(0, limit - used))
    return None


class _Cpu:
    def __init__(self) -> None:
        self._asked = 0.0
        self._percent = 0.0

    def percent(self) -> float:
        now = time.monotonic()
        if now - self._asked >= 1:
            # The first time there is nothing to compare with: a tenth of a second has to do.
            self._percent = psutil.cpu_percent(None if self._asked else 0.1)
            self._asked = now
        return self._percent


_cpu = _Cpu()
