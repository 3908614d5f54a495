"""The body of imports: its stages one by one, deaths and cancels at each of them, and what becomes of what it left."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from models import curricula, curricula_changes, imports
from models.base import new_id
from models.curricula import Curriculum
from models.db import Database
from models.errors import Conflict
from models.imports import KEPT_SECONDS, KIND, STAGES
from models.jobs import lifecycle
from models.jobs.tables import Job
from tasks import imports as bodies
from tasks import run, submit, upkeep
from tasks.process import Process
from tests import making
from tests.standing_in import DATA, LECTURES, OLDER, SLUG, Page, Site, ocw_pages, standing_in
from workers.clients.http import Http
from workers.importers import mit_ocw
from workers.importers.source import Outside

OCW = {"course_id": "6.001"}
TEXTS = [[text] for _, text in LECTURES.values()]
MARKDOWN = (
    "# A course\n\nThis text is in the public domain.\n\n## One\n\nThe first thing is this.\n\n"
    "## Two\n\nThe second thing is that.\n"
)


class Death(BaseException):
    """The worker is gone: nothing of it runs any more."""


@pytest.fixture
def site() -> Iterator[Site]:
    """MIT's server, and everybody else's."""
    with standing_in() as running:
        running.pages |= ocw_pages()
        yield running


@pytest.fixture(autouse=True)
def outside(process: Process, site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """This worker, with a folder of its own, reaches that server and need not be polite."""
    changed = {"mit_ocw_url": site.url, "import_allow_private": True, "import_pause_seconds": 0.0, "var_dir": tmp_path}
    monkeypatch.setattr(process, "settings", dataclasses.replace(process.settings, **changed))


@pytest.fixture
def folders(process: Process, outside: None) -> imports.Folders:
    """Where imports keep files."""
    return imports.folders(process.settings.var_dir)


def start(database: Database, source: str = "mit_ocw", asked: dict[str, str] = OCW, **params: Any) -> Job:
    """An import that nobody has taken yet."""
    told = {"title": None, "curriculum_id": None, "accept_license": False, "dry_run": False} | params
    with database.transaction() as session:
        params = {"source": source, "asked": asked, **told}
        return submit.submit(session, KIND, lane=making.LANE, params=params, certain=True)[0]


def send(folders: imports.Folders, content: str | bytes, name: str = "course.md") -> dict[str, str]:
    """A file that was sent, as the import is told of it."""
    folders.uploads.mkdir(parents=True, exist_ok=True)
    upload = new_id()
    (folders.uploads / upload).write_bytes(content.encode() if isinstance(content, str) else content)
    return {"upload": upload, "name": name, "media_type": ""}


def taken(database: Database, job: Job) -> Job:
    """The job after a worker had it."""
    run.run_slice(KIND, job.id)
    return making.read(database, job)


def courses(database: Database) -> list[Curriculum]:
    """Every course that is stored."""
    with database.transaction() as session:
        return list(session.scalars(select(Curriculum)))


def texts(database: Database, curriculum_id: str) -> list[list[str]]:
    """What a course says, by its topics."""
    with database.transaction() as session:
        return [[part.text for part in parts] for _, parts in curricula.outline(session, curriculum_id)]


def cancel(database: Database, job: Job) -> None:
    """Somebody cancels it."""
    with database.transaction() as session:
        lifecycle.cancel(session, job.id)


def left(folders: imports.Folders) -> set[str]:
    """What imports have left, but for what came from the web."""
    return {path.name for path in folders.root.glob("*")} - {"cache", "uploads"} | {
        path.name for path in folders.uploads.glob("*")
    }


def around(monkeypatch: pytest.MonkeyPatch, stage: str, *, before: Any = None, after: Any = None) -> None:
    """Has something happen just before, or just after, a stage's result is written."""
    real = bodies.write_whole

    def write(target: Path, text: str) -> None:
        if before is not None and target.stem == stage:
            before()
        real(target, text)
        if after is not None and target.stem == stage:
            after()

    monkeypatch.setattr(bodies, "write_whole", write)


def die() -> None:
    raise Death


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
    assert len(courses(database)) == 2


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
    site.pages = ocw_pages(lectures=changed)
    job = taken(database, start(database, curriculum_id=course.id))
    assert job.result is not None
    assert job.result["curriculum_id"] == course.id
    assert len(courses(database)) == 1
    assert texts(database, course.id) == [["It begins anew."], *TEXTS]
    assert ids(database, course.id)[1:] == before


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
    assert courses(database) == []


# --- Refused ------------------------------------------------------------------------------------------------------


