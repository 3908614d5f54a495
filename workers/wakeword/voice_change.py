"""One voice made into others: higher or lower, and with a longer or shorter vocal tract. Loads librosa."""

from __future__ import annotations

import librosa
import numpy as np
from librosa.effects import pitch_shift

from workers.wakeword.samples import Samples
from workers.wakeword.spectrum import RATE_HZ

# 32 ms and 8 ms: short enough for a voice's changes, long enough for two periods of a low one.
_WINDOW, _HOP = 512, 128
# Cepstral coefficients of the envelope: up to 1.9 ms, below the period of a voice at 400 Hz (2.5 ms).
_ENVELOPE = 30
_GAIN_MAX = float(np.log(10 ** (24 / 20)))


def changed(samples: Samples, pitch_semitones: float, formants: float) -> Samples:
    """The same words at another pitch and with formants at ``formants`` times their frequencies; as long as before.

    A formant factor of 1.15 is about a vocal tract of 15 cm where there was one of 17: a child's, or a woman's for a
    man's.
    """
    pitched = shifted(samples, pitch_semitones)
    # Shifting moved the formants with the pitch.
    return warped(pitched, formants / 2 ** (pitch_semitones / 12))


def shifted(samples: Samples, semitones: float) -> Samples:
    """Everything that many semitones higher, formants too; as long as before."""
    if abs(semitones) < 0.05 or len(samples) < _WINDOW:
        return samples
    return np.asarray(pitch_shift(samples, sr=RATE_HZ, n_steps=semitones, n_fft=_WINDOW), np.float32)


def warped(samples: Samples, factor: float) -> Samples:
    """The formants at ``factor`` times their frequencies, the pitch as it was; as long and as loud as before."""
    if abs(factor - 1.0) < 0.01 or len(samples) < _WINDOW:
        return samples
    spectrum = librosa.stft(samples, n_fft=_WINDOW, hop_length=_HOP)  # (257, frames)
    logarithm = np.log(np.abs(spectrum) + 1e-6)
    cepstrum = np.fft.irfft(logarithm, axis=0)  # (512, frames)
    cepstrum[_ENVELOPE : _WINDOW - _ENVELOPE] = 0.0
    envelope = np.fft.rfft(cepstrum, axis=0).real  # (257, frames)
    # What is at bin k comes from bin k / factor, between its two neighbours; beyond the last the last goes on.
    places = np.minimum(np.arange(len(envelope)) / factor, len(envelope) - 1)
    below = np.floor(places).astype(np.int64)
    above = np.minimum(below + 1, len(envelope) - 1)
    share = (places - below)[:, None]
    moved = envelope[below] * (1 - share) + envelope[above] * share
    gain = np.exp(np.clip(moved - envelope, -_GAIN_MAX, _GAIN_MAX))
    made = librosa.istft(spectrum * gain, hop_length=_HOP, n_fft=_WINDOW, length=len(samples))
    before, after = float(np.sqrt(np.mean(samples**2))), float(np.sqrt(np.mean(made**2)))
    return np.asarray(made * (before / after if after > 0 else 1.0), np.float32)
