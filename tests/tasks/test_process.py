"""The heartbeat: it keeps what is held, notices what is lost, and says what goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta

import pytest
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from models import speech_clips, workers
from models.base import utc_now
from models.db import Database
from models.jobs import lifecycle
from models.jobs import work as units
from models.jobs.tables import Job, JobItem
from models.speech_clips import SpeechClip
from models.workers import Worker
from tasks import process as processes
from tasks import run
from tasks.process import Process
from tasks.run import Done, Work
from tests import making
from tests.tasks.conftest import PARTS, SINGLE, Act
from workers.errors import Stopped

Acts = Callable[[Act], list[Work]]


def renew_jobs(session: Session, tokens: Iterable[str], seconds: float) -> set[str]:
    return units.renew(session, Job, tokens, lease_seconds=seconds)


def left(database: Database, job: Job) -> float:
    """The seconds until the job's lease runs out."""
    until = making.read(database, job).lease_until
    assert until is not None
    return (until - utc_now()) / timedelta(seconds=1)


def test_a_heartbeat_extends_every_lease_that_is_held(process: Process, database: Database) -> None:
    long, short = (making.claim(database, making.submit(database), lease_seconds=5) for _ in range(2))
    assert long.token
    assert short.token
    with process.holding(long.token, renew_jobs, 90), process.holding(short.token, renew_jobs, 10):
        process.beat()
    assert left(database, long) == pytest.approx(90, abs=4)
    assert left(database, short) == pytest.approx(10, abs=4)
    assert not process.lost(long.token)


def test_what_is_not_held_any_more_is_not_extended(process: Process, database: Database) -> None:
    job = making.claim(database, making.submit(database), lease_seconds=5)
    assert job.token
    with process.holding(job.token, renew_jobs, 90):
        pass
    process.beat()
    assert left(database, job) < 6


def test_leases_of_other_tables_are_kept_beside(process: Process, database: Database) -> None:
    job = making.claim(database, making.submit(database), lease_seconds=5)
    with database.transaction() as session:
        clip = speech_clips.claim(session, making.spec(), node="a", lease_seconds=5)

    def renew_clips(session: Session, tokens: Iterable[str], seconds: float) -> set[str]:
        return speech_clips.renew(session, tokens, lease_seconds=seconds)

    assert job.token
    assert clip
    with process.holding(job.token, renew_jobs, 90), process.holding(clip, renew_clips, 90):
        process.beat()
        assert not process.lost(job.token)
        assert not process.lost(clip)
    with database.transaction() as session:
        until = session.get_one(SpeechClip, making.spec().key).lease_until
    assert until is not None
    assert until - utc_now() > timedelta(seconds=60)


def test_a_lease_that_is_gone_is_marked_lost_and_the_others_are_kept(process: Process, database: Database) -> None:
    gone, kept = (making.claim(database, making.submit(database), lease_seconds=5) for _ in range(2))
    with database.transaction() as session:
        lifecycle.pause(session, gone.id)
    assert gone.token
    assert kept.token
    with process.holding(gone.token, renew_jobs, 60), process.holding(kept.token, renew_jobs, 60):
        assert not process.lost(gone.token)
        process.beat()
        assert process.lost(gone.token)
        assert not process.lost(kept.token)
    assert not process.lost(gone.token)


