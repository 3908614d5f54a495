"""The line over which a web process hears the others: it is mended when it breaks, and what was missed is asked for."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import redis

from models import redis_keys

log = logging.getLogger(__name__)

CHANNELS = (redis_keys.PRESENCE_EVENTS, redis_keys.LOG_EVENTS, redis_keys.JOB_EVENTS)
# Who heard nothing for so long asks whether the line is alive; and takes a new one after three times that.
SILENCE_SECONDS = 5.0
# Before a broken line is replaced: at once, since single states are lost meanwhile; longer each time that the new one
# did no better, to a second.
AGAIN_SECONDS = 0.02
# What is on its way over a new line is told in order, before rows are read that may be further on.
SETTLE_SECONDS = 0.2


class Line:
    """Gives what is published to ``hear(channel, message)``, until ``stopped``.

    After a gap ``catch_up`` is called with its seconds, again until it says that it was done.
    """

    def __init__(
        self,
        client: redis.Redis,
        hear: Callable[[str, Any], None],
        catch_up: Callable[[float], bool],
        stopped: threading.Event,
    ) -> None:
        self._redis = client
        self._hear = hear
        self._catch_up = catch_up
        self._stopped = stopped
        # When the line was last known to be good, and since when something may have been missed.
        self._good_at = time.monotonic()
        self._missing_since: float | None = None

    def listen_for_ever(self) -> None:
        """Listens, over one line after the other."""
        pause = AGAIN_SECONDS
        while not self._stopped.is_set():
            good_at = self._good_at
            try:
                self._listen()
            except (redis.RedisError, OSError, ValueError) as fault:
                pause = min(1.0, pause * 4) if good_at == self._good_at else AGAIN_SECONDS
                log.warning("Job events are not heard; listening again in %g s: %s", pause, fault)
                self._stopped.wait(pause)

    def _listen(self) -> None:
        silent_since = new_at = time.monotonic()
        asked = False
        with self._redis.pubsub() as pubsub:  # type: ignore[no-untyped-call]
            pubsub.subscribe(*CHANNELS)
            while not self._stopped.is_set():
                message = pubsub.get_message(timeout=1.0 if self._missing_since is None else SETTLE_SECONDS)
                now = time.monotonic()
                if message is not None:
                    if message["type"] == "message":
                        self._hear(message["channel"].decode(), json.loads(message["data"]))
                    elif message["type"] == "subscribe":
                        # Also the only sign of a line that the library itself replaced.
                        new_at = now
                        if self._missing_since is None:
                            self._missing_since = self._good_at
                    silent_since = self._good_at = now
                    asked = False
                elif now - silent_since > 3 * SILENCE_SECONDS:
                    raise redis.ConnectionError("nothing is heard, not even an answer")
                elif now - silent_since > SILENCE_SECONDS and not asked:
                    pubsub.ping()
                    asked = True
                if self._missing_since is not None and now - new_at > SETTLE_SECONDS:
                    if self._catch_up(now - self._missing_since):
                        self._missing_since = None
                    new_at = now
