"""Stored files: immutable, named by the SHA-256 of what they hold, in one folder that may be a shared mount.

A file is written before the row that points to it and removed after; one without a row is left for a grace period,
because the row may be about to be written.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

# Far longer than the time between writing a file and committing its row.
GRACE_SECONDS = 3600.0
_NAMES_AT_ONCE = 1000
# Another disk, or one that knows no links, or not for others' files.
_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP)


class FileStore:
    """put, take, path, size, exists, remove, and three for cleaning up. Object storage could stand behind the same."""

    def __init__(self, root: Path) -> None:
        # Made before it is resolved: a link that leads nowhere, as to a disk that is away, is an error.
        root.mkdir(parents=True, exist_ok=True)
        # A link that puts it on another disk is the operator's; it is followed here, once, and no other ever is.
        self._root = root.resolve()
        self._unfinished = self._root / "unfinished"
        self._unfinished.mkdir(exist_ok=True)

    @property
    def root(self) -> Path:
        """The folder that holds the files, without links."""
        return self._root

    def put(self, content: bytes) -> str:
        """The name (SHA-256 in hexadecimal) under which ``content`` is now kept, durably.

        Raises:
            OSError: the disk is full or broken; nothing is left behind.
        """

        def write(draft: Path) -> None:
            with draft.open("xb") as file:
                file.write(content)

        return self._kept(hashlib.sha256(content).hexdigest(), write)

    def take(self, path: Path) -> str:
        """The name under which a file of any size is now kept, durably; nobody may write to it any more.

        Raises:
            OSError: the disk is full or broken; nothing is left behind.
        """

        def write(draft: Path) -> None:
            try:
                # On the same disk it is there already.
                draft.hardlink_to(path)
                # However long ago it was made: a sweep must not take it before its row is there.
                os.utime(draft)
            except OSError as fault:
                if fault.errno not in _NO_LINK:
                    raise
                shutil.copyfile(path, draft)

        with path.open("rb") as file:
            return self._kept(hashlib.file_digest(file, "sha256").hexdigest(), write)

    def _kept(self, name: str, write: Callable[[Path], None]) -> str:
        target = self.path(name)
        if target.exists():
            # Fresh again: a sweep must not take what a row is about to point to.
            os.utime(target)
            return name
        if not target.parent.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            _sync(self._root)
        draft = self._unfinished / f"{name}.{os.getpid()}.{time.monotonic_ns()}"
        try:
            write(draft)
            _sync(draft)
            draft.replace(target)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        # The name itself is durable only once its folder is.
        _sync(target.parent)
        return name

    def path(self, name: str) -> Path:
        """Where a file lies, there or not.

        Raises:
            ValueError: ``name`` is not one of ours.
        """
        if len(name) != 64 or not set(name) <= set("0123456789abcdef"):
            raise ValueError(f"{name!r} is not the name of a stored file")
        return self._root / name[:2] / name

    def size(self, name: str) -> int:
        """The size of a stored file in bytes."""
        return self.path(name).stat().st_size

    def exists(self, name: str) -> bool:
        """Whether the file is there."""
        return self.path(name).exists()

    def is_empty(self) -> bool:
        """Whether not one file is stored, as in a folder whose disk is not mounted."""
        return next(self._root.glob("??/*"), None) is None

    def remove(self, names: Iterable[str]) -> None:
        """Removes files whose rows are gone; those that are not there are no error."""
        for name in names:
            self.path(name).unlink(missing_ok=True)

    def strays(
        self, known: Callable[[list[str]], set[str]], *, older_than_seconds: float = GRACE_SECONDS
    ) -> Iterator[Path]:
        """Files that no row points to, beyond their grace period.

        ``known`` is given some names at a time and says which of them rows point to. A link, or a file of another name
        than ours, is nobody's stored file; no link is followed.
        """
        than = time.time() - older_than_seconds
        folders = (folder for folder in self._root.glob("??") if folder.is_dir() and not folder.is_symlink())
        named = (path for folder in folders for path in folder.iterdir() if self._is_stored(path))
        old = _older(named, than)
        while some := list(islice(old, _NAMES_AT_ONCE)):
            kept = known([path.name for path in some])
            # Once more, just before it goes: it may have been put again since, for a row that is not there yet.
            yield from _older((path for path in some if path.name not in kept), than)

    def _is_stored(self, path: Path) -> bool:
        with suppress(ValueError):
            return self.path(path.name) == path
        return False

    def drafts(self, *, older_than_seconds: float = GRACE_SECONDS) -> Iterator[Path]:
        """What was begun to be written and never finished, beyond its grace period."""
        return _older(self._unfinished.iterdir(), time.time() - older_than_seconds)


def _older(paths: Iterable[Path], than: float) -> Iterator[Path]:
    for path in paths:
        # Gone by now: a draft that got its name, a file that another sweep removed.
        with suppress(FileNotFoundError):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_mtime < than:
                yield path


def _sync(path: Path) -> None:
    """Everything of a file, or the names in a folder, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
