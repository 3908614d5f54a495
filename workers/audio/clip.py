"""A piece of sound in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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
    """The clips one after the other; all at ``sample_rate_hz``."""
    parts = [clip.samples for clip in clips]
    return Clip(np.concatenate(parts) if parts else np.zeros(0, np.float32), sample_rate_hz)
