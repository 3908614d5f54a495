"""A job that spreads into children: what each does to the other, in whatever order it comes about."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models import speech_pins
from models.base import new_id, utc_now
from models.db import Database
from models.errors import Conflict, LeaseLost
from models.events import Doorbell, Event
from models.jobs import lapses, lifecycle, queries, spreading, work
from models.jobs.lifecycle import NewItem, NewJob
from models.jobs.tables import Job, JobItem
from models.speech_pins import SpeechPin
from tests import making
from tests.conftest import Signals

CHILD = "test.part"
Verb = Callable[[Session, str], object]
VERBS: dict[str, Verb] = {
    "cancel": lifecycle.cancel,
    "pause": lifecycle.pause,
    "resume": lambda session, job_id: lifecycle.resume(session, job_id, able_workers=1),
    "retry": lambda session, job_id: lifecycle.retry(session, job_id, able_workers=1),
    "hasten": lifecycle.hasten,
    "delete": lifecycle.delete,
}


def two_able(_: str) -> int:
    return 2


def part(parent: Job, items: int | Sequence[NewItem], number: int = 0) -> NewJob:
    """A child to be submitted; of those made together the ids are in order."""
    child_id = f"{number}-{new_id()}"
    return making.new_job(items=items, id=child_id, kind=CHILD, parent_id=parent.id, sliced=True)


def spread(database: Database, job: Job, *parts: int | Sequence[NewItem], notes: dict[str, Any] | None = None) -> None:
    """The job, held by the caller, becomes children with so many items."""
    with database.transaction() as session:
        spreading.spread(
            session, job, [part(job, each, number) for number, each in enumerate(parts)], able=two_able, notes=notes
        )


def family(database: Database, *parts: int | Sequence[NewItem], **fields: Any) -> tuple[Job, list[Job]]:
    """A job that has spread into children with so many items, and those."""
    job = making.claim(database, making.submit(database, **fields))
    spread(database, job, *parts)
    return making.read(database, job), children(database, job)


def children(database: Database, job: Job) -> list[Job]:
    """The children of a job as they are now, in the order they were made."""
    with database.transaction() as session:
        return list(session.scalars(select(Job).where(Job.parent_id == job.id).order_by(Job.id)))


def act(database: Database, verb: str, job: Job) -> None:
    """What somebody does to the job."""
    with database.transaction() as session:
        VERBS[verb](session, job.id)


def go_on(database: Database, job: Job) -> None:
    """The queued job's body brings its children back."""
    claimed = making.claim(database, job)
    with database.transaction() as session:
        spreading.go_on(session, claimed, able=two_able)


def finish_all(database: Database, job: Job) -> None:
    """Every item of a child that can be claimed, made."""
    while items := making.claim_items(database, job, 100):
        for item in items:
            making.finish(database, item)


def counts(job: Job) -> tuple[str, int, int, int]:
    """The state of a job, and what it counts."""
    return job.state, job.items_total, job.items_succeeded, job.items_failed


# --- Spreading ----------------------------------------------------------------------------------------------------


def test_a_job_becomes_the_sum_of_its_children_and_holds_no_lease(database: Database, signals: Signals) -> None:
    job = making.claim(database, making.submit(database, params={"asked": 1}))
    signals.clear()
    done = [NewItem({}, {"there": True}), NewItem({}), NewItem({}), NewItem({})]
    spread(database, job, 2, done, notes={"planned": "x"})
    job = making.read(database, job)
    assert counts(job) == ("running", 6, 1, 0)
    assert (job.progress, job.params) == (pytest.approx(1 / 6), {"asked": 1, "planned": "x"})
    assert (job.token, job.lease_until, job.lease_node, job.attempts) == (None, None, None, 0)
    assert [counts(child) for child in children(database, job)] == [("queued", 2, 0, 0), ("queued", 4, 1, 0)]
    rung = [(signal.job_id, signal.count) for signal in signals if isinstance(signal, Doorbell)]
    assert rung == [(child.id, 2) for child in children(database, job)]


def test_a_job_whose_children_have_nothing_to_do_has_ended(database: Database, signals: Signals) -> None:
    for parts in ([], [0], [[NewItem({}, {"there": True})] * 3, 0]):
        job, parts_made = family(database, *parts)
        assert (job.state, job.progress, job.finished_at is not None) == ("succeeded", 1.0, True)
        assert {child.state for child in parts_made} <= {"succeeded"}
        assert isinstance(signals[-1], Event)
        assert (signals[-1].name, signals[-1].job_id) == ("job.finished", job.id)


