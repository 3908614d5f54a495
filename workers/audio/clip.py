"""A piece of sound in memory, and what is done where pieces meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.errors import BadInput

# -60 dBFS: a step of this size is not heard, and an engine's silence lies below it (hibari's is exactly 0).
_INAUDIBLE = 1e-3
# Below the loudest sample by this factor (-50 dB) is silence too, for engines whose silence hisses.
_HISS = 10 ** (-50 / 20)


@dataclass(frozen=True)
class Clip:
    """Mono sound: ``samples`` is float32 in -1..1, shape (n,), at ``sample_rate_hz``."""

    samples: NDArray[np.float32]
    sample_rate_hz: int

    @property
    def duration_seconds(self) -> float:
        """How long it lasts."""
        return len(self.samples) / self.sample_rate_hz


def silence(seconds: float, sample_rate_hz: int) -> Clip:
    """Nothing, for that long."""
    return Clip(np.zeros(round(seconds * sample_rate_hz), np.float32), sample_rate_hz)


def join(clips: Sequence[Clip], sample_rate_hz: int) -> Clip:
    """The clips one after the other, every sample as it was; all at ``sample_rate_hz``."""
    parts = [clip.samples for clip in clips]
    return Clip(np.concatenate(parts) if parts else np.zeros(0, np.float32), sample_rate_hz)


def join_smoothly(clips: Sequence[Clip], sample_rate_hz: int) -> Clip:
    """The clips one after the other without a click between them: each ``faded``."""
    return join([faded(clip) for clip in clips], sample_rate_hz)


def faded(clip: Clip, seconds: float = 0.005) -> Clip:
    """The clip with its ends brought to zero where they are not nearly zero already, so that it joins anything.

    Five milliseconds are too short to be heard as a fade and long enough not to be heard as a click. A clip with quiet
    ends is returned as it is, so fading twice changes nothing.
    """
    samples = clip.samples
    if not len(samples):
        return clip
    loud_start, loud_end = (abs(float(samples[at])) > _INAUDIBLE for at in (0, -1))
    if not loud_start and not loud_end:
        return clip
    # At most half the clip, rounded up, so that a clip of one sample fades too.
    length = max(1, min(round(seconds * clip.sample_rate_hz), (len(samples) + 1) // 2))
    ramp = np.arange(length, dtype=np.float32) / np.float32(length)
    samples = samples.copy()
    if loud_start:
        samples[:length] *= ramp
    if loud_end:
        samples[-length:] *= ramp[::-1]
    return Clip(samples, clip.sample_rate_hz)


def silent_ends(clip: Clip) -> tuple[float, float]:
    """How many seconds of silence it begins and ends with; half of it each where there is nothing else."""
    level = np.abs(clip.samples)
    loud = np.flatnonzero(level > max(_INAUDIBLE, float(level.max(initial=0.0)) * _HISS))
    if not len(loud):
        return clip.duration_seconds / 2, clip.duration_seconds / 2
    return float(loud[0]) / clip.sample_rate_hz, float(len(level) - 1 - loud[-1]) / clip.sample_rate_hz


def trim_silence(clip: Clip, keep_seconds: float) -> Clip:
    """The clip with at most ``keep_seconds`` of silence at each end.

    Keep 0.05 or more: soft consonants (the end of "six") lie up to 35 ms outside what ``silent_ends`` calls loud. What
    is cut from the front is ``max(0, silent_ends(clip)[0] - keep_seconds)``: word times move by as much.
    """
    before, after = (max(0, round((end - keep_seconds) * clip.sample_rate_hz)) for end in silent_ends(clip))
    return Clip(clip.samples[before : len(clip.samples) - after], clip.sample_rate_hz)


def too_long(seconds_max: float) -> BadInput:
    """Of sound that lasts longer than it may."""
    return BadInput(f"the sound lasts more than {seconds_max:g} s", code="too_long")