def test_a_licence_that_forbids_changes_is_refused_with_its_words(database: Database, folders: imports.Folders) -> None:
    told = "# A course\n\nSome text to be read.\n\nLicensed under CC BY-NC-ND 4.0: https://creativecommons.org/licenses/by-nc-nd/4.0/\n"
    job = taken(database, start(database, "file", send(folders, told), accept_license=True))
    assert job.state == "failed"
    assert "BY-NC-ND" in (job.error_message or "")
    assert courses(database) == []


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


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"%PDF-1.7 ...", "a.pdf"),
        (b"PK\3\4broken", "a.zip"),
        (b"\x7fELF\0\0\0", "a.txt"),
        (b"   \n\n", "a.md"),
        (b"{", "a.json"),
    ],
)
def test_what_is_no_course_is_refused_and_leaves_nothing_in_its_folder(
    database: Database, folders: imports.Folders, content: bytes, name: str
) -> None:
    asked = send(folders, content, name)
    job = taken(database, start(database, "file", asked, accept_license=True))
    assert (job.state, job.attempts) == ("failed", 1)
    assert job.error_code not in (None, "internal_error")
    assert courses(database) == []
    # What was sent stays for a while, for whoever tries again.
    assert left(folders) == {asked["upload"]}


def test_a_private_address_is_refused_unless_it_is_allowed(
    database: Database, process: Process, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "settings", dataclasses.replace(process.settings, import_allow_private=False))
    job = taken(database, start(database, "url", {"url": f"{site.url}/course.md"}))
    assert (job.state, job.error_code, site.asked) == ("failed", "private_address", [])


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


# --- Deaths -------------------------------------------------------------------------------------------------------

DEATHS = [f"{moment} {stage}" for stage in STAGES[:-1] for moment in ("before", "after")]
DEATHS += ["before store", "course written", "after store"]