def test_who_lost_the_job_while_planning_spreads_nothing(database: Database) -> None:
    job = making.claim(database, making.submit(database))
    act(database, "pause", job)
    with pytest.raises(LeaseLost):
        spread(database, job, 3)
    assert children(database, job) == []
    assert making.read(database, job).state == "paused"


def test_every_item_counts_in_its_child_and_in_the_job_and_the_last_ends_both(
    database: Database, signals: Signals
) -> None:
    job, (one, other) = family(database, 2, 1)
    for expected, child in ((1, one), (2, other), (3, one)):
        (item,) = making.claim_items(database, child)
        making.finish(database, item)
        assert counts(making.read(database, job)) == ("succeeded" if expected == 3 else "running", 3, expected, 0)
    ended = making.read(database, job)
    assert (ended.progress, ended.finished_at is not None) == (1.0, True)
    assert [child.state for child in children(database, job)] == ["succeeded", "succeeded"]
    finished = [signal.job_id for signal in signals if isinstance(signal, Event) and signal.name == "job.finished"]
    assert finished == [other.id, one.id, job.id]


def test_a_failed_item_fails_neither_unless_all_do(database: Database) -> None:
    job, (one, other) = family(database, 1, 1)
    making.fail(database, making.claim_items(database, one)[0], code="broken")
    assert counts(making.read(database, job)) == ("running", 2, 0, 1)
    assert making.read(database, one).state == "failed"
    finish_all(database, other)
    job = making.read(database, job)
    assert counts(job) == ("succeeded", 2, 1, 1)
    assert (job.error_code, job.error_message) == ("broken", "It was broken.")
    failed, (only,) = family(database, 1)
    making.fail(database, making.claim_items(database, only)[0])
    assert counts(making.read(database, failed)) == ("failed", 1, 0, 1)


def test_an_item_that_is_tried_again_does_not_count(database: Database) -> None:
    job, (child,) = family(database, 1)
    making.fail(database, making.claim_items(database, child)[0], again_in=60)
    assert counts(making.read(database, job)) == ("running", 1, 0, 0)


def test_many_workers_at_once_count_every_item_once(database: Database) -> None:
    job, parts = family(database, 12, 12, 12)
    done = making.at_once(6, lambda number: finish_all(database, parts[number % 3]))
    assert len(done) == 6
    assert counts(making.read(database, job)) == ("succeeded", 36, 36, 0)
    assert [counts(child) for child in children(database, job)] == [("succeeded", 12, 12, 0)] * 3


def test_a_message_that_comes_again_begins_nothing(database: Database) -> None:
    job, _ = family(database, 2)
    with database.transaction() as session:
        assert work.claim_job(session, job.id, node="b", lease_seconds=60) is None
        assert job.id not in {waiting.job_id for waiting in queries.waiting(session)}


# --- Stopping and going on ----------------------------------------------------------------------------------------


def test_a_pause_stops_every_child_and_keeps_what_is_in_flight(database: Database) -> None:
    job, (one, other) = family(database, 3, 2)
    (item,) = making.claim_items(database, one)
    act(database, "pause", job)
    assert [child.state for child in children(database, job)] == ["paused", "paused"]
    assert making.claim_items(database, one) == making.claim_items(database, other) == []
    making.finish(database, item)
    assert counts(making.read(database, job)) == ("paused", 5, 1, 0)


def test_a_paused_job_whose_last_items_were_in_flight_is_done(database: Database) -> None:
    job, (one, other) = family(database, 1, 1)
    held = [making.claim_items(database, child)[0] for child in (one, other)]
    act(database, "pause", job)
    for item in held:
        making.finish(database, item)
    assert counts(making.read(database, job)) == ("succeeded", 2, 2, 0)


def test_a_resumed_job_is_for_its_body_which_brings_the_children_back(database: Database, signals: Signals) -> None:
    job, (one, other) = family(database, 3, 2)
    (failed,) = making.claim_items(database, one)
    making.fail(database, failed)
    finish_all(database, other)
    act(database, "pause", job)
    signals.clear()
    act(database, "resume", job)
    assert [signal for signal in signals if isinstance(signal, Doorbell)] == [
        Doorbell(making.LANE, making.KIND, job.id, 1)
    ]
    assert making.claim_items(database, one) == []
    # Should that doorbell be lost, the reclaimer rings again.
    with database.transaction() as session:
        (waiting,) = queries.waiting(session)
    assert (waiting.job_id, waiting.sliced, waiting.units) == (job.id, False, 1)
    go_on(database, job)
    # A resume is no retry: what failed stays so.
    assert [counts(child) for child in children(database, job)] == [("queued", 3, 0, 1), ("succeeded", 2, 2, 0)]
    assert counts(making.read(database, job)) == ("running", 5, 2, 1)
    finish_all(database, one)
    assert counts(making.read(database, job)) == ("succeeded", 5, 4, 1)


