"""One voice made into others: pitch and formants move where they are told, and each without the other."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("librosa")

from workers.wakeword.recordings import pitch_hz
from workers.wakeword.voice_change import changed, shifted, warped

RATE = 16_000


def vowel(pitch: float = 120.0, formant: float = 1200.0, seconds: float = 0.6) -> NDArray[np.float32]:
    """Harmonics of a pitch under one wide hill of loudness."""
    time = np.arange(round(seconds * RATE)) / RATE
    numbers = np.arange(1, int(7000 / pitch))
    hills = np.exp(-(((numbers * pitch - formant) / 350) ** 2)) + 0.01
    voice = (hills[:, None] * np.sin(2 * np.pi * pitch * numbers[:, None] * time)).sum(axis=0)
    return (0.3 * voice / np.abs(voice).max()).astype(np.float32)


def hill_hz(samples: NDArray[np.float32]) -> float:
    """The middle of the loudness over frequency."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    frequencies = np.fft.rfftfreq(len(samples), 1 / RATE)
    near = frequencies < 4000
    return float((power * frequencies)[near].sum() / power[near].sum())


@pytest.mark.parametrize("semitones", [-5.0, -2.0, 3.0, 4.0])
def test_pitch_moves_by_the_semitones_told_and_nothing_gets_longer(semitones: float) -> None:
    made = shifted(vowel(), semitones)
    assert len(made) == len(vowel())
    assert made.dtype == np.float32
    assert pitch_hz(made) == pytest.approx(120 * 2 ** (semitones / 12), rel=0.03)


@pytest.mark.parametrize("factor", [0.82, 0.9, 1.1, 1.22])
def test_formants_move_by_the_factor_told_and_the_pitch_stays(factor: float) -> None:
    made = warped(vowel(), factor)
    assert len(made) == len(vowel())
    assert hill_hz(made) == pytest.approx(1200 * factor, rel=0.05)
    assert pitch_hz(made) == pytest.approx(120, rel=0.02)
    assert np.sqrt(np.mean(made**2)) == pytest.approx(np.sqrt(np.mean(vowel() ** 2)), rel=0.01)


def test_both_together_do_both() -> None:
    made = changed(vowel(), 4.0, 0.9)
    assert pitch_hz(made) == pytest.approx(120 * 2 ** (4 / 12), rel=0.03)
    assert hill_hz(made) == pytest.approx(1200 * 0.9, rel=0.07)


def test_no_change_leaves_every_sample_as_it_was() -> None:
    assert changed(vowel(), 0.0, 1.0) is not None
    np.testing.assert_array_equal(changed(vowel(), 0.0, 1.0), vowel())
