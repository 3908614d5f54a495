"""What somebody recorded of the word: read, checked, trimmed."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from workers.audio.clip import Clip
from workers.audio.codec import decode
from workers.audio.pcm import SOXR_QUALITY, finite
from workers.errors import BadInput
from workers.wakeword.samples import Samples
from workers.wakeword.spectrum import RATE_HZ

SECONDS = (0.3, 10.0)
# A file may have this much around the word; a longer one is not read at all.
_FILE_SECONDS_MAX = 60.0
_SILENT_DB = -60.0
# Frames of speech differ by 20 dB and more, those of noise or a tone by less than this.
_STANDS_OUT_DB = 3.0
_FRAME, _HOP = RATE_HZ // 50, RATE_HZ // 100
_LOUDEST = 4
# Soft consonants at a word's ends lie below the threshold.
_MARGIN_SECONDS = 0.08
_QUIET_DB, _NOISY_DB = -40.0, 15.0
_SNR_MAX_DB = 60.0


@dataclass(frozen=True)
class Recording:
    """A recording that can be used: ``samples`` is float32 in -1..1, mono, 16 kHz, without the silence around it.

    ``level_db`` is the loudness of its speech against full scale, ``snr_db`` an estimate of how far the speech stands
    above the noise (at most 60); ``warnings`` are sentences for the one who recorded it.
    """

    name: str
    samples: Samples
    source_rate_hz: int
    level_db: float
    snr_db: float
    clipped_share: float
    warnings: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """How long the word lasts."""
        return len(self.samples) / RATE_HZ


def check(content: bytes, name: str) -> Recording:
    """The recording in an audio file of any usual format, rate and number of channels.

    Raises:
        BadInput: no audio, silent, nothing in it but noise, shorter than 0.3 s or longer than 10 s without the silence
            around it; the text names the recording and the value.
    """
    _refuse_endless(content, name)
    try:
        clip = decode(content, seconds_max=_FILE_SECONDS_MAX)
    except BadInput as fault:
        if fault.code == "too_long":
            raise _longer(name) from fault
        raise BadInput(f"recording {name!r} is no audio file", code="not_audio") from fault
    source = _within_one(finite(clip.samples))
    whole = clip.duration_seconds
    if whole < SECONDS[0]:
        raise _too_short(name, whole)
    if _decibels(float(np.abs(source).max(initial=0.0))) < _SILENT_DB:
        raise BadInput(f"recording {name!r} is silent", code="recording_silent")
    samples = at_our_rate(Clip(source, clip.sample_rate_hz))
    samples = samples - np.float32(samples.mean())
    levels = frame_levels(samples)
    # The loudest but a click's few: of a short word in a long recording a percentile sees nothing.
    floor, top = float(np.percentile(levels, 5)), float(np.sort(levels)[-min(_LOUDEST, len(levels))])
    if top - floor < _STANDS_OUT_DB:
        raise BadInput(f"recording {name!r} holds no speech: all of it is equally loud", code="recording_no_speech")
    start, end = _speech(levels, floor, top, len(samples))
    seconds = (end - start) / RATE_HZ
    # The margins are not of the word.
    if seconds - 2 * _MARGIN_SECONDS > SECONDS[1]:
        raise _too_long(name, seconds)
    if seconds < SECONDS[0]:
        raise _too_short(name, seconds)
    snr = _noise_ratio(levels, floor, top)
    clipped = clipped_share(source)
    return Recording(
        name,
        samples[start:end],
        clip.sample_rate_hz,
        level_db=top,
        snr_db=snr,
        clipped_share=clipped,
        warnings=tuple(_warnings(name, clip.sample_rate_hz, top, snr, clipped)),
    )


def length(content: bytes, name: str) -> float:
    """How many seconds of sound are in an audio file, which need not hold the word.

    Raises:
        BadInput: no audio, or shorter than 0.3 s or longer than a minute; the text names the recording and the value.
    """
    _refuse_endless(content, name)
    try:
        seconds = decode(content, seconds_max=_FILE_SECONDS_MAX).duration_seconds
    except BadInput as fault:
        if fault.code == "too_long":
            raise _longer(name) from fault
        raise BadInput(f"recording {name!r} is no audio file", code="not_audio") from fault
    if seconds < SECONDS[0]:
        raise _too_short(name, seconds)
    if seconds > _FILE_SECONDS_MAX:
        raise _too_long(name, seconds, _FILE_SECONDS_MAX)
    return seconds


def at_our_rate(clip: Clip) -> Samples:
    """The clip's samples at 16 kHz."""
    if clip.sample_rate_hz == RATE_HZ or not len(clip.samples):
        return np.asarray(clip.samples, np.float32)
    return np.asarray(soxr.resample(clip.samples, clip.sample_rate_hz, RATE_HZ, quality=SOXR_QUALITY), np.float32)


