"""The engine alone, in processes of its own: what any server around it is measured against."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
import wave
from collections.abc import Sequence
from types import TracebackType
from typing import Any


class Bare:
    """One process with the engine as its package gives it, one thread; it speaks what it is told and says how long."""

    def __enter__(self) -> Bare:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.bare"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.finish(self.start(["Warm up."]))
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    def start(self, texts: Sequence[str]) -> None:
        """Begins to speak the texts, one after the other."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(list(texts)) + "\n")
        self._process.stdin.flush()

    def finish(self, _: None = None) -> dict[str, Any]:
        """Waits; ``seconds`` per text, ``audio_seconds`` and ``cpu_seconds`` in all."""
        assert self._process.stdout is not None
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found


def main() -> None:
    """Reads lists of texts, a line each, until the end of input."""
    from hibari import Hibari

    engine = Hibari()
    for line in sys.stdin:
        seconds, audio, cpu = [], 0.0, time.process_time()
        for text in json.loads(line):
            began = time.perf_counter()
            samples = engine(text, seed=0)
            _wav(samples, engine.sample_rate)
            seconds.append(time.perf_counter() - began)
            audio += len(samples) / engine.sample_rate
        answer = {"seconds": seconds, "audio_seconds": audio, "cpu_seconds": time.process_time() - cpu}
        print(json.dumps(answer), flush=True)


def _wav(samples: Any, rate: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(rate)
        wav.writeframes((samples.clip(-1, 1) * 32767).astype("<i2").tobytes())
    return file.getvalue()


if __name__ == "__main__":
    main()
