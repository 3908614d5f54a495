"""One listener for a whole web process: job events from Redis, handed to everybody in it who waits or watches.

Whatever Redis loses is repaired: every five seconds the versions of watched jobs are read from Postgres in one query.
The same loop says that this process's waiters are still there and writes what was counted.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import redis
from sqlalchemy.exc import SQLAlchemyError

from models import redis_keys
from models.base import new_id
from models.counters import Counters
from models.db import Database
from models.jobs import lifecycle, queries, waiters
from models.jobs.tables import ENDED

log = logging.getLogger(__name__)

REPAIR_SECONDS = 5.0
FLUSH_SECONDS = 1.0
# A socket that reads slower than this many messages behind loses old progress; the repair brings the newest state.
BACKLOG = 256

News = dict[str, Any]


class Subscription:
    """A bounded queue of news for one waiter or socket; ``job_id`` None is every job that ``wanted`` accepts."""

    def __init__(self, job_id: str | None, wanted: Callable[[News], bool]) -> None:
        self.job_id = job_id
        self.wanted = wanted
        self._news: deque[News] = deque(maxlen=BACKLOG)
        self._arrived = threading.Event()

    def put(self, news: News) -> None:
        """Adds news, the oldest giving way when full; never blocks."""
        self._news.append(news)
        self._arrived.set()

    def get(self, timeout_seconds: float) -> News | None:
        """The next news, or None when there was none in that time."""
        if not self._news:
            self._arrived.wait(timeout_seconds)
        self._arrived.clear()
        return self._news.popleft() if self._news else None


class Hub:
    """The process's one listener and its subscribers."""

    def __init__(self, client: redis.Redis, database: Database, counters: Counters) -> None:
        self._redis = client
        self._database = database
        self._counters = counters
        self._subscriptions: set[Subscription] = set()
        self._versions: dict[str, int] = {}
        self._waiters: set[str] = set()
        self._satisfied: deque[str] = deque()
        self._started = False
        self._stopped = threading.Event()
        # Of this process once it has started: the app was made before the fork.
        self._process_id = ""
        self._figures: tuple[float, News] = (0.0, {})
        self.sockets = 0

    def start(self) -> None:
        """Begins to listen; once a process, after any fork."""
        if not self._started:
            self._started = True
            self._process_id = new_id()
            threading.Thread(target=self._listen, name="hub-listen", daemon=True).start()
            threading.Thread(target=self._repair_for_ever, name="hub-repair", daemon=True).start()

    def stop(self) -> None:
        """Ends the listening, within a second."""
        self._stopped.set()

    @contextmanager
    def subscribed(
        self, job_id: str | None = None, wanted: Callable[[News], bool] = lambda news: True
    ) -> Iterator[Subscription]:
        """News from now on; subscribe before reading the row, then nothing falls between."""
        self.start()
        subscription = Subscription(job_id, wanted)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
            if job_id is not None and not any(other.job_id == job_id for other in self._subscriptions):
                self._versions.pop(job_id, None)

    @contextmanager
    def waiting(self, waiter_id: str) -> Iterator[None]:
        """Keeps a waiter's row alive while the block runs; one that leaves early (by an error) leaves at once."""
        self._waiters.add(waiter_id)
        try:
            yield
        except BaseException:
            self._waiters.discard(waiter_id)
            with self._database.transaction(durable=False) as session:
                waiters.leave(session, [waiter_id])
            raise
        # It got what it waited for: nobody is in a hurry to hear of it, least of all the one who wants the answer.
        self._waiters.discard(waiter_id)
        self._satisfied.append(waiter_id)

    def figures(self, compute: Callable[[], News]) -> News:
        """What ``compute`` gives, computed at most once a second for all sockets together."""
        at, found = self._figures
        if not found or time.monotonic() - at > 1.0:
            found = compute()
            self._figures = (time.monotonic(), found)
        return found

    def clients_connected(self) -> int:
        """How many sockets all web processes hold."""
        keys = list(self._redis.scan_iter(redis_keys.PRESENCE_PATTERN, count=1000))
        others = [key for key in keys if key.decode() != redis_keys.presence(self._process_id)]
        return self.sockets + sum(int(count or 0) for count in (self._redis.mget(others) if others else []))

    def _listen(self) -> None:
        while not self._stopped.is_set():
            try:
                # No timeout on reading: silence is normal. Keepalive notices a peer that vanished.
                pubsub = self._redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
                pubsub.subscribe(redis_keys.JOB_EVENTS)
                while not self._stopped.is_set():
                    message = pubsub.get_message(timeout=1.0)
                    if message is not None:
                        self._hand_out(json.loads(message["data"]))
            except (redis.RedisError, OSError, ValueError) as fault:
                log.warning("Job events are not heard; listening again in a second: %s", fault)
                self._stopped.wait(1.0)

    def _hand_out(self, news: News) -> None:
        job_id, version = news["id"], news["version"]
        if any(subscription.job_id == job_id for subscription in self._subscriptions):
            self._versions[job_id] = max(version, self._versions.get(job_id, 0))
        for subscription in list(self._subscriptions):
            if subscription.job_id in (None, job_id) and subscription.wanted(news):
                subscription.put(news)

    def _repair_for_ever(self) -> None:
        repaired = time.monotonic()
        while not self._stopped.wait(FLUSH_SECONDS):
            try:
                self._counters.flush(self._redis, self._database)
                self._dismiss_satisfied()
                if time.monotonic() - repaired >= REPAIR_SECONDS:
                    repaired = time.monotonic()
                    self.repair()
            except (redis.RedisError, SQLAlchemyError, OSError) as fault:
                log.warning("The hub's round failed; it is tried again: %s", fault)

    def _dismiss_satisfied(self) -> None:
        gone = [self._satisfied.popleft() for _ in range(len(self._satisfied))]
        if gone:
            with self._database.transaction(durable=False) as session:
                waiters.dismiss(session, gone)

    def repair(self) -> None:
        """One round: sends what was missed, renews this process's waiters and its count of sockets."""
        self._redis.set(redis_keys.presence(self._process_id), self.sockets, ex=redis_keys.PRESENCE_SECONDS)
        watched = {subscription.job_id for subscription in self._subscriptions if subscription.job_id}
        if not watched and not self._waiters:
            return
        with self._database.transaction(durable=False) as session:
            waiters.renew(session, self._waiters)
            missed = [
                queries.get(session, job_id)
                for job_id, version in queries.versions(session, watched).items()
                if version > self._versions.get(job_id, 0)
            ]
        for job in missed:
            name = "job.finished" if job.state in ENDED else "job.progress"
            self._hand_out({"name": name, **lifecycle.summary(job)})