def test_a_body_learns_of_a_lost_lease_at_its_next_report(
    process: Process, database: Database, acts: Acts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even one that reports more often than reports are written."""
    monkeypatch.setattr(run, "REPORT_SECONDS", 3600)
    stopped: list[bool] = []

    def act(work: Work) -> Done:
        with database.transaction() as session:
            lifecycle.cancel(session, work.job.id)
        work.report(0.1, "speaking")
        process.beat()
        try:
            work.report(0.2, "speaking")
        except Stopped:
            stopped.append(True)
            raise
        return Done({})

    acts(act)
    run.run_slice(SINGLE, making.submit(database, kind=SINGLE).id)
    assert stopped == [True]


def test_an_item_learns_of_its_lost_lease_too(process: Process, database: Database, acts: Acts) -> None:
    def act(work: Work) -> Done:
        making.change_items(database, work.job, token="another's", lease_node="another")
        process.beat()
        work.report(0.2, "speaking")
        return Done({})

    works = acts(act)
    job = making.submit(database, kind=PARTS, items=1)
    run.run_slice(PARTS, job.id)
    (item,) = making.read_items(database, job)
    assert (item.state, item.lease_node, item.result, len(works)) == ("running", "another", None, 1)


def test_items_claimed_together_are_kept_while_the_first_is_done(
    process: Process, database: Database, acts: Acts, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Enough for the second claim, the first of several items, however busy the machine is.
    monkeypatch.setattr(run, "SLICE_SECONDS", 20.0)
    seen: list[float] = []

    def act(work: Work) -> Done:
        if work.params["n"] == 1:
            making.change_items(database, work.job, lease_until=utc_now() + timedelta(seconds=1))
            process.beat()
            seen.extend(
                (item.lease_until - utc_now()) / timedelta(seconds=1)
                for item in making.read_items(database, work.job)
                if item.state == "running" and item.lease_until is not None
            )
        return Done({})

    acts(act)
    run.run_slice(PARTS, making.submit(database, kind=PARTS, items=20).id)
    assert len(seen) > 1
    assert min(seen) > 50


def test_a_process_says_what_it_does_now(process: Process, database: Database, acts: Acts) -> None:
    process.register(device="cpu", lanes=[making.LANE], engines={"test-engine": "1"})
    seen: list[str | None] = []

    def act(work: Work) -> Done:
        process.beat()
        seen.append(entry().current_unit)
        return Done({})

    def entry() -> Worker:
        with database.transaction() as session:
            return session.get_one(Worker, process.node)

    acts(act)
    job = making.submit(database, kind=SINGLE)
    run.run_slice(SINGLE, job.id)
    process.beat()
    now = entry()
    assert seen == [f"{SINGLE} {job.id}"]
    assert (now.current_unit, now.device, now.lanes, now.engines) == (None, "cpu", ["test"], {"test-engine": "1"})
    assert now.memory_bytes > 10_000_000
    with database.transaction() as session:
        session.delete(session.get_one(Worker, process.node))


def test_a_heartbeat_keeps_the_worker_alive_in_the_register(process: Process, database: Database) -> None:
    process.register(device="cpu", lanes=[making.LANE], engines={})
    with database.transaction() as session:
        session.execute(
            Worker.__table__.update().where(Worker.node == process.node).values(heartbeat_at=utc_now() - timedelta(60))
        )
        assert workers.able(session, making.LANE) == 0
    process.beat()
    with database.transaction() as session:
        assert workers.able(session, making.LANE) == 1
        session.delete(session.get_one(Worker, process.node))


def test_a_process_holds_under_the_name_it_was_given(process: Process, database: Database, acts: Acts) -> None:
    nodes: list[str | None] = []
    acts(lambda work: Done({"n": nodes.append(work.unit.lease_node)}))
    run.run_slice(SINGLE, making.submit(database, kind=SINGLE).id)
    assert nodes == ["tests@here"] == [process.node]


def test_a_process_is_made_once(process: Process) -> None:
    assert processes.current() is process is processes.current()


def test_a_unit_s_lease_is_renewed_as_what_it_is(process: Process, database: Database, acts: Acts) -> None:
    def act(work: Work) -> Done:
        assert isinstance(work.unit, JobItem)
        process.beat()
        with database.transaction() as session:
            until = session.scalar(select(JobItem.lease_until).where(JobItem.id == work.unit.id))
        assert until is not None
        return Done({"left": (until - utc_now()) / timedelta(seconds=1)})

    acts(act)
    job = making.submit(database, kind=PARTS, items=1)
    run.run_slice(PARTS, job.id)
    (item,) = making.read_items(database, job)
    assert item.state == "succeeded", item.error_message
    assert item.result is not None
    assert item.result["left"] > 50


def test_a_heartbeat_says_what_the_process_uses(process: Process, database: Database) -> None:
    process.register(device="cpu", lanes=[making.LANE], engines={})
    try:
        process.beat()
        with database.transaction() as session:
            row = session.get_one(Worker, process.node)
        assert row.cpu_percent is not None
        assert row.cpu_percent >= 0
        assert (row.gpu, row.memory_bytes > 2**20) == (None, True)
    finally:
        with database.transaction() as session:
            session.delete(session.get_one(Worker, process.node))


def test_a_worker_whose_row_is_gone_says_again_that_it_is_there(process: Process, database: Database) -> None:
    def row() -> tuple[list[str], bool] | None:
        with database.transaction() as session:
            found = session.get(Worker, process.node)
            return None if found is None else (list(found.lanes), found.draining)

    # What never was ready says nothing.
    process.beat()
    assert row() is None
    process.register(device="cpu", lanes=["io"], engines={})
    with database.transaction() as session:
        session.execute(delete(Worker).where(Worker.node == process.node))
    process.beat()
    assert row() == (["io"], False)
    with database.transaction() as session:
        session.execute(delete(Worker).where(Worker.node == process.node))
