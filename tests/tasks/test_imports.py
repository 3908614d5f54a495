"""The body of imports: its stages one by one, deaths and cancels at each of them, and what becomes of what it left."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from models import curricula, curricula_changes, imports
from models.base import iso
from models.db import Database
from models.errors import Conflict
from models.imports import KIND, STAGES
from models.jobs import lifecycle
from tasks import run
from tasks.process import Process
from tests import making
from tests.standing_in import DATA, LECTURES, OLDER, SLUG, Page, Site, ocw_pages
from tests.tasks.importing import (
    MARKDOWN,
    OCW,
    TEXTS,
    Death,
    around,
    courses,
    die,
    left,
    send,
    start,
    taken,
    texts,
)
from workers.clients.http import Http
from workers.importers import mit_ocw
from workers.importers.source import Outside

pytestmark = pytest.mark.usefixtures("outside")


# --- The whole way ------------------------------------------------------------------------------------------------


def test_a_course_of_mit_is_fetched_read_and_stored(database: Database, site: Site, folders: imports.Folders) -> None:
    job = taken(database, start(database))
    assert (job.state, job.progress, job.error_message) == ("succeeded", 1.0, None)
    (course,) = courses(database)
    assert job.result is not None
    assert job.result["curriculum_id"] == course.id
    assert (course.title, course.description) == (DATA["course_title"], DATA["course_description"])
    assert texts(database, course.id) == TEXTS
    assert course.extra["license"]["name"] == "CC BY-NC-SA 4.0"
    assert "Ada Lovelace" in course.extra["attribution"]
    assert course.extra["imported_from"] == {
        "source": "mit_ocw",
        "url": f"{site.url}/courses/{SLUG}/",
        "file": "6.001-spring-2005.zip",
        "title": DATA["course_title"],
        "at": iso(course.created_at),
    }
    figures = {name: job.result[name] for name in ("topic_count", "segment_count", "language")}
    assert figures == {"topic_count": 3, "segment_count": 3, "language": "en"}
    # Of those with the number the latest; and it is said that there are others.
    assert any(OLDER in note for note in job.result["notes"])
    assert imports.stages_complete(job) == list(STAGES)
    assert left(folders) == set()


def test_each_stage_leaves_what_it_made(
    database: Database, folders: imports.Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    around(monkeypatch, "generate", after=die)
    job = start(database)
    with pytest.raises(Death):
        run.run_slice(KIND, job.id)
    made = {path.stem: json.loads(path.read_text()) for path in folders.of_job(job.id).glob("*.json")}
    assert set(STAGES[:-1]) <= set(made)
    assert (made["download"]["file"], made["download"]["media_type"]) == ("source", "application/zip")
    assert (made["validate"]["files"], made["validate"]["damaged"]) == (8, [])
    assert made["validate"]["size_bytes"] == (folders.of_job(job.id) / "source").stat().st_size
    assert [section["title"] for section in made["extract"]["sections"]] == [title for title, _ in LECTURES.values()]
    assert all("<p>" in section["content"] for section in made["extract"]["sections"])
    assert [[part["text"] for part in topic["segments"]] for topic in made["enrich"]["topics"]] == TEXTS
    assert made["generate"]["course"]["title"] == DATA["course_title"]
    assert made["generate"]["result"]["segment_count"] == 3


def test_where_there_is_no_archive_the_pages_are_fetched_in_the_order_of_the_menu(
    database: Database, site: Site
) -> None:
    site.pages = ocw_pages(archive=False)
    job = taken(database, start(database, asked={"course_id": f"https://ocw.mit.edu/courses/{SLUG}/pages/syllabus/"}))
    (course,) = courses(database)
    assert texts(database, course.id) == TEXTS
    assert job.result is not None
    assert any("no archive" in note for note in job.result["notes"])


@pytest.mark.parametrize("archive", [True, False])
def test_the_bar_of_a_download_never_goes_back(process: Process, site: Site, tmp_path: Path, archive: bool) -> None:
    site.pages = ocw_pages(archive=archive)
    told: list[float] = []
    http = Http(allow_private=True, most_bytes=10**6, pause_seconds=0.0)
    mit_ocw.fetch(OCW, tmp_path, Outside(http, site.url, tmp_path), told.append)
    assert (told, len(set(told)) > 3) == (sorted(told), True)
    assert all(0 <= share <= 1 for share in told)


@pytest.mark.parametrize("wanted", ["6.999", "6-999-no-such-course-fall-2020", "../secrets", "x", "6.001/../.."])
def test_a_course_that_mit_does_not_have_is_refused_by_name(
    database: Database, folders: imports.Folders, wanted: str
) -> None:
    job = taken(database, start(database, asked={"course_id": wanted}))
    assert (job.state, job.error_code) == ("failed", "unknown_course")
    assert wanted in (job.error_message or "")
    assert (courses(database), left(folders)) == ([], set())


def test_what_mit_has_not_changed_is_not_sent_again(database: Database, site: Site) -> None:
    taken(database, start(database))
    before = len(site.asked)
    taken(database, start(database))
    assert {status for _, status in site.asked[before:]} == {304}
    (course,) = courses(database)
    assert texts(database, course.id) == TEXTS


def test_a_page_of_the_web_becomes_a_course(database: Database, site: Site) -> None:
    site.pages["/course.md"] = Page(MARKDOWN.encode(), headers={"Content-Type": "text/markdown"})
    taken(database, start(database, "url", {"url": f"{site.url}/course.md"}, accept_license=True, title="My own title"))
    (course,) = courses(database)
    assert course.title == "My own title"
    said = " ".join(text for topic in texts(database, course.id) for text in topic)
    assert "The first thing is this." in said
    assert "The second thing is that." in said


def test_what_we_export_comes_back_as_it_was(database: Database, folders: imports.Folders) -> None:
    content = [
        {
            "id": "t1",
            "title": "Before",
            "description": "A.",
            "level": 3,
            "segments": [{"id": "s1", "text": "One.", "n": 1}],
        },
        {"id": "t2", "title": "After", "description": "", "segments": [{"id": "s1", "text": "Two. Three."}]},
    ]
    told = json.dumps({"title": "Ours", "description": "It is.", "content": content})
    job = taken(database, start(database, "file", send(folders, told, "course.json"), accept_license=True))
    assert job.error_message is None
    (course,) = courses(database)
    assert (course.title, course.description) == ("Ours", "It is.")
    with database.transaction() as session:
        stored = curricula.outline(session, course.id)
    assert [(topic.id, topic.title, topic.description) for topic, _ in stored] == [
        ("t1", "Before", "A."),
        ("t2", "After", ""),
    ]
    assert stored[0][0].extra["level"] == 3
    assert [(part.id, part.text) for _, parts in stored for part in parts] == [("s1", "One."), ("s1", "Two. Three.")]
    assert stored[0][1][0].extra == {"n": 1}


def test_a_preview_stores_nothing(database: Database, folders: imports.Folders) -> None:
    job = taken(database, start(database, dry_run=True))
    assert (job.state, courses(database), left(folders)) == ("succeeded", [], set())
    assert job.result is not None
    assert [topic["title"] for topic in job.result["outline"]] == [title for title, _ in LECTURES.values()]
    assert [topic["begins"] for topic in job.result["outline"]] == [text for _, text in LECTURES.values()]
    assert (job.result["segment_count"], job.result["curriculum_id"]) == (3, None)
    assert imports.stages_complete(job) == list(STAGES[:-1])


# --- Again, into the same course ----------------------------------------------------------------------------------


def ids(database: Database, curriculum_id: str) -> list[tuple[str, list[str]]]:
    with database.transaction() as session:
        return [(topic.id, [part.id for part in parts]) for topic, parts in curricula.outline(session, curriculum_id)]


def test_a_course_is_brought_up_to_date_in_place_and_what_stays_keeps_its_ids(database: Database, site: Site) -> None:
    taken(database, start(database))
    (course,) = courses(database)
    before = ids(database, course.id)
    changed = {"new": ("A new beginning", "It begins anew.")} | LECTURES
    for lectures, expected in ((changed, [["It begins anew."], *TEXTS]), (LECTURES, TEXTS)):
        site.pages = ocw_pages(lectures=lectures)
        job = taken(database, start(database))
        assert job.result is not None
        assert job.result["curriculum_id"] == course.id
        assert len(courses(database)) == 1
        assert texts(database, course.id) == expected
        assert ids(database, course.id)[-len(before) :] == before


def test_a_file_of_the_same_name_and_title_is_the_same_course(database: Database, folders: imports.Folders) -> None:
    for name, content in (
        ("a.md", MARKDOWN),
        ("a.md", MARKDOWN + "\n\nMore."),
        ("b.md", MARKDOWN),
        ("a.md", "# B\n\nB."),
    ):
        taken(database, start(database, "file", send(folders, content, name)))
    assert [course.extra["imported_from"]["file"] for course in courses(database)] == ["a.md", "b.md", "a.md"]
    assert texts(database, courses(database)[0].id)[-1][-1].endswith("More.")


def test_a_course_that_was_changed_by_hand_is_overwritten_only_where_it_is_named(
    database: Database, folders: imports.Folders
) -> None:
    taken(database, start(database, "file", send(folders, MARKDOWN)))
    (course,) = courses(database)
    with database.transaction() as session:
        curricula_changes.change(session, course.id, fields={"title": "Mine"})
    taken(database, start(database, "file", send(folders, MARKDOWN)))
    assert {each.title for each in courses(database)} == {"Mine", "A course"}
    taken(database, start(database, "file", send(folders, MARKDOWN), curriculum_id=course.id))
    assert [each.title for each in courses(database)] == ["A course"] * 2


def test_the_course_of_another_account_is_not_brought_up_to_date(database: Database, folders: imports.Folders) -> None:
    for name in ("ada", "bob"):
        taken(database, start(database, "file", send(folders, MARKDOWN), account_id=name))
    assert len(courses(database)) == 2


def test_a_course_is_not_removed_while_an_import_writes_into_it(database: Database) -> None:
    course = making.course(database, ["One."])
    job = start(database, curriculum_id=course)
    with database.transaction() as session, pytest.raises(Conflict) as caught:
        curricula_changes.remove(session, course, force=False)
    assert caught.value.details["job_ids"] == [job.id]
    with database.transaction() as session:
        curricula_changes.remove(session, course, force=True)
    assert making.read(database, job).state == "cancelled"


def test_a_course_that_is_gone_by_then_is_said_and_nothing_is_stored(
    database: Database, folders: imports.Folders
) -> None:
    job = taken(database, start(database, curriculum_id="gone"))
    assert (job.state, job.error_code) == ("failed", "curriculum_gone")
    assert (courses(database), left(folders)) == ([], set())


# --- Refused ------------------------------------------------------------------------------------------------------


def test_an_unclear_licence_is_imported_only_where_it_is_accepted_and_shown_in_a_preview(
    database: Database, folders: imports.Folders
) -> None:
    told = "# A course\n\nSome text to be read aloud, which was written by others.\n\nAll rights reserved.\n"
    job = taken(database, start(database, "file", send(folders, told)))
    assert job.state == "failed"
    assert "accept_license" in (job.error_message or "")
    assert courses(database) == []
    assert taken(database, start(database, "file", send(folders, told), dry_run=True)).state == "succeeded"
    assert taken(database, start(database, "file", send(folders, told), accept_license=True)).state == "succeeded"
    assert len(courses(database)) == 1


# --- The outside is away ------------------------------------------------------------------------------------------


def test_a_server_that_is_away_is_asked_again_later(database: Database, site: Site) -> None:
    site.pages[f"/courses/{SLUG}/6.001-spring-2005.zip"].status = 503
    job = taken(database, start(database))
    assert (job.state, job.error_code, job.attempts) == ("queued", "source_unavailable", 1)
    site.pages = ocw_pages()
    with database.transaction() as session:
        lifecycle.hasten(session, job.id)
    job = taken(database, job)
    assert (job.state, job.error_code) == ("succeeded", None)
    assert len(courses(database)) == 1


def test_a_full_disk_is_waited_for(
    database: Database, folders: imports.Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    around(monkeypatch, "extract", before=full)
    job = taken(database, start(database))
    assert (job.state, job.error_code) == ("queued", "disk_full")
    # What is done is done.
    assert (folders.of_job(job.id) / "validate.json").exists()


def test_a_file_that_was_sent_and_is_gone_is_to_be_sent_again(database: Database, folders: imports.Folders) -> None:
    asked = send(folders, MARKDOWN)
    (folders.uploads / asked["upload"]).unlink()
    job = taken(database, start(database, "file", asked))
    assert (job.state, job.error_code) == ("failed", "upload_gone")
