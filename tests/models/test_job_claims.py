"""The claim: who may work on what, once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, text

from models.base import utc_now
from models.db import Database
from models.jobs import lifecycle, work
from tests import making


def test_second_claim_of_a_running_job_returns_none(database: Database) -> None:
    job = making.submit(database)
    making.claim(database, job, node="a")
    with database.transaction() as session:
        assert work.claim_job(session, job.id, node="b", lease_seconds=10) is None


def test_a_claim_says_who_holds_the_job_and_until_when(database: Database) -> None:
    job = making.submit(database)
    making.claim(database, job, node="gpu0@here", lease_seconds=90)
    held = making.read(database, job)
    assert (held.state, held.lease_node, held.attempts) == ("running", "gpu0@here", 1)
    assert held.token
    assert held.started_at is not None
    assert held.lease_until is not None
    assert timedelta(seconds=80) < held.lease_until - utc_now() <= timedelta(seconds=90)


def test_a_claim_of_an_unknown_job_returns_none(database: Database) -> None:
    with database.transaction() as session:
        assert work.claim_job(session, "nothing", node="a", lease_seconds=10) is None
        assert work.claim_items(session, "nothing", limit=3, node="a", lease_seconds=10) == []


def test_items_are_claimed_in_order_and_never_twice(database: Database) -> None:
    job = making.submit(database, items=5)
    mine = making.claim_items(database, job, 2, node="a")
    theirs = making.claim_items(database, job, 2, node="b")
    assert [item.params["n"] for item in mine] == [0, 1]
    assert [item.params["n"] for item in theirs] == [2, 3]


def test_claims_of_two_open_transactions_pass_each_other(database: Database) -> None:
    job = making.submit(database, items=5)
    making.claim_items(database, job, 1)
    with database.transaction() as one, database.transaction() as other:
        mine = work.claim_items(one, job.id, limit=2, node="a", lease_seconds=10)
        # Neither waits for the other's commit nor takes what it holds.
        theirs = work.claim_items(other, job.id, limit=2, node="b", lease_seconds=10)
    assert [item.params["n"] for item in mine] == [1, 2]
    assert [item.params["n"] for item in theirs] == [3, 4]


def test_only_one_of_many_threads_gets_a_job(database: Database) -> None:
    job = making.submit(database)

    def try_it(number: int) -> bool:
        with database.transaction(durable=False) as session:
            return work.claim_job(session, job.id, node=f"n{number}", lease_seconds=60) is not None

    assert sum(making.at_once(24, try_it)) == 1
    assert making.read(database, job).attempts == 1


def test_many_threads_get_each_item_exactly_once_and_never_more_than_they_asked_for(database: Database) -> None:
    job = making.submit(database, items=200)

    def take_all(number: int) -> list[int]:
        taken: list[int] = []
        while True:
            with database.transaction(durable=False) as session:
                items = work.claim_items(session, job.id, limit=3, node=f"n{number}", lease_seconds=60)
            assert len(items) <= 3
            if not items:
                return taken
            taken += [item.position for item in items]

    shares = making.at_once(12, take_all)
    assert sorted(position for share in shares for position in share) == list(range(200))
    items = making.read_items(database, job)
    assert {(item.state, item.attempts) for item in items} == {("running", 1)}


def test_no_plan_of_postgres_claims_more_than_was_asked_for(database: Database) -> None:
    """Without hashing, sorting and keeping rows, a sub-select with a limit is run again for every row of the table."""
    job = making.submit(database, items=30)
    with database.transaction() as session:
        for way in ("hashagg", "hashjoin", "mergejoin", "material", "sort", "bitmapscan"):
            session.execute(text(f"set local enable_{way} = off"))
        items = work.claim_items(session, job.id, limit=2, node="a", lease_seconds=60)
    assert [item.position for item in items] == [0, 1]
    assert [item.state for item in making.read_items(database, job)].count("running") == 2


def test_every_item_is_finished_once_by_threads_that_race(database: Database) -> None:
    job = making.submit(database, items=60)

    def work_until_done(number: int) -> None:
        while items := making.claim_items(database, job, 2, node=f"n{number}"):
            for item in items:
                making.finish(database, item, {"by": number})

    making.at_once(8, work_until_done)
    done = making.read(database, job)
    assert (done.state, done.items_succeeded, done.items_failed, done.progress) == ("succeeded", 60, 0, 1.0)
    assert all(item.result is not None for item in making.read_items(database, job))


def test_the_first_claimed_item_starts_the_job_but_nobody_holds_the_job_itself(database: Database) -> None:
    job = making.submit(database, items=2)
    making.claim_items(database, job, 1)
    started = making.read(database, job)
    assert (started.state, started.token, started.lease_until, started.lease_node) == ("running", None, None, None)
    assert started.started_at is not None
    assert started.attempts == 0


def test_a_unit_is_not_claimed_before_its_time(database: Database) -> None:
    single, parts = making.submit(database), making.submit(database, items=2)
    later = func.now() + timedelta(hours=1)
    making.change(database, single, run_after=later)
    making.change_items(database, parts, run_after=later)
    with database.transaction() as session:
        assert work.claim_job(session, single.id, node="a", lease_seconds=10) is None
        assert work.claim_items(session, parts.id, limit=9, node="a", lease_seconds=10) == []
    making.change(database, single, run_after=func.now())
    making.change_items(database, parts, run_after=func.now())
    assert making.claim(database, single)
    assert len(making.claim_items(database, parts, 9)) == 2


@pytest.mark.parametrize("stop", [lifecycle.pause, lifecycle.cancel])
@pytest.mark.parametrize("items", [0, 3])
def test_nothing_of_a_paused_or_cancelled_job_is_claimed(database: Database, stop: object, items: int) -> None:
    job = making.submit(database, items=items)
    with database.transaction() as session:
        stop(session, job.id)  # type: ignore[operator]
    with database.transaction() as session:
        assert work.claim_job(session, job.id, node="a", lease_seconds=10) is None
        assert work.claim_items(session, job.id, limit=9, node="a", lease_seconds=10) == []


def test_items_that_were_done_at_submit_are_not_claimed(database: Database) -> None:
    items = [lifecycle.NewItem({"n": n}, {"cached": True} if n % 2 else None) for n in range(4)]
    job = making.submit(database, items=items)
    assert [item.params["n"] for item in making.claim_items(database, job, 9)] == [0, 2]
