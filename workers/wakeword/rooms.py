"""Rooms that are made up: how a word sounds from across one. Loads torch."""

from __future__ import annotations

import numpy as np
import torch

# torchaudio's import fails without this where torch has no CUDA.
from workers import plain_torchaudio  # noqa: F401  # isort: skip
import torchaudio.functional

from workers.wakeword.samples import Samples
from workers.wakeword.spectrum import RATE_HZ

# When the first walls answer: 0.7 to 8 m farther than the direct way.
_FIRST_SECONDS, _EARLY_SECONDS = 0.002, 0.025
_EARLY = 8
# High sounds die faster: above this frequency in half the time.
_DAMPED_ABOVE_HZ, _DAMPED = 3000.0, 0.5


def impulse(reverberation_seconds: float, direct_db: float, generator: np.random.Generator) -> Samples:
    """The answer of a room to a click; the click itself is its first sample, 1.0.

    Args:
        reverberation_seconds: until the echo is 60 dB down (a living room 0.3 to 0.6, a bathroom 1).
        direct_db: the direct sound's energy against that of all echoes (10: near, 0: some metres away, below: far).
        generator: draws the walls.
    """
    count = round(max(reverberation_seconds, 0.05) * 1.1 * RATE_HZ)
    time = np.arange(count) / RATE_HZ
    echo = _noise(count, generator, low=True) * _decay(time, reverberation_seconds)
    echo += _noise(count, generator, low=False) * _decay(time, reverberation_seconds * _DAMPED)
    # The diffuse echo builds up while the first walls answer one by one.
    echo *= np.clip((time - _FIRST_SECONDS) / _EARLY_SECONDS, 0.0, 1.0)
    places = np.sort(generator.uniform(_FIRST_SECONDS, _EARLY_SECONDS, _EARLY))
    loudness = np.sqrt(np.mean(np.square(echo[: round(0.1 * RATE_HZ)]))) * 8
    for place in places:
        gain = loudness * _decay(np.array([place]), reverberation_seconds)[0] * generator.uniform(0.4, 1.0)
        echo[round(place * RATE_HZ)] += gain * generator.choice([-1.0, 1.0])
    echo[: round(_FIRST_SECONDS * RATE_HZ)] = 0.0
    echo *= np.sqrt(10 ** (-direct_db / 10) / np.sum(np.square(echo)))
    echo[0] = 1.0
    return echo.astype(np.float32)


def reverberated(samples: Samples, answer: Samples) -> Samples:
    """The samples in a room that answers so, as long and as loud as before; nothing is delayed."""
    if not len(samples):
        return samples
    # A transform whose length has a large prime factor takes ten times as long.
    answer = np.pad(answer, (0, -(len(samples) + len(answer) - 1) % 1024))
    wet = torchaudio.functional.fftconvolve(torch.from_numpy(samples), torch.from_numpy(answer)).numpy()[: len(samples)]
    before, after = (float(np.sum(np.square(each, dtype=np.float64))) for each in (samples, wet))
    return np.asarray(wet * np.float32(np.sqrt(before / after)) if after > 0 else wet, np.float32)


def _decay(time: np.ndarray, seconds: float) -> np.ndarray:
    return np.exp(-np.log(1000.0) * time / max(seconds, 0.02))


def _noise(count: int, generator: np.random.Generator, *, low: bool) -> np.ndarray:
    spectrum = np.fft.rfft(generator.standard_normal(count))
    frequencies = np.fft.rfftfreq(count, 1 / RATE_HZ)
    return np.fft.irfft(spectrum * ((frequencies < _DAMPED_ABOVE_HZ) == low), count)
