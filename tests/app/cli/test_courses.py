"""``courses``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.cli.demo import SAMPLE
from config.voices import catalogue
from models import curricula
from models.curricula import Curriculum
from models.db import Database
from tests.app.cli.conftest import Run

pytestmark = pytest.mark.usefixtures("clean")

COURSE = {
    "title": "Tides",
    "description": "Why the sea comes and goes.",
    "content": [
        {"title": "The moon", "segments": [{"text": "The moon pulls."}, {"text": "The sea follows."}]},
        {"title": "The sun", "segments": ["The sun helps, or hinders."]},
    ],
}


def test_a_course_is_stored_as_it_is_in_the_file(run: Run, database: Database, tmp_path: Path) -> None:
    path = tmp_path / "tides.json"
    path.write_text(json.dumps(COURSE))
    shown = run("courses", "import", str(path), "--json").json
    assert (shown["title"], shown["topic_count"], shown["segment_count"]) == ("Tides", 2, 3)
    with database.transaction() as session:
        texts = [segment.text for segment in curricula.segments(session, shown["id"])]
    assert texts == ["The moon pulls.", "The sea follows.", "The sun helps, or hinders."]


def test_a_course_keeps_its_licence_and_a_licence_that_is_none_is_refused(
    run: Run, database: Database, tmp_path: Path
) -> None:
    told = {"title": "Tides", "content": [], "authors": ["Ada"], "license": {"name": "CC BY 4.0"}}
    path = tmp_path / "course.json"
    path.write_text(json.dumps(told))
    assert run("courses", "import", str(path)).status == 0
    path.write_text(json.dumps(told | {"license": {"words": "no name"}}))
    refused = run("courses", "import", str(path))
    assert (refused.status, "license.name" in refused.err) == (1, True)
    with database.transaction() as session:
        (course,) = session.scalars(select(Curriculum))
        assert course.extra == {"authors": ["Ada"], "license": {"name": "CC BY 4.0"}}


def test_a_course_can_be_piped_in_under_another_title(run: Run, database: Database) -> None:
    shown = run("courses", "import", "-", "--title", "Ebb and flow", stdin=json.dumps(COURSE))
    assert shown.out.startswith('Stored "Ebb and flow": 2 topics, 3 segments.\n')
    (listed,) = run("courses", "list", "--json").json["curricula"]
    assert (listed["title"], listed["topic_count"], listed["segment_count"]) == ("Ebb and flow", 2, 3)
    assert listed["id"] in run("courses", "list").out


def test_an_empty_list_says_what_to_do(run: Run, database: Database) -> None:
    assert run("courses", "list").out == "There are no courses yet; `python -m app courses import FILE` stores one.\n"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", "Standard input is not JSON: "),
        ("[]", "Standard input is not a course: "),
        ('{"content": []}', "title: None is not a text of 1 to 500 characters"),
        ('{"title": "  ", "content": []}', "title: '  ' is not a text of 1 to 500 characters"),
        ('{"title": "T", "description": 3, "content": []}', "description: 3 is not a text"),
        ('{"title": "T"}', "content: None is not a list of topics"),
        ('{"title": "T", "content": [{"title": "A", "segments": [{}]}]}', "content[0].segments[0].text: None is not"),
        ('{"title": "T\\u0000", "content": []}', "title: it holds the character NUL"),
    ],
)
def test_what_is_no_course_is_refused_with_the_place(text: str, error: str, run: Run, database: Database) -> None:
    shown = run("courses", "import", "-", stdin=text)
    assert (shown.status, shown.out) == (1, "")
    assert shown.err.startswith(error)
    assert shown.err.count("\n") == 1
    assert run("courses", "list", "--json").json["total"] == 0


def test_a_missing_file_is_one_sentence(run: Run, tmp_path: Path) -> None:
    shown = run("courses", "import", str(tmp_path / "none.json"))
    assert (shown.status, shown.err) == (1, f"{tmp_path / 'none.json'} cannot be read: No such file or directory.\n")


def test_a_course_is_spoken_while_one_waits(run: Run, worker: Any) -> None:
    course = run("courses", "import", "-", "--json", stdin=json.dumps(COURSE)).json["id"]
    spoken = run("courses", "prefetch", course, "--wait")
    assert spoken.status == 0
    assert spoken.out.startswith("3 segments spoken, ")
    again = run("courses", "prefetch", course, "--wait")
    assert (again.status, again.out) == (0, "3 items done, 3 found ready.\n")


def test_one_topic_of_a_course_is_spoken(run: Run, worker: Any) -> None:
    course = run("courses", "import", "-", "--json", stdin=json.dumps(COURSE)).json
    topic = course["content"][1]["id"]
    job = run("courses", "prefetch", course["id"], "--topic", topic, "--wait", "--json").json
    assert (job["state"], job["items"]) == ("succeeded", {"total": 1, "succeeded": 1, "failed": 0})


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["nothing"], "There is no curriculum 'nothing'.\n"),
        (
            ["nothing", "--voice", "nobody"],
            f"voice_id 'nobody' is unknown; there are {', '.join(sorted(catalogue().voices))}\n",
        ),
    ],
)
def test_what_cannot_be_spoken_is_refused(arguments: list[str], error: str, run: Run, worker: Any) -> None:
    shown = run("courses", "prefetch", *arguments)
    assert (shown.status, shown.out, shown.err) == (1, "", error)


def test_the_sample_is_a_course(run: Run, database: Database) -> None:
    shown = run("courses", "import", str(SAMPLE), "--json").json
    assert shown["title"] == "Finding Longitude"
    assert shown["segment_count"] >= 20
