"""The ends of a spoken piece: engines leave silence there, and may end loud."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workers.audio.clip import Clip, silent_ends

# The pauses between pieces are ours to make. Less than this would cut soft consonants.
KEPT_SECONDS = 0.05
# Too short to be heard as a fade, long enough not to be heard as a click.
FADE_SECONDS = 0.005

Samples = NDArray[np.float32]
_NOTHING: Samples = np.zeros(0, np.float32)


class Edges:
    """Takes the parts of one piece as they come and gives its sound with short silences and no click at the ends.

    What may turn out to be the end is held back: silence, or the last 5 ms. Inside the piece nothing is changed.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._keep = round(KEPT_SECONDS * sample_rate_hz)
        self._fade = round(FADE_SECONDS * sample_rate_hz)
        self._held = _NOTHING
        self._begun = False
        self._ends_silent = True
        # How much silence was given after the last sound.
        self._quiet = 0
        self.given = 0

    def add(self, part: Clip) -> tuple[Samples, int]:
        """The sound that is ready, and the place of the part's first sample in the piece (below 0 when it was cut)."""
        samples, cut = part.samples, 0
        ends = silent_ends(part)
        before, after = (round(seconds * part.sample_rate_hz) for seconds in ends)
        starts_at = self.given + len(self._held)
        if sum(ends) >= part.duration_seconds:
            # Nothing but silence: what it is shows when sound follows, or none does.
            self._held = np.concatenate([self._held, samples])
            if not self._begun:
                self._held = self._held[-self._keep :]
            self._ends_silent |= len(samples) > 0
            return _NOTHING, starts_at
        whole = np.concatenate([self._held, samples])
        if not self._begun:
            cut = max(0, starts_at + before - self._keep)
            whole = whole[cut:]
            if starts_at + before == 0:
                whole[: self._fade] *= _ramp(len(whole[: self._fade]))
            self._begun = True
        self._ends_silent = after > 0
        hold = min(len(samples), max(after - self._keep, self._fade))
        self._quiet = after - hold
        ready, self._held = whole[: len(whole) - hold], whole[len(whole) - hold :]
        self.given += len(ready)
        return ready, starts_at - cut

    def end(self) -> Samples:
        """The rest of the piece."""
        rest, self._held = self._held, _NOTHING
        if not self._begun:
            return _NOTHING
        if self._ends_silent:
            return rest[: self._keep - self._quiet]
        return rest * _ramp(len(rest))[::-1]


def _ramp(length: int) -> Samples:
    return np.arange(length, dtype=np.float32) / np.float32(max(1, length))