def frame_levels(samples: Samples) -> NDArray[np.float64]:
    """The level of each 20 ms, every 10 ms, in dB against full scale (a sine at full scale has -3), shape (frames,)."""
    padded = np.pad(samples, (0, max(0, _FRAME - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::_HOP]  # (frames, 320)
    power = np.einsum("ij,ij->i", frames, frames, dtype=np.float64) / _FRAME
    return 10 * np.log10(power + 1e-12)


def clipped_share(samples: Samples) -> float:
    """Which share of the samples lies in a flat top: three or more in a row at the recording's own loudest value."""
    peak = float(np.abs(samples).max(initial=0.0))
    if peak < 0.1:
        return 0.0
    flat = (np.abs(samples) >= peak * 0.999).astype(np.int8)
    edges = np.flatnonzero(np.diff(flat, prepend=0, append=0))
    lengths = edges[1::2] - edges[::2]
    return float(lengths[lengths >= 3].sum()) / len(samples)


def pitch_hz(samples: Samples) -> float | None:
    """The speaker's usual pitch, 60 to 400 Hz; None where no part of it has one. Loads librosa."""
    import librosa

    if len(samples) < 2048:
        return None
    pitches = librosa.yin(samples, fmin=60, fmax=400, sr=RATE_HZ, frame_length=1024, hop_length=256)
    levels = librosa.feature.rms(y=samples, frame_length=1024, hop_length=256)[0]
    length = min(len(pitches), len(levels))
    loud = levels[:length] > 0.3 * levels.max()
    voiced = pitches[:length][loud & (pitches[:length] > 62) & (pitches[:length] < 395)]
    return float(np.median(voiced)) if len(voiced) >= 3 else None


def _within_one(samples: Samples) -> Samples:
    """What floats can say and no loudspeaker can: made as loud as can be."""
    peak = float(np.abs(samples).max(initial=0.0))
    return samples if peak <= 1.0 else np.asarray(samples / np.float32(peak), np.float32)


def _longer(name: str) -> BadInput:
    """Of what was decoded no further."""
    return BadInput(f"recording {name!r} lasts more than {_FILE_SECONDS_MAX:g} s", code="recording_too_long")


def _refuse_endless(content: bytes, name: str) -> None:
    """What says of itself that it is far too long is not decoded."""
    try:
        about = soundfile.info(io.BytesIO(content))
    except (soundfile.LibsndfileError, TypeError):
        return
    # Streamed files claim to be endless because they do not know better.
    if about.frames < 1 << 40 and about.duration > _FILE_SECONDS_MAX:
        raise _too_long(name, about.duration)


def _speech(levels: NDArray[np.float64], floor: float, top: float, length: int) -> tuple[int, int]:
    """From which sample to which there is speech: what lies well above the noise and not 35 dB below the loudest."""
    threshold = max(top - 35.0, floor + min(10.0, (top - floor) / 2))
    loud = np.flatnonzero(levels > threshold)
    margin = round(_MARGIN_SECONDS * RATE_HZ)
    return max(0, int(loud[0]) * _HOP - margin), min(length, int(loud[-1]) * _HOP + _FRAME + margin)


def _noise_ratio(levels: NDArray[np.float64], floor: float, top: float) -> float:
    """The speech's power without the noise in it, against the noise's."""
    speech = float(np.mean(10 ** (levels[levels > (floor + top) / 2] / 10)))
    noise = 10 ** (floor / 10)
    return min(_SNR_MAX_DB, 10 * float(np.log10(max(speech - noise, 1e-12) / noise)))


def _warnings(name: str, rate_hz: int, level_db: float, snr_db: float, clipped: float) -> list[str]:
    said = []
    if clipped > 0.001:
        said.append(f"Recording {name!r} is clipped ({clipped:.1%} of it): record farther from the microphone.")
    if level_db < _QUIET_DB:
        said.append(f"Recording {name!r} is quiet ({level_db:.0f} dB): record closer to the microphone.")
    if snr_db < _NOISY_DB:
        said.append(f"Recording {name!r} is noisy (speech stands {snr_db:.0f} dB above the noise).")
    if rate_hz < RATE_HZ:
        said.append(f"Recording {name!r} has {rate_hz} Hz, which lacks the sounds above {rate_hz // 2} Hz.")
    return said


def _decibels(amplitude: float) -> float:
    return 20 * float(np.log10(max(amplitude, 1e-9)))


def _too_short(name: str, seconds: float) -> BadInput:
    text = f"recording {name!r} lasts {seconds:.2f} s, less than {SECONDS[0]} s"
    return BadInput(text, code="recording_too_short")


def _too_long(name: str, seconds: float, most: float = SECONDS[1]) -> BadInput:
    text = f"recording {name!r} lasts {seconds:.2f} s, more than {most:.0f} s"
    return BadInput(text, code="recording_too_long")
