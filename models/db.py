"""The connection to Postgres: one transaction per request or slice, and what is sent after it."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

import psycopg
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.orm import Session, sessionmaker

from models.events import Deliver

log = logging.getLogger(__name__)
Result = TypeVar("Result")

# Postgres is back about two seconds after a kill; a restart of its machine takes longer than a slice should wait.
PERSIST_SECONDS = 20.0
RESTED_SECONDS = 1.0
# Errors that say nothing but "not now".
_TRY_AGAIN = frozenset({"DeadlockDetected", "SerializationFailure"})
# A host that is gone without a word is noticed after so long; libpq's own defaults are hours. They mean nothing to a
# Unix socket, and the URL may say otherwise.
_TCP_LIMITS = {
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}


class Database:
    """Hands out transactions.

    ``transaction()`` is durable: when it returns, the rows survive a power cut. ``transaction(durable=False)`` leaves
    the flush to Postgres' background writer (claims, heartbeats, progress: losing the last half second of them costs
    a repetition, never a result).
    """

    def __init__(self, url: str, deliver: Deliver, *, pool_size: int = 10) -> None:
        self._deliver = deliver
        # A connection is held for milliseconds, so a small pool serves hundreds of waiting requests; the overflow
        # is for bursts. pre_ping turns a killed back end into a reconnect instead of an error.
        self._durable = self._engine(url, pool_size, "")
        self._relaxed = self._engine(url, max(2, pool_size // 2), "-c synchronous_commit=off")
        self._reading = self._engine(url, pool_size, "", isolation_level="AUTOCOMMIT", pool_pre_ping=False)
        self._noting = self._engine(
            url, pool_size, "-c synchronous_commit=off", isolation_level="AUTOCOMMIT", pool_pre_ping=False
        )
        for engine in (self._reading, self._noting):
            event.listen(engine, "checkin", _note_rest)
            event.listen(engine, "checkout", _ping_if_rested)
        self._sessions = sessionmaker(self._durable, expire_on_commit=False)
        self._relaxed_sessions = sessionmaker(self._relaxed, expire_on_commit=False)
        self._reading_sessions = sessionmaker(self._reading, expire_on_commit=False)
        self._noting_sessions = sessionmaker(self._noting, expire_on_commit=False)

    @staticmethod
    def _engine(url: str, pool_size: int, options: str, **settings: Any) -> Engine:
        # Twice the timeouts of an idle machine's worst second; every statement of ours is far below.
        # Custom plans: a generic one cannot use the partial indexes, which keep a long queue fast.
        options = (
            f"{options} -c statement_timeout=30000 -c idle_in_transaction_session_timeout=60000"
            " -c plan_cache_mode=force_custom_plan -c TimeZone=UTC"
        )
        return create_engine(
            url,
            pool_size=pool_size,
            max_overflow=pool_size * 2,
            pool_timeout=10,
            pool_recycle=1800,
            connect_args={"connect_timeout": 5, "options": options.strip()} | _tcp_limits(url),
            **{"pool_pre_ping": True} | settings,
        )

    @property
    def engine(self) -> Engine:
        """The durable engine, for migrations and checks."""
        return self._durable

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session whose statements are transactions of their own: one round trip each, and nothing to write.

        What several statements must agree on belongs into ``snapshot``.
        """
        with self._reading_sessions() as session:
            yield session

    @contextmanager
    def noting(self) -> Iterator[Session]:
        """A session whose statements are each committed by themselves, and flushed a moment later: one round trip each.

        For rows that are written with many requests, of which the last half second may be lost with the power.
        """
        with self._noting_sessions() as session:
            yield session

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        """A session that reads only, and whose statements all see what was there at the first of them."""
        with self.transaction(durable=False) as session:
            # In an ordinary transaction each statement sees what was committed before it.
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            yield session

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[Session]:
        """A session that is committed at the end of the block and rolled back on any error in it."""
        session = self._sessions() if durable else self._relaxed_sessions()
        with session:
            yield session
            session.commit()
            signals = session.info.pop("signals", [])
        # The connection is back in the pool before anything is sent.
        if signals:
            self._deliver(signals)

    def persist(
        self,
        write: Callable[[Session], Result],
        *,
        durable: bool = True,
        opened: Callable[[], AbstractContextManager[Session]] | None = None,
    ) -> Result:
        """Runs ``write`` in a transaction (or a session ``opened`` so), again while Postgres is away or it lost.

        ``write`` must be fenced by a token: it may run twice.

        Raises:
            DBAPIError: when Postgres stayed away for ``PERSIST_SECONDS``.
        """
        give_up = time.monotonic() + PERSIST_SECONDS
        pause = 0.05
        while True:
            try:
                with opened() if opened else self.transaction(durable=durable) as session:
                    return write(session)
            except DBAPIError as fault:
                passing = is_disconnect(fault) or type(fault.orig).__name__ in _TRY_AGAIN
                if not passing or time.monotonic() > give_up:
                    raise
                log.warning("Postgres refused for now; trying again: %s", fault.orig)
            time.sleep(pause)
            pause = min(pause * 2, 1.0)

    def dispose(self) -> None:
        """Closes the pools; needed before a fork and at exit."""
        self._durable.dispose()
        self._relaxed.dispose()
        self._reading.dispose()
        self._noting.dispose()


def is_disconnect(fault: DBAPIError) -> bool:
    """Whether Postgres was away, or has no room on its disk (as opposed to refusing the statement)."""
    return fault.connection_invalidated or type(fault.orig).__name__ in {
        "OperationalError",
        "AdminShutdown",
        "CrashShutdown",
        "CannotConnectNow",
        "DiskFull",
    }


def _tcp_limits(url: str) -> dict[str, int]:
    said = make_url(url).query
    return {name: value for name, value in _TCP_LIMITS.items() if name not in said}


def _note_rest(_: Any, record: Any) -> None:
    record.info["rests_since"] = time.monotonic()


def _ping_if_rested(connection: Any, record: Any, _: Any) -> None:
    """pre_ping for questions: asked with every request, a moment after the last one, they go without."""
    if time.monotonic() - record.info.get("rests_since", math.inf) < RESTED_SECONDS:
        return
    try:
        connection.execute("SELECT 1")
        connection.rollback()
    except psycopg.Error as fault:
        raise DisconnectionError("the back end is gone") from fault


@event.listens_for(Session, "after_rollback")
def _forget_signals(session: Session) -> None:
    session.info.pop("signals", None)
