"""Who waits: live work is cancelled when its last waiter leaves, and only then."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from models.db import Database
from models.events import Ended, Event
from models.jobs import lifecycle, waiters
from models.jobs.tables import Job, JobWaiter
from tests import making
from tests.conftest import Signals


def join(database: Database, job: Job, *, lasting: bool = False) -> str:
    with database.transaction() as session:
        return waiters.join(session, job.id, lasting=lasting)


def leave(database: Database, *who: str) -> None:
    with database.transaction() as session:
        waiters.leave(session, who)


def everybody(database: Database) -> list[JobWaiter]:
    with database.transaction() as session:
        return list(session.scalars(select(JobWaiter)))


def expire(database: Database) -> None:
    with database.transaction() as session:
        waiters.expire(session)


def let_time_pass(database: Database, seconds: float) -> None:
    """As if the waiters had last been heard of so much earlier."""
    with database.transaction() as session:
        earlier = JobWaiter.expires_at - timedelta(seconds=seconds)
        session.execute(update(JobWaiter).where(JobWaiter.expires_at.is_not(None)).values(expires_at=earlier))


def state(database: Database, job: Job) -> str:
    return making.read(database, job).state


def test_who_got_what_he_waited_for_leaves_the_job_to_its_worker(database: Database) -> None:
    job = making.submit(database, live=True)
    making.claim(database, job)
    with database.transaction() as session:
        waiters.dismiss(session, [waiters.join(session, job.id)])
    assert state(database, job) == "running"
    assert not everybody(database)


@pytest.mark.parametrize("running", [False, True])
def test_a_live_job_is_cancelled_when_its_last_waiter_leaves(
    database: Database, signals: Signals, running: bool
) -> None:
    job = making.submit(database, live=True)
    if running:
        making.claim(database, job)
    first, last = join(database, job), join(database, job)
    leave(database, first)
    assert state(database, job) != "cancelled"
    signals.clear()
    leave(database, last)
    gone = making.read(database, job)
    assert (gone.state, gone.error_code) == ("cancelled", "abandoned")
    assert (gone.token, gone.lease_node, gone.lease_until) == (None, None, None)
    assert gone.finished_at is not None
    assert [(signal.name, signal.data["state"]) for signal in signals if isinstance(signal, Event)] == [
        ("job.finished", "cancelled")
    ]


def test_a_lasting_waiter_keeps_the_job(database: Database) -> None:
    job = making.submit(database, live=True)
    join(database, job, lasting=True)
    passing = join(database, job)
    leave(database, passing)
    let_time_pass(database, 3600)
    expire(database)
    assert state(database, job) == "queued"


def test_a_background_job_goes_on_without_waiters(database: Database) -> None:
    job = making.submit(database, live=False)
    leave(database, join(database, job))
    assert state(database, job) == "queued"


def test_a_live_job_nobody_ever_waited_for_goes_on(database: Database) -> None:
    watched, other = making.submit(database, live=True), making.submit(database, live=True)
    leave(database, join(database, watched))
    assert state(database, other) == "queued"


def test_an_ended_job_stays_as_it_ended(database: Database, signals: Signals) -> None:
    job = making.submit(database, live=True)
    waiter = join(database, job)
    making.end_well(database, job)
    signals.clear()
    leave(database, waiter)
    assert state(database, job) == "succeeded"
    assert signals == []


def test_a_waiter_who_left_already_changes_nothing(database: Database) -> None:
    job = making.submit(database, live=True)
    first, _ = join(database, job), join(database, job)
    leave(database, first)
    leave(database, first)
    assert state(database, job) == "queued"


def test_waiters_of_a_web_process_that_vanished_expire(database: Database) -> None:
    job = making.submit(database, live=True)
    join(database, job)
    let_time_pass(database, waiters.WAITER_SECONDS - 1)
    expire(database)
    assert state(database, job) == "queued"
    let_time_pass(database, 2)
    expire(database)
    assert state(database, job) == "cancelled"
    with database.transaction() as session:
        assert session.scalar(select(func.count()).select_from(JobWaiter)) == 0


def test_a_renewed_waiter_does_not_expire(database: Database) -> None:
    job = making.submit(database, live=True)
    waiter = join(database, job)
    let_time_pass(database, waiters.WAITER_SECONDS - 1)
    with database.transaction() as session:
        waiters.renew(session, [waiter])
    let_time_pass(database, waiters.WAITER_SECONDS - 1)
    expire(database)
    assert state(database, job) == "queued"


def test_expiry_of_one_of_two_waiters_keeps_the_job(database: Database) -> None:
    job = making.submit(database, live=True)
    join(database, job)
    let_time_pass(database, waiters.WAITER_SECONDS + 1)
    join(database, job)
    expire(database)
    assert state(database, job) == "queued"


def test_of_two_last_waiters_who_leave_at_once_one_cancels(database: Database, signals: Signals) -> None:
    for _ in range(10):
        job = making.submit(database, live=True)
        both = [join(database, job), join(database, job)]
        signals.clear()
        making.at_once(2, lambda number, both=both: leave(database, both[number]))  # type: ignore[misc]
        assert state(database, job) == "cancelled"
        assert [type(signal) for signal in signals] == [Ended, Event]


def test_a_cancelled_live_job_takes_no_more_work(database: Database) -> None:
    job = making.submit(database, live=True, items=3)
    waiter = join(database, job)
    making.claim_items(database, job)
    leave(database, waiter)
    assert making.claim_items(database, job, 9) == []


def test_a_deleted_job_takes_its_waiters_with_it(database: Database) -> None:
    job = making.submit(database)
    waiter = join(database, job)
    with database.transaction() as session:
        lifecycle.cancel(session, job.id)
    with database.transaction() as session:
        lifecycle.delete(session, job.id)
        session.flush()
        assert session.get(JobWaiter, waiter) is None
