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
        self.given = 0

    def add(self, part: Clip) -> tuple[Samples, int]:
        """The sound that is ready, and the place of the part's first sample in the piece (below 0 when it was cut)."""
        samples, cut = part.samples, 0
        before, after = (round(seconds * part.sample_rate_hz) for seconds in silent_ends(part))
        starts_at = self.given + len(self._held)
        if before + after >= len(samples):
            # Nothing but silence: before the first sound it is left out, after it it may be a pause within the piece.
            self._held = np.concatenate([self._held, samples]) if self._begun else _NOTHING
            self._ends_silent = True
            return _NOTHING, starts_at
        if not self._begun:
            cut = max(0, before - self._keep)
            samples = samples[cut:].copy()
            if before == 0:
                samples[: self._fade] *= _ramp(len(samples[: self._fade]))
            self._begun = True
        whole = np.concatenate([self._held, samples])
        self._ends_silent = after > 0
        hold = min(len(samples), max(after - self._keep, self._fade))
        ready, self._held = whole[: len(whole) - hold], whole[len(whole) - hold :]
        self.given += len(ready)
        return ready, starts_at - cut

    def end(self) -> Samples:
        """The rest of the piece."""
        rest, self._held = self._held, _NOTHING
        if self._ends_silent:
            return rest[: self._fade]
        return rest * _ramp(len(rest))[::-1]


def _ramp(length: int) -> Samples:
    return np.arange(length, dtype=np.float32) / np.float32(max(1, length))
