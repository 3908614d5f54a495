"""The whole text front end: pieces, rests, the lexicon, what holds for every text, and the time it takes."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from config.versions import TEXT_RULES
from tests.workers.test_normalize import golden
from workers.text.normalize import CLASSES
from workers.text.script import Piece, script
from workers.text.sentences import PARAGRAPH_PAUSE_SECONDS, PIECE_CHARACTERS, SENTENCE_PAUSE_SECONDS, pieces

# What the rules of each number make of text_rules.txt and of the golden lines. A change here without a new number in
# config/versions.py would mix old and new speech in every cache.
GOLDEN = {2: "79ca60a0df7884c2dd5a337e656d4a969d3f752af14a337716d24e437c5fa28b"}


def words(text: str) -> str:
    """Every letter and digit of a text, in order."""
    return "".join(character for character in text if character.isalnum())


# --- Pieces ----------------------------------------------------------------------------------------------------------


def test_a_sentence_is_shown_as_written_and_said_in_words() -> None:
    assert script("Dr. Lee paid $5. He left at 9 a.m. Monday.\n\nThe end") == [
        Piece("Dr. Lee paid $5.", "Doctor Lee paid five dollars.", SENTENCE_PAUSE_SECONDS),
        Piece("He left at 9 a.m. Monday.", "He left at nine A.M Monday.", PARAGRAPH_PAUSE_SECONDS),
        Piece("The end", "The end", 0.0),
    ]


@pytest.mark.parametrize(
    "text", ["", " ", "\n\n", "...", "?!", "🙂", "— … —", "()", "\u200b", "# \n- \n> ", "<p></p>", "\ue000"]
)
def test_a_text_without_a_word_has_no_pieces(text: str) -> None:
    assert script(text) == []


def test_a_sentence_that_grows_too_long_is_cut_at_its_clauses() -> None:
    text = ", ".join(["in 1777 there were 777,777,777 of them"] * 7) + "."
    found = script(text)
    assert len(text) < PIECE_CHARACTERS
    assert len(found) > 1
    assert all(piece.written.endswith(("them,", "them.")) for piece in found)
    assert [piece.pause_seconds for piece in found] == [0.0] * len(found)
    assert " ".join(piece.written for piece in found) == text


def test_a_date_is_not_cut_at_its_comma() -> None:
    text = "word " * 55 + "on March 4, 2025, at last."
    assert any("March fourth, twenty twenty-five" in piece.spoken for piece in script(text))


def test_a_long_address_is_shown_by_its_beginning_and_said_by_its_site() -> None:
    (piece,) = script(f"See https://example.com/{'a' * 1000} now.")
    assert piece.spoken == "See example dot com now."
    assert piece.written.startswith("See https://example.com/aaa")
    assert len(piece.written) <= PIECE_CHARACTERS


def test_plain_text_is_cut_as_its_sentences_are() -> None:
    text = "One two. Three four!\n\nFive six? Seven."
    assert [(p.written, p.pause_seconds) for p in script(text)] == [(p.text, p.pause_seconds) for p in pieces(text)]


# --- The lexicon -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "lexicon", "expected"),
    [
        ("Ask nginx, Nginx and NGINX.", {"nginx": "engine x"}, "Ask engine x, engine x and engine x."),
        ("IT is it.", {"IT": "information technology"}, "information technology is it."),
        ("A cat in a category.", {"cat": "dog"}, "A dog in a category."),
        ("New York and York.", {"York": "yorrk", "New York": "the city"}, "the city and yorrk."),
        ("Read SQL.", {"SQL": "/ˈsiːkwəl/"}, "Read [SQL](/ˈsiːkwəl/)."),
        ("Nguyen's book.", {"nguyen": "/wɪn/"}, "[Nguyen](/wɪn/)'s book."),
        ("It was 5 km.", {"km": "clicks"}, "It was five clicks."),
        ("Use C++ and C.", {"C++": "see plus plus", "C": "see"}, "Use see plus plus and see."),
        ("Use .NET.", {".NET": "dot net"}, "Use dot net."),
        ("Dr. No", {"Dr. No": "Doctor No!"}, "Doctor No!"),
        ("On 3/4 only.", {"3/4": "three over four"}, "On three over four only."),
        ("Say 5 km.", {"x": "5 km"}, "Say five kilometers."),
        ("Say x.", {"x": "5 km"}, "Say 5 km."),
        ("Say x.", {"x": " ", "": "y", "!": "z", "a" * 300: "b", "say": "w" * 300}, "Say x."),
    ],
)
def test_the_lexicon_comes_first_and_the_longest_entry_wins(text: str, lexicon: dict[str, str], expected: str) -> None:
    found = script(text, lexicon=lexicon)
    assert " ".join(piece.spoken for piece in found) == expected
    assert " ".join(piece.written for piece in found) == text


# --- What holds for every text ---------------------------------------------------------------------------------------

WRITTEN = [line[1] for line in golden() if line[0] not in ("markup", "list", "heading", "code")]
PARTS = st.sampled_from(
    [
        *(
            "Hello",
            "Dr.",
            "St.",
            "etc.",
            "U.S.",
            "I",
            "No.",
            "3.14",
            "$5",
            "e.g.",
            "x" * 320,
            "1/2",
            "½",
            "5 km",
            "XIV",
        ),
        *(
            "1984",
            "'90s",
            "7" * 40,
            "1,000",
            "9 a.m.",
            "-5",
            "20%",
            "a_b",
            "fooBar",
            "f(x)",
            "x²",
            "10⁻⁹",
            "H₂O",
            "₃",
            "°C",
        ),
        *(
            "a@b.com",
            "http://a.com/b",
            "www.x.org",
            "3/4/2025",
            "(555) 123-4567",
            "v2.13",
            "#1",
            "5'10\"",
            "§",
            "١٢",
            "①",
        ),
        *(
            ".",
            "...",
            "…",
            "!",
            "?",
            ",",
            ";",
            ":",
            "—",
            "–",
            "-",
            '"',
            "'",
            "“",
            "”",
            "(",
            ")",
            "*",
            "_",
            "/",
            "^",
            "=",
            "~",
        ),
        *(
            " ",
            "  ",
            "\n",
            "\n\n",
            "\t",
            "\r\n",
            "\u00a0",
            "🙂",
            "é",
            "東京",
            "ﬁ",
            "\u0301",
            "\u00ad",
            "\u2028",
            "#",
            "- ",
            "1. ",
        ),
    ]
)
MARKS = st.sampled_from(
    [
        "<",
        ">",
        "<p>",
        "</p>",
        "<s>",
        "<break/>",
        "<sub alias='y'>",
        "</sub>",
        "&amp;",
        "&",
        "[",
        "](",
        "`",
        "|",
        "```\n",
    ]
)
TEXTS = st.one_of(
    st.text(max_size=300),
    st.lists(PARTS, max_size=60).map("".join),
    st.lists(st.sampled_from(WRITTEN), max_size=3).map(" ".join),
)
MARKED = st.lists(st.one_of(PARTS, MARKS), max_size=60).map("".join)
# Where these stand, more than words may be meant.
MARKUP = set("<&`[|~\\") | {"\U000f0000"}


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.sets(st.sampled_from(sorted(CLASSES))))
def test_no_word_is_lost_doubled_or_moved(text: str, reads: set[str]) -> None:
    assume(MARKUP.isdisjoint(text))
    # A long address is shown by its beginning.
    assume(not re.search(r"[/.@]\S{150}", text))
    found = script(text, reads=frozenset(reads), lexicon={"hello": "hi", "é": "/e/"})
    assert words("".join(piece.written for piece in found)) == words(text)


@settings(max_examples=600, deadline=None)
@given(st.one_of(TEXTS, MARKED))
def test_every_piece_is_short_tidy_and_says_something(text: str) -> None:
    found = script(text)
    for piece in found:
        assert 0 < len(piece.written) <= PIECE_CHARACTERS
        assert 0 < len(piece.spoken) <= PIECE_CHARACTERS
        assert piece.spoken == piece.spoken.strip()
        assert "\n" not in piece.written + piece.spoken
        assert words(piece.spoken)
        assert piece.pause_seconds >= 0
        assert not any("\ue000" <= character <= "\uf8ff" or character >= "\U000f0000" for character in piece.spoken)
    assert bool(found) or not words(text) or not MARKUP.isdisjoint(text)


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_a_text_has_pieces_if_and_only_if_it_has_a_word(text: str) -> None:
    assume(MARKUP.isdisjoint(text))
    assert bool(script(text)) == bool(words(text))


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_space_around_a_text_changes_nothing(text: str) -> None:
    assert script(f"\n\n{text}\n\n") == script(f"{text}")


# --- The number of the rules -----------------------------------------------------------------------------------------


def test_the_rules_have_not_changed_without_a_new_number() -> None:
    here = Path(__file__)
    texts = [here.with_name("text_rules.txt").read_text(encoding="utf-8"), *(written for _, written, _ in golden())]
    made = [[piece.written, piece.spoken, piece.pause_seconds] for text in texts for piece in script(text)]
    digest = hashlib.sha256(json.dumps(made, ensure_ascii=False).encode()).hexdigest()
    assert digest == GOLDEN.get(TEXT_RULES), digest
