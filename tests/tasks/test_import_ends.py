"""Imports whose worker dies, that are cancelled or paused at any stage, and what becomes of what they left."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func

from models import imports
from models.curricula import Curriculum
from models.db import Database
from models.imports import KEPT_SECONDS, KIND, STAGES
from models.jobs import lifecycle
from models.jobs.tables import Job
from tasks import imports as bodies
from tasks import lapses, run, submit, sweep_files
from tasks.process import Process
from tasks.sweeps import Ground
from tests import making
from tests.standing_in import SLUG, Site
from tests.tasks.importing import (
    MARKDOWN,
    TEXTS,
    Death,
    around,
    cancel,
    courses,
    die,
    left,
    send,
    start,
    taken,
    texts,
)

pytestmark = pytest.mark.usefixtures("outside")


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
    lapses.take_back(process, node=process.node)
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
            lapses.take_back(process, node=process.node)
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


def sweep(process: Process) -> None:
    """Removes what a cleanup removes of imports."""
    ground = Ground(process, now=time.time(), failed=pytest.fail)
    for find in (sweep_files.of_imports, sweep_files.fetched):
        for candidate in find(ground):
            candidate.remove()


def test_a_cleanup_removes_what_nobody_needs_any_more(
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
    sweep(process)
    # One that ended just now may be tried again.
    assert left(folders) == {waiting.id, ended.id, needed["upload"], fresh["upload"]}
    with database.transaction() as session:
        session.get_one(Job, ended.id).finished_at = func.now() - func.make_interval(0, 0, 0, 0, 2)
    sweep(process)
    assert left(folders) == {waiting.id, needed["upload"], fresh["upload"]}


def test_a_cleanup_removes_what_was_fetched_long_ago(
    database: Database, process: Process, folders: imports.Folders
) -> None:
    taken(database, start(database))
    kept = sorted(folders.cache.iterdir())
    assert kept
    long_ago = time.time() - sweep_files.FETCHED_SECONDS - 60
    os.utime(kept[0], (long_ago, long_ago))
    sweep(process)
    assert sorted(folders.cache.iterdir()) == kept[1:]
