"""One owner at a time: a lock on what must not be run twice, and the end of what a former owner left behind."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from config.child import POLL_SECONDS, StartFailed

# Every process of an owner carries the owner's lock in this variable, and so do all that it starts in turn.
_MARK = "VOICEWORKS_OWNER"
# A killed process is gone in milliseconds; only one that waits for a broken disk takes longer, and it harms nobody.
_KILL_SECONDS = 5.0


class AlreadyRunning(StartFailed):
    """Another process owns this."""


class Ownership:
    """Sole ownership of a lock file while the block runs.

    The kernel frees the lock when its holder dies, however it dies, so a file that is left behind is no obstacle. What
    the former owner left running is killed before the block begins and after it ends: leases and tokens make that
    harmless, whereas a forgotten server would hold the port and a forgotten worker would take jobs.

    Raises:
        AlreadyRunning: on taking it, naming the process that holds the lock.
        StartFailed: on taking it, where the folder cannot be written.
    """

    def __init__(self, lock_path: Path) -> None:
        self._path = lock_path.resolve()
        self._descriptor = -1

    @property
    def marks(self) -> Mapping[str, str]:
        """The environment that lets an owner to come recognise a process as a leftover of this one."""
        return {_MARK: str(self._path)}

    def take(self) -> Self:
        """Takes the lock and ends what a former owner left; for a block, use ``with``."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Not emptied on opening: until the lock is ours, the number in the file is another's.
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as fault:
            raise StartFailed(f"The folder for everything that is kept, VAR_DIR, cannot be used: {fault}.") from fault
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._descriptor, 32).decode().strip() or "unknown"
            os.close(self._descriptor)
            raise AlreadyRunning(
                f"Voiceworks already runs on {self._path.parent}: process {holder} holds {self._path.name}. "
                "Stop that one first, or choose another VAR_DIR."
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"{os.getpid()}\n".encode())
        self._end_leftovers()
        return self

    def release(self) -> None:
        """Ends what is left of ours and frees the lock."""
        self._end_leftovers()
        os.ftruncate(self._descriptor, 0)
        # Closing alone would leave the lock to a process that was forked from us without an exec.
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self.take()

    def __exit__(self, *_: object) -> None:
        self.release()

    def _end_leftovers(self) -> None:
        deadline = time.monotonic() + _KILL_SECONDS
        # Again until none is found: one may have started another while we looked.
        while (pids := _processes_with(f"{_MARK}={self._path}".encode())) and time.monotonic() < deadline:
            for pid in pids:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(POLL_SECONDS)


def _processes_with(variable: bytes) -> list[int]:
    """The live processes other than this one that were started with that variable in their environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if variable in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue  # ended while we looked, or another user's
    return [pid for pid in found if pid != os.getpid()]
