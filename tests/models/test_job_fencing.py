"""Tokens: one whose lease is gone changes nothing, whatever it tries to write."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from models.base import utc_now
from models.db import Database
from models.errors import LeaseLost
from models.jobs import lapses, lifecycle, work
from models.jobs.tables import Job, JobItem
from tests import making

Write = Callable[[Session, Job | JobItem], None]

WRITES: dict[str, Write] = {
    "finish": lambda session, unit: work.finish(session, unit, {"file": "x"}),
    "fail": lambda session, unit: work.fail(session, unit, code="broken", message="It broke."),
    "fail for now": lambda session, unit: work.fail(session, unit, code="b", message="B.", retry_in_seconds=1.0),
    "release": work.release,
    "park": lambda session, unit: work.release(session, unit, waits_on="clip:x", for_seconds=10),
}
JOB_WRITES = WRITES | {"report": lambda session, unit: work.report(session, unit, progress=0.5, phase="x")}


def hold(database: Database, items: int, **lease: float) -> Job | JobItem:
    job = making.submit(database, items=items)
    return making.claim_items(database, job, 1, **lease)[0] if items else making.claim(database, job, **lease)


def rows(database: Database, unit: Job | JobItem) -> list[dict[str, object]]:
    with database.transaction() as session:
        mine = session.get_one(type(unit), unit.id)
        job = session.get_one(Job, mine.job_id) if isinstance(mine, JobItem) else mine
        return [making.row(mine), making.row(job)]


def refuse(database: Database, write: Write, unit: Job | JobItem) -> None:
    before = rows(database, unit)
    with pytest.raises(LeaseLost), database.transaction() as session:
        write(session, unit)
    assert rows(database, unit) == before


@pytest.mark.parametrize("name", JOB_WRITES)
def test_a_job_taken_over_by_another_is_not_written(database: Database, name: str) -> None:
    stale = hold(database, 0, lease_seconds=-1)
    with database.transaction() as session:
        assert lapses.return_lapsed(session, {}) == 1
    with database.transaction() as session:
        assert work.claim_job(session, stale.id, node="b", lease_seconds=60)
    refuse(database, JOB_WRITES[name], stale)


@pytest.mark.parametrize("name", WRITES)
def test_an_item_taken_over_by_another_is_not_written(database: Database, name: str) -> None:
    stale = hold(database, 1, lease_seconds=-1)
    assert isinstance(stale, JobItem)
    with database.transaction() as session:
        assert lapses.return_lapsed(session, {}) == 1
    with database.transaction() as session:
        assert work.claim_items(session, stale.job_id, limit=1, node="b", lease_seconds=60)
    refuse(database, WRITES[name], stale)


@pytest.mark.parametrize("items", [0, 1])
@pytest.mark.parametrize("name", WRITES)
def test_a_unit_that_was_taken_back_and_lies_in_the_queue_is_not_written(
    database: Database, name: str, items: int
) -> None:
    stale = hold(database, items, lease_seconds=-1)
    with database.transaction() as session:
        lapses.return_lapsed(session, {})
    refuse(database, WRITES[name], stale)


@pytest.mark.parametrize("stop", [lifecycle.cancel, lifecycle.pause])
@pytest.mark.parametrize("name", JOB_WRITES)
def test_a_job_that_was_stopped_is_not_written(database: Database, name: str, stop: object) -> None:
    held = hold(database, 0)
    with database.transaction() as session:
        stop(session, held.id)  # type: ignore[operator]
    refuse(database, JOB_WRITES[name], held)
    stopped = making.read(database, held)
    assert (stopped.lease_node, stopped.lease_until) == (None, None)
    # By that of a cancelled one, whoever had it sees that its folder is nobody else's.
    assert stopped.token == (held.token if stop is lifecycle.cancel else None)


def test_the_life_before_a_pause_writes_nothing_into_the_one_after(database: Database) -> None:
    before = hold(database, 0)
    with database.transaction() as session:
        lifecycle.pause(session, before.id)
    with database.transaction() as session:
        lifecycle.resume(session, before.id, able_workers=1)
    with database.transaction() as session:
        after = work.claim_job(session, before.id, node="a", lease_seconds=60)
        assert after is not None
    assert after.token != before.token
    refuse(database, JOB_WRITES["finish"], before)
    making.finish(database, after)


@pytest.mark.parametrize("items", [0, 1])
@pytest.mark.parametrize("name", WRITES)
def test_a_finished_unit_is_not_written_again(database: Database, name: str, items: int) -> None:
    held = hold(database, items)
    making.finish(database, held, {"first": True})
    refuse(database, WRITES[name], held)


@pytest.mark.parametrize("items", [0, 1])
def test_writing_gives_the_lease_up(database: Database, items: int) -> None:
    held = hold(database, items)
    making.finish(database, held, {"first": True})
    unit = rows(database, held)[0]
    assert (unit["token"], unit["lease_until"], unit["lease_node"]) == (None, None, None)
    assert (unit["state"], unit["result"]) == ("succeeded", {"first": True})
    assert unit["finished_at"] is not None


def test_renewing_extends_what_is_held_and_names_only_that(database: Database) -> None:
    held, finished, paused = (hold(database, 0, lease_seconds=5) for _ in range(3))
    making.finish(database, finished)
    with database.transaction() as session:
        lifecycle.pause(session, paused.id)
    tokens = [held.token, finished.token, paused.token, "nobody's"]
    with database.transaction() as session:
        assert work.renew(session, Job, tokens, lease_seconds=90) == {held.token}
    until = rows(database, held)[0]["lease_until"]
    assert until - utc_now() > timedelta(seconds=60)  # type: ignore[operator]


def test_renewing_one_item_keeps_the_others_of_its_claim(database: Database) -> None:
    job = making.submit(database, items=3)
    items = making.claim_items(database, job, 3, lease_seconds=5)
    with database.transaction() as session:
        work.renew(session, JobItem, [items[0].token], lease_seconds=90)
    for item in making.read_items(database, job):
        assert item.lease_until is not None
        assert item.lease_until - utc_now() > timedelta(seconds=60)


def test_renewing_an_item_leaves_jobs_alone(database: Database) -> None:
    held = hold(database, 0, lease_seconds=5)
    with database.transaction() as session:
        assert work.renew(session, JobItem, [held.token], lease_seconds=90) == set()
