"""Text to sentences and pieces: where one ends, that nothing is lost, that none is too long or takes too long."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workers.text.sentences import (
    PARAGRAPH_PAUSE_SECONDS,
    PIECE_CHARACTERS,
    SENTENCE_PAUSE_SECONDS,
    Piece,
    pieces,
    sentences,
)

# Each text as its sentences, divided by |.
CASES = """
Hello there.
No full stop at the end
Hello.| Goodbye.
Is it?| It is!| Good.
No!| No!| No!
The end!!!| Really?
What?!| No way.
¿Qué?| ¡Sí!
Wait...| What happened?
Hmm...| OK.
It was…| Nobody knew.
One…| Two…| Three.
Wait... what happened?
It was… nobody knew.
... and so on.| End.
He came. she left.
iPhones came. iPads left.
Yes.No.
Hello.World is a program.
Visit example.com.| It works.
Visit example.com, please.| It works.
Dr. Smith came.| He left.
Mr. and Mrs. Jones met Prof. Lee.| They talked.
Ms. Hall, Capt. Ahab, Lt. Dan, Sgt. Bilko and Col. Klink.| Five.
Sen. Warren and Rep. Lee met Gov. Hill.
Messrs. Smith met Mme. Curie.| They spoke.
St. John's is here.| Come in.
He lives on Main St. now.
In Jan. 2020 it began.| It ended in Dec. 2021.
The dept. of physics.| Next.
It took approx. 5 km.| Far.
Capt. Ahab vs. the whale.| The whale won.
Smith et al. 2020 said so.| Others did not.
See Fig. 3 for it.| Then go on.
See Fig.| Then go on to Fig. 4.
It is No. 5 on the list.| And no. 6.
I said no.| We left.
Look at pp. 5-7.| They help.
It is vol. 2, ch. 3, sec. 4.| Read it.
Apples, pears, etc. are fruit.| Eat them.
We sell apples, pears, etc.| Come in.
He works at Acme Inc. in Ohio.
He works at Acme Inc.| They make bells.
Ask Acme Corp. about it.| Ask Acme Ltd.| They know.
J. R. R. Tolkien wrote it.| Read it.
Franklin D. Roosevelt spoke.| We heard.
Mr. T. is here.| He is strong.
It was I.| He knew.
The U.S. Army came.| It left.
He moved to the U.S. and liked it.
Washington, D.C. was cold.| It snowed.
Ph.D. students came.| They read.
At 5 p.m. we left.| It rained.
It is 5 p.m.| We left.
It is 5 a.m. and dark.
A.M. or P.M.?| P.M. is fine.
Use tools, e.g. hammers.| Use them well.
Use tools, i.e. hammers.
Pi is 3.14.| Remember it.
It costs $9.99.| Buy it.
Version 2.0.1 is out.| Get it.
He ran 5.5 km in 1.5 h.| Then he slept.
3.5 is more than 3.4.| So is 4.
"Stop!" he cried.| She stopped.
"Stop."| He did.
"Where are you?"| She asked again.
He said "No."| Then he left.
He said 'No.'| Then he left.
“Come in.”| The door opened.
“Come in,” she said.| The door opened.
She asked, "Why?" and left.
(It rained.)| We stayed.
It rained (a lot).| We stayed.
It rained [sic].| We stayed.
She left (why?) and came back.
First: this.| Second: that.
E-mail me.| I'll answer.
Plan B.| It works.
He moved to the U.S.| He liked it.
She has a Ph.D.| She teaches.
It began in Jan.| Then it ended.
He lives on Main St.| They like it.
Smith & Co. Ltd. is small.| It grows.
We met at 9 a.m. Monday.| It rained.
We met at 9 a.m. EST on Sunday.
We met at 9 a.m.| The sun shone.
He was born c. 1450 in Mainz.
Read Vol. II and ch. IV.| Then rest.
It is so.[3]| The end.
""".strip().split("\n")

# Where both readings are common, no pause is better than one in the middle of a name.
DOUBTFUL = """
It began in Jan. Spring came.
He moved to the U.S. Congress met.
She has a Ph.D. Physics is her field.
The answer is no. 5 people left.
""".strip().split("\n")


def words(text: str) -> str:
    """Every letter and digit of a text, in order."""
    return "".join(character for character in text if character.isalnum())


# --- Sentences -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_a_text_is_cut_where_its_sentences_end(case: str) -> None:
    wanted = [sentence.strip() for sentence in case.split("|")]
    assert sentences(case.replace("|", "")) == wanted


@pytest.mark.parametrize("text", DOUBTFUL)
def test_a_doubtful_ending_is_none(text: str) -> None:
    assert sentences(text) == [text]


def test_there_are_enough_cases() -> None:
    assert len(set(CASES)) >= 70


@pytest.mark.parametrize("text", ["", " ", "\n\n", "...", "?!", "🙂", "— … —", "()", "\u200b", "🎉 🎉\n\n🎉"])
def test_a_text_without_a_word_has_no_pieces(text: str) -> None:
    assert pieces(text) == []


def test_what_is_no_word_between_sentences_is_left_out() -> None:
    assert [piece.text for piece in pieces("One. … 🙂! Two.")] == ["One.", "Two."]


# --- Pieces and pauses -----------------------------------------------------------------------------------------------


def test_between_sentences_and_paragraphs_there_is_a_rest_and_none_after_the_last() -> None:
    assert pieces("One. Two.\n\nThree.\n\n\nFour.") == [
        Piece("One.", SENTENCE_PAUSE_SECONDS),
        Piece("Two.", PARAGRAPH_PAUSE_SECONDS),
        Piece("Three.", PARAGRAPH_PAUSE_SECONDS),
        Piece("Four.", 0.0),
    ]
    assert 0 < SENTENCE_PAUSE_SECONDS < PARAGRAPH_PAUSE_SECONDS


def test_a_paragraph_without_a_word_adds_no_rest() -> None:
    assert pieces("One.\n\n…\n\nTwo.") == [Piece("One.", PARAGRAPH_PAUSE_SECONDS), Piece("Two.", 0.0)]


def test_a_single_line_end_is_a_space() -> None:
    assert pieces("one\ntwo  three\tfour.") == [Piece("one two three four.", 0.0)]


def test_a_line_of_spaces_is_an_empty_line() -> None:
    assert [piece.text for piece in pieces("One\n \t \nTwo\r\n\r\nThree")] == ["One", "Two", "Three"]


def test_a_long_sentence_is_cut_at_its_clauses_without_a_rest() -> None:
    clause = "a clause of some length that ends here,"
    found = pieces(" ".join([clause] * 12) + " and now the end. Next.")
    assert len(found) == 3
    assert all(piece.text.endswith(("here,", "end.", "Next.")) for piece in found)
    assert [piece.pause_seconds for piece in found] == [0.0, SENTENCE_PAUSE_SECONDS, 0.0]
    # As few pieces as fit.
    assert len(found[0].text) + len(clause) + 1 > PIECE_CHARACTERS


def test_a_clause_that_is_too_long_is_cut_between_words() -> None:
    text = "word " * 150 + "end."
    found = [piece.text for piece in pieces(text)]
    assert len(found) == 3
    assert " ".join(found) == text


def test_a_word_that_is_too_long_is_cut_anywhere() -> None:
    found = [piece.text for piece in pieces("x" * 1000)]
    assert [len(piece) for piece in found] == [300, 300, 300, 100]


@pytest.mark.parametrize("length", [PIECE_CHARACTERS - 1, PIECE_CHARACTERS, PIECE_CHARACTERS + 1])
def test_a_sentence_of_just_the_length_is_one_piece(length: int) -> None:
    text = ("word " * 100)[: length - 1].strip()
    text += "x" * (length - 1 - len(text)) + "."
    assert len(pieces(text)) == (1 if length <= PIECE_CHARACTERS else 2)


# --- What holds for every text ---------------------------------------------------------------------------------------

PARTS = st.sampled_from(
    [
        *("Hello", "world", "Dr", "Mr", "etc", "U.S", "I", "B", "no", "No", "Fig", "3.14", "$5", "e.g", "x" * 320),
        *(".", "...", "…", "!", "?", "?!", ",", ";", ":", "—", '"', "'", "“", "”", "(", ")", "[", "]"),
        *(" ", "  ", "\n", "\n\n", "\t", "\r\n", "\u00a0", "🙂", "é", "東京", "ﬁ", "\u0301"),
    ]
)
TEXTS = st.one_of(st.text(max_size=400), st.lists(PARTS, max_size=120).map("".join))


@settings(max_examples=300, deadline=None)
@given(TEXTS)
@example("a" * 5000)
@example("A. " * 500)
@example("x\u2028y")
def test_no_word_is_lost_doubled_or_moved(text: str) -> None:
    assert words("".join(piece.text for piece in pieces(text))) == words(text)


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_every_piece_is_short_enough_and_tidy(text: str) -> None:
    for piece in pieces(text):
        assert 0 < len(piece.text) <= PIECE_CHARACTERS
        assert piece.text == piece.text.strip()
        assert "\n" not in piece.text
        assert piece.pause_seconds in (0.0, SENTENCE_PAUSE_SECONDS, PARAGRAPH_PAUSE_SECONDS)


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_the_last_piece_has_no_rest_after_it(text: str) -> None:
    found = pieces(text)
    assert not found or found[-1].pause_seconds == 0.0


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_sentences_follow_each_other_as_in_the_text(text: str) -> None:
    paragraph = " ".join(text.split())
    at = 0
    for sentence in sentences(paragraph):
        at = paragraph.index(sentence, at) + len(sentence)


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_space_around_a_text_changes_nothing(text: str) -> None:
    assert pieces(f"\n\n  {text}\t\n") == pieces(text)


LONGEST = 20_000
MEAN = {
    "dots": "a" + "." * (LONGEST - 1),
    "dots with spaces": ". " * (LONGEST // 2),
    "dots and quotes": "a" + "." * (LONGEST // 2) + '"' * (LONGEST // 2),
    "quotes": '"' * LONGEST,
    "initials": "A. " * (LONGEST // 3),
    "abbreviations": "Mr. " * (LONGEST // 4),
    "dotted": "U.S. " * (LONGEST // 5),
    "one word": "a" * LONGEST,
    "one word, then initials": "a" * (LONGEST - 30) + " B. C. D. E.",
    "line ends": "a" + "\n " * (LONGEST // 2) + "b",
    "spaces": "a" + " " * LONGEST + "b",
    "commas": "a, " * (LONGEST // 3),
    "paragraphs": "a\n\n" * (LONGEST // 3),
}


@pytest.mark.parametrize("name", MEAN)
def test_no_text_of_the_longest_kind_keeps_a_worker_busy(name: str) -> None:
    """Cutting is a small part of a slice (200 ms), and nothing else of a worker runs meanwhile."""
    started = time.process_time()
    pieces(MEAN[name])
    assert time.process_time() - started < 0.3
