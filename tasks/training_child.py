"""The child process that trains: started in a folder that is its alone, heard line by line, stopped within seconds."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import select
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from config.child import POLL_SECONDS, Child
from workers.errors import RetryLater

log = logging.getLogger(__name__)

# A command that trains instead of ours, for tests of what is around it.
TRAINER = "WORKER_TRAINER"
# Speech that somebody waits for goes first (docs/architecture.md, "Lanes").
NICE = 10
# All it has is in its folder: it may go at once.
STOP_SECONDS = 2.0
_BLOCK_BYTES = 2**16
# A whole report is in a file; a line says one thing.
_LINE_BYTES_MAX = 2**20


def argv(module: str, folder: Path) -> list[str]:
    """What trains in a folder; tests of what is around it name another program."""
    ours = [sys.executable, "-m", module]
    return [*(shlex.split(os.environ.get(TRAINER, "")) or ours), str(folder)]


class TrainingChild:
    """The child while the block runs; whatever ends the block ends the child, and all that it has started.

    Raises:
        RetryLater: on entering, while the child of a former worker has not let go of the folder.
    """

    def __init__(self, folder: Path, module: str) -> None:
        self._folder = folder
        self._rest = b""
        self._child = Child(
            name="trainer",
            argv=argv(module, folder),
            log_path=folder / "child.log",
            cwd=Path(__file__).parents[1],
            nice=NICE,
            grace_seconds=STOP_SECONDS,
            speaks=True,
        )

    def __enter__(self) -> TrainingChild:
        # Held by the child for as long as it lives: two in one folder would spoil each other's work.
        lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                message = "The training's former process has not ended yet."
                raise RetryLater(message, code="folder_in_use") from None
            self._child.pass_fds = (lock,)
            self._child.start()
        finally:
            os.close(lock)
        return self

    def __exit__(self, *_: object) -> None:
        self._child.stop()
        self._child.output.close()

    @property
    def pid(self) -> int | None:
        """The number of its process."""
        return self._child.pid

    def messages(self, pause_seconds: float) -> Iterator[dict[str, Any] | None]:
        """What it says until its end; None whenever it has said nothing for ``pause_seconds``."""
        output = self._child.output
        while True:
            if not select.select([output], [], [], pause_seconds)[0]:
                # What it left behind may hold its end of the pipe; nobody speaks there any more.
                if not self._child.alive:
                    return
                yield None
                continue
            block = os.read(output.fileno(), _BLOCK_BYTES)
            if not block:
                break
            *lines, self._rest = (self._rest + block).split(b"\n")
            self._rest = self._rest[-_LINE_BYTES_MAX:]
            for line in lines:
                if (message := _message(line)) is not None:
                    yield message
        spoke_at = time.monotonic()
        while self._child.alive:
            time.sleep(POLL_SECONDS)
            if time.monotonic() - spoke_at >= pause_seconds:
                spoke_at = time.monotonic()
                yield None

    def died_of(self) -> str:
        """How it ended, in words; its last lines are logged."""
        code = self._child.poll()
        log.warning("The training's process ended with %s; its last lines:\n%s", code, self._child.log_tail())
        if code == -signal.SIGKILL:
            return f"signal {signal.SIGKILL:d} (as where the memory does not suffice)"
        return f"signal {-code}" if code is not None and code < 0 else f"status {code}"


def _message(line: bytes) -> dict[str, Any] | None:
    """What a line says; None where it is no message of ours."""
    try:
        said = json.loads(line)
    except ValueError:
        said = None
    if isinstance(said, dict) and isinstance(said.get("type"), str):
        return said
    if line.strip():
        log.warning("The training's process said what nobody understands: %r", line[:200])
    return None
