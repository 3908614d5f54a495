"""The engines alone, in processes of their own: what any server around them is measured against."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.peers.server import python_of_peers

_PROGRAM = Path(__file__).parent / "bare_engine.py"


class Bare:
    """One process with one engine as its package gives it; it speaks what it is told and says how long."""

    def __init__(self, engine: str, threads: int = 1) -> None:
        # piper's package is no part of ours.
        python = sys.executable if engine == "hibari" else python_of_peers()
        self._argv = [str(python), str(_PROGRAM), engine, str(threads)]

    def __enter__(self) -> Bare:
        # A session of its own, as our processes have: Linux shares the processors out among sessions first.
        self._process = subprocess.Popen(
            self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self.speak(["Warm up."])
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)

    def start(self, texts: Sequence[str]) -> None:
        """Begins to speak the texts, one after the other."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(list(texts)) + "\n")
        self._process.stdin.flush()

    def finish(self) -> dict[str, Any]:
        """Waits; ``first_seconds`` and ``seconds`` per text, ``audio_seconds`` and ``cpu_seconds`` in all."""
        assert self._process.stdout is not None
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found

    def speak(self, texts: Sequence[str]) -> dict[str, Any]:
        """Both."""
        self.start(texts)
        return self.finish()


@dataclass(frozen=True)
class Alone:
    """What engines without a server did in so many seconds."""

    seconds: float
    audio_seconds: float
    cpu_seconds: float


def share_out(engines: Sequence[Bare], texts: Sequence[str]) -> Alone:
    """The texts, shared out among the processes beforehand."""
    began = time.perf_counter()
    for place, engine in enumerate(engines):
        engine.start(texts[place :: len(engines)])
    found = [engine.finish() for engine in engines]
    seconds = time.perf_counter() - began
    return Alone(seconds, sum(each["audio_seconds"] for each in found), sum(each["cpu_seconds"] for each in found))
