"""Clips to files and back."""

from __future__ import annotations

import io

import numpy as np
import soundfile

from config.versions import AudioFormat
from workers.audio.clip import Clip


def encode(clip: Clip, form: AudioFormat) -> bytes:
    """The clip as a whole file of that format, with exact headers; samples outside -1..1 are clipped."""
    # Rounded here: soundfile rounds for FLAC and cuts off for WAV, and a clip must be the same in both.
    pcm = np.clip(np.rint(clip.samples * 32768.0), -32768, 32767).astype(np.int16)
    file = io.BytesIO()
    soundfile.write(file, pcm, clip.sample_rate_hz, format=form.container, subtype=form.subtype)
    return file.getvalue()


def decode(content: bytes) -> Clip:
    """The clip in a file of any format soundfile reads; several channels become their mean.

    Raises:
        soundfile.LibsndfileError: it is no audio file.
    """
    samples, sample_rate_hz = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    return Clip(samples.mean(axis=1), sample_rate_hz)
