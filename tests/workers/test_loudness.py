"""Loudness against the standard's own signals, and clips made as loud as asked."""

from __future__ import annotations

import numpy as np
import pytest
from hibari import Hibari
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.audio.clip import Clip, join, silence
from workers.audio.loudness import CEILING_DBFS, measure, normalize, true_peak

RATE = 24000


def sine(seconds: float, dbfs: float, rate: int = RATE, hz: float = 997) -> Clip:
    at = np.arange(round(seconds * rate)) / rate
    return Clip((10 ** (dbfs / 20) * np.sin(2 * np.pi * hz * at)).astype(np.float32), rate)


def dbfs(clip: Clip) -> float:
    return float(20 * np.log10(true_peak(clip)))


@pytest.fixture(scope="module")
def speech() -> Clip:
    text = "Listen carefully, and repeat after me. Good morning! How are you? It is half past nine."
    return Clip(np.asarray(Hibari()(text, seed=0), np.float32), RATE)


# --- Measuring -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 44100, 48000])
@pytest.mark.parametrize("level", [0.0, -20.0, -40.0])
def test_the_standards_calibration_a_full_sine_at_997_hz_has_minus_3_01(rate: int, level: float) -> None:
    assert measure(sine(5, level, rate)) == pytest.approx(level - 3.01, abs=0.05)


@pytest.mark.parametrize(
    ("levels", "wanted"),
    [
        # EBU Tech 3341, cases 3 and 4, for one channel (3.01 dB less than two): the gates leave the loud part alone.
        ([(10, -36.0), (60, -23.0), (10, -36.0)], -26.01),
        ([(10, -72.0), (10, -36.0), (60, -23.0), (10, -36.0), (10, -72.0)], -26.01),
        # Case 5: nothing is gated, so loud and less loud are averaged.
        ([(20, -26.0), (20.1, -20.0), (20, -26.0)], -26.01),
    ],
)
def test_the_ebus_cases_give_the_ebus_numbers(levels: list[tuple[float, float]], wanted: float) -> None:
    parts = [sine(seconds, level, 48000, 1000) for seconds, level in levels]
    assert measure(join(parts, 48000)) == pytest.approx(wanted, abs=0.1)


def test_high_sound_counts_more_and_very_low_sound_less() -> None:
    low, middle, high = (measure(sine(3, -20, 48000, hz)) for hz in (30, 997, 5000))
    assert low is not None
    assert middle is not None
    assert high is not None
    assert high - middle == pytest.approx(3.3, abs=0.3)
    assert low - middle < -6


def test_silence_around_a_sound_does_not_make_it_less_loud() -> None:
    alone, among = sine(10, -20), join([silence(5, RATE), sine(10, -20), silence(5, RATE)], RATE)
    # But for the blocks of 400 ms that have an end of it in them.
    assert measure(among) == pytest.approx(measure(alone), abs=0.2)


@pytest.mark.parametrize("clip", [silence(0, RATE), silence(5, RATE), sine(0.39, -3), sine(5, -75)])
def test_what_is_too_short_or_silent_has_no_loudness_and_stays_as_it_is(clip: Clip) -> None:
    assert measure(clip) is None
    assert normalize(clip, -16) is clip


def test_04_seconds_are_enough() -> None:
    assert measure(sine(0.4, -20)) == pytest.approx(-23.0, abs=0.2)


def test_what_is_no_number_counts_as_silence() -> None:
    clip = sine(3, -20)
    clip.samples[100:200] = np.nan
    clip.samples[300:400] = np.inf
    assert measure(clip) == pytest.approx(-23.0, abs=0.2)
    assert np.isfinite(normalize(clip, -16).samples).all()


def test_a_peak_between_the_samples_is_seen() -> None:
    # A quarter of the rate, 45 degrees off: all samples are at 0.707 of the peak.
    samples = np.sin(np.pi / 2 * np.arange(RATE) + np.pi / 4).astype(np.float32)
    assert np.abs(samples).max() == pytest.approx(0.707, abs=0.001)
    fade = np.hanning(RATE).astype(np.float32)
    assert true_peak(Clip(samples * fade, RATE)) == pytest.approx(1.0, abs=0.01)


def test_long_sound_is_measured_in_parts_that_fit_together() -> None:
    long = sine(37.3, -20, 22050)
    assert measure(long) == pytest.approx(-23.0, abs=0.02)
    assert dbfs(long) == pytest.approx(-20.0, abs=0.05)


# --- Making loud -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lufs", [-40.0, -30.0, -23.0, -19.0, -16.0, -14.0])
def test_speech_becomes_as_loud_as_asked_below_the_ceiling(lufs: float, speech: Clip) -> None:
    made = normalize(speech, lufs)
    assert measure(made) == pytest.approx(lufs, abs=0.5)
    assert dbfs(made) <= CEILING_DBFS + 0.1
    assert (len(made.samples), made.samples.dtype) == (len(speech.samples), np.float32)
    print(f"{lufs} LUFS: error {(measure(made) or 0) - lufs:+.2f} LU, true peak {dbfs(made):.2f} dBFS")


def test_plain_gain_changes_nothing_else(speech: Clip) -> None:
    made = normalize(speech, -35)
    gain = made.samples[np.abs(speech.samples) > 0.01] / speech.samples[np.abs(speech.samples) > 0.01]
    assert np.ptp(gain) < 1e-5


def test_the_limiter_holds_back_peaks_gently(speech: Clip) -> None:
    made = normalize(speech, -16)
    heard = np.abs(speech.samples) > 0.01
    gain = 20 * np.log10(np.abs(made.samples[heard] / speech.samples[heard]))
    # Where it holds nothing back, the gain is one for all; where it does, it moves by less than a decibel in 5 ms.
    assert np.percentile(gain, 50) > gain.max() - 3
    places = np.flatnonzero(heard)
    near = np.diff(places) <= 2
    assert np.abs(np.diff(gain))[near].max() < 0.1


@pytest.mark.parametrize(
    "clip",
    [
        Clip(np.where(np.arange(2 * RATE) % 4800 == 0, 0.5, 0).astype(np.float32), RATE),
        sine(2, -6),
    ],
)
def test_what_cannot_be_so_loud_comes_as_near_as_the_ceiling_allows(clip: Clip) -> None:
    made = normalize(clip, -1)
    before, after = measure(clip), measure(made)
    assert before is not None
    assert after is not None
    assert before < after < -1
    assert dbfs(made) == pytest.approx(CEILING_DBFS, abs=0.1)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.floats(0.4, 3),
    st.floats(-60, 0),
    st.floats(-40, -5),
    st.sampled_from([8000, 22050, 24000]),
)
def test_no_sound_passes_the_ceiling_or_the_target(
    seed: int, seconds: float, level: float, lufs: float, rate: int
) -> None:
    rng = np.random.default_rng(seed)
    bursts = np.repeat(rng.uniform(0, 1, 40) ** 3, -(-round(seconds * rate) // 40))[: round(seconds * rate)]
    clip = Clip((rng.uniform(-1, 1, len(bursts)) * bursts * 10 ** (level / 20)).astype(np.float32), rate)
    made = normalize(clip, lufs)
    if (now := measure(made)) is not None:
        assert now <= lufs + 1.0
    if made is not clip:
        assert dbfs(made) <= CEILING_DBFS + 0.1
