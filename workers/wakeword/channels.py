"""What lies between a mouth and us besides the room: microphones, telephones, codecs, gains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import av
import numpy as np
import soxr
from numpy.typing import NDArray

from workers.audio.pcm import to_float, to_pcm
from workers.wakeword.noise import speech_power
from workers.wakeword.samples import Samples
from workers.wakeword.spectrum import RATE_HZ

# Where the curve of ``equalised`` is given: an octave apart.
BANDS_HZ = (62.5, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)
# How wide the edge of a band limit is, in octaves.
_EDGE = 0.25


@dataclass(frozen=True)
class _Codec:
    codec: str
    sample_rate_hz: int
    bits_per_second: int | None
    sample_format: str = "s16"


# Telephones, walkie-talkies, video calls, cheap streams. Those that a Bluetooth headset or a browser would use.
CODECS = {
    "telephone": _Codec("pcm_mulaw", 8_000, None),
    "mobile": _Codec("libopencore_amrnb", 8_000, 12_200),
    "wideband": _Codec("g722", 16_000, 64_000),
    "opus": _Codec("libopus", 16_000, 12_000),
    "mp3": _Codec("libmp3lame", 16_000, 24_000, "s16p"),
}


def louder(samples: Samples, level_db: float) -> Samples:
    """The samples with their speech at that level against full scale; what goes beyond it is clipped, as converters do.

    Silence stays silence.
    """
    power = speech_power(samples)
    gain = np.sqrt(10 ** (level_db / 10) / power) if power > 0 else 1.0
    return np.clip(samples * np.float32(gain), -1.0, 1.0)


def band_limited(samples: Samples, low_hz: float, high_hz: float) -> Samples:
    """Only what lies between, with edges of a quarter of an octave; no phase is moved."""
    if not len(samples):
        return samples
    octaves = np.log2(np.maximum(np.fft.rfftfreq(len(samples), 1 / RATE_HZ), 1.0))
    rise = np.clip((octaves - np.log2(max(low_hz, 1.0))) / _EDGE + 1, 0.0, 1.0)
    fall = np.clip((np.log2(high_hz) - octaves) / _EDGE + 1, 0.0, 1.0)
    return _filtered(samples, rise * fall)


def equalised(samples: Samples, gains_db: NDArray[np.float64]) -> Samples:
    """Each octave of ``BANDS_HZ`` louder by its gain, between them by what lies between; shape of the gains (8,)."""
    if not len(samples):
        return samples
    frequencies = np.maximum(np.fft.rfftfreq(len(samples), 1 / RATE_HZ), 1.0)
    curve = np.interp(np.log2(frequencies), np.log2(BANDS_HZ), gains_db)
    return _filtered(samples, 10 ** (curve / 20))


def coded(samples: Samples, name: str) -> Samples:
    """What one of ``CODECS`` leaves of it; as long as before, and in its place."""
    if not len(samples):
        return samples
    recipe = CODECS[name]
    rate = recipe.sample_rate_hz
    source = samples if rate == RATE_HZ else soxr.resample(samples, RATE_HZ, rate)
    # Encoders and decoders hold some back: silence pushes it out.
    pcm = to_pcm(np.concatenate([source, np.zeros(rate // 5, np.float32)]).astype(np.float32))
    made = to_float(_through(pcm, recipe))
    made = np.asarray(made if rate == RATE_HZ else soxr.resample(made, rate, RATE_HZ), np.float32)
    made = made[_delay(samples, made) :][: len(samples)]
    return np.pad(made, (0, len(samples) - len(made)))


def _through(pcm: NDArray[np.int16], recipe: _Codec) -> NDArray[np.int16]:
    encoder = av.CodecContext.create(recipe.codec, "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = recipe.sample_rate_hz, "mono", recipe.sample_format
    if recipe.bits_per_second:
        encoder.bit_rate = recipe.bits_per_second
    encoder.open()
    decoder = av.CodecContext.create(_DECODERS.get(recipe.codec, recipe.codec), "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.sample_rate, decoder.layout = recipe.sample_rate_hz, "mono"
    if encoder.extradata:
        decoder.extradata = encoder.extradata
    resampler = av.AudioResampler(format="s16", layout="mono", rate=recipe.sample_rate_hz)
    # Encoders want frames of their own size, or any where they name none.
    size = encoder.frame_size or len(pcm)
    parts = [np.zeros(0, np.int16)]
    for start in range(0, len(pcm) // size * size, size):
        frame = av.AudioFrame.from_ndarray(pcm[None, start : start + size], format=recipe.sample_format, layout="mono")
        frame.sample_rate, frame.pts = recipe.sample_rate_hz, start
        for packet in encoder.encode(frame):
            parts += _decoded(decoder, packet, resampler)
    for packet in encoder.encode(None):
        parts += _decoded(decoder, packet, resampler)
    parts += _decoded(decoder, None, resampler)
    return np.concatenate(parts)


_DECODERS = {"libmp3lame": "mp3", "libopencore_amrnb": "amrnb"}


def _decoded(
    decoder: av.AudioCodecContext, packet: av.Packet[Any] | None, resampler: av.AudioResampler
) -> list[NDArray[np.int16]]:
    frames = decoder.decode(packet)
    return [np.asarray(part.to_ndarray()[0], np.int16) for frame in frames for part in resampler.resample(frame)]


def _delay(before: Samples, after: Samples) -> int:
    """By how many samples the second is late, found where both agree best; at most 150 ms."""
    length = 1 << (len(before) + len(after)).bit_length()
    agreement = np.fft.irfft(np.fft.rfft(after, length) * np.conj(np.fft.rfft(before, length)), length)
    return int(np.argmax(agreement[: round(0.15 * RATE_HZ)]))


def _filtered(samples: Samples, gains: NDArray[np.float64]) -> Samples:
    return np.fft.irfft(np.fft.rfft(samples) * gains, len(samples)).astype(np.float32)
