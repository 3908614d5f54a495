"""What is told, when: after the commit, never after a rollback, and of progress not more than a client can use."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from config.settings import Settings
from models import events, redis_keys
from models.db import Database
from models.events import Doorbell, Event, Signal
from models.jobs import lifecycle, waiters, work
from models.jobs.tables import Job
from tests import making
from tests.conftest import Signals, eventually


class Interrupted(Exception):
    pass


def submit_and_fail(database: Database) -> None:
    """A job that is taken back before it is there."""
    with contextlib.suppress(Interrupted), database.transaction() as session:
        lifecycle.submit(session, making.new_job(), doorbells=2)
        raise Interrupted


def news(signals: Signals) -> list[tuple[str, str, int]]:
    """Name, state and version of each event that was sent."""
    return [
        (signal.name, signal.data["state"], signal.data["version"]) for signal in signals if isinstance(signal, Event)
    ]


def test_nothing_is_sent_before_the_commit(database: Database, signals: Signals) -> None:
    with database.transaction() as session:
        job, _ = lifecycle.submit(session, making.new_job(), doorbells=2)
        session.flush()
        assert signals == []
    assert signals[0] == Doorbell(making.LANE, making.KIND, job.id, 2)
    assert news(signals) == [("job.progress", "queued", 1)]


def test_nothing_is_sent_after_a_rollback(database: Database, signals: Signals) -> None:
    submit_and_fail(database)
    assert signals == []
    with database.transaction() as session:
        assert session.query(Job).count() == 0


def test_a_transaction_after_one_that_failed_sends_only_its_own(database: Database, signals: Signals) -> None:
    submit_and_fail(database)
    job = making.submit(database)
    assert {signal.job_id for signal in signals} == {job.id}


def test_who_is_told_finds_the_row_and_a_free_connection(configured: Settings, empty: None) -> None:
    seen: list[tuple[int, str]] = []

    def deliver(signals: list[Signal]) -> None:
        held = database.engine.pool.checkedout()  # type: ignore[attr-defined]
        with database.transaction() as session:
            seen.append((held, session.get_one(Job, signals[0].job_id).state))

    database = Database(configured.database_url, deliver, pool_size=1)
    making.submit(database)
    assert seen == [(0, "queued")]
    database.dispose()


@pytest.mark.parametrize("durable", [True, False])
def test_both_kinds_of_transaction_send(database: Database, signals: Signals, durable: bool) -> None:
    with database.transaction(durable=durable) as session:
        lifecycle.submit(session, making.new_job(), doorbells=1)
    assert len(signals) == 2


def test_versions_rise_with_every_change_and_each_change_is_told(database: Database, signals: Signals) -> None:
    job = making.submit(database)
    steps: list[Any] = [
        lambda session, unit: lifecycle.pause(session, unit.id),
        lambda session, unit: lifecycle.resume(session, unit.id, able_workers=1),
        lambda session, unit: work.claim_job(session, unit.id, node="a", lease_seconds=60),
        lambda session, unit: work.report(session, unit, progress=0.25, phase="speaking"),
        work.release,
        lambda session, unit: work.claim_job(session, unit.id, node="a", lease_seconds=60),
        lambda session, unit: work.fail(session, unit, code="x", message="X.", retry_in_seconds=0),
        lambda session, unit: work.claim_job(session, unit.id, node="a", lease_seconds=60),
        lambda session, unit: work.fail(session, unit, code="x", message="X."),
        lambda session, unit: lifecycle.retry(session, unit.id, able_workers=1),
        lambda session, unit: lifecycle.cancel(session, unit.id),
        lambda session, unit: lifecycle.retry(session, unit.id, able_workers=1),
        lambda session, unit: work.claim_job(session, unit.id, node="a", lease_seconds=60),
        lambda session, unit: work.finish(session, unit, {}),
    ]
    for version, step in enumerate(steps, start=2):
        signals.clear()
        before = making.read(database, job)
        with database.transaction() as session:
            step(session, before)
        after = making.read(database, job)
        assert after.version == version
        finished = after.state in ("failed", "cancelled", "succeeded")
        assert news(signals) == [("job.finished" if finished else "job.progress", after.state, version)]


def test_every_item_that_ends_is_told_with_a_higher_version(database: Database, signals: Signals) -> None:
    job = making.submit(database, items=3)
    items = making.claim_items(database, job, 3)
    making.finish(database, items[0])
    making.fail(database, items[1])
    making.finish(database, items[2])
    assert news(signals) == [
        ("job.progress", "queued", 1),
        ("job.progress", "running", 2),
        ("job.progress", "running", 3),
        ("job.progress", "running", 4),
        ("job.finished", "succeeded", 5),
    ]
    moving = [signal.moves for signal in signals if isinstance(signal, Event)]
    assert moving == [False, False, True, True, False]


def test_what_is_told_is_the_row(database: Database, signals: Signals) -> None:
    job = making.submit(database, items=4, account_id="me", live=True)
    items = making.claim_items(database, job, 2)
    making.finish(database, items[0])
    making.fail(database, items[1])
    told = signals[-1]
    assert isinstance(told, Event)
    assert told.data == {
        "id": job.id,
        "kind": making.KIND,
        "state": "running",
        "progress": 0.5,
        "phase": None,
        "version": 4,
        "items": {"total": 4, "succeeded": 1, "failed": 1},
        "error": {"code": "broken", "message": "It was broken."},
        "result": None,
        "account_id": "me",
    }


@pytest.mark.parametrize("live", [True, False])
def test_the_result_travels_with_the_end_of_live_work_only(database: Database, signals: Signals, live: bool) -> None:
    making.finish(database, making.claim(database, making.submit(database, live=live)), {"file": "x"})
    ended = signals[-1]
    assert isinstance(ended, Event)
    assert ended.data["state"] == "succeeded"
    assert ended.data["result"] == ({"file": "x"} if live else None)


@pytest.mark.parametrize(("said", "stored"), [(0.25, 0.25), (-3.0, 0.0), (7.5, 1.0)])
def test_reported_progress_stays_between_0_and_1(database: Database, said: float, stored: float) -> None:
    job = making.claim(database, making.submit(database))
    with database.transaction() as session:
        work.report(session, job, progress=said, phase="speaking")
    found = making.read(database, job)
    assert (found.progress, found.phase) == (stored, "speaking")


def test_a_waiter_is_no_news(database: Database, signals: Signals) -> None:
    job = making.submit(database)
    signals.clear()
    with database.transaction() as session:
        waiters.leave(session, [waiters.join(session, job.id)])
    assert signals == []


# --- Over Redis ------------------------------------------------------------------------------------------------------


@pytest.fixture
def heard(queue: redis.Redis, empty: None) -> Iterator[list[dict[str, Any]]]:
    """What listeners heard; ask ``caught_up`` first."""
    heard: list[dict[str, Any]] = []
    pubsub = queue.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe(**{redis_keys.JOB_EVENTS: lambda message: heard.append(json.loads(message["data"]))})
    thread = pubsub.run_in_thread(sleep_time=0.05, daemon=True)
    eventually(lambda: queue.pubsub_numsub(redis_keys.JOB_EVENTS)[0][1])
    yield heard
    thread.stop()
    thread.join()


def told(number: int, *, moves: bool, job: str = "j") -> Event:
    return Event("job.progress", job, {"id": job, "version": number}, moves=moves)


def caught_up(queue: redis.Redis, heard: list[dict[str, Any]]) -> list[int]:
    """The versions heard so far; a last event that nothing holds back shows that they are all."""
    events.publish(queue, [told(-1, moves=False, job="last")])
    eventually(lambda: heard and heard[-1]["version"] == -1)
    return [event["version"] for event in heard[:-1]]


def test_of_progress_within_a_quarter_second_one_event_passes(
    queue: redis.Redis, configured: Settings, heard: list[dict[str, Any]]
) -> None:
    another_worker = redis.Redis.from_url(configured.redis_url)
    for number in range(10):
        events.publish(queue, [told(number, moves=True)])
        events.publish(another_worker, [told(number + 100, moves=True)])
    assert caught_up(queue, heard) == [0]


def test_progress_passes_again_when_the_quarter_second_is_over(queue: redis.Redis, heard: list[dict[str, Any]]) -> None:
    events.publish(queue, [told(1, moves=True)])
    assert 0 < queue.pttl(redis_keys.progress_gate("j")) <= 250
    eventually(lambda: not queue.exists(redis_keys.progress_gate("j")), within_seconds=1)
    events.publish(queue, [told(2, moves=True)])
    assert caught_up(queue, heard) == [1, 2]


def test_changes_of_state_always_pass(queue: redis.Redis, heard: list[dict[str, Any]]) -> None:
    for number in range(10):
        events.publish(queue, [told(number, moves=False)])
    assert caught_up(queue, heard) == list(range(10))


def test_the_progress_of_one_job_does_not_hold_back_another_s(queue: redis.Redis, heard: list[dict[str, Any]]) -> None:
    events.publish(queue, [told(1, moves=True, job="a"), told(2, moves=True, job="b")])
    events.publish(queue, [told(3, moves=True, job="a"), told(4, moves=False, job="a")])
    assert caught_up(queue, heard) == [1, 2, 4]


def test_what_is_published_names_itself(queue: redis.Redis, heard: list[dict[str, Any]]) -> None:
    events.publish(queue, [Event("job.finished", "j", {"id": "j", "version": 9})])
    caught_up(queue, heard)
    assert heard[0] == {"name": "job.finished", "id": "j", "version": 9}


def test_nothing_breaks_when_redis_is_away() -> None:
    nowhere = redis.Redis.from_url("unix:///nowhere/queue.sock")
    events.publish(nowhere, [told(1, moves=True)])
    events.publish(nowhere, [told(1, moves=False)])
    events.publish(nowhere, [])
