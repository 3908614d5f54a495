"""The ends of a spoken piece: silence is cut to what is kept, nothing within is touched, however the parts fall."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from workers.audio.clip import Clip
from workers.tts.edges import FADE_SECONDS, KEPT_SECONDS, Edges

RATE = 1000
KEEP, FADE = round(KEPT_SECONDS * RATE), round(FADE_SECONDS * RATE)
Samples = NDArray[np.float32]


def sound(length: int, level: float = 0.5) -> Samples:
    return np.full(length, level, np.float32)


def rest(length: int) -> Samples:
    return np.zeros(length, np.float32)


def piece(*parts: Samples) -> Samples:
    """What comes out of these parts."""
    edges = Edges(RATE)
    ready = [edges.add(Clip(part, RATE))[0] for part in parts]
    return np.concatenate([*ready, edges.end()])


def test_silence_at_both_ends_is_cut_to_what_is_kept() -> None:
    made = piece(np.concatenate([rest(300), sound(200), rest(300)]))
    loud = np.flatnonzero(made)
    assert loud[0] == pytest.approx(KEEP, abs=1)
    assert len(made) - 1 - loud[-1] == KEEP
    assert (made[loud] == 0.5).all()


def test_less_silence_than_is_kept_is_left_as_it_is() -> None:
    made = piece(np.concatenate([rest(10), sound(200), rest(20)]))
    assert np.array_equal(made, np.concatenate([rest(10), sound(200), rest(20)]))


def test_a_loud_end_is_faded_over_five_milliseconds_and_nothing_else_is() -> None:
    made = piece(sound(100))
    assert len(made) == 100
    assert made[0] == made[-1] == 0
    assert (np.diff(made[:FADE]) > 0).all()
    assert (np.diff(made[-FADE:]) < 0).all()
    assert (made[FADE:-FADE] == 0.5).all()


def test_silence_within_a_piece_stays_whole() -> None:
    within = [sound(100), rest(400), sound(100)]
    for made in (piece(np.concatenate(within)), piece(*within)):
        assert len(made) == 600
        assert not made[100:500].any()
        assert (made[FADE:100] == 0.5).all()
        assert (made[500:-FADE] == 0.5).all()


def test_silence_that_comes_in_parts_of_its_own_is_cut_as_well() -> None:
    made = piece(rest(200), rest(200), sound(100), rest(200), rest(200))
    assert len(made) == KEEP + 100 + KEEP
    assert np.array_equal(made, piece(np.concatenate([rest(400), sound(100), rest(400)])))


def test_a_part_of_no_length_is_no_silence() -> None:
    assert np.array_equal(piece(sound(100), rest(0)), piece(sound(100)))


def test_a_piece_of_nothing_is_nothing() -> None:
    assert not len(piece())
    assert not len(piece(rest(0), rest(500)))
    edges = Edges(RATE)
    edges.add(Clip(rest(500), RATE))
    assert edges.given == 0


@pytest.mark.parametrize("length", [1, 2, 4, 5, 6])
def test_a_piece_shorter_than_its_fades_is_no_fault(length: int) -> None:
    made = piece(sound(length))
    assert len(made) == length
    assert np.abs(made).max() <= 0.5


def test_the_place_of_a_part_is_where_its_first_sample_stands() -> None:
    edges = Edges(RATE)
    first = np.concatenate([rest(200), sound(100)])
    ready, begins = edges.add(Clip(first, RATE))
    # 150 of the 200 were cut, so the first sample would stand before the piece.
    assert begins == KEEP - 200
    assert len(ready) <= 150
    _, begins = edges.add(Clip(sound(100), RATE))
    assert begins == 150
    _, begins = edges.add(Clip(rest(100), RATE))
    assert begins == 250


def test_what_was_given_is_not_changed_by_us() -> None:
    mine = sound(100)
    piece(mine, mine)
    assert (mine == 0.5).all()


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 200)), min_size=1, max_size=6),
    st.lists(st.integers(0, 900), max_size=6),
)
def test_however_a_piece_is_cut_into_parts_it_is_the_same(runs: list[tuple[bool, int]], places: list[int]) -> None:
    whole = np.concatenate([sound(length) if loud else rest(length) for loud, length in runs])
    made = piece(whole)
    parts = np.split(whole, sorted(min(place, len(whole)) for place in places))
    loud = np.flatnonzero(whole)
    if not len(loud):
        assert not len(made)
        assert not len(piece(*parts))
        return
    # At either end as much silence as there was, or as is kept; within, every sample as it was.
    first, inside = min(loud[0], KEEP), whole[loud[0] : loud[-1] + 1]
    assert len(made) == first + len(inside) + min(len(whole) - 1 - loud[-1], KEEP)
    middle = slice(FADE, len(inside) - FADE)
    assert np.array_equal(made[first : first + len(inside)][middle], inside[middle])
    assert np.abs(made).max() <= 0.5
    # A part too short to hold back for the fade was given already.
    if all(len(part) > FADE for part in parts if len(part)):
        assert np.array_equal(piece(*parts), made)


@pytest.mark.parametrize("length", range(1, 9))
def test_silence_of_any_length_is_silence(length: int) -> None:
    edges = Edges(RATE)
    assert not len(edges.add(Clip(rest(length), RATE))[0])
    assert not len(edges.end())
    assert edges.given == 0
