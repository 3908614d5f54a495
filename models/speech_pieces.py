"""Scratch for one long live text that several workers speak: the plan, the next piece to take, what was spoken.

It lives in Redis (``STREAM_REDIS_URL``) and for minutes: the job is the unit that is leased and made again, a sentence
takes less time than three durable writes. Whoever conducts the job makes what does not arrive.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import redis

from models import redis_keys

# Counted only where there is a plan: what a late helper wrote after its end would stay for ever.
_TAKE = "if redis.call('exists', KEYS[1]) == 1 then return redis.call('hincrby', KEYS[1], 'next', 1) end"


class Pieces:
    """The pieces of one job, numbered from 0."""

    def __init__(self, client: redis.Redis, job_id: str) -> None:
        self._client = client
        self._job_id = job_id
        self._plan_key = redis_keys.speech_plan(job_id)

    def open(self, plan: dict[str, Any]) -> None:
        """Begins; the first piece is the conductor's own."""
        with self._client.pipeline(transaction=True) as pipe:
            pipe.delete(self._plan_key)
            pipe.hset(self._plan_key, mapping={"plan": json.dumps(plan), "next": 1, "heard": 0})
            pipe.expire(self._plan_key, redis_keys.SPEECH_PLAN_SECONDS)
            pipe.execute()

    def plan(self) -> dict[str, Any] | None:
        """What is to be spoken; None when the job is over."""
        found: Any = self._client.hget(self._plan_key, "plan")
        return None if found is None else json.loads(found)

    def wanted(self) -> bool:
        """Whether the job goes on."""
        return bool(self._client.exists(self._plan_key))

    def take(self) -> int | None:
        """The number of a piece that is the caller's to speak, whether or not there are so many; None: it is over."""
        number: Any = self._client.eval(_TAKE, 1, self._plan_key)
        return None if number is None else int(number) - 1

    def backlog(self) -> int:
        """How many pieces were taken beyond the one that is heard now; 0 when the job is over."""
        taken, heard = self._client.hmget(self._plan_key, ["next", "heard"])
        return int(taken or 0) - int(heard or 0)

    def put(self, number: int, content: bytes) -> None:
        """Hands over a piece."""
        key = redis_keys.speech_piece(self._job_id, number)
        with self._client.pipeline(transaction=False) as pipe:
            pipe.rpush(key, content)
            pipe.expire(key, redis_keys.SPEECH_PIECE_SECONDS)
            pipe.execute()

    def get(self, number: int, wait_seconds: float = 0.0) -> bytes | None:
        """A piece that somebody handed over, waited for so long."""
        key = redis_keys.speech_piece(self._job_id, number)
        if wait_seconds <= 0:
            found: Any = self._client.lpop(key)
            return found
        answer: Any = self._client.blpop([key], timeout=wait_seconds)
        return None if answer is None else answer[1]

    def heard(self, number: int) -> None:
        """The conductor has come so far."""
        self._client.hset(self._plan_key, "heard", str(number))

    def close(self, total: int) -> None:
        """The job is over: nobody takes any more, and what was handed over in vain is removed."""
        keys: Sequence[str] = [redis_keys.speech_piece(self._job_id, number) for number in range(total)]
        self._client.delete(self._plan_key, *keys)
