"""A recording of any length is listened to for a word, piece by piece, so that a long one takes no more memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import soundfile

from workers.audio.clip import Clip
from workers.audio.pcm import finite
from workers.errors import BadInput
from workers.wakeword.detector import RATES_HZ, Detection, Detector

# What is listened to between two looks at whether anybody still waits: a fraction of a second of work.
CHANNELS_MAX = 32
PIECE_SECONDS = 10
# Whoever has more to listen to sends it in parts: this much keeps its worker, and who waits behind it, for five to ten
# seconds.
LONGEST_SECONDS = 30 * 60
# A word at the very end scores highest a little after it.
_TAIL_SECONDS = 0.5


@dataclass(frozen=True)
class Heard:
    """What a recording of ``seconds`` was found to hold; ``confidence`` is the highest smoothed score in it, 0..1."""

    seconds: float
    confidence: float
    detections: tuple[Detection, ...]
    took_seconds: float


def hear(file: Path, detector: Detector, report: Callable[[float], None]) -> Heard:
    """Listens to an audio file of any usual format, rate and number of channels, with a detector that is fresh.

    ``report`` is told after every piece how many seconds have been heard, and may stop it by an error.

    Raises:
        BadInput: it is no audio file, holds no sound, or lasts more than ``LONGEST_SECONDS``.
    """
    began = time.perf_counter()
    seconds, rate = 0.0, 0
    confidence, detections = 0.0, []
    for piece in _with_tail(_pieces(file)):
        rate = piece.sample_rate_hz
        for score in detector.feed(finite(piece.samples), rate):
            confidence = max(confidence, score.smoothed)
            if score.detected:
                detections.append(Detection(score.time_seconds, score.smoothed))
        seconds += piece.duration_seconds
        report(seconds)
    if not rate:
        raise BadInput("there is no sound in the file", code="no_sound")
    return Heard(seconds - _TAIL_SECONDS, confidence, tuple(detections), time.perf_counter() - began)


def _with_tail(pieces: Iterator[Clip]) -> Iterator[Clip]:
    rate = 0
    for piece in pieces:
        rate = piece.sample_rate_hz
        yield piece
    if rate:
        yield Clip(np.zeros(round(_TAIL_SECONDS * rate), np.float32), rate)


def _pieces(file: Path) -> Iterator[Clip]:
    """The sound as its channels' mean, in pieces of ``PIECE_SECONDS`` at most.

    Raises:
        BadInput: it is no audio file, or too long.
    """
    seconds = 0.0
    for clip in _decoded(file):
        seconds += clip.duration_seconds
        if seconds > LONGEST_SECONDS:
            raise _too_long()
        step = PIECE_SECONDS * clip.sample_rate_hz
        for start in range(0, len(clip.samples), step):
            yield Clip(clip.samples[start : start + step], clip.sample_rate_hz)


def _decoded(file: Path) -> Iterator[Clip]:
    begun = False
    try:
        with _Forward(file) as sound:
            # Before anything is made room for: a bad file says what it likes.
            if sound.samplerate > RATES_HZ[1]:
                said = f"a rate of {sound.samplerate} Hz is outside {RATES_HZ[0]} to {RATES_HZ[1]}"
                raise BadInput(said, code="bad_sample_rate")
            if sound.channels > CHANNELS_MAX:
                raise BadInput(f"{sound.channels} channels: at most {CHANNELS_MAX} are heard", code="bad_samples")
            # Streamed files claim to be endless, because they do not know better.
            if LONGEST_SECONDS * sound.samplerate < sound.frames < 1 << 40:
                raise _too_long()
            step = PIECE_SECONDS * sound.samplerate
            while len(part := cast("np.ndarray", sound.read(step, dtype="float32", always_2d=True))):
                begun = True
                yield Clip(part.mean(axis=1), sound.samplerate)
            return
    except soundfile.LibsndfileError:
        if begun:
            raise BadInput("the file is damaged: not all of it can be read", code="not_audio") from None
    from workers.audio import demux

    yield from demux.pieces(file.read_bytes(), PIECE_SECONDS)


class _Forward(soundfile.SoundFile):
    """A file that is read once from its beginning: soundfile seeks after each read, and MP3 loses its place by that."""

    def seekable(self) -> bool:
        """No: so there is nothing to seek."""
        return False


def _too_long() -> BadInput:
    return BadInput(f"the file lasts more than {LONGEST_SECONDS // 60} minutes", code="audio_too_long")
