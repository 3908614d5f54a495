"""Transcribers, who claim a sound, hear it and hand a text in; and who brings sounds when there are none."""

from __future__ import annotations

import io
import random
import threading
import wave
import zipfile

from bench.load.asking import Line, Who
from bench.load.ledger import Ledger

TYPISTS = 3
_AT_ONCE = 24
_HERTZ = 8000
_THINK_SECONDS = (0.5, 1.5)


class Typist(threading.Thread):
    """One transcriber, with a key that acts as them alone."""

    def __init__(
        self, who: Who, number: int, ledger: Ledger, over: threading.Event, wanting: threading.Event, seed: int
    ) -> None:
        super().__init__(name=who.name, daemon=True)
        self._number, self._over, self._wanting = number, over, wanting
        self._line, self._chance = Line(who, ledger), random.Random(f"{seed} {who.name}")

    def run(self) -> None:
        """Until it is over."""
        while not self._over.is_set():
            answer = self._line.ask("claim", "POST", "/api/tasks/request", json={"agent_id": self._number})
            if answer is None or not answer.ok:
                self._over.wait(1.0)
            elif (task := answer.json()["task_id"]) is None:
                self._wanting.set()
                self._over.wait(1.0)
            else:
                self._line.ask("sound", "GET", f"/api/audio/stream/{task}/{self._number}")
                self._over.wait(self._chance.uniform(*_THINK_SECONDS))
                body = {"agent_id": self._number, "transcription": f"What {self._number} heard of {task}."}
                self._line.ask("submit", "POST", f"/api/tasks/{task}/submit", json=body)


class Bringer(threading.Thread):
    """Brings sounds in zips whenever somebody has nothing to do."""

    def __init__(self, who: Who, ledger: Ledger, over: threading.Event, wanting: threading.Event, seed: int) -> None:
        super().__init__(name="bringer of sound", daemon=True)
        self._line, self._over, self._wanting = Line(who, ledger), over, wanting
        self._chance, self._brought = random.Random(f"{seed} brings"), 0

    def run(self) -> None:
        """Until it is over."""
        while not self._over.is_set():
            if self._wanting.wait(0.5):
                self._bring()
                self._wanting.clear()
                self._over.wait(1.0)

    def _bring(self) -> None:
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w") as archive:
            for _ in range(_AT_ONCE):
                self._brought += 1
                archive.writestr(f"take_{self._brought:06}.wav", self._sound())
        files = {"file": ("takes.zip", held.getvalue(), "application/zip")}
        self._line.ask("bring sounds", "POST", "/api/transcription/import", files=files)

    def _sound(self) -> bytes:
        file = io.BytesIO()
        with wave.open(file, "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(_HERTZ)
            sound.writeframes(self._chance.randbytes(2 * _HERTZ))
        return file.getvalue()
