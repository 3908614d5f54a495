"""Which resident workers of a lane have nothing to do, so that work goes to one of them and to nobody slower.

A hint, not a rule: when it is wrong (a worker died idle), one message waits for that worker's next life or for the
reclaimer, which asks nobody; and a worker that could not say so is only found later.
"""

from __future__ import annotations

import contextlib

import redis

from models import redis_keys


def enter(client: redis.Redis, lane: str, node: str) -> None:
    """``node`` waits for work of this lane."""
    with contextlib.suppress(redis.RedisError):
        client.sadd(redis_keys.idle_workers(lane), node)


def leave(client: redis.Redis, lane: str, node: str) -> None:
    """``node`` has something to do, or is going."""
    with contextlib.suppress(redis.RedisError):
        client.srem(redis_keys.idle_workers(lane), node)


def take(client: redis.Redis, lane: str) -> bool:
    """Whether one was idle; it is not any more, so nobody else counts on it.

    Raises:
        redis.RedisError: Redis cannot be asked.
    """
    return client.spop(redis_keys.idle_workers(lane)) is not None
