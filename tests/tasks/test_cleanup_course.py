"""The course of cleanups: progress, cancelling, going on after a kill, two at once, and when the clock begins one."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy import func, select

from config.settings import Settings
from models import cleanups, clock
from models.db import Database
from models.jobs import lifecycle
from models.jobs.tables import Job
from models.speech_renditions import Form, MadeFile
from tasks import cleanup, lapses, run
from tasks.process import Process
from tasks.sweeps import Candidate, Count, Ground, Sweep
from tests import making
from tests.conftest import eventually

OLD = 40 * 86400.0
ROOT = Path(__file__).parents[2]


def begin(database: Database, *, target: str = "all", dry: bool = False) -> Job:
    params = cleanups.params(target, None, dry_run=dry)
    return making.submit(database, kind=cleanups.KIND, params=params, doorbells=0)


def write_old(folder: Path, count: int) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number}" for number in range(count)]
    then = time.time() - OLD
    for path in paths:
        path.write_bytes(b"12345")
        os.utime(path, (then, then))
    return paths


def noted(database: Database, job: Job) -> dict[str, Any]:
    return making.read(database, job).result or {}


@pytest.fixture
def sweeps(monkeypatch: pytest.MonkeyPatch) -> list[Sweep]:
    """The table of sweeps, for a test to fill."""
    table: list[Sweep] = []
    monkeypatch.setattr(cleanup, "sweeps_of", lambda target: table)
    return table


def counting(name: str, *, seen: list[str], then: Any = None) -> Sweep:
    """A sweep of three things of ten bytes; ``then`` is called after the second."""

    def find(ground: Ground) -> Iterator[Candidate]:
        for number in range(3):

            def remove(number: int = number) -> Count:
                seen.append(f"{name} {number}")
                if number == 1 and then is not None:
                    then()
                return Count(1, 10)

            yield Candidate(f"{number}", Count(1, 10), remove)

    return Sweep(name, frozenset(), find)


class Killed(BaseException):
    """The process is gone: nothing of it runs any more."""


def test_who_looks_sees_how_far_it_is_and_what_it_has_done(
    root: Path, process: Process, database: Database, sweeps: list[Sweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "REPORT_SECONDS", 0.0)
    monkeypatch.setattr(cleanup, "NOTE_SECONDS", 0.0)
    looks: list[tuple[float, str | None, int]] = []
    job = begin(database)

    def look() -> None:
        row = making.read(database, job)
        looks.append((row.progress, row.phase, (row.result or {}).get("files_removed", 0)))

    sweeps += [counting(name, seen=[], then=look) for name in ("one", "two")]
    run.run_slice(cleanups.KIND, job.id)
    # Before the second was counted, and before the fifth.
    assert looks == [(0.0, "one", 1), (0.5, "two", 4)]
    done = making.read(database, job)
    assert (done.state, done.progress) == ("succeeded", 1.0)
    assert cleanups.report(done)["files_removed"] == 6


def test_one_that_is_cancelled_stops_and_says_what_it_has_done(
    root: Path, process: Process, database: Database, sweeps: list[Sweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "REPORT_SECONDS", 0.0)
    monkeypatch.setattr(cleanup, "NOTE_SECONDS", 0.0)
    job, seen = begin(database), []

    def cancel() -> None:
        with database.transaction() as session:
            lifecycle.cancel(session, job.id)

    sweeps += [counting("one", seen=seen, then=cancel), counting("two", seen=seen)]
    run.run_slice(cleanups.KIND, job.id)
    assert seen == ["one 0", "one 1"]
    shown = cleanups.report(making.read(database, job))
    assert (shown["status"], shown["files_removed"]) == ("cancelled", 1)


@pytest.mark.parametrize(("dry", "total"), [(False, 3 + 1 + 3), (True, 6)])
def test_one_whose_worker_was_killed_goes_on_with_the_sweep_at_which_it_was(
    root: Path,
    process: Process,
    database: Database,
    sweeps: list[Sweep],
    monkeypatch: pytest.MonkeyPatch,
    dry: bool,
    total: int,
) -> None:
    monkeypatch.setattr(cleanup, "NOTE_SECONDS", 0.0)
    seen: list[str] = []
    deaths = iter([True])

    def find(ground: Ground) -> Iterator[Candidate]:
        for number, each in enumerate(counting("two", seen=seen).find(ground)):
            if number == 2 and next(deaths, False):
                raise Killed
            yield each

    sweeps += [counting("one", seen=seen), Sweep("two", frozenset(), find)]
    job = begin(database, dry=dry)
    with pytest.raises(Killed):
        run.run_slice(cleanups.KIND, job.id)
    assert noted(database, job)["made"] == ["one"]
    lapses.take_back(process, node=process.node)
    run.run_slice(cleanups.KIND, job.id)
    done = making.read(database, job)
    assert (done.state, done.attempts) == ("succeeded", 2)
    # What is gone in this test is there again for the second worker, so that it is counted by both; one that was
    # removed and not noted is not.
    assert done.result is not None
    assert done.result["files_removed"] == total
    assert [name for name in seen if name.startswith("one")] == ([] if dry else ["one 0", "one 1", "one 2"])


def test_one_that_is_done_anew_begins_from_the_beginning(
    root: Path, process: Process, database: Database, sweeps: list[Sweep]
) -> None:
    sweeps.append(counting("one", seen=[]))
    job = begin(database)
    run.run_slice(cleanups.KIND, job.id)
    making.change(database, job, state="failed")
    with database.transaction() as session:
        lifecycle.retry(session, job.id, able_workers=0)
    run.run_slice(cleanups.KIND, job.id)
    assert noted(database, job)["files_removed"] == 3


_CLEANER = """
import sys, time
from pathlib import Path
from tasks import process, run
process.name(sys.argv[1])
process.current()
print("ready", flush=True)
while not Path(sys.argv[3]).exists():
    time.sleep(0.001)
