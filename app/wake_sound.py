"""Sound as clients send it over a socket, and as it is kept: bare 16-bit samples, or a whole WAV file."""

from __future__ import annotations

import struct
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import Invalid

# What microphones and files have (workers/wakeword/detector.py takes the same).
RATES_HZ = (4_000, 192_000)
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_FULL_SCALE = 32768


@dataclass(frozen=True)
class Sound:
    """Mono sound: ``samples`` is int16, shape (n,)."""

    samples: NDArray[np.int16]
    rate_hz: int

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.samples) / self.rate_hz


def sound_of(content: bytes, rate_hz: int) -> Sound:
    """What these bytes say: a WAV file if they begin as one, else 16-bit samples, little endian, at ``rate_hz``.

    Raises:
        Invalid: they cannot be that; the text says why.
    """
    if content[:4] == b"RIFF":
        return _of_wav(content)
    if len(content) % 2:
        raise Invalid(f"data: {len(content)} bytes are no 16-bit samples: their number is odd")
    return Sound(np.frombuffer(content, "<i2").astype(np.int16), checked_rate(rate_hz))


def checked_rate(rate_hz: Any) -> int:
    """The rate, if sound may have it.

    Raises:
        Invalid: it is no whole number, or outside ``RATES_HZ``.
    """
    if isinstance(rate_hz, bool) or not isinstance(rate_hz, int):
        raise Invalid(f"sample_rate: {rate_hz!r:.60} is not a whole number")
    if not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
        raise Invalid(f"sample_rate: {str(rate_hz)[:40]} is outside {RATES_HZ[0]} to {RATES_HZ[1]}")
    return rate_hz


def last_of(sounds: Collection[Sound], seconds: float) -> Sound:
    """The end of these sounds, which have one rate and follow each other."""
    rate_hz = next(iter(sounds)).rate_hz
    return Sound(np.concatenate([each.samples for each in sounds])[-round(seconds * rate_hz) :], rate_hz)


def wav(sound: Sound) -> bytes:
    """The sound as a WAV file."""
    data = sound.samples.astype("<i2").tobytes()
    layout = struct.pack("<HHIIHH", _PCM, 1, sound.rate_hz, sound.rate_hz * 2, 2, 16)
    return b"".join((b"RIFF", _size(36 + len(data)), b"WAVEfmt ", _size(16), layout, b"data", _size(len(data)), data))


def _size(count: int) -> bytes:
    return struct.pack("<I", count)


def _of_wav(content: bytes) -> Sound:
    """The sound of a WAV file of 16-bit integers or 32-bit floats, several channels as their mean."""
    layout: tuple[int, ...] | None = None
    at = 12
    while at + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, at)
        at += 8
        if name == b"fmt " and at + 16 <= len(content):
            layout = struct.unpack_from("<HHIIHH", content, at)
            if layout[0] == _EXTENSIBLE and at + 26 <= len(content):
                # What it extends stands at the beginning of its id.
                layout = (struct.unpack_from("<H", content, at + 24)[0], *layout[1:])
        elif name == b"data" and layout is not None:
            # One that is streamed says that it never ends.
            return _samples(content[at : at + size], layout)
        at += size + size % 2
    raise Invalid("data: it begins as a WAV file and is none: a part of it is missing")


def _samples(data: bytes, layout: tuple[int, ...]) -> Sound:
    form, channels, rate_hz, _, _, bits = layout
    if (form, bits) not in ((_PCM, 16), (_FLOAT, 32)) or not 1 <= channels <= 32:
        raise Invalid(
            f"data: a WAV file of format {form} with {bits} bits and {channels} channels is not read here; "
            "16-bit integers and 32-bit floats are"
        )
    width = bits // 8 * channels
    samples = np.frombuffer(data[: len(data) // width * width], "<i2" if form == _PCM else "<f4").reshape(-1, channels)
    if form == _FLOAT:
        samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0).clip(-1, 1) * (_FULL_SCALE - 1)
    elif channels == 1:
        return Sound(samples[:, 0].astype(np.int16), checked_rate(rate_hz))
    return Sound(np.rint(samples.mean(axis=1)).astype(np.int16), checked_rate(rate_hz))
