"""What every process logs, for those who watch: published as it is written, the newest lines kept in Redis.

The log files stay the record. Here lines may be lost, and never hold anybody up: they wait in a bounded buffer for one
thread of the process, which sends them four times a second and drops them while Redis is away.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import traceback
from collections import deque
from typing import Any

import redis

from config import logs
from models import redis_keys

Line = dict[str, Any]

SEND_SECONDS = 0.25
# Lines of one process that wait to be sent; of more, the oldest give way.
BUFFERED = 1_000
# Characters of one line's message.
LONGEST = 2_000


class LogStream(logging.Handler):
    """A handler that publishes ``{timestamp, level, logger, message, request_id, job_id}``.

    Attributes:
        dropped: How many lines were lost in this process and not yet told of.
    """

    def __init__(self, redis_url: str) -> None:
        super().__init__(logging.INFO)
        self._redis_url = redis_url
        self._lines: deque[Line] = deque()
        self._process_id = 0
        self.dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Puts the line into the buffer; never blocks, never fails."""
        # The client's own lines would cause the next.
        if record.name.split(".")[0] == "redis" or record.name == __name__:
            return
        try:
            line = _line(record)
            self._begin()
        except (TypeError, ValueError, LookupError, AttributeError, RuntimeError):
            # Its arguments do not fit its text (the other handlers say so), or the process is ending.
            self.dropped += 1
            return
        self._lines.append(line)
        while len(self._lines) > BUFFERED:
            self._lines.popleft()
            self.dropped += 1

    def install(self) -> None:
        """Sends what this process logs from now on; for processes that live long, after any fork."""
        # gunicorn's own lines do not reach the root.
        for name in (None, "gunicorn.error"):
            logger = logging.getLogger(name)
            for other in [handler for handler in logger.handlers if isinstance(handler, LogStream)]:
                logger.removeHandler(other)
            logger.addHandler(self)
        self._begin()

    def _begin(self) -> None:
        # Once a process: a fork inherits the handler, but neither its thread nor its lines.
        if self._process_id != os.getpid():
            self._process_id = os.getpid()
            self._lines.clear()
            threading.Thread(target=self._send_for_ever, name="log-stream", daemon=True).start()

    def _send_for_ever(self) -> None:
        # Of its own: a full pool, or a slow server, is nobody else's matter.
        client = redis.Redis.from_url(self._redis_url, socket_timeout=2, socket_connect_timeout=1)
        while True:
            time.sleep(SEND_SECONDS)
            self.send(client)

    def send(self, client: redis.Redis) -> None:
        """One round: everything that waits, in one round trip."""
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        if not lines:
            return
        dropped = self.dropped
        if dropped:
            lines.append(_lost(dropped))
        try:
            with client.pipeline(transaction=False) as pipe:
                pipe.publish(redis_keys.LOG_EVENTS, json.dumps(lines))
                pipe.lpush(redis_keys.RECENT_LOGS, *(json.dumps(line) for line in lines))
                pipe.ltrim(redis_keys.RECENT_LOGS, 0, redis_keys.RECENT_LOGS_KEPT - 1)
                pipe.expire(redis_keys.RECENT_LOGS, redis_keys.RECENT_LOGS_SECONDS)
                pipe.execute()
            self.dropped -= dropped
        except (redis.RedisError, OSError):
            self.dropped += len(lines) - bool(dropped)


def recent(client: redis.Redis, *, limit: int = redis_keys.RECENT_LOGS_KEPT) -> list[Line]:
    """The newest lines of all processes, newest first."""
    kept: Any = client.lrange(redis_keys.RECENT_LOGS, 0, limit - 1)
    return [json.loads(line) for line in kept]


def _line(record: logging.LogRecord) -> Line:
    message = record.getMessage()
    if record.exc_info and record.exc_info[0] is not None:
        message += ": " + traceback.format_exception_only(*record.exc_info[:2])[-1].strip()
    return {
        "timestamp": logs.timestamp(record),
        "level": record.levelname,
        "logger": record.name,
        "message": logs.without_credentials(message)[:LONGEST],
        "request_id": logs.request_id.get(),
        "job_id": logs.job_id.get(),
    }


def _lost(count: int) -> Line:
    record = logging.makeLogRecord(
        {"name": __name__, "levelname": "WARNING", "msg": f"{count} lines of process {os.getpid()} were not shown."}
    )
    return _line(record)
