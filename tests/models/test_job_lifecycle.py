"""What people do with jobs: the table of transitions as a whole, and each verb by itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy.orm import Session

from models.db import Database
from models.errors import Conflict, LeaseLost, NotFound
from models.events import Doorbell
from models.jobs import lifecycle, work
from models.jobs.lifecycle import NewItem
from models.jobs.tables import CANCELLED, FAILED, PAUSED, QUEUED, RUNNING, STATES, SUCCEEDED, Job, JobItem
from tests import making

Verb = Callable[[Session, str], object]

VERBS: dict[str, Verb] = {
    "cancel": lifecycle.cancel,
    "pause": lifecycle.pause,
    "resume": lambda session, job_id: lifecycle.resume(session, job_id, able_workers=1),
    "retry": lambda session, job_id: lifecycle.retry(session, job_id, able_workers=1),
    "delete": lifecycle.delete,
}
# docs/architecture.md, section 3; None: the job is gone. What is not here is refused.
TABLE: dict[tuple[str, str], str | None] = {
    ("cancel", QUEUED): CANCELLED,
    ("cancel", RUNNING): CANCELLED,
    ("cancel", PAUSED): CANCELLED,
    ("pause", QUEUED): PAUSED,
    ("pause", RUNNING): PAUSED,
    ("resume", PAUSED): QUEUED,
    ("retry", FAILED): QUEUED,
    ("retry", CANCELLED): QUEUED,
    ("delete", SUCCEEDED): None,
    ("delete", FAILED): None,
    ("delete", CANCELLED): None,
}
# What the worker that holds (or held) a unit does.
WRITES: dict[str, tuple[Callable[[Session, Job], None], str]] = {
    "finish": (lambda session, job: work.finish(session, job, {}), SUCCEEDED),
    "fail": (lambda session, job: work.fail(session, job, code="x", message="X."), FAILED),
    "try again": (lambda session, job: work.fail(session, job, code="x", message="X.", retry_in_seconds=0), QUEUED),
    "release": (work.release, QUEUED),
    "report": (lambda session, job: work.report(session, job, progress=0.1, phase=None), RUNNING),
}


def job_in(database: Database, state: str) -> Job:
    """A job without items that came into this state the usual way, as its worker (if any) last saw it."""
    job = making.submit(database)
    if state in (RUNNING, SUCCEEDED, FAILED):
        job = making.claim(database, job)
    with database.transaction() as session:
        if state == SUCCEEDED:
            work.finish(session, job, {})
        elif state == FAILED:
            work.fail(session, job, code="broken", message="It broke.")
        elif state == PAUSED:
            lifecycle.pause(session, job.id)
        elif state == CANCELLED:
            lifecycle.cancel(session, job.id)
    assert making.read(database, job).state == state
    return job


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_does_what_the_table_says_or_is_refused_naming_the_state(
    database: Database, verb: str, state: str
) -> None:
    job = job_in(database, state)
    if (verb, state) not in TABLE:
        with pytest.raises(Conflict, match=rf"is {state}\b") as refusal, database.transaction() as session:
            VERBS[verb](session, job.id)
        assert refusal.value.details == {"state": state}
        assert making.read(database, job).state == state
        return
    with database.transaction() as session:
        VERBS[verb](session, job.id)
    with database.transaction() as session:
        found = session.get(Job, job.id)
    assert (found.state if found else None) == TABLE[verb, state]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", WRITES)
def test_only_a_running_job_is_written_by_its_worker(database: Database, name: str, state: str) -> None:
    job = job_in(database, state)
    write, becomes = WRITES[name]
    if state == RUNNING:
        with database.transaction() as session:
            write(session, job)
        assert making.read(database, job).state == becomes
        return
    with pytest.raises(LeaseLost), database.transaction() as session:
        write(session, job)
    assert making.read(database, job).state == state


@pytest.mark.parametrize("state", STATES)
def test_only_a_queued_job_is_claimed(database: Database, state: str) -> None:
    job = job_in(database, state)
    with database.transaction() as session:
        claimed = work.claim_job(session, job.id, node="b", lease_seconds=10)
    assert (claimed is not None) == (state == QUEUED)


@pytest.mark.parametrize("verb", VERBS)
def test_an_unknown_job_is_not_found(database: Database, verb: str) -> None:
    with pytest.raises(NotFound, match="'nothing'"), database.transaction() as session:
        VERBS[verb](session, "nothing")


def test_a_job_with_nothing_to_do_is_done_at_once(database: Database, signals: list[object]) -> None:
    empty = making.submit(database, items=0, sliced=True)
    cached = making.submit(database, items=[NewItem({}, {"cached": True})] * 3)
    for job in (empty, cached):
        done = making.read(database, job)
        assert (done.state, done.progress) == ("succeeded", 1.0)
        assert done.finished_at is not None
    assert not [signal for signal in signals if isinstance(signal, Doorbell)]


def test_a_job_begins_as_far_as_its_items_are_done(database: Database) -> None:
    job = making.submit(database, items=[NewItem({}, {"cached": True})] * 3 + [NewItem({})])
    assert (job.items_succeeded, job.items_total, job.progress) == (3, 4, 0.75)


def test_an_item_in_flight_of_a_paused_job_is_finished_and_kept(database: Database) -> None:
    job = making.submit(database, items=3)
    (in_flight,) = making.claim_items(database, job)
    with database.transaction() as session:
        lifecycle.pause(session, job.id)
    making.finish(database, in_flight, {"file": "x"})
    paused = making.read(database, job)
    assert (paused.state, paused.items_succeeded) == ("paused", 1)
    assert making.read_items(database, job)[0].result == {"file": "x"}


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
def test_the_last_item_in_flight_finishes_a_paused_job(database: Database, outcome: str) -> None:
    job = making.submit(database, items=1)
    (last,) = making.claim_items(database, job)
    with database.transaction() as session:
        lifecycle.pause(session, job.id)
    if outcome == "succeeded":
        making.finish(database, last)
    else:
        making.fail(database, last)
    done = making.read(database, job)
    assert done.state == outcome
    assert done.finished_at is not None


def test_an_item_in_flight_of_a_cancelled_job_is_kept_and_the_job_stays_cancelled(database: Database) -> None:
    job = making.submit(database, items=2)
    items = making.claim_items(database, job, 2)
    with database.transaction() as session:
        lifecycle.cancel(session, job.id)
    for item in items:
        making.finish(database, item)
    cancelled = making.read(database, job)
    assert (cancelled.state, cancelled.items_succeeded) == ("cancelled", 2)


def test_a_resumed_job_goes_on_where_it_was_and_rings(database: Database, signals: list[object]) -> None:
    job = making.submit(database, items=5)
    (first,) = making.claim_items(database, job)
    making.finish(database, first)
    with database.transaction() as session:
        lifecycle.pause(session, job.id)
    signals.clear()
    with database.transaction() as session:
        lifecycle.resume(session, job.id, able_workers=3)
    assert [signal for signal in signals if isinstance(signal, Doorbell)] == [
        Doorbell(making.LANE, making.KIND, job.id, 3)
    ]
    assert [item.position for item in making.claim_items(database, job, 9)] == [1, 2, 3, 4]


def test_a_paused_single_job_starts_anew_after_its_resume(database: Database, signals: list[object]) -> None:
    job = job_in(database, RUNNING)
    with database.transaction() as session:
        lifecycle.pause(session, job.id)
    signals.clear()
    with database.transaction() as session:
        lifecycle.resume(session, job.id, able_workers=0)
    assert Doorbell(making.LANE, making.KIND, job.id, 1) in signals
    making.end_well(database, job)
    assert making.read(database, job).state == "succeeded"


def test_a_paused_job_does_not_wait_out_its_backoff_when_resumed(database: Database) -> None:
    job = job_in(database, RUNNING)
    making.fail(database, job, again_in=600)
    with database.transaction() as session:
        lifecycle.pause(session, job.id)
    with database.transaction() as session:
        lifecycle.resume(session, job.id, able_workers=1)
    assert making.claim(database, job)


def test_a_failed_job_is_retried_as_if_new(database: Database, signals: list[object]) -> None:
    job = making.claim(database, making.submit(database))
    with database.transaction() as session:
        work.report(session, job, progress=0.6, phase="halfway")
    making.fail(database, job)
    failed = making.read(database, job)
    assert (failed.error_code, failed.error_message) == ("broken", "It was broken.")
    signals.clear()
    with database.transaction() as session:
        lifecycle.retry(session, job.id, able_workers=4)
    queued = making.read(database, job)
    assert (queued.state, queued.attempts, queued.progress) == ("queued", 0, 0.0)
    assert (queued.error_code, queued.error_message, queued.finished_at) == (None, None, None)
    assert Doorbell(making.LANE, making.KIND, job.id, 1) in signals
    making.end_well(database, job)


def test_a_retry_of_a_cancelled_job_does_only_what_was_left(database: Database, signals: list[object]) -> None:
    job = making.submit(database, items=4)
    good, bad = making.claim_items(database, job, 2)
    making.finish(database, good, {"n": 0})
    making.fail(database, bad)
    with database.transaction() as session:
        lifecycle.cancel(session, job.id)
    signals.clear()
    with database.transaction() as session:
        lifecycle.retry(session, job.id, able_workers=9)
    assert Doorbell(making.LANE, making.KIND, job.id, 3) in signals
    left = making.claim_items(database, job, 9)
    assert [item.position for item in left] == [1, 2, 3]
    for item in left:
        making.finish(database, item)
    done = making.read(database, job)
    assert (done.state, done.items_succeeded, done.items_failed, done.error_code) == ("succeeded", 4, 0, None)


def test_a_retry_of_a_job_cancelled_after_its_last_item_was_claimed_finishes_it(database: Database) -> None:
    job = making.submit(database, items=1)
    (item,) = making.claim_items(database, job)
    with database.transaction() as session:
        lifecycle.cancel(session, job.id)
    making.finish(database, item)
    with database.transaction() as session:
        lifecycle.retry(session, job.id, able_workers=1)
    assert making.read(database, job).state == "succeeded"


def test_a_retry_of_a_succeeded_job_does_its_failed_items_alone(database: Database) -> None:
    job = making.submit(database, items=4)
    for item in making.claim_items(database, job, 4):
        if item.position in (1, 3):
            making.fail(database, item)
        else:
            making.finish(database, item, {"n": item.position})
    ended = making.read(database, job)
    assert (ended.state, ended.items_succeeded, ended.items_failed, ended.error_code) == ("succeeded", 2, 2, "broken")
    with database.transaction() as session:
        lifecycle.retry(session, job.id, able_workers=2)
    queued = making.read(database, job)
    assert (queued.state, queued.items_failed, queued.progress, queued.finished_at) == ("queued", 0, 0.5, None)
    again = making.claim_items(database, job, 9)
    assert [(item.position, item.attempts, item.error_code) for item in again] == [(1, 1, None), (3, 1, None)]
    for item in again:
        making.finish(database, item, {"n": item.position})
    done = making.read(database, job)
    assert (done.state, done.items_succeeded, done.items_failed) == ("succeeded", 4, 0)
    assert (done.error_code, done.error_message) == (None, None)
    assert [item.result for item in making.read_items(database, job)] == [{"n": n} for n in range(4)]


def test_a_job_whose_items_all_failed_has_failed(database: Database) -> None:
    job = making.submit(database, items=2)
    for item in making.claim_items(database, job, 2):
        making.fail(database, item)
    failed = making.read(database, job)
    assert (failed.state, failed.items_failed, failed.progress, failed.error_code) == ("failed", 2, 1.0, "broken")


def test_a_job_without_failed_items_that_succeeded_is_not_retried(database: Database) -> None:
    job = making.submit(database, items=1)
    (item,) = making.claim_items(database, job)
    making.finish(database, item)
    with pytest.raises(Conflict, match="is succeeded and cannot be retried"), database.transaction() as session:
        lifecycle.retry(session, job.id, able_workers=1)


def test_a_unit_that_is_tried_again_waits_for_its_time(database: Database) -> None:
    job = making.submit(database, items=1)
    (item,) = making.claim_items(database, job)
    making.fail(database, item, again_in=600)
    (waiting,) = making.read_items(database, job)
    assert (waiting.state, waiting.attempts, waiting.error_code) == ("queued", 1, "broken")
    assert making.claim_items(database, job) == []
    unfinished = making.read(database, job)
    assert (unfinished.state, unfinished.items_failed) == ("running", 0)


def test_a_deleted_job_takes_its_items_and_children_with_it(database: Database) -> None:
    job = making.submit(database, items=2)
    child = making.submit(database, parent_id=job.id)
    with database.transaction() as session:
        lifecycle.cancel(session, job.id)
    with database.transaction() as session:
        lifecycle.delete(session, job.id)
    with database.transaction() as session:
        assert session.get(Job, child.id) is None
        assert session.query(JobItem).count() == 0


def test_two_who_cancel_at_once_cancel_once(database: Database) -> None:
    job = making.submit(database)

    def cancel(_: int) -> bool:
        try:
            with database.transaction() as session:
                lifecycle.cancel(session, job.id)
        except Conflict:
            return False
        return True

    assert sum(making.at_once(8, cancel)) == 1
    assert making.read(database, job).version == job.version + 1
