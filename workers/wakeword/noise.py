"""Noise of our own making, and mixing it in at a stated ratio."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.wakeword.recordings import frame_levels
from workers.wakeword.samples import Samples
from workers.wakeword.spectrum import RATE_HZ

# What is softer than the loudest 20 ms by this much is the silence around speech, not speech.
_SPEECH_RANGE_DB = 35.0


def coloured(count: int, exponent: float, generator: np.random.Generator) -> Samples:
    """Noise whose power falls with frequency as 1 / f ** exponent (0 white, 1 pink, 2 brown); root mean square 1."""
    if count == 0:
        return np.zeros(0, np.float32)
    frequencies = np.fft.rfftfreq(count, 1 / RATE_HZ)
    # Below 20 Hz there is nothing to hear, but most of the power.
    shape = np.where(frequencies < 20, 0.0, np.maximum(frequencies, 20.0) ** (-exponent / 2))
    spectrum = generator.standard_normal(len(shape)) + 1j * generator.standard_normal(len(shape))
    return _at_one(np.fft.irfft(spectrum * shape, count))


def babble(talk: Sequence[Samples], count: int, talkers: int, generator: np.random.Generator) -> Samples:
    """So many people talking at once, equally loud, taken from ``talk`` at random places; root mean square 1."""
    mixed = np.zeros(count, np.float32)
    for _ in range(talkers):
        mixed += _at_one(stretch_of(talk[int(generator.integers(len(talk)))], count, generator))
    return _at_one(mixed)


def stretch_of(samples: Samples, count: int, generator: np.random.Generator) -> Samples:
    """``count`` samples from a random place; a shorter clip goes round."""
    if len(samples) < count:
        samples = np.resize(samples, count) if len(samples) else np.zeros(count, np.float32)
    start = int(generator.integers(len(samples) - count + 1))
    return samples[start : start + count]


def mixed(samples: Samples, noise: Samples, ratio_db: float) -> Samples:
    """The samples with noise so loud that speech stands ``ratio_db`` above it; both of the same length.

    Speech is what lies within 35 dB of the loudest 20 ms: silence around a word does not count, or a word in a long
    window would get less noise than one in a short. Without speech the noise stays as it is.
    """
    power, loudness = speech_power(samples), float(np.mean(np.square(noise, dtype=np.float64)))
    if power == 0.0 or loudness == 0.0:
        return samples + noise if power == 0.0 else samples
    return samples + noise * np.float32(np.sqrt(power / loudness / 10 ** (ratio_db / 10)))


def speech_power(samples: Samples) -> float:
    """The mean square of the speech in it; 0 where there is none."""
    if not len(samples) or not samples.any():
        return 0.0
    levels = frame_levels(samples)
    loud = levels[levels > levels.max() - _SPEECH_RANGE_DB]
    return float(np.mean(10 ** (loud / 10)))


def _at_one(samples: NDArray[np.floating[Any]]) -> Samples:
    loudness = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    return (samples / loudness if loudness > 0 else samples).astype(np.float32)
