"""Slices of a job with items: sized by time, at the tail of the queue, stopped at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import psycopg
import pytest
import redis
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from models.db import Database
from models.jobs import lifecycle
from models.jobs.tables import Job
from tasks import run
from tasks.process import Process
from tasks.run import ITEMS_AT_ONCE, SLICE_SECONDS, Done, Work
from tests import making
from tests.tasks.conftest import PARTS, SINGLE, Act
from workers.errors import RetryLater, WorkError

pytestmark = pytest.mark.usefixtures("process")
Acts = Callable[[Act], list[Work]]
Rung = Callable[[], list[str]]


def submit(database: Database, items: int, **fields: object) -> Job:
    return making.submit(database, kind=PARTS, items=items, **fields)


def working(seconds: float) -> Act:
    """A body whose engine works for so long."""

    def act(work: Work) -> Done:
        time.sleep(seconds)
        return Done({"n": work.params["n"]})

    return act


@pytest.fixture
def one_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slice long enough for all that a test wants of it, however busy the machine is."""
    monkeypatch.setattr(run, "SLICE_SECONDS", 20.0)


def states(database: Database, job: Job) -> list[str]:
    return [item.state for item in making.read_items(database, job)]


@pytest.mark.usefixtures("one_slice")
def test_a_short_job_is_done_in_one_slice_and_rings_nobody(database: Database, acts: Acts, rung: Rung) -> None:
    works = acts(working(0))
    job = submit(database, 5)
    run.run_slice(PARTS, job.id)
    done = making.read(database, job)
    assert (done.state, done.items_succeeded) == ("succeeded", 5)
    assert [work.params["n"] for work in works] == [0, 1, 2, 3, 4]
    assert [item.result for item in making.read_items(database, job)] == [{"n": n} for n in range(5)]
    assert rung() == []


def test_a_slice_ends_after_its_time_and_rings_once_for_the_rest(database: Database, acts: Acts, rung: Rung) -> None:
    works = acts(working(0.02))
    job = submit(database, 100)
    started = time.monotonic()
    run.run_slice(PARTS, job.id)
    took = time.monotonic() - started
    assert took >= SLICE_SECONDS
    assert len(works) < 20
    assert rung() == [job.id]
    # Nothing is left in hand between slices.
    assert states(database, job) == ["succeeded"] * len(works) + ["queued"] * (100 - len(works))


def test_an_item_that_takes_longer_than_a_slice_is_a_slice(database: Database, acts: Acts, rung: Rung) -> None:
    works = acts(working(SLICE_SECONDS * 1.2))
    job = submit(database, 3)
    run.run_slice(PARTS, job.id)
    assert len(works) == 1
    assert rung() == [job.id]


@pytest.mark.usefixtures("one_slice")
def test_fast_items_are_claimed_several_at_once_and_never_more_than_a_dead_worker_may_take_along(
    database: Database, acts: Acts
) -> None:
    held: list[int] = []

    def act(work: Work) -> Done:
        held.append(states(database, work.job).count("running"))
        return Done({})

    acts(act)
    run.run_slice(PARTS, submit(database, 60).id)
    assert held[0] == 1
    assert 1 < max(held) <= ITEMS_AT_ONCE


