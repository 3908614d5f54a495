"""Parking: a unit that needs what another makes waits for it without a worker, and is woken."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from models import speech_clips
from models.base import utc_now
from models.db import Database
from models.events import Doorbell
from models.jobs import lifecycle, work
from models.jobs.tables import Job, JobItem
from tests import making
from tests.conftest import Signals


def park(database: Database, unit: Job | JobItem, *, seconds: float = 600) -> None:
    with database.transaction() as session:
        work.release(session, unit, waits_on="clip:x", for_seconds=seconds)


def wake(database: Database, name: str = "clip:x") -> None:
    with database.transaction() as session:
        work.wake(session, name)


def doorbells(signals: Signals) -> list[str]:
    return [signal.job_id for signal in signals if isinstance(signal, Doorbell)]


def test_a_parked_job_is_not_claimed_until_it_is_woken(database: Database, signals: Signals) -> None:
    job = making.claim(database, making.submit(database))
    park(database, job)
    parked = making.read(database, job)
    assert (parked.state, parked.waits_on, parked.token) == ("queued", "clip:x", None)
    with database.transaction() as session:
        assert work.claim_job(session, job.id, node="b", lease_seconds=10) is None
    signals.clear()
    wake(database)
    assert doorbells(signals) == [job.id]
    assert making.claim(database, job).waits_on is None


def test_a_parked_item_is_not_claimed_until_it_is_woken(database: Database, signals: Signals) -> None:
    job = making.submit(database, items=2)
    (first,) = making.claim_items(database, job)
    park(database, first)
    assert [item.position for item in making.claim_items(database, job, 9)] == [1]
    signals.clear()
    wake(database)
    assert doorbells(signals) == [job.id]
    assert [item.position for item in making.claim_items(database, job, 9)] == [0]


def test_many_items_of_a_job_that_wait_for_the_same_ring_it_once(database: Database, signals: Signals) -> None:
    job = making.submit(database, items=3)
    for item in making.claim_items(database, job, 3):
        park(database, item)
    signals.clear()
    wake(database)
    assert doorbells(signals) == [job.id]
    assert len(making.claim_items(database, job, 9)) == 3


def test_only_those_who_wait_for_it_are_woken(database: Database, signals: Signals) -> None:
    job = making.claim(database, making.submit(database))
    park(database, job)
    signals.clear()
    wake(database, "clip:y")
    assert signals == []
    assert making.read(database, job).waits_on == "clip:x"


def test_a_parked_unit_that_nobody_wakes_is_tried_when_its_time_has_come(database: Database) -> None:
    job = making.claim(database, making.submit(database))
    park(database, job, seconds=0)
    assert making.claim(database, job).waits_on is None


def test_waiting_costs_no_attempt(database: Database) -> None:
    job = making.submit(database)
    for _ in range(5):
        park(database, making.claim(database, job))
        wake(database)
    assert making.claim(database, job).attempts == 1


def test_waiting_is_bounded_in_time(database: Database) -> None:
    job = making.claim(database, making.submit(database))
    park(database, job, seconds=90)
    left = making.read(database, job).run_after - utc_now()
    assert timedelta(seconds=80) < left <= timedelta(seconds=90)


@pytest.mark.parametrize("stop", [lifecycle.pause, lifecycle.cancel])
def test_a_stopped_job_is_not_woken(database: Database, signals: Signals, stop: object) -> None:
    job = making.claim(database, making.submit(database))
    park(database, job)
    with database.transaction() as session:
        stop(session, job.id)  # type: ignore[operator]
    signals.clear()
    wake(database)
    assert signals == []


def test_a_clip_that_becomes_ready_between_looking_and_parking_is_not_slept_through(database: Database) -> None:
    """The maker commits first: who parks sees that nothing is left to wait for."""
    job, clip = making.claim(database, making.submit(database)), making.spec()
    making.make_clip(database, clip)
    with database.transaction() as session:
        assert not speech_clips.await_maker(session, clip.key)
    assert not _parked(database, job, clip.key)


def test_a_clip_that_becomes_ready_while_one_parks_wakes_him(database: Database, signals: Signals) -> None:
    """Who parks holds the clip's row, so its maker's wake comes after and finds him."""
    job, clip = making.claim(database, making.submit(database)), making.spec()
    with database.transaction() as session:
        token = speech_clips.claim(session, clip, node="a", lease_seconds=60)
    assert token is not None
    begun = threading.Event()

    def make() -> None:
        begun.wait(10)
        with database.transaction() as session:
            if speech_clips.made(session, clip.key, token, duration_seconds=1, sample_rate_hz=24000):
                work.wake(session, f"clip:{clip.key}")

    with ThreadPoolExecutor(1) as maker:
        done = maker.submit(make)
        with database.transaction() as session:
            assert speech_clips.await_maker(session, clip.key)
            begun.set()
            with pytest.raises(TimeoutError):
                done.result(0.2)
            work.release(session, job, waits_on=f"clip:{clip.key}", for_seconds=600)
        done.result(10)
    assert doorbells(signals)[-1] == job.id
    assert making.claim(database, job)


def test_among_many_who_park_while_the_clip_is_made_none_sleeps_on(database: Database) -> None:
    clip = making.spec()
    with database.transaction() as session:
        token = speech_clips.claim(session, clip, node="a", lease_seconds=60)
    assert token is not None
    jobs = [making.claim(database, making.submit(database)) for _ in range(12)]

    def act(number: int) -> None:
        if number < len(jobs):
            _parked(database, jobs[number], clip.key)
            return
        with database.transaction() as session:
            if speech_clips.made(session, clip.key, token, duration_seconds=1, sample_rate_hz=24000):
                work.wake(session, f"clip:{clip.key}")

    making.at_once(len(jobs) + 1, act)
    for job in jobs:
        assert making.claim(database, job)


def _parked(database: Database, job: Job, key: str) -> bool:
    """Parks as tasks/run.py does; whether it was needed."""
    with database.transaction() as session:
        needed = speech_clips.await_maker(session, key)
        work.release(session, job, waits_on=f"clip:{key}", for_seconds=600 if needed else 0)
        if not needed:
            work.wake(session, f"clip:{key}")
    return needed
