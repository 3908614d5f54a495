"""Clips to files and back."""

from __future__ import annotations

import io
import math

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from config.versions import AudioFormat
from workers.audio.clip import Clip, too_long
from workers.audio.pcm import SOXR_QUALITY, check_channels, spread, target_rate, to_float, to_pcm, wav_header
from workers.errors import BadInput

_PART_SECONDS = 10
# Six hours at 48 kHz: memory for what a header promises is asked for beforehand.
_BELIEVABLE_FRAMES = 1 << 30
# 32 channels at 192 kHz; a bad file says that it has gigabytes of them.
_NUMBERS_A_SECOND = 32 * 192_000


def encode(clip: Clip, form: AudioFormat, *, sample_rate_hz: int | None = None, channels: int = 1) -> bytes:
    """The clip as a whole file of that format, with exact headers; samples outside -1..1 are clipped.

    Without ``sample_rate_hz`` it is the clip's own where the format has it (``AudioFormat.rate_for``). Two ``channels``
    hold the same. Decoders give exactly the clip's length back (MP3 and Opus by what their headers say of the encoder's
    delay), but for AAC, since ADTS has no place for it: its last frame is filled up (at most 43 ms at 24 kHz), and a
    clip that does not begin with 1024 silent samples gets them. An empty clip makes an empty WAV or PCM file.

    Raises:
        BadInput: the format cannot have that rate or so many channels, or an empty clip.
    """
    rate = target_rate(form, clip.sample_rate_hz, sample_rate_hz)
    check_channels(channels)
    if not len(clip.samples) and form.name not in ("wav", "pcm"):
        raise BadInput(f"a clip of 0 samples cannot be put into {form.name}", code="no_sound")
    pcm = to_pcm(clip.samples)
    if rate != clip.sample_rate_hz and len(pcm):
        pcm = to_pcm(soxr.resample(to_float(pcm), clip.sample_rate_hz, rate, quality=SOXR_QUALITY))
    match form.name:
        case "pcm":
            return spread(pcm, channels).tobytes()
        case "wav":
            data = spread(pcm, channels).tobytes()
            return wav_header(rate, channels, len(data)) + data
        case "flac":
            file = io.BytesIO()
            soundfile.write(file, spread(pcm, channels), rate, format="FLAC", subtype="PCM_16")
            return file.getvalue()
        case _:
            return _compressed(pcm, form.name, rate, channels)


def _compressed(pcm: NDArray[np.int16], format_name: str, sample_rate_hz: int, channels: int) -> bytes:
    from workers.audio.container import Container

    file = io.BytesIO()
    container = Container(format_name, sample_rate_hz, channels, file, streamed=False)
    for start in range(0, len(pcm), _PART_SECONDS * sample_rate_hz):
        container.write(pcm[start : start + _PART_SECONDS * sample_rate_hz])
    container.close()
    return file.getvalue()


def decode(content: bytes, *, seconds_max: float = math.inf) -> Clip:
    """The clip in an audio file of any usual format; several channels become their mean.

    Of what lasts longer than ``seconds_max`` no more is decoded: a small file may hold hours of silence.

    Raises:
        BadInput: it is no audio file (bare PCM is none: it does not say its rate), or it lasts longer (``too_long``).
    """
    try:
        return _read(content, seconds_max)
    except soundfile.LibsndfileError:
        from workers.audio import demux

        clip = demux.read(content, seconds_max)
        if clip is None:
            raise BadInput("this is no audio file", code="not_audio") from None
        return clip


def _read(content: bytes, seconds_max: float) -> Clip:
    with soundfile.SoundFile(io.BytesIO(content)) as file:
        if file.samplerate * file.channels > _NUMBERS_A_SECOND:
            said = f"{file.channels} channels at {file.samplerate} Hz are more than any sound has"
            raise BadInput(said, code="not_audio")
        if file.frames <= _BELIEVABLE_FRAMES:
            if file.frames > seconds_max * file.samplerate:
                raise too_long(seconds_max)
            # In one go: after each read soundfile seeks to where it is, and an MP3 decoder loses its place by that.
            samples = file.read(dtype="float32", always_2d=True).mean(axis=1)
            return Clip(samples, file.samplerate)
        # A streamed FLAC, which knows no length (2 ** 63 - 1), or a bad file, which lies about it.
        parts = [np.zeros(0, np.float32)]
        while len(part := file.read(_PART_SECONDS * file.samplerate, dtype="float32", always_2d=True)):
            parts.append(part.mean(axis=1))
            if len(parts) * _PART_SECONDS > seconds_max + _PART_SECONDS:
                raise too_long(seconds_max)
        return Clip(np.concatenate(parts), file.samplerate)
