"""The time the text front end takes: a small part of the synthesis, and never more than in proportion to the text."""

from __future__ import annotations

import time

import pytest

from tests.workers.test_normalize import golden
from workers.text.script import script
from workers.text.sentences import PIECE_CHARACTERS

LENGTH = 20_000
VERY_LONG = 100_000
MEAN = (
    "<|[|1|.|*|_|`|&|#|>|-|(|/|@|:|$|'|°|½|²|—|=|\\|🎉|é|a|X|\n| |,"
    "|a.|A. |Dr. |1 |1,|1/|1:|1-|-1|$1|a@|a@a.|www.|http://|a.com/|/a|a_|_a |*a |`a|&a|&lt;|<a |<p>|<s>a</s>|<!--|<br/>"
    '|<sub alias="x">|<a b="c" |[a](|![|[1]|.[1] |a\n|- \n|1. a\n|# a\n|```\n|aB|f(a|x^'
    "|10k |H2|1 111|a-1|(555) |March 1|1st |IV "
).split("|")
MEAN += ["|", "| a ", "|a|b|\n", "# " + "#" * (LENGTH - 3) + "x"]


@pytest.mark.parametrize("unit", MEAN)
def test_no_text_keeps_a_worker_busy(unit: str) -> None:
    """Measured: 0.3 s at the worst, for a text of nothing but "1/"."""
    text = (unit * (LENGTH // len(unit) + 1))[:LENGTH]
    # What takes long always does; a busy machine does not.
    assert any(_seconds(text) < 1.5 for _ in range(3))


@pytest.mark.parametrize("unit", ["<", "[", "1", "."])
def test_five_times_the_text_takes_about_five_times_the_time(unit: str) -> None:
    assert _seconds(unit * VERY_LONG) < 2


def _seconds(text: str) -> float:
    started = time.process_time()
    found = script(text)
    seconds = time.process_time() - started
    assert all(len(piece.spoken) <= PIECE_CHARACTERS for piece in found)
    return seconds


def test_ordinary_prose_takes_a_small_part_of_its_synthesis() -> None:
    prose = " ".join(written for name, written, _ in golden() if name in ("plain", "history", "biology", "literature"))
    plain = "The mitochondria are the powerhouse of the cell, and they were first described long ago. "
    text = ((prose + plain * 40) * 10)[:20_000]
    script(text)
    started = time.process_time()
    script(text)
    # Measured: 0.04 s.
    assert time.process_time() - started < 0.2
