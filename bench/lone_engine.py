"""``python -m bench.lone_engine THREADS``: our piper engine, which speaks in windows, beside the uncut graph.

Both run in one process with the threads of a live worker, in turns; the second is what a sentence costs at least.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from types import TracebackType
from typing import Any

THREADS = 2


class LoneEngine:
    """That process."""

    def __enter__(self) -> LoneEngine:
        argv = [sys.executable, "-m", "bench.lone_engine", str(THREADS)]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.speak("Warm up.")
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)

    def speak(self, text: str) -> dict[str, float]:
        """Seconds to the ``first`` part and ``total`` in windows, ``uncut`` in one go, and how the samples differ."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(text) + "\n")
        self._process.stdin.flush()
        found: dict[str, float] = json.loads(self._process.stdout.readline())
        return found


def main() -> None:
    """Reads texts, a line each, until the end of input."""
    import numpy as np

    from workers.tts import piper, piper_voice
    from workers.tts.onnx_session import open_session
    from workers.tts.provider import Utterance

    threads = int(sys.argv[1])
    # Without noise both give the same samples, if the windows are right.
    voice = replace(piper_voice.joe(), noise_scale=0.0, duration_noise_scale=0.0)
    cut = piper.PiperProvider(voice, threads, None)
    uncut = open_session(voice.model, threads)

    def whole(text: str) -> Any:
        parts = []
        for sentence in voice.sentences(text):
            feed = {
                "input": np.array([sentence.ids], np.int64),
                "input_lengths": np.array([len(sentence.ids)], np.int64),
                "scales": np.array([0.0, voice.length_scale, 0.0], np.float32),
            }
            parts.append(np.clip(uncut.run(None, feed)[0].ravel(), -1.0, 1.0))
        return np.concatenate(parts)

    for line in sys.stdin:
        text = json.loads(line)
        began = time.perf_counter()
        expected = whole(text)
        uncut_seconds = time.perf_counter() - began
        began = time.perf_counter()
        first, parts = 0.0, []
        for spoken in cut.stream(Utterance(text, "joe")):
            first = first or time.perf_counter() - began
            parts.append(spoken.clip.samples)
        total = time.perf_counter() - began
        samples = np.concatenate(parts)
        same = samples.shape == expected.shape
        difference = float(np.abs(samples - expected).max()) if same else 1.0
        found = {"first": first, "total": total, "uncut": uncut_seconds, "difference": difference}
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