def doom(monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    """Has the worker die at a named point."""
    moment, stage = point.split(" ")
    if point == "before store":
        monkeypatch.setattr(imports, "store", lambda *_, **__: die())
    elif point == "course written":
        monkeypatch.setattr(run.units, "finish", lambda *_, **__: die())
    elif point == "after store":
        monkeypatch.setattr(bodies._Import, "_forget", lambda *_: die())
    else:
        around(monkeypatch, stage, **{moment: die})


@pytest.mark.parametrize("point", DEATHS)
def test_what_a_worker_leaves_that_dies_is_finished_by_the_next_and_nothing_is_done_twice(
    database: Database,
    process: Process,
    site: Site,
    folders: imports.Folders,
    monkeypatch: pytest.MonkeyPatch,
    point: str,
) -> None:
    job = start(database)
    with monkeypatch.context() as doomed:
        doom(doomed, point)
        with pytest.raises(Death):
            run.run_slice(KIND, job.id)
    stored = point == "after store"
    assert len(courses(database)) == (1 if stored else 0)
    asked, done = len(site.asked), {path.stem for path in folders.of_job(job.id).glob("*.json")}
    calls: list[str] = []
    for module, name in ((bodies.checking, "check"), (bodies.formats, "read"), (bodies.enrich, "enrich")):
        monkeypatch.setattr(module, name, noting(calls, name, getattr(module, name)))
    upkeep.take_back(process, node=process.node)
    job = taken(database, job)
    assert (job.state, job.attempts) == ("succeeded", 1 if stored else 2)
    (course,) = courses(database)
    assert texts(database, course.id) == TEXTS
    assert ("download" in done) == (len(site.asked) == asked)
    redone = {"check": "validate", "read": "extract", "enrich": "enrich"}
    assert calls == [name for name, stage in redone.items() if stage not in done]
    # A death after the commit leaves the folder to upkeep.
    assert left(folders) == ({job.id} if stored else set())


def noting(calls: list[str], name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        return real(*args, **kwargs)

    return call


@pytest.mark.parametrize("stage", STAGES[:-1])
def test_a_worker_that_was_thought_dead_stores_nothing_beside_the_one_that_took_over(
    database: Database, process: Process, folders: imports.Folders, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    job, real, others = start(database), bodies.write_whole, iter([True])

    def overtaken(target: Path, text: str) -> None:
        real(target, text)
        if target.stem == stage and next(others, False):
            upkeep.take_back(process, node=process.node)
            run.run_slice(KIND, job.id)

    monkeypatch.setattr(bodies, "write_whole", overtaken)
    job = taken(database, job)
    assert (job.state, job.attempts, job.error_code) == ("succeeded", 2, None)
    (course,) = courses(database)
    assert texts(database, course.id) == TEXTS
    assert left(folders) == set()


# --- Cancels ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("stage", STAGES[:-1])
def test_a_cancel_at_any_stage_stores_nothing_and_leaves_nothing(
    database: Database, folders: imports.Folders, monkeypatch: pytest.MonkeyPatch, stage: str, moment: str
) -> None:
    job = start(database)
    around(monkeypatch, stage, **{moment: lambda: cancel(database, job)})
    job = taken(database, job)
    assert (job.state, courses(database)) == ("cancelled", [])
    assert left(folders) == set()
    assert imports.current_stage(job) == stage


def test_a_cancel_at_the_last_moment_stores_nothing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    job, real = start(database), imports.store

    def late(*args: Any, **kwargs: Any) -> Curriculum:
        stored = real(*args, **kwargs)
        # The course is written by now, in a transaction that has not ended; it is tried a second time.
        if making.read(database, job).state == "running":
            cancel(database, job)
        return stored

    monkeypatch.setattr(imports, "store", late)
    job = taken(database, job)
    assert (job.state, job.result, courses(database)) == ("cancelled", None, [])


def test_a_cancel_in_the_middle_of_a_download_ends_it_within_a_second(
    database: Database, site: Site, folders: imports.Folders
) -> None:
    job = start(database)
    archive = site.pages[f"/courses/{SLUG}/6.001-spring-2005.zip"]
    archive.body += b"\0" * 50_000_000
    archive.gate = lambda: cancel(database, job)
    began = time.monotonic()
    job = taken(database, job)
    assert (job.state, courses(database), left(folders)) == ("cancelled", [], set())
    assert time.monotonic() - began < 5


def test_a_cancelled_import_of_a_file_may_be_tried_again(
    database: Database, folders: imports.Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = start(database, "file", send(folders, MARKDOWN), accept_license=True)
    with monkeypatch.context() as once:
        around(once, "extract", after=lambda: cancel(database, job))
        assert taken(database, job).state == "cancelled"
    with database.transaction() as session:
        submit.retry(session, job.id, lane=job.lane)
    assert taken(database, job).state == "succeeded"
    assert (len(courses(database)), left(folders)) == (1, set())


def test_a_paused_import_goes_on_where_it_was(
    database: Database, site: Site, folders: imports.Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = start(database)

    def pause() -> None:
        with database.transaction() as session:
            lifecycle.pause(session, job.id)

    with monkeypatch.context() as paused:
        around(paused, "validate", after=pause)
        job = taken(database, job)
    assert (job.state, imports.stages_complete(job), left(folders)) == ("paused", ["download"], {job.id})
    asked = len(site.asked)
    with database.transaction() as session:
        submit.resume(session, job.id, lane=job.lane)
    assert taken(database, job).state == "succeeded"
    assert len(site.asked) == asked
    assert len(courses(database)) == 1


# --- What is left -------------------------------------------------------------------------------------------------


def age(path: Path) -> None:
    """Makes a file or folder older than anybody needs."""
    long_ago = time.time() - KEPT_SECONDS - 60
    os.utime(path, (long_ago, long_ago))


def test_upkeep_removes_what_nobody_needs_any_more(
    database: Database, process: Process, folders: imports.Folders
) -> None:
    needed, orphan, fresh = (send(folders, MARKDOWN) for _ in range(3))
    waiting, ended = start(database, "file", needed), start(database)
    cancel(database, ended)
    for job in (waiting, ended):
        folders.of_job(job.id).mkdir()
        age(folders.of_job(job.id))
    for asked in (needed, orphan):
        age(folders.uploads / asked["upload"])
    upkeep.clear_imports(process)
    # One that ended just now may be tried again.
    assert left(folders) == {waiting.id, ended.id, needed["upload"], fresh["upload"]}
    with database.transaction() as session:
        session.get_one(Job, ended.id).finished_at = func.now() - func.make_interval(0, 0, 0, 0, 2)
    upkeep.clear_imports(process)
    assert left(folders) == {waiting.id, needed["upload"], fresh["upload"]}


def test_upkeep_removes_what_was_fetched_long_ago(
    database: Database, process: Process, folders: imports.Folders
) -> None:
    taken(database, start(database))
    kept = sorted(folders.cache.iterdir())
    assert kept
    long_ago = time.time() - upkeep.FETCHED_SECONDS - 60
    os.utime(kept[0], (long_ago, long_ago))
    upkeep.clear_imports(process)
    assert sorted(folders.cache.iterdir()) == kept[1:]
