"""Speech made faster and slower: as long as asked, at the same pitch, as loud, without clicks."""

from __future__ import annotations

import numpy as np
import pytest
from hibari import Hibari

from workers.audio.clip import Clip, silent_ends
from workers.audio.stretch import stretch
from workers.errors import BadInput

FACTORS = [0.25, 0.4, 0.5, 0.7, 0.9, 1.1, 1.5, 2.0, 3.0, 4.0]


def tone(*hertz: float, seconds: float = 2.0, rate: int = 24000) -> Clip:
    at = np.arange(round(seconds * rate)) / rate
    samples = sum((np.sin(2 * np.pi * hz * at) / number for number, hz in enumerate(hertz, 1)), np.zeros(len(at)))
    return Clip((0.4 * samples / np.abs(samples).max()).astype(np.float32), rate)


def strongest(clip: Clip) -> float:
    size = 1 << 20
    spectrum = np.abs(np.fft.rfft(clip.samples * np.hanning(len(clip.samples)), size))
    return float(spectrum.argmax()) * clip.sample_rate_hz / size


def level(clip: Clip) -> float:
    return float(10 * np.log10(np.square(clip.samples, dtype=np.float64).mean()))


def pitch(clip: Clip) -> float:
    """The median fundamental of the voiced frames (60 ms, by autocorrelation)."""
    rate, size = clip.sample_rate_hz, round(0.06 * clip.sample_rate_hz)
    found = []
    for start in range(0, len(clip.samples) - size, size // 2):
        frame = clip.samples[start : start + size].astype(np.float64)
        if np.square(frame).mean() < 1e-3:
            continue
        same = np.fft.irfft(np.abs(np.fft.rfft(frame * np.hanning(size), 4 * size)) ** 2)
        lag = rate // 400 + int(same[rate // 400 : rate // 90].argmax())
        if same[lag] > 0.4 * same[0]:
            found.append(rate / lag)
    return float(np.median(found))


@pytest.fixture(scope="module")
def speech() -> Clip:
    text = "The quick brown fox jumps over the lazy dog. Listen carefully, and repeat after me: good morning."
    return Clip(np.asarray(Hibari()(text, seed=0), np.float32), 24000)


@pytest.mark.parametrize("rate", [8000, 22050, 24000, 48000])
@pytest.mark.parametrize("factor", FACTORS)
def test_a_tone_keeps_its_pitch_and_level_and_has_the_length_asked_for(factor: float, rate: int) -> None:
    clip = tone(440, rate=rate)
    made = stretch(clip, factor)
    assert (len(made.samples), made.sample_rate_hz) == (round(len(clip.samples) / factor), rate)
    assert made.samples.dtype == np.float32
    assert strongest(made) == pytest.approx(440, rel=0.01)
    assert level(made) == pytest.approx(level(clip), abs=1)


@pytest.mark.parametrize("factor", FACTORS)
def test_a_voice_of_many_harmonics_keeps_its_pitch(factor: float) -> None:
    clip = tone(131, 262, 393, 524, 655)
    made = stretch(clip, factor)
    assert strongest(made) == pytest.approx(131, rel=0.01)
    assert level(made) == pytest.approx(level(clip), abs=1)


@pytest.mark.parametrize("factor", FACTORS)
def test_no_step_is_larger_than_the_tones_own(factor: float) -> None:
    clip = tone(440)
    # Without the ends: there the tone itself is cut off.
    steps, own = (np.abs(np.diff(one.samples[:-2400])).max() for one in (stretch(clip, factor), clip))
    assert steps <= own * 1.3


@pytest.mark.parametrize("factor", FACTORS)
def test_speech_keeps_its_pitch_its_level_and_its_place(factor: float, speech: Clip) -> None:
    made = stretch(speech, factor)
    assert len(made.samples) == round(len(speech.samples) / factor)
    assert level(made) == pytest.approx(level(speech), abs=1)
    assert pitch(made) == pytest.approx(pitch(speech), rel=0.05), "a median over other frames"
    for now, was in zip(silent_ends(made), silent_ends(speech), strict=True):
        assert now == pytest.approx(was / factor, abs=0.06 + 0.01 / factor), "nothing is lost, nothing drifts"


@pytest.mark.parametrize("factor", [0.25, 1.1, 4.0])
@pytest.mark.parametrize("length", [0, 1, 2, 100, 3000])
def test_the_shortest_clips_are_stretched_too(length: int, factor: float) -> None:
    made = stretch(Clip(np.full(length, 0.5, np.float32), 24000), factor)
    assert len(made.samples) == round(length / factor)
    assert np.isfinite(made.samples).all()


def test_the_same_speed_is_the_same_clip() -> None:
    clip = tone(440)
    assert stretch(clip, 1.0) is clip


def test_the_same_clip_is_stretched_the_same_way(speech: Clip) -> None:
    assert np.array_equal(stretch(speech, 1.3).samples, stretch(speech, 1.3).samples)


def test_what_is_no_number_becomes_silence() -> None:
    clip = tone(440)
    clip.samples[1000] = np.nan
    assert np.isfinite(stretch(clip, 1.5).samples).all()


@pytest.mark.parametrize("factor", [0.0, 0.24, 4.01, -1.0, float("nan"), float("inf")])
def test_other_factors_are_refused_by_value(factor: float) -> None:
    with pytest.raises(BadInput, match=f"speed factor {factor} is outside 0.25 to 4.0"):
        stretch(tone(440), factor)