def test_a_job_that_is_to_be_begun_later_is_so_still_after_a_pause(database: Database) -> None:
    due = utc_now() + timedelta(hours=1)
    job = making.submit(database, run_after=due)
    act(database, "pause", job)
    act(database, "resume", job)
    assert making.read(database, job).run_after == due
    with database.transaction() as session:
        assert work.claim_job(session, job.id, node="a", lease_seconds=60) is None
        assert queries.waiting(session) == []
    act(database, "hasten", job)
    assert making.claim(database, job).state == "running"


def test_a_job_that_waits_because_it_failed_is_resumed_at_once(database: Database) -> None:
    job = making.submit(database)
    making.fail(database, making.claim(database, job), again_in=600)
    act(database, "pause", job)
    act(database, "resume", job)
    assert making.claim(database, job).state == "running"


def test_a_cancelled_job_takes_its_children_with_it_and_holds_nothing(database: Database) -> None:
    job, (one, other) = family(database, 3, 2)
    with database.transaction() as session:
        speech_pins.pin(session, job.id, ["a clip"])
    finish_all(database, other)
    (item,) = making.claim_items(database, one)
    act(database, "cancel", job)
    assert [child.state for child in children(database, job)] == ["cancelled", "succeeded"]
    making.finish(database, item)
    assert counts(making.read(database, job)) == ("cancelled", 5, 3, 0)
    with database.transaction() as session:
        assert session.scalar(select(func.count()).select_from(SpeechPin)) == 0


def test_a_retry_queues_what_failed_in_any_child_and_nothing_else(database: Database) -> None:
    job, (one, other) = family(database, 2, 2)
    for item in making.claim_items(database, one, 2):
        making.fail(database, item)
    (failed,) = making.claim_items(database, other)
    making.fail(database, failed)
    finish_all(database, other)
    assert counts(making.read(database, job)) == ("succeeded", 4, 1, 3)
    act(database, "retry", job)
    go_on(database, job)
    assert counts(making.read(database, job)) == ("running", 4, 1, 0)
    assert [counts(child) for child in children(database, job)] == [("queued", 2, 0, 0), ("queued", 2, 1, 0)]
    assert (making.read(database, one).error_code, making.read(database, one).finished_at) == (None, None)
    for child in (one, other):
        finish_all(database, child)
    assert counts(making.read(database, job)) == ("succeeded", 4, 4, 0)


def test_a_cancelled_job_is_taken_up_again_where_it_was(database: Database) -> None:
    job, (child,) = family(database, 3)
    making.finish(database, making.claim_items(database, child)[0])
    act(database, "cancel", job)
    act(database, "retry", job)
    go_on(database, job)
    finish_all(database, child)
    assert counts(making.read(database, job)) == ("succeeded", 3, 3, 0)


def test_a_cancelled_job_of_which_all_was_made_is_for_its_body_all_the_same(database: Database) -> None:
    """What was made may be gone."""
    job, (child,) = family(database, 1)
    (item,) = making.claim_items(database, child)
    act(database, "cancel", job)
    making.finish(database, item)
    act(database, "retry", job)
    assert making.read(database, job).state == "queued"
    go_on(database, job)
    assert counts(making.read(database, job)) == ("succeeded", 1, 1, 0)
    assert making.read(database, child).state == "succeeded"


def test_what_ends_while_the_body_is_at_work_is_found_by_the_body(database: Database) -> None:
    job, (child,) = family(database, 1)
    (item,) = making.claim_items(database, child)
    act(database, "pause", job)
    act(database, "resume", job)
    claimed = making.claim(database, job)
    making.finish(database, item)
    assert making.read(database, job).state == "running"
    with database.transaction() as session:
        spreading.go_on(session, claimed, able=two_able)
    assert counts(making.read(database, job)) == ("succeeded", 1, 1, 0)