run.run_slice("upkeep.cleanup", sys.argv[2])
"""


def test_two_at_once_in_two_processes_count_everything_once_and_trip_over_nothing(
    root: Path, process: Process, database: Database, configured: Settings, tmp_path: Path
) -> None:
    count = 600
    temporary, stored = write_old(root / "tmp", count), [process.files.put(f"{n}".encode()) for n in range(count)]
    sent = write_old(root / "imports" / "uploads", 50)
    for number, name in enumerate(stored):
        os.utime(process.files.path(name), (0, 0))
        if number % 2:
            files = MadeFile(Form("wav"), name, process.files.size(name))
            making.make_clip(database, making.spec(name), files, last_used_at=func.now() - timedelta(days=40))
    old = [making.submit(database, items=2) for _ in range(40)]
    for job in old:
        making.change(database, job, state="succeeded", finished_at=func.now() - timedelta(days=40))
    dry = begin(database, dry=True)
    run.run_slice(cleanups.KIND, dry.id)
    jobs = [begin(database) for _ in range(2)]
    go = tmp_path / "go"
    env = os.environ | {
        "VAR_DIR": str(root),
        "DATABASE_URL": configured.database_url,
        "REDIS_URL": configured.redis_url,
        "LOG_LEVEL": "ERROR",
    }
    cleaners = [
        subprocess.Popen(
            [sys.executable, "-c", _CLEANER, f"cleaner{number}@here", job.id, str(go)],
            cwd=ROOT,
            env=env,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number, job in enumerate(jobs)
    ]
    for cleaner in cleaners:
        assert cleaner.stdout is not None
        assert cleaner.stdout.readline() == "ready\n"
    go.touch()
    assert [cleaner.wait(60) for cleaner in cleaners] == [0, 0]
    done = [cleanups.report(making.read(database, job)) for job in jobs]
    assert [each["status"] for each in done] == ["completed"] * 2
    assert [each["errors"] for each in done] == [[], []]
    foreseen = cleanups.report(making.read(database, dry))
    for name in ("files_removed", "bytes_freed", "rows_removed"):
        assert sum(each[name] for each in done) == foreseen[name]
    assert foreseen["files_removed"] == 2 * count + 50
    assert not any(path.exists() for path in (*temporary, *sent, *map(process.files.path, stored)))
    # Neither had all the work to itself, or this would say little.
    assert all(each["files_removed"] for each in done)


# --- The clock ----------------------------------------------------------------------------------------------------


def asked_for(database: Database) -> list[Job]:
    with database.transaction() as session:
        return list(session.scalars(select(Job).where(Job.kind == cleanups.KIND).order_by(Job.created_at)))


def make_older(database: Database, **ago: float) -> None:
    for job in asked_for(database):
        making.change(database, job, created_at=job.created_at - timedelta(**ago))


def test_the_clock_begins_one_when_the_last_is_long_enough_ago(process: Process, database: Database) -> None:
    cleanup.due()
    (first,) = asked_for(database)
    assert (first.params, first.lane, first.account_id) == (cleanups.params("all", None, dry_run=False), "io", None)
    cleanup.due()
    make_older(database, hours=4.9)
    cleanup.due()
    assert len(asked_for(database)) == 1
    make_older(database, hours=0.2)
    cleanup.due()
    assert len(asked_for(database)) == 2


@pytest.mark.parametrize(("target", "hours", "dry"), [("temp", None, False), ("all", 1.0, False), ("all", None, True)])
def test_one_that_did_not_do_everything_does_not_count(
    process: Process, database: Database, target: str, hours: float | None, dry: bool
) -> None:
    making.submit(database, kind=cleanups.KIND, params=cleanups.params(target, hours, dry_run=dry))
    cleanup.due()
    assert len(asked_for(database)) == 2


def test_one_that_was_asked_for_counts_and_so_does_one_that_failed(process: Process, database: Database) -> None:
    making.change(database, begin(database), state="failed")
    cleanup.due()
    assert len(asked_for(database)) == 1


def test_with_no_interval_the_clock_begins_none_but_at_its_start(
    process: Process, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "settings", dataclasses.replace(process.settings, cleanup_interval_hours=0))
    cleanup.due()
    assert asked_for(database) == []
    cleanup.due(starting=True)
    assert len(asked_for(database)) == 1


def test_a_start_begins_one_however_short_ago_the_last_was_but_not_two(process: Process, database: Database) -> None:
    cleanup.due(starting=True)
    cleanup.due(starting=True)
    assert len(asked_for(database)) == 1
    make_older(database, minutes=11)
    cleanup.due(starting=True)
    assert len(asked_for(database)) == 2


def test_a_start_begins_none_where_that_is_not_wanted(
    process: Process, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "settings", dataclasses.replace(process.settings, cleanup_on_startup=False))
    begin(database)
    make_older(database, hours=1)
    cleanup.due(starting=True)
    assert len(asked_for(database)) == 1


def test_two_clocks_that_look_at_once_begin_one(process: Process, database: Database) -> None:
    making.at_once(6, lambda number: cleanup.due(starting=bool(number % 2)))
    assert len(asked_for(database)) == 1


def test_a_real_clock_says_that_it_goes_and_that_it_has_started(
    configured: Settings, empty: None, tmp_path: Path
) -> None:
    # Where no worker of another test takes what it sends.
    queue = redis.Redis.from_url(configured.stream_redis_url)
    queue.flushdb()
    assert not clock.goes(queue)
    elsewhere = {**os.environ, "REDIS_URL": configured.stream_redis_url}
    argv = [sys.executable, "-m", "celery", "--app=tasks.celery_app", "beat", "--scheduler=celery.beat:Scheduler"]
    with (tmp_path / "log").open("wb") as log:
        beat = subprocess.Popen([*argv, "--pidfile="], cwd=ROOT, stdout=log, stderr=log, env=elsewhere)
    try:
        eventually(lambda: clock.goes(queue), within_seconds=30)
        started = [raw for raw in queue.lrange("upkeep", 0, -1) if b"upkeep.due" in raw]
        assert len(started) == 1
        assert 0 < queue.ttl("clock:rang") <= 20
    finally:
        beat.terminate()
        beat.wait(20)
        queue.flushdb()