def test_items_the_slice_has_no_time_for_are_given_back_as_if_never_claimed(
    database: Database, acts: Acts, rung: Rung, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(run, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def act(work: Work) -> Done:
        # The first is quick, so that many are claimed next; the second takes all the time there is.
        clock[0] += 0.01 if work.params["n"] == 0 else SLICE_SECONDS
        return Done({})

    works = acts(act)
    job = submit(database, 20)
    run.run_slice(PARTS, job.id)
    assert len(works) == 2
    items = making.read_items(database, job)
    assert [item.state for item in items] == ["succeeded"] * 2 + ["queued"] * 18
    assert {(item.attempts, item.token, item.lease_node) for item in items[2:]} == {(0, None, None)}
    assert rung() == [job.id]


def test_what_is_given_back_of_a_job_that_lost_its_lease_meanwhile_is_left_alone(
    database: Database, acts: Acts, rung: Rung, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(run, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def act(work: Work) -> Done:
        clock[0] += 0.01 if work.params["n"] == 0 else SLICE_SECONDS
        if work.params["n"] == 1:
            making.change_items(database, work.job, token="another's", lease_node="another")
        return Done({})

    acts(act)
    job = submit(database, 20)
    run.run_slice(PARTS, job.id)
    assert {item.lease_node for item in making.read_items(database, job) if item.state == "running"} == {"another"}
    assert rung() == [job.id]


def test_jobs_take_turns(database: Database, acts: Acts, rung: Rung, queue: redis.Redis) -> None:
    acts(working(SLICE_SECONDS * 1.1))
    long, short = submit(database, 3), submit(database, 2)
    waiting, turns = [long.id, short.id], []
    while waiting:
        turns.append(waiting.pop(0))
        run.run_slice(PARTS, turns[-1])
        waiting += rung()
        queue.delete(making.LANE)
    assert turns[:4] == [long.id, short.id, long.id, short.id]
    assert {making.read(database, job).state for job in (long, short)} == {"succeeded"}


def test_many_workers_share_a_job_and_do_each_item_once(database: Database, acts: Acts) -> None:
    works = acts(working(0.005))
    job = submit(database, 40)

    def work_until_done(_: int) -> None:
        while making.read(database, job).state != "succeeded":
            run.run_slice(PARTS, job.id)

    making.at_once(4, work_until_done)
    assert sorted(work.params["n"] for work in works) == list(range(40))
    done = making.read(database, job)
    assert (done.state, done.items_succeeded, done.progress) == ("succeeded", 40, 1.0)


@pytest.mark.usefixtures("one_slice")
def test_a_doubled_message_after_the_end_does_nothing(database: Database, acts: Acts) -> None:
    works = acts(working(0))
    job = submit(database, 2)
    for _ in range(3):
        run.run_slice(PARTS, job.id)
    assert len(works) == 2


@pytest.mark.usefixtures("one_slice")
def test_one_item_that_fails_does_not_stop_the_others(database: Database, acts: Acts) -> None:
    def act(work: Work) -> Done:
        if work.params["n"] == 1:
            raise WorkError("It is too long.", code="too_long")
        return Done({})

    acts(act)
    job = submit(database, 4)
    run.run_slice(PARTS, job.id)
    done = making.read(database, job)
    assert (done.state, done.items_succeeded, done.items_failed, done.error_code) == ("succeeded", 3, 1, "too_long")
    assert states(database, job) == ["succeeded", "failed", "succeeded", "succeeded"]


@pytest.mark.usefixtures("one_slice")
def test_an_item_that_is_tried_again_later_keeps_the_job_open(database: Database, acts: Acts, rung: Rung) -> None:
    def act(work: Work) -> Done:
        if work.params["n"] == 0 and work.unit.attempts == 1:
            raise RetryLater("Away.")
        return Done({})

    acts(act)
    job = submit(database, 3)
    run.run_slice(PARTS, job.id)
    assert (making.read(database, job).state, states(database, job)) == (
        "running",
        ["queued", "succeeded", "succeeded"],
    )
    assert rung() == []
    making.change_items(database, job, run_after=making.read(database, job).created_at)
    run.run_slice(PARTS, job.id)
    assert making.read(database, job).state == "succeeded"


@pytest.mark.usefixtures("one_slice")
@pytest.mark.parametrize(("stop", "becomes"), [(lifecycle.cancel, "cancelled"), (lifecycle.pause, "paused")])
def test_a_job_stopped_in_mid_slice_starts_nothing_more_and_keeps_what_was_in_flight(
    database: Database, acts: Acts, rung: Rung, stop: Callable[..., Job], becomes: str
) -> None:
    def act(work: Work) -> Done:
        if work.params["n"] == 3:
            with database.transaction() as session:
                stop(session, work.job.id)
        return Done({})

    works = acts(act)
    job = submit(database, 60)
    run.run_slice(PARTS, job.id)
    stopped = making.read(database, job)
    assert stopped.state == becomes
    # What had been claimed together with the fourth is done; no more.
    assert 4 <= len(works) < 4 + ITEMS_AT_ONCE
    assert stopped.items_succeeded == len(works)
    assert states(database, job) == ["succeeded"] * len(works) + ["queued"] * (60 - len(works))
    assert rung() == []


@pytest.mark.usefixtures("one_slice")
def test_a_resumed_job_does_the_rest(database: Database, acts: Acts) -> None:
    def act(work: Work) -> Done:
        if work.params["n"] == 0 and making.read(database, work.job).state == "running" and not paused:
            paused.append(True)
            with database.transaction() as session:
                lifecycle.pause(session, work.job.id)
        return Done({})

    paused: list[bool] = []
    works = acts(act)
    job = submit(database, 5)
    run.run_slice(PARTS, job.id)
    assert making.read(database, job).state == "paused"
    with database.transaction() as session:
        lifecycle.resume(session, job.id, able_workers=1)
    run.run_slice(PARTS, job.id)
    assert making.read(database, job).state == "succeeded"
    assert sorted(work.params["n"] for work in works) == [0, 1, 2, 3, 4]


@pytest.mark.usefixtures("one_slice")
def test_a_report_of_an_item_is_no_write(database: Database, acts: Acts) -> None:
    def act(work: Work) -> Done:
        for share in range(10):
            work.report(share / 10, "speaking")
        return Done({})

    acts(act)
    job = submit(database, 1)
    run.run_slice(PARTS, job.id)
    # Submitted, begun, finished.
    assert making.read(database, job).version == 3


@pytest.mark.usefixtures("one_slice")
def test_when_postgres_goes_away_all_that_the_slice_held_comes_back_at_once(
    database: Database, process: Process, acts: Acts, rung: Rung
) -> None:
    def act(work: Work) -> Done:
        if work.params["n"] == 2:
            with process.database.transaction() as session:
                session.execute(text("select pg_terminate_backend(pg_backend_pid())"))
        return Done({})

    acts(act)
    job = submit(database, 8)
    run.run_slice(PARTS, job.id)
    assert states(database, job) == ["succeeded"] * 2 + ["queued"] * 6
    assert set(rung()) == {job.id}
    acts(working(0))
    run.run_slice(PARTS, job.id)
    assert making.read(database, job).state == "succeeded"


@pytest.mark.parametrize("kind", [SINGLE, PARTS])
def test_a_claim_whose_answer_was_lost_comes_back_at_once(
    database: Database, process: Process, acts: Acts, rung: Rung, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    works = acts(lambda work: Done({}))
    job = making.submit(database, kind=kind, items=3 if kind == PARTS else 0)
    whole = process.database.transaction

    @contextmanager
    def cut_off(**options: bool) -> Iterator[Session]:
        monkeypatch.setattr(process.database, "transaction", whole)
        with whole(**options) as session:
            yield session
        raise OperationalError("commit", None, psycopg.OperationalError("server closed the connection"))

    monkeypatch.setattr(process.database, "transaction", cut_off)
    run.run_slice(kind, job.id)
    assert (works, set(rung())) == ([], {job.id})
    run.run_slice(kind, job.id)
    assert making.read(database, job).state == "succeeded"
