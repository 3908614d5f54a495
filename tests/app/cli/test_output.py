"""How things are shown."""

from __future__ import annotations

import pytest

from app.cli.output import counted, duration, show_columns, show_pairs


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (0.84, "0.8 s"),
        (9.94, "9.9 s"),
        (14.2, "14 s"),
        (59.6, "1 min"),
        (552, "9 min 12 s"),
        (3600, "1 h"),
        (7530, "2 h 5 min"),
    ],
)
def test_lengths_of_time_are_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_one_of_a_thing_has_no_s() -> None:
    assert [counted(number, "segment") for number in (0, 1, 2)] == ["0 segments", "1 segment", "2 segments"]


def test_columns_are_as_wide_as_their_widest_cell_and_end_without_spaces(capsys: pytest.CaptureFixture[str]) -> None:
    show_columns(("ID", "TITLE"), [("longer", "A"), ("b", None)], nothing="none")
    assert capsys.readouterr().out == "ID      TITLE\nlonger  A\nb\n"


def test_no_rows_are_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    show_columns(("ID",), [], nothing="There are none.")
    assert capsys.readouterr().out == "There are none.\n"


def test_pairs_without_a_value_are_left_out_but_nought_is_a_value(capsys: pytest.CaptureFixture[str]) -> None:
    show_pairs([("id", "a"), ("error", None), ("in front", 0)])
    assert capsys.readouterr().out == "id        a\nin front  0\n"
