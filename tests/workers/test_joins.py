"""Where pieces meet: no clicks, and no more silence than is wanted."""

from __future__ import annotations

import numpy as np
import pytest
from hibari import Hibari
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from workers.audio.clip import Clip, faded, join, join_smoothly, silence, silent_ends, trim_silence

RATE = 24000
# -60 dBFS, below which an end is left as it is; two such ends may meet.
INAUDIBLE = 1e-3

pieces = st.lists(
    st.lists(st.floats(-1, 1, width=32), max_size=300).map(lambda values: Clip(np.array(values, np.float32), RATE)),
    max_size=6,
)


def steps(samples: NDArray[np.float32]) -> float:
    return float(np.abs(np.diff(samples)).max(initial=0.0))


def tone(seconds: float, hz: float = 200.0) -> Clip:
    at = np.arange(round(seconds * RATE)) / RATE
    return Clip((0.8 * np.cos(2 * np.pi * hz * at)).astype(np.float32), RATE)


# --- Fades -----------------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(pieces, st.booleans())
def test_no_join_has_a_step_larger_than_those_within_the_pieces(clips: list[Clip], pauses: bool) -> None:
    spoken = [part for clip in clips for part in (clip, silence(0.001 * pauses, RATE))]
    joined = join_smoothly(spoken, RATE).samples
    assert len(joined) == sum(len(clip.samples) for clip in spoken)
    places = np.cumsum([len(clip.samples) for clip in spoken], dtype=int)
    places = places[(places > 0) & (places < len(joined))]
    own = max((steps(clip.samples) for clip in clips), default=0.0)
    at_joins = np.abs(joined[places] - joined[places - 1]).max(initial=0.0)
    assert at_joins <= 2 * INAUDIBLE
    # A fade adds at most the peak over its length to a step within it.
    shortest = min((len(clip.samples) for clip in clips if len(clip.samples)), default=1)
    assert steps(joined) <= own + 1 / max(1, min(120, (shortest + 1) // 2)) + 2 * INAUDIBLE


def test_a_tone_cut_off_at_its_peak_would_click_and_does_not() -> None:
    cut = tone(0.1)
    assert steps(join([cut, silence(0.1, RATE), cut], RATE).samples) > 0.75
    assert steps(join_smoothly([cut, silence(0.1, RATE), cut], RATE).samples) < steps(cut.samples) + 1 / 120


def test_only_the_ends_are_faded() -> None:
    clip = tone(0.1)
    made = faded(clip).samples
    assert made[0] == made[-1] == 0
    assert np.array_equal(made[120:-120], clip.samples[120:-120])


def test_a_clip_with_quiet_ends_stays_as_it_is() -> None:
    quiet = join([silence(0.01, RATE), tone(0.1), silence(0.01, RATE)], RATE)
    assert faded(quiet) is quiet
    assert faded(silence(0, RATE)).samples.size == 0


@given(st.integers(1, 500))
def test_a_faded_clip_is_not_faded_again(length: int) -> None:
    once = faded(Clip(np.full(length, 0.9, np.float32), RATE))
    assert faded(once) is once
    assert abs(once.samples[0]) <= INAUDIBLE


# --- Silence ---------------------------------------------------------------------------------------------------------


def test_silence_at_the_ends_is_found_and_cut_to_what_is_kept() -> None:
    clip = join([silence(0.3, RATE), tone(0.2), silence(0.5, RATE)], RATE)
    assert silent_ends(clip) == pytest.approx((0.3, 0.5), abs=0.001)
    made = trim_silence(clip, 0.05)
    assert silent_ends(made) == pytest.approx((0.05, 0.05), abs=0.001)
    assert made.duration_seconds == pytest.approx(0.3, abs=0.001)
    assert steps(trim_silence(clip, 0.0).samples) == pytest.approx(steps(tone(0.2).samples))


def test_less_silence_than_is_kept_is_left() -> None:
    clip = join([silence(0.03, RATE), tone(0.2), silence(0.5, RATE)], RATE)
    assert silent_ends(trim_silence(clip, 0.1)) == pytest.approx((0.03, 0.1), abs=0.001)


def test_hiss_counts_as_silence() -> None:
    noise = np.random.default_rng(0).normal(0, 5e-4, 4 * RATE).astype(np.float32)
    noise[RATE : 2 * RATE] += tone(1).samples
    assert silent_ends(Clip(noise, RATE)) == pytest.approx((1.0, 2.0), abs=0.002)


def test_nothing_but_silence_leaves_as_much_as_two_ends() -> None:
    assert trim_silence(silence(3, RATE), 0.05).duration_seconds == pytest.approx(0.1)
    assert trim_silence(silence(0, RATE), 0.05).duration_seconds == 0


def test_no_word_is_cut_from_what_hibari_says() -> None:
    speaker = Hibari()
    for text in ("Hello there.", "Stop!", "Pat.", "Six.", "What is the capital of France?"):
        clip = Clip(np.asarray(speaker(text, seed=0), np.float32), RATE)
        before, after = silent_ends(clip)
        print(f"{text:32} {before * 1000:4.0f} ms of silence before, {after * 1000:4.0f} after")
        assert min(before, after) > 0.15, "why there is trim_silence"
        made = trim_silence(clip, 0.05)
        # Of its energy nothing is lost.
        whole, left = (float(np.square(one.samples, dtype=np.float64).sum()) for one in (clip, made))
        assert left > 0.9999 * whole
        assert max(silent_ends(made)) <= 0.0501
