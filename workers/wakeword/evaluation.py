"""How good a detector is, told so that it can be trusted: false alarms an hour with their bounds, misses at each rate.

Nothing here has been seen in training. A detector is judged as it runs: scores smoothed over two windows, one event at
most in two seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from workers.wakeword.backdrop import Backdrop
from workers.wakeword.windows import Floats, batches

Scores = NDArray[np.float64]

SMOOTHED_OVER = 2
REFRACTORY_SECONDS = 2.0
# False accepts an hour that people ask for.
RATES = (10.0, 5.0, 2.0, 1.0, 0.5, 0.2, 0.1)
CONFIDENCE = 0.95

_SCORED_AT_ONCE = 4096
_CURVE_POINTS = 60
_TAIL_PEAKS = 20
# Scores saturate at 1.
_CLOSEST = 1e-6


class Scorer(Protocol):
    """What is judged: ``scorers.Scorer``, or a net whose frames are there already."""

    @property
    def window_frames(self) -> int:
        """How many frames a window has."""

    def scores(self, windows: Floats) -> Floats:
        """Probabilities (n,) of windows (n, window_frames, width)."""


@dataclass(frozen=True)
class Alarms:
    """What speech without the word scored: one smoothed score for each window of continuous rows."""

    rows: tuple[Scores, ...]
    hop_seconds: float

    @property
    def hours(self) -> float:
        """How long was listened."""
        return sum(len(row) for row in self.rows) * self.hop_seconds / 3600

    def events(self, threshold: float) -> int:
        """How often a detector with this threshold would have fired."""
        return sum(_events(row, threshold, self._rest) for row in self.rows)

    def peaks(self) -> Scores:
        """The highest scores that are not within one refractory time of each other, the highest first."""
        found: list[float] = []
        for row in self.rows:
            order = np.argsort(row)[::-1][:2000]
            taken = np.zeros(len(row), bool)
            for place in order:
                if not taken[place]:
                    found.append(float(row[place]))
                    taken[max(0, place - self._rest) : place + self._rest + 1] = True
                    if len(found) >= 500:
                        break
        return np.sort(np.array(found))[::-1]

    @property
    def _rest(self) -> int:
        return max(1, round(REFRACTORY_SECONDS / self.hop_seconds))


def _events(row: Scores, threshold: float, rest: int) -> int:
    count, free_from = 0, 0
    for place in map(int, np.flatnonzero(row >= threshold)):
        if place >= free_from:
            count, free_from = count + 1, place + rest
    return count


def smoothed(scores: NDArray[np.floating]) -> Scores:
    """The mean of each score and the one before it, as a detector takes it; the first has nothing before it."""
    padded = np.concatenate((np.zeros(SMOOTHED_OVER - 1), scores.astype(np.float64)))
    return np.convolve(padded, np.full(SMOOTHED_OVER, 1 / SMOOTHED_OVER), mode="valid")


def alarms(scorer: Scorer, others: Backdrop) -> Alarms:
    """What the detector makes of speech without the word."""
    numbers = np.arange(len(others))
    scores = np.concatenate(
        [np.zeros(0), *(scorer.scores(others.windows(numbers[part])) for part in batches(len(others), _SCORED_AT_ONCE))]
    )
    ends = np.cumsum(others.rows)
    rows = np.split(scores, ends[:-1]) if len(ends) else []
    return Alarms(tuple(smoothed(row) for row in rows), others.hop_seconds)


def heard(scorer: Scorer, clips: Sequence[Floats], stride: int) -> Scores:
    """The highest smoothed score of each clip, given as frames (n, width)."""
    best = []
    for frames in clips:
        starts = range(0, len(frames) - scorer.window_frames + 1, stride)
        windows = np.stack([frames[start : start + scorer.window_frames] for start in starts])
        best.append(float(smoothed(scorer.scores(windows)).max()))
    return np.array(best)


def bound_per_hour(events: int, hours: float, confidence: float = CONFIDENCE) -> float:
    """The rate that is exceeded with 1 - ``confidence`` only, given so many events in so many hours (Garwood 1936)."""
    return float(stats.chi2.ppf(confidence, 2 * (events + 1)) / 2 / hours) if hours > 0 else float("inf")


def share_bound(missed: int, clips: int, confidence: float = CONFIDENCE) -> float:
    """The share that is exceeded with 1 - ``confidence`` only, given so many of so many (Clopper and Pearson 1934)."""
    return 1.0 if missed >= clips else float(stats.beta.ppf(confidence, missed + 1, clips - missed))


def threshold_for(listened: Alarms, target_per_hour: float) -> float:
    """The lowest threshold that keeps to so many false accepts an hour, judged by these hours.

    Where they are too few to show the rate, the tail of their peaks is followed to it: peaks above a high level fall
    off exponentially in their logit (Balkema and de Haan 1974, Pickands 1975).
    """
    peaks = listened.peaks()
    if not len(peaks):
        return 0.5
    logits = _logit(peaks)
    allowed = int(target_per_hour * listened.hours)
    shown = logits[allowed] if allowed < len(logits) else logits[-1]
    found = shown
    if allowed < 3 and len(logits) > _TAIL_PEAKS:
        level = logits[_TAIL_PEAKS]
        scale = float(np.mean(logits[:_TAIL_PEAKS] - level))
        followed = level + scale * np.log(_TAIL_PEAKS / max(1e-6, listened.hours * target_per_hour))
        # Never below what was seen, and hardly above all that was.
        found = min(max(followed, shown), logits[0] + scale)
    return float(min(0.999, max(0.05, _sigmoid(found + 1e-3))))


@dataclass(frozen=True)
class OperatingPoint:
    """What happens at one threshold. ``supported``: one event in these hours is no more than the rate."""

    target_per_hour: float
    supported: bool
    threshold: float
    events: int
    hours: float
    per_hour: float
    bound_per_hour: float
    misses: dict[str, float]


def operating_point(
    listened: Alarms, said: dict[str, Scores], *, threshold: float, target_per_hour: float
) -> OperatingPoint:
    """Events and misses at a threshold; ``said`` are scores of the word under each condition."""
    events, hours = listened.events(threshold), listened.hours
    return OperatingPoint(
        target_per_hour=target_per_hour,
        supported=hours * target_per_hour >= 1,
        threshold=round(threshold, 5),
        events=events,
        hours=round(hours, 4),
        per_hour=round(events / hours, 4) if hours else 0.0,
        bound_per_hour=round(bound_per_hour(events, hours), 4) if hours else 0.0,
        misses={name: round(float((scores < threshold).mean()), 4) for name, scores in said.items() if len(scores)},
    )


def curve(listened: Alarms, said: dict[str, Scores]) -> list[dict[str, float]]:
    """The DET curve: false accepts an hour and misses (0..1) under each condition, from low thresholds to high."""
    peaks = listened.peaks()
    if not len(peaks):
        return []
    at = np.unique(np.concatenate((peaks, np.linspace(0.01, 0.99, 25), *said.values())))
    points = []
    for threshold in map(float, np.unique(np.quantile(at, np.linspace(0, 1, _CURVE_POINTS)))):
        point = operating_point(listened, said, threshold=threshold, target_per_hour=1.0)
        misses = {f"misses_{name}": share for name, share in point.misses.items()}
        alarmed = {name: getattr(point, name) for name in ("events", "bound_per_hour")}
        points.append({"threshold": point.threshold, "false_accepts_per_hour": point.per_hour, **alarmed, **misses})
    return points


def oracle_points(listened: Alarms, said: dict[str, Scores], rates: Sequence[float] = RATES) -> list[OperatingPoint]:
    """For each rate the point with the lowest threshold that keeps to it here: for comparing, not for promising."""
    points = []
    peaks = listened.peaks()
    for rate in rates:
        allowed = int(rate * listened.hours)
        threshold = float(np.nextafter(peaks[allowed], 2)) if allowed < len(peaks) else 0.0
        points.append(operating_point(listened, said, threshold=threshold, target_per_hour=rate))
    return points


def _logit(scores: Scores) -> Scores:
    inside = np.clip(scores, _CLOSEST, 1 - _CLOSEST)
    return np.log(inside / (1 - inside))


def _sigmoid(logit: float) -> float:
    return float(1 / (1 + np.exp(-logit)))
