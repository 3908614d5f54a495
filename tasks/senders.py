"""Threads that tell others what is due, so that whoever rang is back at other work however slow the others are."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from tasks.process import Process, current

log = logging.getLogger(__name__)
Claimed = TypeVar("Claimed")

# Fast receivers are done by then, and the worker's log and register say what it did; slow ones go on by themselves.
PATIENCE_SECONDS = 1.0


class Senders(Generic[Claimed]):
    """Senders of one kind of message in this process.

    Args:
        name: What their threads are called.
        most: How many there are at once.
        to_one: How many of them at one receiver: a slow one with a hundred messages must leave senders for the rest.
        claim: Gives the next that is due, for any receiver but those; fenced, since it may be claimed again.
        receiver: Who a claimed one is for.
        send: Sends it and stores what became of it.
    """

    def __init__(
        self,
        name: str,
        *,
        most: int,
        to_one: int,
        claim: Callable[[Session, Sequence[str]], Claimed | None],
        receiver: Callable[[Claimed], str],
        send: Callable[[Process, Claimed], None],
    ) -> None:
        self._name = name
        self._most = most
        self._to_one = to_one
        self._claim = claim
        self._receiver = receiver
        self._send = send
        # One claims at a time: what is at work must be known to the next.
        self._lock = threading.Lock()
        self._at_work: Counter[str] = Counter()

    @property
    def at_work(self) -> int:
        """How many send now."""
        return self._at_work.total()

    def start(self) -> None:
        """Starts senders for what is due, as many as may be, and waits a moment for them."""
        process = current()
        started = []
        while (claimed := self._next(process)) is not None:
            # Not a daemon: a worker that is told to stop lets them finish what they are sending.
            sender = threading.Thread(target=self._send_while_due, args=(process, claimed), name=self._name)
            sender.start()
            started.append(sender)
        share = PATIENCE_SECONDS / max(1, len(started))
        for sender in started:
            sender.join(share)

    def _next(self, process: Process) -> Claimed | None:
        """Something for a free sender; None when there is nothing, or no sender is free."""
        with self._lock:
            # A process that ends takes up nothing more.
            if self._at_work.total() >= self._most or not threading.main_thread().is_alive():
                return None
            busy = [receiver for receiver, count in self._at_work.items() if count >= self._to_one]
            try:
                with process.database.transaction() as session:
                    claimed = self._claim(session, busy)
            except SQLAlchemyError as fault:
                log.warning("Nothing is sent while Postgres is away: %s", fault)
                return None
            if claimed is not None:
                self._at_work[self._receiver(claimed)] += 1
            return claimed

    def _send_while_due(self, process: Process, first: Claimed) -> None:
        claimed: Claimed | None = first
        while claimed is not None:
            try:
                self._send(process, claimed)
            except SQLAlchemyError as fault:
                # Its lease ends, and it is sent again: the receiver knows it by its id.
                log.warning("What became of %s was not stored: %s", claimed, fault)
            finally:
                # Whatever went wrong: a sender that is counted though it has gone would be missing for good.
                with self._lock:
                    self._at_work.subtract([self._receiver(claimed)])
            claimed = self._next(process)
