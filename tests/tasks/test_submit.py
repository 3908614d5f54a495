"""How work gets into the queue: the row, then as many doorbells as there are hands for it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from sqlalchemy import func, select

from config import voices
from config.logs import request_id
from config.settings import Settings
from models import idle_workers, redis_keys
from models.db import Database
from models.errors import NotFound, Unavailable
from models.events import Doorbell
from models.jobs import lifecycle
from models.jobs.lifecycle import NewItem
from models.jobs.tables import Job
from tasks import submit, upkeep
from tasks.process import Process
from tests import making
from tests.tasks.conftest import LIVE, PARTS, SINGLE

Rung = Callable[[], list[str]]
ROOT = Path(__file__).parents[2]


def put(process: Process, kind: str = SINGLE, **fields: object) -> Job:
    return put_or_join(process, kind, **fields)[0]


def put_or_join(process: Process, kind: str = SINGLE, **fields: object) -> tuple[Job, bool]:
    defaults: dict[str, object] = {"lane": making.LANE, "params": {}}
    with process.database.transaction() as session:
        return submit.submit(session, kind, **defaults | fields)  # type: ignore[arg-type]


def workers(database: Database, count: int) -> None:
    for number in range(count):
        making.register(database, f"w{number}", making.LANE)


def items(open_ones: int, done: int = 0) -> list[NewItem]:
    return [NewItem({"n": n}, {"cached": True} if n < done else None) for n in range(open_ones + done)]


def test_without_a_worker_nothing_is_stored_and_the_lane_is_named(process: Process, database: Database) -> None:
    with pytest.raises(Unavailable, match=r"No worker of lane test is running") as refusal:
        put(process)
    assert refusal.value.retry_after_seconds == submit.RETRY_AFTER_SECONDS
    assert refusal.value.details["lane"] == making.LANE
    with database.transaction() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == 0


def test_work_that_is_all_there_already_needs_no_worker(process: Process, rung: Rung) -> None:
    assert put(process, PARTS, items=items(0, done=3)).state == "succeeded"
    assert rung() == []


def test_an_unknown_kind_is_refused(process: Process) -> None:
    with pytest.raises(NotFound, match=r"'no\.such'; there are .*test\.single"):
        put(process, "no.such")


@pytest.mark.parametrize(
    ("open_items", "done", "able", "bells"), [(5, 0, 3, 3), (2, 0, 3, 2), (1, 4, 3, 1), (40, 0, 1, 1)]
)
def test_a_job_with_items_rings_as_many_as_can_help(
    process: Process, database: Database, rung: Rung, open_items: int, done: int, able: int, bells: int
) -> None:
    workers(database, able)
    job = put(process, PARTS, items=items(open_items, done))
    assert rung() == [job.id] * bells


def test_a_job_without_items_rings_one(process: Process, database: Database, rung: Rung) -> None:
    workers(database, 3)
    job = put(process)
    assert rung() == [job.id]


def test_a_job_is_stored_as_its_kind_says(process: Process, database: Database) -> None:
    workers(database, 1)
    live, parts = put(process, LIVE), put(process, PARTS, items=items(1))
    assert (live.live, parts.live) == (True, False)
    assert parts.id.startswith("parts_")
    assert (live.kind, live.lane) == (LIVE, making.LANE)


def test_what_was_asked_and_what_it_was_taken_to_mean_are_both_kept(process: Process, database: Database) -> None:
    workers(database, 1)
    mark = request_id.set("request-7")
    try:
        job = put(process, params={"text": "é"}, resolution={"engine": "hibari"}, account_id="me")
    finally:
        request_id.reset(mark)
    stored = making.read(database, job)
    assert (stored.params, stored.resolution) == ({"text": "é"}, {"engine": "hibari"})
    assert (stored.account_id, stored.request_id) == ("me", "request-7")


def test_joining_needs_the_same_account_kind_and_work(process: Process, database: Database, rung: Rung) -> None:
    workers(database, 1)
    first, new = put_or_join(process, account_id="me", dedupe=("clip", "wav"))
    again, new_again = put_or_join(process, account_id="me", dedupe=("clip", "wav"))
    assert (new, new_again, again.id) == (True, False, first.id)
    others = [
        put(process, account_id="you", dedupe=("clip", "wav")),
        put(process, account_id=None, dedupe=("clip", "wav")),
        put(process, account_id="me", dedupe=("clip", "flac")),
        put(process, account_id="me", dedupe=("clipwav",)),
        put(process, LIVE, account_id="me", dedupe=("clip", "wav")),
        put(process, account_id="me"),
        put(process, account_id="me"),
    ]
    assert len({first.id, *(job.id for job in others)}) == 8
    assert rung() == [first.id, *(job.id for job in others)]


def test_a_resumed_or_retried_job_rings_as_many_as_can_help(process: Process, database: Database, rung: Rung) -> None:
    workers(database, 2)
    job = put(process, PARTS, items=items(5))
    with process.database.transaction() as session:
        lifecycle.pause(session, job.id)
        submit.resume(session, job.id, lane=job.lane)
    assert rung() == [job.id] * (2 + 2)
    with process.database.transaction() as session:
        lifecycle.cancel(session, job.id)
        submit.retry(session, job.id, lane=job.lane)
    assert rung() == [job.id] * (2 + 2 + 2)


def test_nobody_is_rung_for_a_job_that_was_not_stored(process: Process, database: Database, rung: Rung) -> None:
    workers(database, 1)
    with contextlib.suppress(ZeroDivisionError), process.database.transaction() as session:
        submit.submit(session, SINGLE, lane=making.LANE, params={})
        raise ZeroDivisionError
    assert rung() == []


def test_a_lane_that_is_no_more_is_survived(process: Process, queue: redis.Redis) -> None:
    submit.ring(Doorbell("tts.live.removed", SINGLE, "j"))
    assert queue.keys("*removed*") == []


STORE = """
import time
from kombu import Queue
from config import settings
from models.jobs import lifecycle
from tasks import submit
from tasks.celery_app import app
from tests import making
app.amqp.queues.add(Queue(making.LANE))
configured = settings.load()
database = submit.open_database(configured, submit.open_redis(configured.redis_url))
job = making.submit(database, kind="test.single")
started = time.monotonic()
making.submit(database, kind="test.single", dedupe_key="timed")
print(job.id, time.monotonic() - started)
"""


def test_a_queue_that_is_away_delays_nothing_and_the_reclaimer_rings_when_it_is_back(
    process: Process, configured: Settings, rung: Rung, database: Database
) -> None:
    env = {
        **os.environ,
        "DATABASE_URL": configured.database_url,
        "REDIS_URL": "unix:///nowhere/queue.sock",
        "LOG_LEVEL": "INFO",
    }
    stored = subprocess.run(
        [sys.executable, "-c", STORE], env=env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    job_id, seconds = stored.stdout.split()
    assert "Lane test was not rung" in stored.stderr
    assert "Events were not published" in stored.stderr
    # A client waits for this: the doorbell is tried once more at once, and that is all.
    assert float(seconds) < 1.0
    assert rung() == []
    upkeep.reclaim()
    assert rung()[0] == job_id
    assert len(rung()) == 2


@pytest.fixture
def queues(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The queues that were rung; the real ones have a worker that would answer."""
    names: list[str] = []
    monkeypatch.setattr(submit.app, "send_task", lambda kind, args, queue: names.append(queue))
    return names


def test_an_idle_resident_worker_is_rung_where_nobody_else_looks(process: Process, queues: list[str]) -> None:
    idle_workers.enter(process.redis, "tts.live.x", "live-x@here")
    for _ in range(2):
        submit.ring(Doorbell("tts.live.x", "speech.speak", "job"), process.redis)
    assert queues == [voices.head_of("tts.live.x"), "tts.live.x"]


def test_who_repairs_rings_where_everybody_looks(process: Process, queues: list[str]) -> None:
    idle_workers.enter(process.redis, "tts.live.x", "live-x@here")
    submit.ring(Doorbell("tts.live.x", "speech.speak", "job"))
    assert queues == ["tts.live.x"]


def test_whoever_is_woken_finds_the_news_of_the_job_published(
    process: Process, queue: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    pubsub = queue.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe(redis_keys.JOB_EVENTS)
    pubsub.get_message(timeout=1)
    heard: list[object] = []
    monkeypatch.setattr(submit.app, "send_task", lambda *_, **__: heard.append(pubsub.get_message(timeout=0.5)))
    making.register(process.database, "w", making.LANE)
    job = put(process)
    (message,) = heard
    assert job.id.encode() in message["data"]  # type: ignore[index]
    pubsub.close()
