"""Tags and Markdown in a text: what is honoured, what is taken out, and what stays text."""

from __future__ import annotations

import pytest

from workers.text.markdown import HEADING_PAUSE_SECONDS, ITEM_PAUSE_SECONDS
from workers.text.markup import LONGEST_BREAK_SECONDS, STRENGTH_SECONDS
from workers.text.script import Piece, script
from workers.text.sentences import PARAGRAPH_PAUSE_SECONDS, SENTENCE_PAUSE_SECONDS


def written(text: str) -> list[str]:
    return [piece.written for piece in script(text)]


def spoken(text: str) -> list[str]:
    return [piece.spoken for piece in script(text)]


def rests(text: str) -> list[float]:
    return [piece.pause_seconds for piece in script(text)]


# --- Tags ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tag", "seconds"),
    [
        ('<break time="500ms"/>', 0.5),
        ('<break time="1.5s"/>', 1.5),
        ("<break time='2s' />", 2.0),
        ('<break time="900s"/>', LONGEST_BREAK_SECONDS),
        ('<break strength="weak"/>', STRENGTH_SECONDS["weak"]),
        ('<break strength="x-strong"/>', STRENGTH_SECONDS["x-strong"]),
        ('<break strength="odd"/>', STRENGTH_SECONDS["medium"]),
        ('<break time="soon"/>', STRENGTH_SECONDS["medium"]),
        ("<break/>", STRENGTH_SECONDS["medium"]),
        ("<break></break>", 2 * STRENGTH_SECONDS["medium"]),
        ('<break time="1s"/><break time="500ms"/>', 1.5),
    ],
)
def test_a_break_is_a_rest_of_its_length(tag: str, seconds: float) -> None:
    assert script(f"One {tag} two.") == [Piece("One", "One", pytest.approx(seconds)), Piece("two.", "two.", 0.0)]


def test_a_break_between_sentences_takes_the_place_of_their_rest() -> None:
    assert rests('One. <break time="2s"/> Two. Three.') == [2.0, SENTENCE_PAUSE_SECONDS, 0.0]


def test_a_break_before_all_words_is_nothing_and_one_after_them_stays() -> None:
    assert script('<break time="1s"/>One.<break time="3s"/>') == [Piece("One.", "One.", 3.0)]


def test_paragraphs_and_sentences_are_as_marked() -> None:
    assert script("<p>One</p><p><s>two</s><s>Three</s></p>") == [
        Piece("One", "One", PARAGRAPH_PAUSE_SECONDS),
        Piece("two", "two", SENTENCE_PAUSE_SECONDS),
        Piece("Three", "Three", 0.0),
    ]


def test_a_substitute_is_said_and_what_stands_for_it_is_shown() -> None:
    (piece,) = script('The <sub alias="World Health Organization">WHO</sub>\'s report.')
    assert piece == Piece("The WHO's report.", "The World Health Organization's report.", 0.0)


def test_phonemes_become_the_inline_form() -> None:
    (piece,) = script('A <phoneme alphabet="ipa" ph="təˈmɑːtoʊ">tomato</phoneme>.')
    assert (piece.written, piece.spoken) == ("A tomato.", "A [tomato](/təˈmɑːtoʊ/).")
    (piece,) = script("A [tomato](/təˈmɑːtoʊ/).")
    assert (piece.written, piece.spoken) == ("A tomato.", "A [tomato](/təˈmɑːtoʊ/).")


@pytest.mark.parametrize(
    "tag",
    [
        '<phoneme alphabet="x-sampa" ph="t@">tomato</phoneme>',
        '<phoneme ph="">tomato</phoneme>',
        f'<phoneme ph="{"a" * 300}">tomato</phoneme>',
        '<sub alias="">tomato</sub>',
        f'<sub alias="{"a" * 300}">tomato</sub>',
        "<sub>tomato</sub>",
        '<prosody rate="slow">tomato</prosody>',
        '<voice name="x"><lang xml:lang="en">tomato</lang></voice>',
        "<unknown>tomato</unknown>",
        "<speak>tomato",
        "tomato</speak>",
        "<!-- a comment -->tomato",
        '<?xml version="1.0"?><speak version="1.1">tomato</speak>',
        '<mark name="here"/>tomato',
        '<sub alias="x">tomato',
        "</sub>tomato",
        "</phoneme>tomato",
    ],
)
def test_other_tags_go_and_their_text_stays(tag: str) -> None:
    assert written(f"A {tag}") == ["A tomato"]
    assert spoken(f"A {tag}") == ["A tomato"]


