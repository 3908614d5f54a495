"""Listens for a word: sound in, in pieces of any length and rate, scores and detections out.

Needs numpy, soxr and onnxruntime, and loads the last two only when the first detector is made.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workers.audio.pcm import SOXR_QUALITY
from workers.errors import BadInput
from workers.wakeword import features
from workers.wakeword.scorers import Scorer, open_scorer
from workers.wakeword.spectrum import CHUNK, RATE_HZ, Floats

__all__ = ["Detection", "Detector", "Score", "Scorer", "feed_together", "open_scorer"]

# What microphones and files have; soxr itself takes anything.
RATES_HZ = (4_000, 192_000)
# A long file is looked at in pieces, so that its windows never are in memory together.
_PIECE_SECONDS = 20
# A word at the very end of a file scores highest a little after it.
_TAIL_SECONDS = 0.5


@dataclass(frozen=True)
class Score:
    """What was thought of the two seconds before ``time_seconds`` after the start of the sound.

    ``score`` is the net's, ``smoothed`` the mean of the last few, both 0..1. ``detected`` is true once for each time
    that the word is heard.
    """

    time_seconds: float
    score: float
    smoothed: float
    detected: bool


@dataclass(frozen=True)
class Detection:
    """The word was heard, just before ``time_seconds``; ``score`` is the smoothed one."""

    time_seconds: float
    score: float


class Detector:
    """One listener to one stream for one word. The stream begins as if there had been silence before.

    Not for two threads at once. A model's scorer may be shared by any number of detectors.
    """

    def __init__(
        self,
        model: Scorer | bytes | Path,
        *,
        threshold: float = 0.5,
        smoothing_windows: int = 2,
        refractory_seconds: float = 2.0,
    ) -> None:
        """Makes a detector that fires where the mean of so many scores reaches ``threshold``, then rests.

        Raises:
            BadInput: the file is no model, or a number makes no sense.
        """
        if not 0 <= threshold <= 1:
            raise BadInput(f"threshold {threshold} is outside 0 to 1", code="bad_threshold")
        if smoothing_windows < 1:
            raise BadInput(f"smoothing over {smoothing_windows} windows: at least 1", code="bad_smoothing")
        if not refractory_seconds >= 0:
            raise BadInput(f"a refractory time of {refractory_seconds} s makes no sense", code="bad_refractory")
        self.scorer = open_scorer(model) if isinstance(model, bytes | Path) else model
        self.threshold = threshold
        self.smoothing_windows = smoothing_windows
        self.refractory_seconds = refractory_seconds
        self._stream, self._recent = self.scorer.frontend.after_silence(self.scorer.window_frames)
        self._last = deque([0.0] * smoothing_windows, maxlen=smoothing_windows)
        self._chunks = 0
        self._rests_until = 0.0
        self._rate = RATE_HZ
        self._resampler: Any = None

    def feed(self, samples: Floats, rate: int = RATE_HZ) -> list[Score]:
        """The scores that these samples complete: one for each 80 ms (160 ms for nets from scratch).

        The samples are mono, in -1..1, shape (n,); the rate may change from call to call.

        Raises:
            BadInput: the rate is outside 4 to 192 kHz, or the samples are not of one channel.
        """
        step = _PIECE_SECONDS * rate
        scores = []
        for start in range(0, max(1, len(samples)), max(1, step)):
            scores += feed_together([(self, samples[start : start + step], rate)])[0]
        return scores

    def hear(self, samples: Floats, rate: int = RATE_HZ) -> list[Score]:
        """The scores of a whole recording, silence around it. What this detector has heard so far is not touched."""
        fresh = Detector(
            self.scorer,
            threshold=self.threshold,
            smoothing_windows=self.smoothing_windows,
            refractory_seconds=self.refractory_seconds,
        )
        tail = np.zeros(round(_TAIL_SECONDS * rate), np.float32)
        return fresh.feed(samples, rate) + fresh.feed(tail, rate)

    def scan(self, samples: Floats, rate: int = RATE_HZ) -> list[Detection]:
        """Every time that the word is in a recording."""
        return [Detection(score.time_seconds, score.smoothed) for score in self.hear(samples, rate) if score.detected]

    def _at_own_rate(self, samples: Floats, rate: int) -> Floats:
        if not RATES_HZ[0] <= rate <= RATES_HZ[1]:
            raise BadInput(f"a rate of {rate} Hz is outside {RATES_HZ[0]} to {RATES_HZ[1]}", code="bad_sample_rate")
        if samples.ndim != 1:
            raise BadInput(f"samples of shape {samples.shape} are not of one channel", code="bad_samples")
        left = np.zeros(0, np.float32)
        if rate != self._rate:
            # What the old one still holds is heard before what comes now.
            if self._resampler is not None:
                left = self._resampler.resample_chunk(left, last=True)
            self._rate, self._resampler = rate, None
            if rate != RATE_HZ:
                import soxr

                self._resampler = soxr.ResampleStream(rate, RATE_HZ, 1, dtype="float32", quality=SOXR_QUALITY)
        samples = np.ascontiguousarray(samples, np.float32)
        now = samples if self._resampler is None else self._resampler.resample_chunk(samples)
        return np.concatenate((left, now))

    def _windows(self, frames: Floats) -> tuple[Floats, list[int]]:
        """The windows that are to be scored, and after how many chunks of the stream each ends."""
        front, length = self.scorer.frontend, self.scorer.window_frames
        joined = np.concatenate((self._recent, frames))
        self._recent = joined[-length:]
        before, self._chunks = self._chunks, self._chunks + len(frames) // front.chunk_frames
        ends = [chunk for chunk in range(before + 1, self._chunks + 1) if chunk % front.score_chunks == 0]
        starts = [(chunk - before) * front.chunk_frames for chunk in ends]
        if not ends:
            return np.zeros((0, length, front.width), np.float32), []
        return np.stack([joined[start : start + length] for start in starts]), ends

    def _judge(self, chunk: int, score: float) -> Score:
        time_seconds = chunk * CHUNK / RATE_HZ
        self._last.append(score)
        smoothed = sum(self._last) / len(self._last)
        detected = smoothed >= self.threshold and time_seconds >= self._rests_until
        if detected:
            self._rests_until = time_seconds + self.refractory_seconds
        return Score(time_seconds, score, smoothed, detected)


def feed_together(fed: Sequence[tuple[Detector, Floats, int]]) -> list[list[Score]]:
    """What each detector gives for its (samples, rate), with the nets run once for all.

    The frontend is run once for all streams, and each model once for all detectors that share its scorer: ten streams
    through the speech embedding cost well under ten times one. Each detector may occur once.

    Raises:
        BadInput: as ``Detector.feed``.
    """
    pieces = [detector._at_own_rate(samples, rate) for detector, samples, rate in fed]
    frames = features.feed_together(
        [(detector._stream, piece) for (detector, _, _), piece in zip(fed, pieces, strict=True)]
    )
    waiting = [detector._windows(own) for (detector, _, _), own in zip(fed, frames, strict=True)]
    by_scorer: dict[int, list[int]] = {}
    for number, (detector, _, _) in enumerate(fed):
        by_scorer.setdefault(id(detector.scorer), []).append(number)
    results: list[list[Score]] = [[] for _ in fed]
    for numbers in by_scorer.values():
        scorer = fed[numbers[0]][0].scorer
        scores = iter(scorer.scores(np.concatenate([waiting[number][0] for number in numbers])).tolist())
        for number in numbers:
            results[number] = [fed[number][0]._judge(chunk, next(scores)) for chunk in waiting[number][1]]
    return results
