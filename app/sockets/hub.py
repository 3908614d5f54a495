"""One listener for a whole web process: job events from Redis, handed to everybody in it who waits or watches.

Whatever Redis loses is repaired: every five seconds the versions of watched jobs are read from Postgres in one query,
and after a gap in the listening every job that changed meanwhile. The same loop says that this process's waiters are
still there and writes what was counted.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import redis
from sqlalchemy.exc import SQLAlchemyError

from app.sockets.chatter import Chatter
from app.sockets.line import Line
from app.sockets.presence import Presence
from app.sockets.subscription import GOING_AWAY, SIGNED_OUT, News, Subscription
from models import redis_keys, sign_ins
from models.base import new_id
from models.counters import Counters
from models.db import Database
from models.jobs import queries, waiters
from models.jobs.announcing import summary
from models.jobs.tables import ENDED

__all__ = ["Hub", "News", "Subscription"]
log = logging.getLogger(__name__)

REPAIR_SECONDS = 5.0
LOOK_SECONDS = 3.0
FLUSH_SECONDS = 1.0
# A row is dated by the beginning of its transaction, which may have been committed in the gap.
MARGIN_SECONDS = 10.0
# Jobs whose told version is remembered, and how many of the unfinished are looked at in one repair.
REMEMBERED, REPAIRED = 10_000, 1_000


class Hub:
    """The process's one listener and its subscribers."""

    def __init__(self, client: redis.Redis, database: Database, counters: Counters) -> None:
        self._redis = client
        self._database = database
        self._counters = counters
        self._subscriptions: set[Subscription] = set()
        self._sockets_of: Counter[str | None] = Counter()
        self._presence = Presence(client)
        self._chatter = Chatter(self._presence, self._subscriptions)
        # What was told last of each job, and whether it had ended; nobody is told anything older.
        self._told: OrderedDict[str, tuple[int, bool]] = OrderedDict()
        self._telling = threading.Lock()
        self._waiters: set[str] = set()
        self._satisfied: deque[str] = deque()
        self._started = False
        self._alive: Callable[[], bool] = lambda: True
        self._stopped = threading.Event()
        self._figures: tuple[float, News] = (0.0, {})
        self._figuring = threading.Lock()

    def start(self, *, alive: Callable[[], bool] = lambda: True) -> None:
        """Begins to listen; once a process, after any fork. If it is not ``alive`` any more its sockets are closed."""
        if not self._started:
            self._started = True
            self._alive = alive
            self._presence.begin(new_id())
            line = Line(self._redis, self._hear, self._catch_up, self._stopped)
            for name, run in (
                ("hub-listen", line.listen_for_ever),
                ("hub-repair", self._repair_for_ever),
                ("hub-chatter", self._chat_for_ever),
            ):
                threading.Thread(target=run, name=name, daemon=True).start()

    def stop(self) -> None:
        """Ends the listening, within a second, tells the others that its sockets are closed, writes the counts."""
        if self._started and not self._stopped.is_set():
            self._stopped.set()
            self._chatter.stir()
            self._try(self._presence.leave)
            self._try(lambda: self._counters.flush(self._redis, self._database))

    @contextmanager
    def subscribed(
        self, job_id: str | None = None, wanted: Callable[[News], bool] = lambda news: True, *, chatter: bool = False
    ) -> Iterator[Subscription]:
        """News from now on; subscribe before reading the row, then nothing falls between.

        With ``chatter`` also what all processes log, and who comes and goes: ``{"frame": bytes}`` for the wire, its
        ``lines`` as they were logged.
        """
        self.start()
        subscription = Subscription(job_id, wanted, chatter=chatter)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    @contextmanager
    def connected(self, client_id: str, account_id: str | None = None) -> Iterator[None]:
        """Counts a socket of an account, and tells those who watch that it came and went."""
        # Before anything that lets another in.
        self._sockets_of[account_id] += 1
        self.start()
        self._presence.came(client_id)
        self._chatter.stir()
        try:
            yield
        finally:
            self._presence.went(client_id)
            self._sockets_of[account_id] -= 1
            if not self._sockets_of[account_id]:
                del self._sockets_of[account_id]
            self._chatter.stir()

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
        with self._figuring:
            at, found = self._figures
            if not found or time.monotonic() - at > 1.0:
                found = compute()
                self._figures = (time.monotonic(), found)
            return found

    def clients_connected(self) -> int:
        """How many sockets all web processes hold."""
        if not self._started:
            self._presence.look()
        return self._presence.count()

    def clients_connected_here(self) -> int:
        """How many sockets this process holds."""
        return self._presence.count_here()

    def sockets_of(self, account_id: str | None) -> int:
        """How many of them are of one account; None is everybody without one."""
        return self._sockets_of[account_id]

    def _hear(self, channel: str, message: Any) -> None:
        if channel == redis_keys.JOB_EVENTS:
            self._hand_out(message)
        elif channel == redis_keys.PRESENCE_EVENTS:
            self._presence.hear(message)
            self._chatter.stir()
        else:
            self._chatter.hear(message)

    def _hand_out(self, news: News) -> None:
        job_id, version = news["id"], news["version"]
        with self._telling:
            told, _ = self._told.get(job_id, (0, False))
            if version <= told:
                return
            self._told[job_id] = (version, news["state"] in ENDED)
            self._told.move_to_end(job_id)
            if len(self._told) > REMEMBERED:
                self._told.popitem(last=False)
            for subscription in list(self._subscriptions):
                if subscription.job_id in (None, job_id) and subscription.wanted(news):
                    subscription.put(news)

    def _chat_for_ever(self) -> None:
        while not self._stopped.is_set():
            self._chatter.gather(self._stopped)
            self._try(self._presence.tell)
            self._chatter.hand_out()

    def _repair_for_ever(self) -> None:
        looked = repaired = -REPAIR_SECONDS
        while not self._stopped.is_set():
            self._try(lambda: self._counters.flush(self._redis, self._database))
            self._try(self._dismiss_satisfied)
            if time.monotonic() - repaired >= REPAIR_SECONDS:
                repaired = time.monotonic()
                self._try(self._presence.renew)
                self._try(self.repair)
                self._try(self._part_with_strangers)
            if time.monotonic() - looked >= LOOK_SECONDS:
                looked = time.monotonic()
                self._try(self._look)
            if not self._alive():
                for subscription in self._talking():
                    subscription.put(GOING_AWAY)
            self._stopped.wait(FLUSH_SECONDS)

    def _try(self, act: Callable[[], None]) -> bool:
        """Whether ``act`` was done; what is away comes back, and the next round does it."""
        try:
            act()
        except (redis.RedisError, SQLAlchemyError, OSError) as fault:
            log.warning("The hub's round failed; it is tried again: %s", fault)
            return False
        return True

    def _talking(self) -> list[Subscription]:
        return [subscription for subscription in list(self._subscriptions) if subscription.caller is not None]

    def _part_with_strangers(self) -> None:
        """Closes the sockets of those whose credential is not good any more."""
        talking = self._talking()
        callers = {subscription.caller for subscription in talking if subscription.caller is not None}
        if callers:
            with self._database.reading() as session:
                good = sign_ins.still(session, callers)
            for subscription in talking:
                if subscription.caller not in good:
                    subscription.put(SIGNED_OUT)

    def _dismiss_satisfied(self) -> None:
        gone = [self._satisfied.popleft() for _ in range(len(self._satisfied))]
        if gone:
            with self._database.transaction(durable=False) as session:
                waiters.dismiss(session, gone)

    def _look(self) -> None:
        self._presence.look()
        self._chatter.stir()

    def _catch_up(self, missed_seconds: float) -> bool:
        """Tells the present state of every job that changed meanwhile, if anybody watches them all."""
        return self._try(lambda: self._tell_changed(missed_seconds + MARGIN_SECONDS)) and self._try(self._look)

    def _tell_changed(self, seconds: float) -> None:
        if any(subscription.job_id is None for subscription in self._subscriptions):
            with self._database.reading() as session:
                for job in queries.changed_within(session, seconds):
                    self._tell(job)

    def repair(self) -> None:
        """One round: sends what was missed of watched jobs, renews this process's waiters."""
        watched = {subscription.job_id for subscription in self._subscriptions}
        if None in watched:
            watched |= set([job_id for job_id, (_, ended) in list(self._told.items()) if not ended][-REPAIRED:])
        job_ids = [job_id for job_id in watched if job_id is not None]
        if not job_ids and not self._waiters:
            return
        with self._database.transaction(durable=False) as session:
            waiters.renew(session, self._waiters)
            missed = [
                queries.get(session, job_id)
                for job_id, version in queries.versions(session, job_ids).items()
                if version > self._told.get(job_id, (0, False))[0]
            ]
        for job in missed:
            self._tell(job)

    def _tell(self, job: Any) -> None:
        name = "job.finished" if job.state in ENDED else "job.progress"
        self._hand_out({"name": name, **summary(job)})
