"""Every format side by side: a whole course as it is written, and what is spoken of it, to the letter."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from tests.workers.importers import expected
from workers.importers.source import FORMATS

COURSES = sorted(path.name for path in expected.COURSES.iterdir())


@pytest.mark.parametrize("name", COURSES)
def test_a_course_becomes_exactly_what_is_expected_of_it(tmp_path: Path, name: str) -> None:
    course = expected.COURSES / name
    wanted = (course / "expected.json").read_text(encoding="utf-8").splitlines()
    made = expected.shown(expected.made_of(course, tmp_path)).splitlines()
    changed = "\n".join(difflib.unified_diff(wanted, made, "expected.json", "made now", n=4, lineterm=""))
    assert not changed, f"{name} is not what it was expected to be:\n{changed}"


def test_every_format_that_is_offered_has_a_course() -> None:
    assert {name.partition("-")[0] for name in COURSES} == {each.name for each in FORMATS}
