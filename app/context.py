"""What one web process has: settings, connections, stored files, the hub of its sockets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import redis
from flask import current_app

from config.settings import Settings
from models.counters import Counters
from models.db import Database
from models.files import FileStore

if TYPE_CHECKING:
    from app.sockets.hub import Hub


@dataclass(frozen=True)
class Context:
    """Made once in ``create_app``; endpoints reach it by ``current()``."""

    settings: Settings
    database: Database
    redis: redis.Redis
    files: FileStore
    counters: Counters
    hub: Hub
    started_at: float


def current() -> Context:
    """The context of the app that serves this request."""
    found: Context = current_app.extensions["voiceworks"]
    return found
