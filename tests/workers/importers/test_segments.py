"""Blocks to segments: lengths, places of cuts, and every word."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.importers.blocks import Block, Kind
from workers.importers.segments import LONGEST_CHARACTERS, MOST_SENTENCES, USUAL_CHARACTERS, segments, split
from workers.text.sentences import has_word

HARD_LIMIT = 2_000


def texts(*blocks: Block) -> list[str]:
    return [segment.text for segment in segments(blocks)]


def paragraph(text: str) -> Block:
    return Block("paragraph", (text,))


def test_one_to_three_sentences_are_a_segment() -> None:
    assert texts(paragraph("One. Two. Three.")) == ["One. Two. Three."]


@pytest.mark.parametrize(
    ("written", "sentences"),
    [
        ("« Il vient. » Puis il part.", ["« Il vient. »", "Puis il part."]),
        ("« Il vient. » « Et toi ? »", ["« Il vient. »", "« Et toi ? »"]),
        ("Il dit : « Viens ! » et part.", ["Il dit : « Viens ! » et part."]),
        ("‹ Ja. › Nein.", ["‹ Ja. ›", "Nein."]),
    ],
)
def test_a_quotation_mark_after_a_space_closes_what_was_before_it(written: str, sentences: list[str]) -> None:
    assert split(written) == sentences


def test_sentences_are_shared_out_evenly() -> None:
    assert texts(paragraph("One. Two. Three. Four.")) == ["One. Two.", "Three. Four."]


def test_no_segment_holds_parts_of_two_blocks() -> None:
    assert texts(Block("heading", ("Title",), 2), paragraph("One."), paragraph("Two.")) == ["Title", "One.", "Two."]


def test_long_sentences_do_not_share_a_segment() -> None:
    long = " ".join(["word"] * 100) + "."
    assert texts(paragraph(f"{long} {long[0].upper()}{long[1:]}")) == [long, long.capitalize()]


def test_a_sentence_that_is_far_too_long_is_cut_at_clauses() -> None:
    clause = "and then they went on " * 10
    cut = texts(paragraph(f"{clause.strip()}, " * 8 + "home."))
    assert len(cut) == 4
    assert all(len(text) <= USUAL_CHARACTERS for text in cut)
    assert all(text.endswith(",") for text in cut[:-1])


def test_a_word_without_end_is_cut_anywhere_but_before_its_accent() -> None:
    cut = texts(paragraph("a\u0301" * 900))
    assert "".join(cut) == "a\u0301" * 900
    assert all(text.startswith("a") for text in cut)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("光合作用是植物的过程。它需要光！真的吗？", ["光合作用是植物的过程。", "它需要光！", "真的吗？"]),
        ("他说：“走吧。”然后走了。", ["他说：“走吧。”", "然后走了。"]),
        ("ما هذا؟ هذا كتاب.", ["ما هذا؟", "هذا كتاب."]),
        ("यह जल है। वह आग है।", ["यह जल है।", "वह आग है।"]),
        ("Dr. Smith went. He came back.", ["Dr. Smith went.", "He came back."]),
        ("Pi is 3.14 here. Fine.", ["Pi is 3.14 here.", "Fine."]),
    ],
)
def test_sentences_end_as_their_script_ends_them(text: str, expected: list[str]) -> None:
    assert split(text) == expected


def test_chinese_sentences_are_joined_without_a_space() -> None:
    assert texts(paragraph("它需要光！真的吗？")) == ["它需要光！真的吗？"]


def test_items_stand_on_lines_of_their_own_as_many_as_fit() -> None:
    assert texts(Block("list", ("1. Mix.", "2. Bake.", "3. Eat.", "4. Rest."))) == [
        "1. Mix.\n2. Bake.\n3. Eat.\n4. Rest."
    ]
    many = texts(Block("table", tuple(f"Row {number}: {'value ' * 20}" for number in range(20))))
    assert [text.count("\n") + 1 for text in many] == [4] * 5


def test_what_has_no_word_is_no_segment() -> None:
    assert texts(paragraph("…"), paragraph("* * *"), paragraph(""), Block("code", (), source="x = 1")) == []


def test_a_formula_keeps_how_it_was_written() -> None:
    [segment] = segments([Block("formula", ("a over b",), source=r"\frac{a}{b}")])
    assert (segment.text, segment.kind, segment.extra) == ("a over b", "formula", {"source": r"\frac{a}{b}"})


KINDS: list[Kind] = ["paragraph", "heading", "list", "table", "figure", "formula", "quote"]
CHARACTERS = st.sampled_from("abcXYZ0189.,;:!?…()\"'“”-–— \n\u00a0\u0301éßà漢字。！？、，אבמ؟।")
TOKENS = st.one_of(
    st.text(CHARACTERS, min_size=1, max_size=60), st.sampled_from(["e.g.", "Dr.", "U.S.", "No. 5", "[3]"])
)
TEXTS = st.one_of(
    st.text(CHARACTERS, max_size=400),
    st.lists(TOKENS, max_size=60).map(" ".join),
    st.text(st.sampled_from("ab漢,"), min_size=1_000, max_size=3_000),
    st.text(max_size=300),
)
BLOCKS = st.lists(
    st.builds(Block, st.sampled_from(KINDS), st.lists(TEXTS, min_size=1, max_size=4).map(tuple)), max_size=5
)


@given(BLOCKS)
def test_no_letter_is_lost_made_up_or_moved(blocks: list[Block]) -> None:
    before = "".join(character for block in blocks for character in block.text if character.isalnum())
    after = "".join(character for text in texts(*blocks) for character in text if character.isalnum())
    assert after == before


@given(BLOCKS)
def test_every_segment_is_within_bounds_and_has_a_word(blocks: list[Block]) -> None:
    for segment in segments(blocks):
        assert 0 < len(segment.text) <= LONGEST_CHARACTERS < HARD_LIMIT
        assert has_word(segment.text)
        assert segment.text == segment.text.strip()
        if segment.kind not in ("list", "table"):
            assert "\n" not in segment.text
            assert len(split(segment.text)) <= MOST_SENTENCES or len(segment.text) <= USUAL_CHARACTERS


@given(st.lists(st.lists(st.sampled_from("one two three. Four! five? (six) seven, 8.5 “nine”".split()), max_size=300)))
def test_no_word_is_cut_in_two_where_there_are_spaces(paragraphs: list[list[str]]) -> None:
    blocks = [paragraph(" ".join(words)) for words in paragraphs]
    assert [word for text in texts(*blocks) for word in text.split()] == [
        word for words in paragraphs for word in words
    ]


@given(st.lists(st.sampled_from(["One thing.", "Is it?", "No, " + "never " * 30 + "it is.", "Well…"]), max_size=30))
def test_cuts_are_at_the_ends_of_sentences(sentences: list[str]) -> None:
    for text in texts(paragraph(" ".join(sentences))):
        assert re.search(r"[.?…]$", text)
        assert len(text) <= USUAL_CHARACTERS
