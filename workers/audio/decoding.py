"""An audio file of any usual format, decoded piece by piece, so that a long one takes no more memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import soundfile

from workers.audio.clip import Clip
from workers.errors import BadInput

# Streamed files claim to be endless, because they do not know better.
_ENDLESS_FRAMES = 1 << 40


@dataclass(frozen=True)
class Bounds:
    """What is decoded: at most so long, of so many channels, at a rate from the first to the second."""

    longest_seconds: float
    rates_hz: tuple[int, int] = (4_000, 192_000)
    channels: int = 32


def pieces(file: Path, bounds: Bounds, *, seconds: int = 10) -> Iterator[Clip]:
    """The sound as its channels' mean, in pieces of ``seconds`` at most, each decoded when it is asked for.

    Raises:
        BadInput: it is no audio file (``not_audio``), damaged, or beyond the bounds (``audio_too_long``,
            ``bad_sample_rate``, ``bad_samples``).
    """
    heard = 0.0
    for clip in _decoded(file, bounds, seconds):
        _check_rate(clip.sample_rate_hz, bounds)
        heard += clip.duration_seconds
        if heard > bounds.longest_seconds:
            raise _too_long(bounds)
        step = seconds * clip.sample_rate_hz
        for start in range(0, len(clip.samples), step):
            yield Clip(clip.samples[start : start + step], clip.sample_rate_hz)


def _decoded(file: Path, bounds: Bounds, seconds: int) -> Iterator[Clip]:
    begun = False
    try:
        with _Forward(file) as sound:
            # Before anything is made room for: a bad file says what it likes.
            _check_rate(sound.samplerate, bounds)
            if sound.channels > bounds.channels:
                raise BadInput(f"{sound.channels} channels: at most {bounds.channels} are heard", code="bad_samples")
            if bounds.longest_seconds * sound.samplerate < sound.frames < _ENDLESS_FRAMES:
                raise _too_long(bounds)
            step = seconds * sound.samplerate
            while len(part := cast("np.ndarray", sound.read(step, dtype="float32", always_2d=True))):
                begun = True
                yield Clip(part.mean(axis=1), sound.samplerate)
            return
    except soundfile.LibsndfileError:
        if begun:
            raise BadInput("the file is damaged: not all of it can be read", code="not_audio") from None
    from workers.audio import demux

    yield from demux.pieces(file.read_bytes(), seconds)


class _Forward(soundfile.SoundFile):
    """A file that is read once from its beginning: soundfile seeks after each read, and MP3 loses its place by that."""

    def seekable(self) -> bool:
        """No: so there is nothing to seek."""
        return False


def _check_rate(rate_hz: int, bounds: Bounds) -> None:
    low, high = bounds.rates_hz
    if not low <= rate_hz <= high:
        raise BadInput(f"a rate of {rate_hz} Hz is outside {low} to {high}", code="bad_sample_rate")


def _too_long(bounds: Bounds) -> BadInput:
    return BadInput(f"the file lasts more than {bounds.longest_seconds / 60:g} minutes", code="audio_too_long")