def test_a_job_that_spreads_again_has_its_new_children_only(database: Database) -> None:
    job, (one, _) = family(database, 3, 2)
    making.finish(database, making.claim_items(database, one)[0])
    (in_flight,) = making.claim_items(database, one)
    act(database, "pause", job)
    act(database, "resume", job)
    spread(database, making.claim(database, job), 4)
    with pytest.raises(LeaseLost):
        making.finish(database, in_flight)
    (child,) = children(database, job)
    assert counts(making.read(database, job)) == ("running", 4, 0, 0)
    with database.transaction() as session:
        assert set(session.scalars(select(JobItem.job_id))) == {child.id}
    finish_all(database, child)
    assert counts(making.read(database, job)) == ("succeeded", 4, 4, 0)


# --- Children -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_a_child_does_what_its_job_does_and_nothing_by_itself(database: Database, verb: str) -> None:
    job, (child, _) = family(database, 2, 1)
    with pytest.raises(Conflict, match=f"part of job {job.id}") as refusal:
        act(database, verb, child)
    assert refusal.value.details["parent_id"] == job.id
    assert making.read(database, child).state == "queued"


def test_children_are_listed_by_their_parent_only(database: Database) -> None:
    job, parts = family(database, 2, 1)
    with database.transaction() as session:
        assert [each.id for each in queries.page(session, limit=10)] == [job.id]
        listed = queries.page(session, parent=job.id, limit=10)
        assert {each.id for each in listed} == {child.id for child in parts}
        assert queries.page(session, parent=job.id, visible_to="somebody else", limit=10) == []


def test_a_removed_job_takes_children_and_their_items_with_it(database: Database) -> None:
    job, (child, _) = family(database, 2, 1)
    (item,) = making.claim_items(database, child)
    with pytest.raises(Conflict, match="is running"):
        act(database, "delete", job)
    act(database, "cancel", job)
    act(database, "delete", job)
    with pytest.raises(LeaseLost):
        making.finish(database, item)
    with database.transaction() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == 0
        assert session.scalar(select(func.count()).select_from(JobItem)) == 0


def test_a_lapsed_lease_in_a_child_comes_back_and_one_too_many_counts_as_failed(database: Database) -> None:
    job, (child,) = family(database, 1)
    for attempt in (1, 2):
        making.claim_items(database, child, lease_seconds=-1)
        with database.transaction() as session:
            assert lapses.return_lapsed(session, {CHILD: 2}) == 1
        assert making.read(database, job).items_failed == attempt - 1
    assert counts(making.read(database, job)) == ("failed", 1, 0, 1)


def test_whoever_stops_removes_and_plans_anew_while_items_end_never_meets_in_a_deadlock(database: Database) -> None:
    """Deadlocks would come out of ``act`` and ``finish`` as errors: nothing here tries again."""
    ends = threading.Event()

    def work_on() -> int:
        done = 0
        while not ends.is_set():
            with database.transaction() as session:
                ids = list(session.scalars(select(Job.id).where(Job.parent_id.is_not(None))))
            random.shuffle(ids)
            for job_id in ids:
                with database.transaction() as session:
                    items = work.claim_items(session, job_id, limit=2, node="a", lease_seconds=60)
                for item in items:
                    try:
                        making.finish(database, item)
                        done += 1
                    except LeaseLost:
                        continue
        return done

    with ThreadPoolExecutor(4) as pool:
        workers = [pool.submit(work_on) for _ in range(4)]
        try:
            for round_ in range(12):
                job, _ = family(database, 30, 30)
                for verb in ("pause", "resume"):
                    _unless_ended(database, verb, job)
                if making.read(database, job).state == "queued":
                    if round_ % 2:
                        spread(database, making.claim(database, job), 20, 20)
                    else:
                        go_on(database, job)
                _unless_ended(database, "cancel", job)
                act(database, "delete", job)
        finally:
            ends.set()
        assert sum(future.result(30) for future in workers) > 0


def _unless_ended(database: Database, verb: str, job: Job) -> None:
    try:
        act(database, verb, job)
    except Conflict:
        assert making.read(database, job).state in ("succeeded", "queued")


def test_ten_thousand_items_are_written_without_holding_the_jobs_own_row(database: Database) -> None:
    """Its lease can be renewed meanwhile."""
    job = making.claim(database, making.submit(database))
    assert job.token is not None
    items = [NewItem({"text": "A sentence of usual length, which is some eighty characters long." * 2})] * 10_000
    with database.transaction() as session:
        lifecycle.submit(session, part(job, items), doorbells=1)
        with database.transaction() as other:
            other.execute(select(func.set_config("lock_timeout", "1s", True)))
            assert work.renew(other, Job, [job.token], lease_seconds=60) == {job.token}
        work.spread(session, job, total=10_000, succeeded=0, failed=0, notes={})
    assert counts(making.read(database, job)) == ("running", 10_000, 0, 0)
