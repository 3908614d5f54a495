"""Whether the clock (beat) goes: it says so itself whenever it has rung somebody."""

from __future__ import annotations

import redis

from models import redis_keys


def rang(client: redis.Redis) -> None:
    """The clock has just rung somebody."""
    client.set(redis_keys.CLOCK, 1, ex=redis_keys.CLOCK_SECONDS)


def goes(client: redis.Redis) -> bool:
    """Whether a clock has rung somebody in the last ``CLOCK_SECONDS``."""
    return bool(client.exists(redis_keys.CLOCK))
