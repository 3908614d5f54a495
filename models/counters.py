"""What is noted with every request: counted in memory, written once a second."""

from __future__ import annotations

import threading

import redis

from models import accounts, speech_clips
from models.db import Database
from models.metrics import counting, families, reading
from models.metrics.reading import Counts
from models.records import Records


class Counters:
    """How often speech was found or made, which clips and which API keys were used; ``flush`` writes it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._used: set[str] = set()
        self._keys: set[str] = set()
        self.records = Records()

    def speech(self, outcome: str, clip_key: str) -> None:
        """One answer with this outcome: ``hit``, ``miss`` or ``joined``."""
        families.SPEECH_ANSWERS.add(outcome)
        with self._lock:
            self._used.add(clip_key)

    def key_used(self, secret: str) -> None:
        """Somebody came with this API key."""
        with self._lock:
            self._keys.add(secret)

    def flush(self, client: redis.Redis, database: Database) -> None:
        """Writes what was counted since the last time; on failure it is kept for the next."""
        try:
            counting.flush(client)
        finally:
            try:
                self.records.flush(database)
            finally:
                self._touch(database)

    def _touch(self, database: Database) -> None:
        with self._lock:
            used, self._used = self._used, set()
            keys, self._keys = self._keys, set()
        try:
            if used or keys:
                with database.transaction(durable=False) as session:
                    if used:
                        speech_clips.touch(session, used)
                    accounts.keys_used(session, keys)
                used, keys = set(), set()
        finally:
            with self._lock:
                self._used |= used
                self._keys |= keys


def hit_rate(counts: Counts) -> float:
    """The share of speech answers that needed no synthesis of their own, 0..1."""
    name = families.SPEECH_ANSWERS.name
    answers = reading.added(counts, name)
    return round(reading.added(counts, name, outcome=("hit", "joined")) / answers, 4) if answers else 0.0
