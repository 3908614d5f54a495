"""What processes count adds up in Redis, exactly once, whatever happens to a write."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from typing import Any

import pytest
import redis
from sqlalchemy import select

from config.settings import Settings
from models import redis_keys
from models.base import utc_now
from models.db import Database
from models.metrics import counting, families, reading
from models.metrics.counting import Tally
from models.metrics.hours import MetricHour
from tests import making

HIT = (families.SPEECH_ANSWERS.name, "", "hit")
MISS = (families.SPEECH_ANSWERS.name, "", "miss")
NOWHERE = redis.Redis.from_url("unix:///nowhere/queue.sock")


pytestmark = pytest.mark.usefixtures("empty")


class Cut:
    """Redis behind a line that breaks once: before it has a transaction, or after, when nobody hears that it has."""

    def __init__(self, client: redis.Redis, *, arrives: bool) -> None:
        self._client, self._arrives, self._broken = client, arrives, False

    def get(self, name: str) -> Any:
        return self._client.get(name)

    def pipeline(self, *, transaction: bool) -> Any:
        assert transaction
        pipe = self._client.pipeline(transaction=transaction)
        if not self._broken:
            self._broken, execute = True, pipe.execute

            def fail() -> None:
                if self._arrives:
                    execute()
                raise redis.ConnectionError("the line was cut")

            pipe.execute = fail  # type: ignore[method-assign]
        return pipe


@pytest.mark.parametrize("arrives", [False, True], ids=["before it arrives", "after it arrived"])
def test_a_write_of_which_nobody_knows_whether_it_arrived_counts_once(queue: redis.Redis, arrives: bool) -> None:
    tally, line = Tally(), Cut(queue, arrives=arrives)
    tally.add(HIT, 3)
    with pytest.raises(redis.ConnectionError):
        tally.flush(line)  # type: ignore[arg-type]
    tally.add(MISS, 1)
    tally.flush(line)  # type: ignore[arg-type]
    tally.flush(line)  # type: ignore[arg-type]
    assert reading.total(queue) == {HIT: 3, MISS: 1}
    assert reading.lately(queue, 1) == {HIT: 3, MISS: 1}


def test_what_is_counted_while_redis_is_away_is_written_later(queue: redis.Redis) -> None:
    tally = Tally()
    for _ in range(3):
        tally.add(HIT, 1)
        with pytest.raises(redis.ConnectionError):
            tally.flush(NOWHERE)
    tally.flush(queue)
    assert reading.total(queue) == {HIT: 3}


def test_threads_that_count_and_write_at_once_lose_nothing(queue: redis.Redis) -> None:
    tally = Tally()

    def count(number: int) -> None:
        for _ in range(300):
            tally.add(HIT, 1)
            if number % 2:
                tally.flush(queue)

    making.at_once(6, count)
    tally.flush(queue)
    assert reading.total(queue) == {HIT: 1800}


def test_processes_add_up_and_a_fork_does_not_write_what_its_parent_counted(
    queue: redis.Redis, configured: Settings
) -> None:
    counting.add(HIT, 1)
    child = os.fork()
    if child == 0:
        counting.add(MISS, 5)
        counting.flush(redis.Redis.from_url(configured.redis_url))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    counting.flush(queue)
    assert reading.total(queue) == {HIT: 1, MISS: 5}


def test_a_figure_is_summed_over_the_labels_that_are_not_named(queue: redis.Redis) -> None:
    for surface, status, times in (("management", "200", 5), ("management", "404", 2), ("gateway", "200", 1)):
        families.REQUESTS.add(surface, "GET", "/x", status, by=times)
    counting.flush(queue)
    counts, name = reading.total(queue), families.REQUESTS.name
    assert reading.added(counts, name) == 8
    assert reading.added(counts, name, surface=("management",)) == 7
    assert reading.added(counts, name, surface=("management", "gateway"), status=("200",)) == 6


def test_seconds_land_in_their_bucket_and_are_summed_exactly(queue: redis.Redis) -> None:
    family = families.REQUEST_SECONDS
    for seconds in (0.0009, 0.001, 0.0011, 0.3, 500.0):
        family.observe("GET", "/x", seconds=seconds)
    for _ in range(1000):
        families.AUDIO_SECONDS.add("hibari", by=0.1)
    counting.flush(queue)
    counts = reading.total(queue)
    buckets, seconds = reading.distribution(counts, family)
    assert dict(zip(family.bounds, buckets, strict=False))[0.001] == 2
    assert (buckets[1], buckets[family.bounds.index(0.5)], buckets[-1], sum(buckets)) == (1, 1, 1, 5)
    assert seconds == pytest.approx(0.001 + 0.001 + 0.001 + 0.3 + 500)
    assert reading.added(counts, families.AUDIO_SECONDS.name) * families.MILLI == 100


@pytest.mark.parametrize(
    ("share", "expected"), [(0.25, 0.5), (0.5, 1.0), (0.75, 2.0), (0.875, 3.0), (1.0, 4.0), (0.01, 0.02)]
)
def test_a_quantile_lies_between_the_bounds_of_its_bucket(share: float, expected: float) -> None:
    assert reading.quantile([50, 25, 25, 0], [1.0, 2.0, 4.0], share) == pytest.approx(expected)


def test_of_nothing_there_is_no_quantile_and_beyond_the_last_bound_none_is_known() -> None:
    assert reading.quantile([0, 0, 0], [1.0, 2.0], 0.5) is None
    assert reading.quantile([1, 0, 99], [1.0, 2.0], 0.99) == 2.0


def test_what_was_counted_a_while_ago_is_not_of_the_last_minutes(queue: redis.Redis) -> None:
    now = int(time.time() // 60)
    for ago, times in ((0, 1), (4, 10), (6, 100), (60, 1000)):
        queue.hset(redis_keys.metrics_minute(now - ago), '["voiceworks_speech_answers", "", "hit"]', times)
    # A minute may begin while this runs.
    assert reading.lately(queue, 5)[HIT] in (11, 111)
    assert reading.lately(queue, 90)[HIT] == 1111


def test_finished_hours_are_kept_in_postgres_and_kept_when_redis_forgets(
    queue: redis.Redis, database: Database
) -> None:
    hour = utc_now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    first = int(hour.timestamp() // 60)
    for minute in (first, first + 59, first + 60):
        queue.hset(redis_keys.metrics_minute(minute), '["voiceworks_speech_answers", "", "hit"]', 7)
    for _ in range(2):
        with database.transaction() as session:
            assert reading.keep_hours(session, queue) == 1
    queue.flushdb()
    with database.transaction() as session:
        reading.keep_hours(session, queue)
        rows = session.execute(select(MetricHour.hour, MetricHour.series, MetricHour.value)).all()
    assert [tuple(row) for row in rows] == [(hour, '["voiceworks_speech_answers", "", "hit"]', 14)]


def test_requests_since_a_moment_are_those_of_its_minutes_and_of_the_hours_before(
    queue: redis.Redis, database: Database
) -> None:
    now = utc_now()
    request = '["voiceworks_http_requests", "", "management", "GET", "/x", "200"]'
    other = '["voiceworks_jobs_ended", "", "a", "b"]'
    for hours_ago, times in ((0, 1), (2, 10), (30, 100)):
        moment = now - timedelta(hours=hours_ago)
        queue.hset(redis_keys.metrics_minute(int(moment.timestamp() // 60)), request, times)
        queue.hset(
            redis_keys.metrics_minute(int(moment.timestamp() // 60)), '["voiceworks_jobs_ended", "", "a", "b"]', 9
        )
    with database.transaction() as session:
        for days_ago, value in ((1, 1000), (3, 10_000)):
            hour = (now - timedelta(days=days_ago)).replace(minute=0, second=0, microsecond=0)
            session.add(MetricHour(hour=hour, series=request, value=value))
            session.add(MetricHour(hour=hour, series=other, value=5))
    with database.reading() as session:
        found = [
            reading.requests_since(session, queue, now - timedelta(**ago))
            for ago in ({"minutes": 5}, {"hours": 3}, {"hours": 24}, {"days": 4})
        ]
    assert found == [1, 11, 1011, 11_011]
