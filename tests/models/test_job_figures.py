"""How much there is to do, and that each end of a job is counted once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from models.base import utc_now
from models.db import Database
from models.events import Ended
from models.jobs import figures, lifecycle
from models.jobs.figures import Depth
from models.jobs.tables import Job
from tests import making
from tests.conftest import Signals


def ends(signals: Signals) -> list[str]:
    """How the jobs ended of which the figures were told."""
    return [signal.state for signal in signals if isinstance(signal, Ended)]


def test_what_waits_is_counted_by_lane_with_the_age_of_the_oldest(database: Database) -> None:
    now = utc_now()
    oldest = making.submit(database, lane="a")
    making.change(database, oldest, created_at=now - timedelta(minutes=5), run_after=now - timedelta(minutes=5))
    sliced = making.submit(database, lane="a", items=4)
    making.claim_items(database, sliced, limit=1)
    making.submit(database, lane="b")
    later = making.submit(database, lane="c")
    making.change(database, later, run_after=now + timedelta(hours=1))
    making.claim(database, making.submit(database, lane="d"))
    with database.transaction() as session:
        depths = figures.depths(session)
    assert {lane: depth.units for lane, depth in depths.items()} == {"a": 4, "b": 1}
    assert depths["a"].oldest_seconds == pytest.approx(300, abs=5)
    assert 0 <= depths["b"].oldest_seconds < 5
    assert isinstance(depths["b"], Depth)


def test_what_is_tried_again_later_has_waited_since_then(database: Database) -> None:
    now = utc_now()
    job = making.submit(database, lane="a")
    making.change(database, job, created_at=now - timedelta(hours=3), run_after=now - timedelta(seconds=30))
    with database.transaction() as session:
        assert figures.depths(session)["a"].oldest_seconds == pytest.approx(30, abs=5)


def test_jobs_are_counted_by_kind_and_state_and_their_parts_are_not(database: Database) -> None:
    for kind in ("x", "x", "y"):
        whole = making.submit(database, kind=kind)
    part = making.submit(database, kind="y")
    making.change(database, part, parent_id=whole.id)
    making.claim(database, whole)
    with database.transaction() as session:
        assert figures.by_kind_and_state(session) == {("x", "queued"): 2, ("y", "running"): 1}


def test_an_end_is_counted_once_with_how_long_it_waited_and_ran(database: Database, signals: Signals) -> None:
    job = making.submit(database)
    making.change(database, job, created_at=utc_now() - timedelta(seconds=50))
    claimed = making.claim(database, job)
    making.change(database, job, started_at=utc_now() - timedelta(seconds=20))
    making.finish(database, claimed)
    (ended,) = [signal for signal in signals if isinstance(signal, Ended)]
    assert (ended.kind, ended.state) == (making.KIND, "succeeded")
    assert (ended.waited_seconds, ended.ran_seconds) == (pytest.approx(30, abs=5), pytest.approx(20, abs=5))


def test_a_job_that_was_cancelled_with_items_in_flight_has_one_end(database: Database, signals: Signals) -> None:
    job = making.submit(database, items=3)
    held = making.claim_items(database, job, limit=2)
    with database.transaction() as session:
        lifecycle.cancel(session, job.id)
    for item in held:
        making.finish(database, item)
    assert ends(signals) == ["cancelled"]


def test_the_last_of_many_items_ends_their_job(database: Database, signals: Signals) -> None:
    job = making.submit(database, items=3)
    for item in making.claim_items(database, job, limit=3):
        assert ends(signals) == []
        making.finish(database, item)
    assert ends(signals) == ["succeeded"]


def test_a_job_that_failed_and_was_tried_again_ends_twice(database: Database, signals: Signals) -> None:
    job = making.submit(database)
    making.fail(database, making.claim(database, job))
    with database.transaction() as session:
        lifecycle.retry(session, job.id, able_workers=1)
    making.finish(database, making.claim(database, job))
    assert ends(signals) == ["failed", "succeeded"]
    with database.transaction() as session:
        assert session.get_one(Job, job.id).state == "succeeded"
