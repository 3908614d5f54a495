"""One spoken request, through the real queue and the real engine."""

from __future__ import annotations

import io
from typing import Any

import soundfile

HELLO = {"text": "Hello, welcome to the lesson.", "voice_id": "nova"}


def test_a_text_is_spoken_once_and_found_the_second_time(client: Any, customer: dict[str, str], worker: Any) -> None:
    first = client.post("/api/tts", json=HELLO, headers=customer)
    second = client.post("/api/tts", json=HELLO, headers=customer)
    assert (first.status_code, first.headers["X-TTS-Cache-Status"]) == (200, "miss")
    assert (second.status_code, second.headers["X-TTS-Cache-Status"]) == (200, "hit")
    assert first.data == second.data
    samples, rate = soundfile.read(io.BytesIO(first.data))
    assert rate == int(first.headers["X-TTS-Sample-Rate"]) == 24000
    assert abs(len(samples) / rate - float(first.headers["X-TTS-Duration-Seconds"])) < 0.001
    assert abs(samples).max() > 0.05
