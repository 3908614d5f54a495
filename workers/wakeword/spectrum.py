"""The first step of every detector: how strong each band of frequencies is, every 10 ms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from workers.audio.pcm import to_pcm

Floats = NDArray[np.float32]

# Samples a second of all sound here.
RATE_HZ = 16_000
HOP = 160
# Detectors take sound in pieces of 80 ms: eight frames, and one step of the speech embedding.
CHUNK = 1_280
CHUNK_FRAMES = CHUNK // HOP
# A frame sees 25 ms.
SEEN = 400
FFT = 512


def pcm16(samples: NDArray[np.float32]) -> Floats:
    """The samples as 16-bit sound has them, -32768..32767: what comes over a wire is what a detector is trained on."""
    return to_pcm(samples).astype(np.float32)


def window() -> Floats:
    """The weights of the 400 samples that a frame sees: a Hann window."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(SEEN) / SEEN)).astype(np.float32)


def mel_filters(bands: int, lowest_hz: float, highest_hz: float) -> Floats:
    """Triangles on Slaney's mel scale, each of area one over its width: shape (257, bands), as librosa makes them."""
    edges = _hertz(np.linspace(_mels(lowest_hz), _mels(highest_hz), bands + 2))
    bins = np.arange(FFT // 2 + 1) * (RATE_HZ / FFT)
    rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    triangles = np.maximum(0, np.minimum(rising, falling))
    return (triangles * (2 / (edges[2:] - edges[:-2]))).astype(np.float32)


# Slaney's scale: linear up to 1,000 Hz, logarithmic above.
_LINEAR_HZ, _KNEE_HZ, _KNEE = 200 / 3, 1000.0, 15.0
_STEP = np.log(6.4) / 27


def _mels(hertz: float) -> float:
    if hertz < _KNEE_HZ:
        return hertz / _LINEAR_HZ
    return float(_KNEE + np.log(hertz / _KNEE_HZ) / _STEP)


def _hertz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mels < _KNEE, mels * _LINEAR_HZ, _KNEE_HZ * np.exp(_STEP * (mels - _KNEE)))


@dataclass(frozen=True)
class Spectrum:
    """Which bands, and how their power becomes a number.

    decibels = 10 log10(max(power + ``added``, 1e-10)), at least the chunk's largest less ``depth`` where there is one;
    the number is decibels * ``scale`` + ``offset``. ``history`` is how many samples before a chunk its frames see.
    """

    bands: int
    lowest_hz: float
    highest_hz: float
    history: int
    added: float
    depth: float | None
    scale: float
    offset: float

    @cached_property
    def filters(self) -> Floats:
        """Shape (257, bands)."""
        return mel_filters(self.bands, self.lowest_hz, self.highest_hz)

    @cached_property
    def _window(self) -> Floats:
        return window()

    def frames(self, samples: Floats) -> Floats:
        """The frames of whole chunks: (streams, history + 1280 n) of ``pcm16`` to (streams, 8 n, bands)."""
        streams = len(samples)
        chunks = (samples.shape[1] - self.history) // CHUNK
        views = np.lib.stride_tricks.sliding_window_view(samples, SEEN, axis=1)[:, ::HOP]
        views = views[:, : chunks * CHUNK_FRAMES]
        # Where in the transform the frame lies changes no power.
        spectrum = np.fft.rfft(views * self._window, FFT)
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        # A product a chunk is small enough for one thread; a large one wakes the others of BLAS, which spin.
        power = (power.reshape(streams * chunks, CHUNK_FRAMES, -1) @ self.filters).reshape(streams, -1, self.bands)
        decibels = 10 * np.log10(np.maximum(power + np.float32(self.added), np.float32(1e-10)))
        if self.depth is not None:
            by_chunk = decibels.reshape(streams, chunks, CHUNK_FRAMES * self.bands)
            floor = by_chunk.max(axis=2, keepdims=True, initial=-np.inf) - np.float32(self.depth)
            decibels = np.maximum(by_chunk, floor).reshape(decibels.shape)
        return (decibels * np.float32(self.scale) + np.float32(self.offset)).astype(np.float32)


# What the speech embedding was trained on. The packaged graph takes the floor from all the sound it is given at once;
# detectors give it one chunk at a time, and so is it here, so that a clip and a stream give the same numbers.
FOR_EMBEDDING = Spectrum(
    bands=32, lowest_hz=60, highest_hz=3800, history=424, added=0.0, depth=80.0, scale=0.1, offset=2.0
)
# Ours. One is about the power of 16-bit rounding: digital silence and a silent room look alike. 40 dB becomes zero and
# 60 dB one, so that speech lies about -1..2.
FOR_SCRATCH = Spectrum(
    bands=40, lowest_hz=60, highest_hz=7600, history=240, added=1.0, depth=None, scale=0.05, offset=-2.0
)
