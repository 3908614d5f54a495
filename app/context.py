"""What one web process has: settings, connections, stored files, the hub of its sockets."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Generic, TypeVar

import redis
from flask import current_app
from sqlalchemy.orm import Session

from config.settings import Settings
from models.counters import Counters
from models.db import Database
from models.files import FileStore
from models.pronunciations import Lexicon
from models.transcription.tasks import Counts
from models.workers import EngineState

if TYPE_CHECKING:
    from app.figures import State
    from app.http.limits import Limits
    from app.readiness import Part, Readiness
    from app.sockets.hub import Hub

Key = TypeVar("Key")
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """What Postgres said lately: asked for with every request, and seldom changed.

    It is kept for ``seconds``; what took long to ask for, fifty times as long as that, so that it costs 2 % at most.
    """

    LONG_SECONDS = 0.1

    # Keys come from requests.
    KEPT = 1000

    def __init__(self, database: Database, load: Callable[[Session, Key], Value], *, seconds: float = 1.0) -> None:
        self._database = database
        self._load = load
        self._seconds = seconds
        self._known: dict[Key, tuple[float, Value]] = {}

    def __call__(self, key: Key) -> Value:
        """The value of ``key``."""
        until, value = self._known.get(key, (-math.inf, None))
        began = time.monotonic()
        if value is None or began > until:
            with self._database.reading() as session:
                value = self._load(session, key)
            if len(self._known) >= self.KEPT:
                self._known.clear()
            now = time.monotonic()
            took = now - began
            self._known[key] = (now + (50 * took if took > self.LONG_SECONDS else self._seconds), value)
        return value


@dataclass(frozen=True)
class Context:
    """Made once in ``create_app``; endpoints reach it by ``current()``."""

    settings: Settings
    database: Database
    streams: redis.Redis
    # Every engine some worker had lately (the key is None).
    engines: Recent[None, Mapping[str, EngineState]]
    # How many clips are ready, and their bytes.
    cached_speech: Recent[None, tuple[int, int]]
    # Jobs, lanes and workers, for figures.
    state: Recent[None, State]
    # In how many sessions somebody listens.
    active_sessions: Recent[None, int]
    # What there is to transcribe, by where it comes from, and when that was counted.
    transcription: Recent[str, tuple[Counts, datetime]]
    # How many outside services are well, of how many.
    services_healthy: Recent[None, tuple[int, int]]
    # None where there is no Label Studio.
    label_studio: Part | None
    # How words are said in a course, or (None) in every other text.
    lexicons: Recent[str | None, Lexicon]
    redis: redis.Redis
    files: FileStore
    counters: Counters
    hub: Hub
    limits: Limits
    readiness: Readiness
    started_at: float


def current() -> Context:
    """The context of the app that serves this request."""
    found: Context = current_app.extensions["voiceworks"]
    return found
