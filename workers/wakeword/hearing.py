"""A recording of any length is listened to for a word, piece by piece, so that a long one takes no more memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workers.audio import decoding
from workers.audio.clip import Clip
from workers.audio.decoding import Bounds
from workers.audio.pcm import finite
from workers.errors import BadInput
from workers.wakeword.detector import RATES_HZ, Detection, Detector

# What is listened to between two looks at whether anybody still waits: a fraction of a second of work.
CHANNELS_MAX = 32
PIECE_SECONDS = 10
# Whoever has more to listen to sends it in parts: this much keeps its worker, and who waits behind it, for five to ten
# seconds.
LONGEST_SECONDS = 30 * 60
# A word at the very end scores highest a little after it.
_TAIL_SECONDS = 0.5


@dataclass(frozen=True)
class Heard:
    """What a recording of ``seconds`` was found to hold; ``confidence`` is the highest smoothed score in it, 0..1."""

    seconds: float
    confidence: float
    detections: tuple[Detection, ...]
    took_seconds: float


def hear(file: Path, detector: Detector, report: Callable[[float], None]) -> Heard:
    """Listens to an audio file of any usual format, rate and number of channels, with a detector that is fresh.

    ``report`` is told after every piece how many seconds have been heard, and may stop it by an error.

    Raises:
        BadInput: it is no audio file, holds no sound, or lasts more than ``LONGEST_SECONDS``.
    """
    began = time.perf_counter()
    bounds = Bounds(LONGEST_SECONDS, RATES_HZ, CHANNELS_MAX)
    seconds, rate = 0.0, 0
    confidence, detections = 0.0, []
    for piece in _with_tail(decoding.pieces(file, bounds, seconds=PIECE_SECONDS)):
        rate = piece.sample_rate_hz
        for score in detector.feed(finite(piece.samples), rate):
            confidence = max(confidence, score.smoothed)
            if score.detected:
                detections.append(Detection(score.time_seconds, score.smoothed))
        seconds += piece.duration_seconds
        report(seconds)
    if not rate:
        raise BadInput("there is no sound in the file", code="no_sound")
    return Heard(seconds - _TAIL_SECONDS, confidence, tuple(detections), time.perf_counter() - began)


def _with_tail(pieces: Iterator[Clip]) -> Iterator[Clip]:
    rate = 0
    for piece in pieces:
        rate = piece.sample_rate_hz
        yield piece
    if rate:
        yield Clip(np.zeros(round(_TAIL_SECONDS * rate), np.float32), rate)
