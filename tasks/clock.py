"""What the clock (beat) does beside ringing: it says that it goes, and that it has just been started."""

from __future__ import annotations

import logging
from typing import Any

import redis
from celery import Celery, signals
from kombu.exceptions import OperationalError

from config.settings import Settings
from models import clock
from tasks import submit

log = logging.getLogger(__name__)

# Workers are up within a minute of the clock; after a longer pause the minute's own tick is early enough.
STARTING_SECONDS = 600


def begin(app: Celery, settings: Settings) -> None:
    """Called once, in the clock's own process, before it rings for the first time."""
    client = submit.open_redis(settings.redis_url, connections=2)

    def say(**_: Any) -> None:
        try:
            clock.rang(client)
        except redis.RedisError as fault:
            log.warning("Nobody is told that the clock goes: %s", fault)

    signals.after_task_publish.connect(say, weak=False)
    try:
        app.send_task("upkeep.due", kwargs={"starting": True}, queue="upkeep", expires=STARTING_SECONDS)
    except (OperationalError, redis.RedisError, OSError) as fault:
        log.warning("Nobody was told that the clock has started: %s", fault)
