"""What this process has counted and not yet written: added to in memory, added up in Redis once a second, exactly once.

A write that failed may have arrived all the same. So each batch carries a number, which is stored with it in one
transaction, and before a batch is sent again it is asked whether that number is there.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from dataclasses import dataclass

import redis

from models import redis_keys
from models.base import new_id

# A family's name, the part of it (empty; of a histogram a bound or "sum"), and its labels.
Series = tuple[str, ...]


@dataclass(frozen=True)
class _Batch:
    number: int
    minute: int
    counts: dict[Series, int]


class Tally:
    """The counts of one process."""

    def __init__(self) -> None:
        self._id = new_id()
        self._counts: Counter[Series] = Counter()
        self._batch: _Batch | None = None
        self._sent = 0
        self._adding = threading.Lock()
        self._flushing = threading.Lock()

    def add(self, series: Series, by: int) -> None:
        """Counts; never blocks for longer than a dictionary takes."""
        with self._adding:
            self._counts[series] += by

    def flush(self, client: redis.Redis) -> None:
        """Writes what was counted since the last time; on failure it is kept for the next."""
        with self._flushing:
            if self._batch is not None and self._arrived(client, self._batch):
                self._batch = None
            while (batch := self._batch or self._next()) is not None:
                # Until it is known to be written.
                self._batch = batch
                self._send(client, batch)
                self._batch = None

    def _next(self) -> _Batch | None:
        with self._adding:
            counts, self._counts = self._counts, Counter()
        if not counts:
            return None
        self._sent += 1
        return _Batch(self._sent, int(time.time() // 60), counts)

    def _arrived(self, client: redis.Redis, batch: _Batch) -> bool:
        return client.get(redis_keys.metrics_batch(self._id)) == str(batch.number).encode()

    def _send(self, client: redis.Redis, batch: _Batch) -> None:
        minute = redis_keys.metrics_minute(batch.minute)
        with client.pipeline(transaction=True) as pipe:
            for series, value in batch.counts.items():
                name = json.dumps(series)
                pipe.hincrby(redis_keys.METRICS_TOTAL, name, value)
                pipe.hincrby(minute, name, value)
            pipe.expire(minute, redis_keys.METRICS_MINUTE_SECONDS)
            pipe.set(redis_keys.metrics_batch(self._id), batch.number, ex=redis_keys.METRICS_BATCH_SECONDS)
            pipe.execute()


_tally = Tally()


def begin_anew() -> None:
    """Forgets what was counted."""
    global _tally
    _tally = Tally()


# What was counted before a fork is its parent's.
os.register_at_fork(after_in_child=begin_anew)


def add(series: Series, by: int) -> None:
    """Counts in this process."""
    _tally.add(series, by)


def flush(client: redis.Redis) -> None:
    """Writes what this process has counted.

    Raises:
        redis.RedisError: not now; it is kept.
    """
    _tally.flush(client)
