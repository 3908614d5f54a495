"""Waiting for a job inside a request: no database session is held, and a client that hung up is noticed."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flask import request
from sqlalchemy.exc import DBAPIError

from app import context
from app.sockets.hub import News, Subscription
from models.db import Database, is_disconnect
from models.errors import Unavailable
from models.jobs import queries
from models.jobs.announcing import summary
from models.jobs.tables import ENDED

# How soon a dropped client is noticed where its connection does not say so by itself (``_woken_by``).
PEEK_SECONDS = 0.25
# News may be lost; the row is read this often in any case.
REREAD_SECONDS = 2.0
# As libev has it.
_READABLE = 1


Gone = Callable[[], bool]


class ClientGone(Exception):
    """The client hung up; nobody will read the answer."""


class Ending:
    """Looks out for the end of a job; ``subscription`` was opened before the job was submitted.

    Made inside a request, and of use beyond it: an answer that is sent in pieces outlives its request. ``gone`` says
    that nobody waits any more; by default that the request's client hung up. Both ``gone`` and ``database`` are named
    where no request is served.
    """

    def __init__(
        self, job_id: str, subscription: Subscription, gone: Gone | None = None, database: Database | None = None
    ) -> None:
        self._job_id = job_id
        self.subscription = subscription
        self._database = database or context.current().database
        self.connection = request.environ.get("gunicorn.socket") if gone is None else None
        self._gone = gone or (lambda: client_gone(self.connection))
        self._reread = time.monotonic() + REREAD_SECONDS

    def poll(self, timeout_seconds: float) -> News | None:
        """The news that the job has ended, waited for so long.

        Raises:
            ClientGone: the client hung up.
        """
        news = self.subscription.get(timeout_seconds)
        if time.monotonic() >= self._reread:
            self._reread = time.monotonic() + REREAD_SECONDS
            news = self._read() or news
        if news is not None and news["id"] == self._job_id and news["state"] in ENDED:
            return news
        if news is None and self._gone():
            raise ClientGone
        return None

    def _read(self) -> News | None:
        try:
            with self._database.reading() as session:
                return summary(queries.get(session, self._job_id))
        except DBAPIError as fault:
            if not is_disconnect(fault):
                raise
            # It comes back, and so does the news.
            return None


def within(ending: Ending, seconds: float) -> News | None:
    """The news that the job has ended; None when it has not in that time.

    Raises:
        ClientGone: the client hung up.
    """
    gives_up = time.monotonic() + seconds
    with _woken_by(ending.connection, ending.subscription):
        while time.monotonic() < gives_up:
            news = ending.poll(PEEK_SECONDS)
            if news is not None:
                return news
    return None


def until_ended(job_id: str, subscription: Subscription, *, timeout_seconds: float, gone: Gone | None = None) -> News:
    """The news that the job has ended.

    Raises:
        ClientGone: the client hung up.
        Unavailable: the job did not end in time.
    """
    news = within(Ending(job_id, subscription, gone), timeout_seconds)
    if news is not None:
        return news
    raise Unavailable(f"Job {job_id} did not end within {timeout_seconds:g} s.", retry_after_seconds=5)


@contextmanager
def _woken_by(connection: Any, subscription: Subscription) -> Iterator[None]:
    """Wakes who waits for news as soon as the client does anything: while it waits, that is to hang up."""
    if connection is None:
        yield
        return
    import gevent

    watcher = gevent.get_hub().loop.io(connection.fileno(), _READABLE)

    def wake() -> None:
        # Once: a request that was sent ahead stays unread until this one is answered.
        watcher.stop()
        subscription.wake()

    watcher.start(wake)
    try:
        yield
    finally:
        watcher.stop()
        watcher.close()


def client_gone(connection: Any) -> bool:
    """Whether the client closed its connection; WSGI does not tell, so its socket is looked at without reading.

    ``connection`` is the request's ``gunicorn.socket``; None, without gunicorn, never goes.
    """
    if connection is None:
        return False
    # gevent's socket would wait cooperatively; the one inside answers at once.
    inner: Any = getattr(connection, "_sock", connection)
    try:
        return not inner.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
