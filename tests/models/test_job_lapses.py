"""Lost workers: their units come back, and one that kills its workers fails in the end."""

from __future__ import annotations

from sqlalchemy import select, update

from models.db import Database
from models.events import Doorbell
from models.jobs import lapses, lifecycle, work
from models.jobs.tables import Job, JobItem
from tests import making
from tests.conftest import Signals

ALLOWED = {making.KIND: 3}


def take_back(database: Database, node: str | None = None) -> int:
    with database.transaction() as session:
        return lapses.return_lapsed(session, ALLOWED, node=node)


def test_a_job_whose_lease_ran_out_comes_back_and_rings(database: Database, signals: Signals) -> None:
    job = making.claim(database, making.submit(database), node="dead", lease_seconds=-1)
    signals.clear()
    assert take_back(database) == 1
    back = making.read(database, job)
    assert (back.state, back.attempts, back.error_code) == ("queued", 1, "worker_lost")
    assert back.error_message == "Its worker dead was lost."
    assert Doorbell(making.LANE, making.KIND, job.id) in signals
    assert making.claim(database, job, node="b").attempts == 2


def test_an_item_whose_lease_ran_out_comes_back_and_rings(database: Database, signals: Signals) -> None:
    job = making.submit(database, items=2)
    making.claim_items(database, job, 2, lease_seconds=-1)
    signals.clear()
    assert take_back(database) == 2
    assert [item.state for item in making.read_items(database, job)] == ["queued", "queued"]
    assert making.read(database, job).state == "running"
    assert Doorbell(making.LANE, making.KIND, job.id) in signals


def test_what_is_held_is_not_taken_back(database: Database) -> None:
    single, parts = making.submit(database), making.submit(database, items=1)
    making.claim(database, single, lease_seconds=60)
    making.claim_items(database, parts, lease_seconds=60)
    assert take_back(database) == 0


def test_a_second_round_finds_nothing_more(database: Database, signals: Signals) -> None:
    making.claim(database, making.submit(database), lease_seconds=-1)
    assert take_back(database) == 1
    signals.clear()
    assert take_back(database) == 0
    assert signals == []


def test_a_new_life_of_a_node_takes_back_what_its_former_one_held_and_nothing_else(database: Database) -> None:
    mine, theirs, parts = making.submit(database), making.submit(database), making.submit(database, items=1)
    making.claim(database, mine, node="gpu0@here")
    making.claim(database, theirs, node="gpu1@here")
    making.claim_items(database, parts, node="gpu0@here")
    assert take_back(database, node="gpu0@here") == 2
    assert making.read(database, mine).state == "queued"
    assert making.read(database, theirs).state == "running"
    assert making.read_items(database, parts)[0].state == "queued"


def test_a_job_that_lost_as_many_workers_as_it_may_fails(database: Database, signals: Signals) -> None:
    job = making.submit(database)
    for _ in range(ALLOWED[making.KIND]):
        making.claim(database, job, node="dead", lease_seconds=-1)
        signals.clear()
        assert take_back(database) == 1
    failed = making.read(database, job)
    assert (failed.state, failed.error_code) == ("failed", "worker_lost")
    assert failed.error_message == "Its worker was lost 3 times (last: dead)."
    assert failed.finished_at is not None
    assert not [signal for signal in signals if isinstance(signal, Doorbell)]


def test_an_item_that_lost_as_many_workers_as_it_may_fails_and_the_job_goes_on(database: Database) -> None:
    job = making.submit(database, items=2)
    for _ in range(ALLOWED[making.KIND]):
        making.claim_items(database, job, 1, lease_seconds=-1)
        take_back(database)
    bad, good = making.read_items(database, job)
    assert (bad.state, bad.error_code, good.state) == ("failed", "worker_lost", "queued")
    making.finish(database, making.claim_items(database, job)[0])
    done = making.read(database, job)
    assert (done.state, done.items_succeeded, done.items_failed) == ("succeeded", 1, 1)


def test_the_lapse_of_the_last_item_for_the_last_time_ends_a_paused_job(database: Database) -> None:
    job = making.submit(database, items=1)
    making.claim_items(database, job, lease_seconds=-1)
    making.change_items(database, job, attempts=3)
    with database.transaction() as session:
        lifecycle.pause(session, job.id)
    take_back(database)
    assert making.read(database, job).state == "failed"


def test_the_item_of_a_cancelled_job_comes_back_and_is_not_started(database: Database) -> None:
    job = making.submit(database, items=1)
    making.claim_items(database, job, lease_seconds=-1)
    with database.transaction() as session:
        lifecycle.cancel(session, job.id)
    assert take_back(database) == 1
    assert making.claim_items(database, job) == []
    assert making.read(database, job).state == "cancelled"


def test_a_job_with_items_is_never_leased_itself_nor_taken_back(database: Database) -> None:
    job = making.submit(database, items=2)
    making.claim_items(database, job, node="a")
    # Even if a lease stood in its row.
    making.change(database, job, lease_until=making.read(database, job).created_at, lease_node="a")
    assert take_back(database) == 0
    assert take_back(database, node="a") == 1
    row = making.read(database, job)
    assert (row.state, row.attempts, row.error_code) == ("running", 0, None)


def test_many_reclaimers_at_once_take_each_unit_back_once(database: Database) -> None:
    jobs = [making.submit(database) for _ in range(10)]
    parts = making.submit(database, items=20)
    for job in jobs:
        making.claim(database, job, lease_seconds=-1)
    making.claim_items(database, parts, 20, lease_seconds=-1)
    assert sum(making.at_once(6, lambda _: take_back(database))) == 30
    with database.transaction() as session:
        units = [*session.scalars(select(Job).where(Job.items_total == 0)), *session.scalars(select(JobItem))]
    assert {(unit.state, unit.attempts) for unit in units} == {("queued", 1)}


def test_a_reclaimer_steps_over_a_unit_that_its_worker_finishes_at_this_moment(database: Database) -> None:
    job = making.claim(database, making.submit(database), lease_seconds=-1)
    with database.transaction() as session:
        work.finish(session, job, {"file": "x"})
        assert take_back(database) == 0
    assert making.read(database, job).state == "succeeded"


def test_an_unknown_kind_may_lose_three_workers(database: Database) -> None:
    job = making.submit(database, kind="test.unknown")
    making.claim(database, job, lease_seconds=-1)
    with database.transaction() as session:
        session.execute(update(Job).values(attempts=3))
    take_back(database)
    assert making.read(database, job).state == "failed"
