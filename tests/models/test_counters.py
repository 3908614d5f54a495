"""Counted in memory, written together, never lost."""

from __future__ import annotations

from datetime import timedelta

import pytest
import redis
from sqlalchemy import func

from models import counters
from models.base import utc_now
from models.counters import Counters
from models.db import Database
from models.metrics import families, reading
from models.speech_clips import SpeechClip
from tests import making


def stored(queue: redis.Redis) -> dict[str, int]:
    return {
        series[2]: value for series, value in reading.total(queue).items() if series[0] == families.SPEECH_ANSWERS.name
    }


def test_what_many_processes_counted_adds_up(queue: redis.Redis, database: Database) -> None:
    for _ in range(2):
        process = Counters()
        process.speech("hit", "a")
        process.speech("hit", "a")
        process.speech("miss", "b")
        process.flush(queue, database)
    assert stored(queue) == {"hit": 4, "miss": 2}


def test_what_was_written_is_not_written_again(queue: redis.Redis, database: Database) -> None:
    process = Counters()
    process.speech("joined", "a")
    process.flush(queue, database)
    process.flush(queue, database)
    assert stored(queue) == {"joined": 1}


def test_used_clips_are_touched(queue: redis.Redis, database: Database) -> None:
    key = making.make_clip(database, making.spec(), last_used_at=func.now() - timedelta(days=9))
    process = Counters()
    process.speech("hit", key)
    process.flush(queue, database)
    with database.transaction() as session:
        assert utc_now() - session.get_one(SpeechClip, key).last_used_at < timedelta(minutes=1)


def test_what_could_not_be_written_is_written_next_time(queue: redis.Redis, database: Database) -> None:
    process = Counters()
    process.speech("hit", "a")
    with pytest.raises(redis.ConnectionError):
        process.flush(redis.Redis.from_url("unix:///nowhere/queue.sock"), database)
    process.speech("hit", "a")
    process.flush(queue, database)
    assert stored(queue) == {"hit": 2}


def test_what_redis_took_is_not_given_again_when_postgres_fails(queue: redis.Redis, database: Database) -> None:
    key = making.make_clip(database, making.spec(), last_used_at=func.now() - timedelta(days=9))
    nowhere = Database("postgresql+psycopg://nobody@/nothing?host=/nowhere", lambda signals: None)
    process = Counters()
    process.speech("hit", key)
    with pytest.raises(Exception, match="connection"):
        process.flush(queue, nowhere)
    process.flush(queue, database)
    assert stored(queue) == {"hit": 1}
    with database.transaction() as session:
        assert utc_now() - session.get_one(SpeechClip, key).last_used_at < timedelta(minutes=1)


def test_many_threads_lose_no_count(queue: redis.Redis, database: Database) -> None:
    process = Counters()

    def count(number: int) -> None:
        for _ in range(500):
            process.speech("hit", "a")
        if number % 2:
            process.flush(queue, database)

    making.at_once(8, count)
    process.flush(queue, database)
    assert stored(queue) == {"hit": 4000}


@pytest.mark.parametrize(
    ("counts", "rate"),
    [({}, 0.0), ({"hit": 3, "miss": 1}, 0.75), ({"joined": 1, "miss": 1}, 0.5), ({"miss": 5}, 0.0), ({"hit": 2}, 1.0)],
)
def test_the_share_that_needed_no_synthesis(
    queue: redis.Redis, database: Database, counts: dict[str, int], rate: float
) -> None:
    process = Counters()
    for outcome, count in counts.items():
        for _ in range(count):
            process.speech(outcome, "a")
    process.flush(queue, database)
    assert counters.hit_rate(reading.total(queue)) == rate