@pytest.mark.parametrize(
    "text",
    ["a < b", "x<y>z", "<", "1 < 2 and 3 > 2", "<a b>", "a <- b", "<<x>>", "List<String> x", "<3 you", '<sub alias="x'],
)
def test_what_is_no_tag_stays_text(text: str) -> None:
    assert "".join(written(text)) == (text if any(map(str.isalnum, text)) else "")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Ben &amp; Anna", "Ben & Anna"),
        ("1 &lt; 2", "1 < 2"),
        ("caf&eacute; &#233; &#xe9;", "café é é"),
        ("R&D; is fun", "R&D; is fun"),
        ("Ben & Anna; both", "Ben & Anna; both"),
        ("&unknown; thing", "&unknown; thing"),
        ("&lt;p&gt; is a tag", "<p> is a tag"),
    ],
)
def test_entities_are_the_characters_they_name(text: str, shown: str) -> None:
    assert written(text) == [shown]


def test_a_tag_in_backticks_is_code_and_is_said() -> None:
    assert script("Use the `<br>` tag.") == [Piece("Use the <br> tag.", "Use the br tag.", 0.0)]


# --- Markdown --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["# Cells\n\nThey live.", "Cells\n=====\nThey live.", "<h1>Cells</h1>They live."])
def test_a_heading_ends_and_sinks_in(text: str) -> None:
    assert script(text) == [
        Piece("Cells", "Cells.", HEADING_PAUSE_SECONDS),
        Piece("They live.", "They live.", 0.0),
    ]
    assert HEADING_PAUSE_SECONDS > PARAGRAPH_PAUSE_SECONDS > ITEM_PAUSE_SECONDS > SENTENCE_PAUSE_SECONDS


def test_items_are_sentences_and_the_last_ends_a_paragraph() -> None:
    assert script("Take:\n\n- salt\n- two\n  eggs\n\nStir.") == [
        Piece("Take:", "Take:", PARAGRAPH_PAUSE_SECONDS),
        Piece("salt", "salt.", ITEM_PAUSE_SECONDS),
        Piece("two eggs", "two eggs.", PARAGRAPH_PAUSE_SECONDS),
        Piece("Stir.", "Stir.", 0.0),
    ]


def test_the_number_of_an_item_is_said_and_shown() -> None:
    assert [(p.written, p.spoken) for p in script("1. Wash.\n2) Dry.\n\n10. Iron")] == [
        ("1. Wash.", "one: Wash."),
        ("2) Dry.", "two: Dry."),
        ("10. Iron", "ten: Iron."),
    ]


def test_a_number_that_begins_a_line_by_chance_is_no_item() -> None:
    assert written("There were\n12. That was enough.") == ["There were 12.", "That was enough."]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**Bold** and *slanted* and ***both***.", "Bold and slanted and both."),
        ("__Bold__ text and _slanted_ text.", "__Bold__ text and slanted text.".replace("__", "")),
        ("Keep snake_case_names and 2 * 3 * 4.", "Keep snake_case_names and 2 * 3 * 4."),
        ("Run `make test` and ``a b``.", "Run make test and a b."),
        ("See [the *guide*](https://example.com/a_b) now.", "See the guide now."),
        ("See ![a cat](cat.png).", "See a cat."),
        ("See <https://example.com>.", "See https://example.com."),
        ("> Quoted\n> twice.", "Quoted twice."),
        (r"Not \*slanted\* at all.", "Not *slanted* at all."),
        ("~~Old~~ new.", "Old new."),
        ("The `__init__` and __main__ parts.", "The __init__ and __main__ parts."),
        ("- [x] Done", "Done"),
        ("[sic] and [1] stay", "[sic] and [1] stay"),
    ],
)
def test_marks_for_the_eye_are_taken_out(text: str, shown: str) -> None:
    assert written(text) == [shown]


def test_a_table_is_read_row_by_row() -> None:
    assert spoken("| Metal | Mass |\n|---|---:|\n| Iron | 56 |") == ["Metal, Mass.", "Iron, fifty-six."]


def test_lines_of_code_are_sentences() -> None:
    assert written("Run:\n```sh\nls -l\ncd /tmp\n```\nDone.") == ["Run:", "ls -l", "cd /tmp", "Done."]
