"""Whether work can be taken: what a process needs, looked at in bounded time, however those it asks behave.

Anybody may ask, as often as they like; a part is asked once at a time, and its answer is good for a second.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from functools import partial

import redis
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from config.settings import Settings
from config.voices import catalogue
from models import migrations
from models.db import Database
from models.workers import EngineState
from workers.clients.label_studio import LabelStudio
from workers.errors import WorkError

# A server that is well answers within milliseconds; whoever balances load asks again every few seconds.
PATIENCE_SECONDS = 2.0
FRESH_SECONDS = 1.0

# What is wrong, in a sentence; None where nothing is.
Answer = str | None


class Part:
    """Something that is looked at by a thread of its own, so that nobody waits for it longer than patience lasts."""

    def __init__(self, look: Callable[[], Answer]) -> None:
        self._look = look
        self._lock = threading.Lock()
        self._answer: Answer = None
        self._good_until = 0.0
        # Set while nobody looks.
        self._rests = threading.Event()
        self._rests.set()

    def __call__(self, until: float) -> Answer:
        """What was found; by the monotonic time ``until`` at the latest, even if that is that nothing was found."""
        with self._lock:
            if time.monotonic() < self._good_until:
                return self._answer
            if self._rests.is_set():
                self._rests.clear()
                threading.Thread(target=self._ask, name="readiness", daemon=True).start()
        if self._rests.wait(max(0.0, until - time.monotonic())):
            return self._answer
        return f"It did not answer within {PATIENCE_SECONDS:g} s."

    def _ask(self) -> None:
        try:
            self._answer = self._look()
            self._good_until = time.monotonic() + FRESH_SECONDS
        except (SQLAlchemyError, redis.RedisError, OSError) as fault:
            # Its first line, of which nobody is told more than the kind: it may name hosts and users.
            self._answer = f"It cannot be asked ({type(fault).__name__})."
            self._good_until = time.monotonic() + FRESH_SECONDS
        finally:
            self._rests.set()


def of_label_studio(settings: Settings) -> Part | None:
    """Whether Label Studio answers, and knows us; None where there is none. It is no part of being ready."""
    if not settings.label_studio_url:
        return None
    server = LabelStudio(
        settings.label_studio_url,
        settings.label_studio_api_key or "",
        settings.label_studio_project_id,
        timeout_seconds=PATIENCE_SECONDS,
    )

    def look() -> Answer:
        try:
            server.project()
        except WorkError as fault:
            return fault.message
        return None

    return Part(look)


class Readiness:
    """The parts of one web process."""

    def __init__(
        self,
        database: Database,
        queue: redis.Redis,
        streams: redis.Redis,
        engines: Callable[[None], Mapping[str, EngineState]],
    ) -> None:
        self._parts = {
            "database": Part(partial(_database, database)),
            "migrations": Part(partial(_migrations, database)),
            "queue": Part(partial(_redis, queue)),
            "streams": Part(partial(_redis, streams)),
            "speech": Part(partial(_speech, engines)),
        }

    def look(self, *names: str) -> dict[str, Answer]:
        """What is wrong with each part (all of them, or those that are named)."""
        # Together: several that hang cost no more than one.
        until = time.monotonic() + PATIENCE_SECONDS
        chosen = {name: self._parts[name] for name in names or self._parts}
        for part in chosen.values():
            part(0.0)
        return {name: part(until) for name, part in chosen.items()}


def _database(database: Database) -> Answer:
    with database.reading() as session:
        session.execute(text("select 1"))
    return None


def _migrations(database: Database) -> Answer:
    with database.reading() as session:
        at, needed = migrations.current(session.connection()), migrations.head()
    # A newer one is there while an upgrade goes on, and serves the version before it.
    return (
        None if at is not None and at >= needed else f"The database is at {at or 'none'}, this version needs {needed}."
    )


def _redis(client: redis.Redis) -> Answer:
    client.ping()
    return None


def _speech(engines: Callable[[None], Mapping[str, EngineState]]) -> Answer:
    known, voice = engines(None), catalogue().voices[catalogue().default_voice]
    # Registered only once it has spoken its first, inaudible, sentence.
    if any(name in known and known[name].alive for name in voice.engines):
        return None
    return f"No live worker has an engine of {voice.id}, the default voice."
