"""Work goes to an idle resident worker first, and to each only once."""

from __future__ import annotations

import pytest
import redis

from models import idle_workers

pytestmark = pytest.mark.usefixtures("empty")
LANE = "tts.live.test"


def test_nobody_is_idle_who_did_not_say_so(queue: redis.Redis) -> None:
    assert not idle_workers.take(queue, LANE)


def test_an_idle_worker_is_counted_on_once(queue: redis.Redis) -> None:
    idle_workers.enter(queue, LANE, "a")
    idle_workers.enter(queue, LANE, "a")
    assert [idle_workers.take(queue, LANE) for _ in range(2)] == [True, False]


def test_as_many_are_counted_on_as_are_idle(queue: redis.Redis) -> None:
    for node in "abc":
        idle_workers.enter(queue, LANE, node)
    idle_workers.leave(queue, LANE, "b")
    assert [idle_workers.take(queue, LANE) for _ in range(3)] == [True, True, False]


def test_lanes_are_apart(queue: redis.Redis) -> None:
    idle_workers.enter(queue, "tts.live.other", "a")
    assert not idle_workers.take(queue, LANE)


def test_a_worker_goes_on_when_the_queue_is_away() -> None:
    away = redis.Redis(port=1, socket_connect_timeout=0.2)
    idle_workers.enter(away, LANE, "a")
    idle_workers.leave(away, LANE, "a")
    with pytest.raises(redis.RedisError):
        idle_workers.take(away, LANE)
