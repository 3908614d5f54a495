"""What is noted with every request: counted in memory, written once a second."""

from __future__ import annotations

import threading
from collections import Counter

import redis

from models import accounts, redis_keys, speech_clips
from models.db import Database


class Counters:
    """How often speech was found or made, which clips and which API keys were used; ``flush`` writes it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._used: set[str] = set()
        self._keys: set[str] = set()

    def speech(self, outcome: str, clip_key: str) -> None:
        """One answer with this outcome: ``hit``, ``miss`` or ``joined``."""
        with self._lock:
            self._counts[outcome] += 1
            self._used.add(clip_key)

    def key_used(self, secret: str) -> None:
        """Somebody came with this API key."""
        with self._lock:
            self._keys.add(secret)

    def flush(self, client: redis.Redis, database: Database) -> None:
        """Writes what was counted since the last time; on failure it is kept for the next."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
            used, self._used = self._used, set()
            keys, self._keys = self._keys, set()
        try:
            if counts:
                with client.pipeline(transaction=False) as pipe:
                    for name, value in counts.items():
                        pipe.hincrby(redis_keys.SPEECH_COUNTERS, name, value)
                    pipe.execute()
                counts = Counter()
            if used or keys:
                with database.transaction(durable=False) as session:
                    if used:
                        speech_clips.touch(session, used)
                    accounts.keys_used(session, keys)
                used, keys = set(), set()
        finally:
            with self._lock:
                self._counts.update(counts)
                self._used |= used
                self._keys |= keys


def hit_rate(client: redis.Redis) -> float:
    """The share of speech answers that needed no synthesis of their own, 0..1."""
    hits, joined, misses = (int(n or 0) for n in client.hmget(redis_keys.SPEECH_COUNTERS, ["hit", "joined", "miss"]))
    answers = hits + joined + misses
    return round((hits + joined) / answers, 4) if answers else 0.0
