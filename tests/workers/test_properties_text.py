"""The text front end on what nobody wrote by hand: no error, no hang, nothing that grows without bound."""

from __future__ import annotations

import time
from unicodedata import normalize

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from workers.text import markup
from workers.text.script import script
from workers.text.sentences import PIECE_CHARACTERS

# What means something to one of the rules, whole and in halves.
MEANING = [
    *('<sub alias="x">', "</sub>", '<break time="9s"/>', "<!--", "-->", "<a ", '<a b="c" ', "<p>", "</p>", "<?xml "),
    *("&amp;", "&#0;", "&#x110000;", "&", "```", "`", "# ", "- ", "1. ", "|", "[", "](", "*", "**", "$$", "\\frac{"),
    *("1/2", "$1.50", "3:45 PM", "http://a.b/c", "1,000", "9" * 30, "XIV", "0x", "00:", "12", "²", "½", "°", "%"),
    *("Mr. ", "Jan ", "1999", "km", "m/s", ".com", "-", "–", "…", ". ", "?", "\n", "\n\n", "\t", "\r", "\u2028"),
    *("\ue000", "\U000f0000", "\u200b", "\u202e", "\0", "\ud800", "e\u0301", "你", "𝒳", '"', "'", "(", ")"),
]
TEXTS = st.lists(st.one_of(st.sampled_from(MEANING), st.text(max_size=12)), max_size=60).map("".join)
UNITS = st.lists(st.sampled_from([*MEANING, "a", "1", " ", "<", ">", "="]), min_size=1, max_size=4).map("".join)
# One digit may be a word of a dozen letters, each with a space.
MOST_PER_CHARACTER = 40
LONGEST_TEXT = 20_000
# Of this process: a hundred times what it takes, and a hundredth of what a rule takes that looks back at everything.
SECONDS = 10.0


def assert_read(text: str) -> None:
    """Fails unless its pieces are as short as they have to be, and no more than the text can mean."""
    pieces = script(text)
    for piece in pieces:
        assert any(map(str.isalnum, piece.spoken + piece.written))
        assert len(piece.spoken) <= PIECE_CHARACTERS
        assert 0.0 <= piece.pause_seconds <= markup.LONGEST_BREAK_SECONDS
    assert sum(len(piece.spoken) for piece in pieces) <= MOST_PER_CHARACTER * len(normalize("NFKC", text)) + 100


@settings(max_examples=150, deadline=None)
@given(TEXTS)
@example("<sub alias='" + "<!--" * 50)
def test_any_text_is_read_in_short_pieces(text: str) -> None:
    assert_read(text)


@settings(max_examples=10, deadline=None)
@given(UNITS)
@example("0x")
@example("²1")
@example("<0")
@example("<a b='c' ")
def test_what_repeats_to_the_longest_text_there_may_be_is_read_in_time(unit: str) -> None:
    text = (unit * LONGEST_TEXT)[:LONGEST_TEXT]
    began = time.process_time()
    assert_read(text)
    assert time.process_time() - began < SECONDS


@pytest.mark.slow
@pytest.mark.timeout(900)
@settings(max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TEXTS)
def test_any_text_is_read_in_short_pieces_thousands_of_times(text: str) -> None:
    assert_read(text)


@pytest.mark.slow
@pytest.mark.timeout(900)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(UNITS, st.integers(1, 3))
def test_what_repeats_after_something_else_is_read_in_time(unit: str, offset: int) -> None:
    text = (MEANING[offset] + unit * LONGEST_TEXT)[:LONGEST_TEXT]
    began = time.process_time()
    assert_read(text)
    assert time.process_time() - began < SECONDS
