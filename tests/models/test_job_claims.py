"""The claim: who may work on what, once."""

from __future__ import annotations

from collections.abc import Sequence

from models.base import new_id
from models.db import Database
from models.jobs import lifecycle, work
from models.jobs.lifecycle import NewItem, NewJob
from models.jobs.tables import Job


def submit(database: Database, *, items: Sequence[NewItem] = (), kind: str = "test.job") -> Job:
    """A stored job on a lane that nobody serves."""
    new = NewJob(id=new_id(), kind=kind, lane="test", params={}, resolution={}, items=items, sliced=bool(items))
    with database.transaction() as session:
        return lifecycle.submit(session, new, doorbells=1)[0]


def test_second_claim_of_a_running_job_returns_none(database: Database) -> None:
    job = submit(database)
    with database.transaction() as session:
        assert work.claim_job(session, job.id, node="a", lease_seconds=10) is not None
    with database.transaction() as session:
        assert work.claim_job(session, job.id, node="b", lease_seconds=10) is None


def test_items_are_claimed_in_order_and_never_twice(database: Database) -> None:
    job = submit(database, items=[NewItem({"n": n}) for n in range(5)])
    with database.transaction() as one:
        mine = work.claim_items(one, job.id, limit=2, node="a", lease_seconds=10)
    with database.transaction() as other:
        theirs = work.claim_items(other, job.id, limit=2, node="b", lease_seconds=10)
    assert [item.params["n"] for item in mine] == [0, 1]
    assert [item.params["n"] for item in theirs] == [2, 3]


def test_the_last_item_finishes_the_job(database: Database) -> None:
    job = submit(database, items=[NewItem({}), NewItem({})])
    with database.transaction() as session:
        items = work.claim_items(session, job.id, limit=9, node="a", lease_seconds=10)
        for item in items:
            work.finish(session, item, {"ok": True})
    with database.transaction() as session:
        found = session.get_one(Job, job.id)
    assert (found.state, found.progress, found.items_succeeded) == ("succeeded", 1.0, 2)
