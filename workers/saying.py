"""How a process that works for another says what it does: lines of JSON on its standard output."""

from __future__ import annotations

import json
import os
import time
from typing import Any, TextIO

# What is heard of progress, at most: the listener writes a row for it.
REPORT_SECONDS = 0.25


class Voice:
    """What the process says, a line at a time; progress at most four times a second, and never back."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._phase = ""
        self._progress = 0.0
        self._at = 0.0

    @classmethod
    def alone_on_stdout(cls) -> Voice:
        """On the standard output; what any library prints from here on goes to the standard error."""
        voice = cls(os.fdopen(os.dup(1), "w", encoding="utf-8"))
        os.dup2(2, 1)
        return voice

    def say(self, **what: Any) -> None:
        """One line."""
        self._stream.write(json.dumps(what) + "\n")
        self._stream.flush()

    def progress(self, phase: str, progress: float) -> None:
        """How far it is, 0..1."""
        progress = max(self._progress, min(progress, 1.0))
        now = time.monotonic()
        if phase == self._phase and (progress == self._progress or now - self._at < REPORT_SECONDS):
            return
        self._phase, self._progress, self._at = phase, progress, now
        self.say(type="phase", phase=phase, progress=round(progress, 4))
