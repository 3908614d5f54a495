"""What a cleanup removes: a table of sweeps, one for each idea, each of which finds its candidates for itself.

A dry run and a real one find the same; a real one removes each candidate as it comes. Whatever may be removed is looked
at once more just before: two cleanups at once, and everything else that runs, are no danger to one another.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from models.files import GRACE_SECONDS
from tasks.process import Process

HOUR_SECONDS = 3600.0


@dataclass(frozen=True)
class Count:
    """What was removed, or would be."""

    files: int = 0
    size_bytes: int = 0
    rows: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.files + other.files, self.size_bytes + other.size_bytes, self.rows + other.rows)


NOTHING = Count()


@dataclass(frozen=True)
class Candidate:
    """Something that nobody needs: ``remove`` gives what really went, of which others may have taken a part."""

    what: str
    count: Count
    remove: Callable[[], Count]


@dataclass(frozen=True)
class Ground:
    """Where sweeps walk, and by what they go.

    Attributes:
        max_age_seconds: Instead of each thing's own retention; None where nobody chose one.
        now: The time in seconds since 1970 by which files are old.
        breathe: Called every now and then; raises ``Stopped`` when nobody wants the cleanup any more.
        failed: Told of what could not be looked at or removed, in a sentence.
    """

    process: Process
    now: float
    max_age_seconds: float | None = None
    breathe: Callable[[], None] = field(default=lambda: None)
    failed: Callable[[str], None] = field(default=lambda sentence: None)

    @property
    def root(self) -> Path:
        """The folder beyond which nothing is touched, but for stored files that an operator put elsewhere."""
        return self.process.settings.var_dir.resolve()

    def age(self, own_seconds: float, *, at_least_seconds: float = GRACE_SECONDS) -> float:
        """How old something must be: its own retention or what was asked for, but never younger than its grace."""
        return max(own_seconds if self.max_age_seconds is None else self.max_age_seconds, at_least_seconds)

    def fault(self, what: str, fault: OSError) -> None:
        """Something could not be looked at or removed."""
        self.failed(f"{what}: {fault.strerror or fault}")

    def shown(self, path: Path) -> str:
        """A path as it is shown: within the folder of everything that is kept."""
        stored = self.process.files.root
        if path.is_relative_to(stored):
            # Which may lie elsewhere.
            return str("files" / path.relative_to(stored))
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else path.name

    def is_ours(self, folder: Path) -> bool:
        """Whether a folder is there, and no link leads to it: what lies behind one is not ours to remove.

        Stored files may lie elsewhere, by a link at ``files`` itself: their store knows where.
        """
        if not folder.is_dir():
            return False
        ours = (self.root, self.process.files.root)
        if folder.resolve() == folder and any(folder.is_relative_to(place) for place in ours):
            return True
        self.failed(f"{self.shown(folder)}: a link leads elsewhere; nothing behind it was touched")
        return False

    def old_file(self, path: Path, seconds: float) -> Candidate | None:
        """A file, or a link itself, that was not written for so long; None of anything else."""
        size = self._size_if_old(path, seconds)
        if size is None:
            return None

        def remove() -> Count:
            again = self._size_if_old(path, seconds)
            if again is None or path.parent.resolve() != path.parent:
                return NOTHING
            try:
                path.unlink()
            except FileNotFoundError:
                return NOTHING
            return Count(1, again)

        return Candidate(self.shown(path), Count(1, size), remove)

    def _size_if_old(self, path: Path, seconds: float) -> int | None:
        try:
            status = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            # Somebody was done with it.
            return None
        is_file = stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)
        return status.st_size if is_file and status.st_mtime < self.now - seconds else None


def walk(folder: Path, ground: Ground) -> Iterator[Path]:
    """Everything below a folder, the deepest first; links are shown, not followed."""

    def fault(fault: OSError) -> None:
        if not isinstance(fault, FileNotFoundError):
            ground.fault(ground.shown(Path(fault.filename)), fault)

    for place, folders, files in os.walk(folder, topdown=False, onerror=fault):
        for name in (*files, *folders):
            yield Path(place, name)


@dataclass(frozen=True)
class Sweep:
    """One idea of what nobody needs any more, and the targets that it belongs to."""

    name: str
    targets: frozenset[str]
    find: Callable[[Ground], Iterator[Candidate]]
