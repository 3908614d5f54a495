"""Samples as 16-bit integers, in the rate and with the channels that a file is to have."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from config.versions import AudioFormat
from workers.errors import BadInput

# soxr's "high": 20 bits of precision, the passband up to 0.91 of half the lower rate, and a delay of about 20 ms.
SOXR_QUALITY = "HQ"


def finite(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The samples; those that are no number or infinite are 0."""
    if np.isfinite(samples).all():
        return samples
    return np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)


def to_pcm(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """The samples rounded to 16 bits; outside -1..1 they are clipped, and what is no number is 0.

    Every format is made from these, so that a file is the same whether it comes from an engine's clip or from the
    stored one.
    """
    scaled = finite(samples) * np.float32(32768.0)
    np.rint(scaled, out=scaled)
    np.clip(scaled, -32768.0, 32767.0, out=scaled)
    return scaled.astype(np.int16)


def to_float(pcm: NDArray[np.int16]) -> NDArray[np.float32]:
    """16-bit samples as -1..1."""
    return pcm.astype(np.float32) * np.float32(1 / 32768.0)


def spread(pcm: NDArray[np.int16], channels: int) -> NDArray[np.int16]:
    """The same samples in each channel, shape (n, channels)."""
    return np.repeat(pcm[:, None], channels, axis=1)


def target_rate(form: AudioFormat, source_rate_hz: int, asked_rate_hz: int | None) -> int:
    """The rate of a file of ``form``: the one asked for, or else the one that suits the source.

    Raises:
        BadInput: the format cannot have the rate asked for.
    """
    if asked_rate_hz is None:
        return form.rate_for(source_rate_hz)
    if not form.takes(asked_rate_hz):
        rates = ", ".join(map(str, form.rates_hz)) or "8000 to 48000"
        raise BadInput(f"{form.name} has no sample rate of {asked_rate_hz} Hz, but {rates}", code="bad_sample_rate")
    return asked_rate_hz


def check_channels(channels: int) -> int:
    """The number of channels.

    Raises:
        BadInput: it is neither 1 nor 2.
    """
    if channels not in (1, 2):
        raise BadInput(f"{channels} channels are neither 1 nor 2", code="bad_channels")
    return channels


def wav_header(sample_rate_hz: int, channels: int, data_bytes: int | None) -> bytes:
    """The 44 bytes before 16-bit samples in a WAV file.

    ``data_bytes`` None is for a stream whose length nobody knows yet: both sizes are 0xFFFFFFFF, which players take as
    "until the end" (libsndfile, FFmpeg and browsers do; Python's ``wave`` does not read past what it believes).
    """
    unknown = 0xFFFFFFFF
    return b"".join(
        (
            b"RIFF",
            (unknown if data_bytes is None else data_bytes + 36).to_bytes(4, "little"),
            b"WAVEfmt ",
            (16).to_bytes(4, "little"),
            (1).to_bytes(2, "little"),  # PCM
            channels.to_bytes(2, "little"),
            sample_rate_hz.to_bytes(4, "little"),
            (sample_rate_hz * channels * 2).to_bytes(4, "little"),
            (channels * 2).to_bytes(2, "little"),
            (16).to_bytes(2, "little"),  # bits
            b"data",
            (unknown if data_bytes is None else data_bytes).to_bytes(4, "little"),
        )
    )
