"""What one web process has: settings, connections, stored files, the hub of its sockets."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import redis
from flask import current_app

from config.settings import Settings
from models import workers
from models.counters import Counters
from models.db import Database
from models.files import FileStore
from models.workers import EngineState

if TYPE_CHECKING:
    from app.sockets.hub import Hub


class Engines:
    """The register of engines as it was at most a second ago: every spoken request asks, workers seldom change."""

    SECONDS = 1.0

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: Mapping[str, EngineState] = {}
        self._asked_at = -math.inf

    def __call__(self) -> Mapping[str, EngineState]:
        """Every engine some worker had lately."""
        if time.monotonic() - self._asked_at > self.SECONDS:
            with self._database.reading() as session:
                self._known = workers.engines(session)
            self._asked_at = time.monotonic()
        return self._known


@dataclass(frozen=True)
class Context:
    """Made once in ``create_app``; endpoints reach it by ``current()``."""

    settings: Settings
    database: Database
    engines: Engines
    redis: redis.Redis
    files: FileStore
    counters: Counters
    hub: Hub
    started_at: float


def current() -> Context:
    """The context of the app that serves this request."""
    found: Context = current_app.extensions["voiceworks"]
    return found
