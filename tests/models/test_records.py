"""What a web process has yet to write: bounded, kept while Postgres is away, written once."""

from __future__ import annotations

import logging
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import redis
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from models import audit, error_reports, records
from models.audit import AuditEntry, Call
from models.base import utc_now
from models.counters import Counters
from models.db import Database
from models.error_reports import ROWS_A_MINUTE, ErrorReport, Report
from models.records import Calls, Errors, Records
from tests import making

NOON = datetime(2026, 1, 15, 12, 0, 30, tzinfo=UTC)


@pytest.fixture
def away() -> Database:
    """A database that cannot be reached."""
    return Database("postgresql+psycopg://nobody@/nothing?host=/nowhere", lambda signals: None)


def said(endpoint: str = "/api/x", code: str = "broken", message: str = "It was.", at: datetime = NOON) -> Report:
    return error_reports.report(at, endpoint, code, "error", message, status=400)


def call(path: str = "/api/users", at: datetime = NOON) -> Call:
    return Call(
        at=at,
        account_id=None,
        method="GET",
        endpoint="/api/users",
        path=path,
        status=200,
        request_id="req_1",
        user_ip="127.0.0.0",
    )


def stored(database: Database) -> tuple[int, int]:
    """How many rows there are, and how many errors they stand for."""
    with database.transaction() as session:
        counted = session.execute(select(func.count(), func.coalesce(func.sum(ErrorReport.count), 0)))
        rows, errors = counted.one()
        return rows, int(errors)


def paths(database: Database) -> list[str]:
    with database.transaction() as session:
        return list(session.scalars(select(AuditEntry.path).order_by(AuditEntry.id)))


def test_what_was_written_is_not_written_again(database: Database, queue: redis.Redis) -> None:
    counters = Counters()
    counters.records.errors.add(said())
    counters.records.calls.add(call())
    counters.flush(queue, database)
    counters.flush(queue, database)
    assert stored(database) == (1, 1)
    assert paths(database) == ["/api/users"]


def test_errors_are_written_although_the_queue_is_away(database: Database) -> None:
    counters = Counters()
    counters.speech("hit", "a")
    counters.records.errors.add(said())
    with pytest.raises(redis.ConnectionError):
        counters.flush(redis.Redis.from_url("unix:///nowhere/queue.sock"), database)
    assert stored(database) == (1, 1)


def test_what_could_not_be_written_is_written_next_time(database: Database, away: Database) -> None:
    waiting = Records()
    for number in range(3):
        waiting.errors.add(said(message=f"{number}"))
        waiting.calls.add(call(f"/{number}"))
    for _ in range(2):
        with pytest.raises(SQLAlchemyError):
            waiting.flush(away)
    waiting.errors.add(said(message="3"))
    waiting.calls.add(call("/3"))
    waiting.flush(database)
    assert stored(database) == (4, 4)
    assert paths(database) == ["/0", "/1", "/2", "/3"]


def test_calls_are_written_although_errors_are_not(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise SQLAlchemyError("not now")

    monkeypatch.setattr(error_reports, "record", fail)
    waiting = Records()
    waiting.errors.add(said())
    waiting.calls.add(call())
    with pytest.raises(SQLAlchemyError):
        waiting.flush(database)
    assert paths(database) == ["/api/users"]
    monkeypatch.undo()
    waiting.flush(database)
    assert stored(database) == (1, 1)
    assert paths(database) == ["/api/users"]


@pytest.mark.parametrize("process", [Errors, Calls])
def test_what_postgres_refuses_for_ever_is_let_go(
    database: Database, caplog: pytest.LogCaptureFixture, process: type[Errors] | type[Calls]
) -> None:
    waiting = process()
    if isinstance(waiting, Errors):
        waiting.add(Report(NOON, NOON, "/api/x", "broken", "error", "It was.", count=2**40))
    else:
        waiting.add(call("/nul\0"))
    waiting.flush(database)
    assert "1 " in caplog.text
    assert "cannot be stored" in caplog.text
    waiting.flush(database)
    assert (stored(database), paths(database)) == ((0, 0), [])


def test_many_threads_lose_no_error(database: Database) -> None:
    waiting = Records()

    def work(number: int) -> None:
        for turn in range(100):
            waiting.errors.add(said(endpoint=f"/{turn % 3}"))
            waiting.calls.add(call())
            if number % 4 == 0 and turn % 25 == 0:
                waiting.flush(database)

    making.at_once(8, work)
    waiting.flush(database)
    assert stored(database) == (3 * ROWS_A_MINUTE, 800)
    assert len(paths(database)) == 800


ATTACKS: dict[str, Callable[[int], Report]] = {
    "of messages": lambda number: said(message=f"{number} " * 1000),
    "of all": lambda number: said(f"/{number}", f"code_{number}", f"{number} " * 1000),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_hundred_thousand_errors_of_a_minute_take_little_room_here_and_there(
    database: Database, away: Database, attack: str
) -> None:
    waiting = Errors()
    one = ATTACKS[attack]
    began = time.monotonic()
    tracemalloc.start()
    try:
        for number in range(100_000):
            waiting.add(one(number))
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Ten times what it takes.
    assert time.monotonic() - began < 60
    assert held_bytes < 10 * 2**20
    with pytest.raises(SQLAlchemyError):
        waiting.flush(away)
    waiting.flush(database)
    rows, errors = stored(database)
    assert errors == 100_000
    assert rows <= records.GROUPS_WAITING + ROWS_A_MINUTE


def test_days_without_postgres_take_little_room(database: Database, away: Database) -> None:
    waiting = Errors()
    for minute in range(3 * 24 * 60):
        waiting.add(said(at=NOON + timedelta(minutes=minute)))
    with pytest.raises(SQLAlchemyError):
        waiting.flush(away)
    waiting.flush(database)
    rows, errors = stored(database)
    assert errors == 3 * 24 * 60
    assert rows <= records.GROUPS_WAITING + (3 * 24 + 1) * ROWS_A_MINUTE


def test_of_too_many_calls_the_newest_are_counted_and_said_to_be_missing(
    database: Database, away: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(records, "CALLS_WAITING", 5)
    waiting = Calls()
    for number in range(8):
        waiting.add(call(f"/{number}"))
        if number == 3:
            with pytest.raises(SQLAlchemyError):
                waiting.flush(away)
    with caplog.at_level(logging.ERROR):
        waiting.flush(database)
        assert "3 administrative calls are in no row" in caplog.text
        caplog.clear()
        waiting.flush(database)
        assert caplog.text == ""
    assert paths(database) == [f"/{number}" for number in range(5)]


def test_what_comes_while_writing_fails_does_not_push_out_what_waits(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "CALLS_WAITING", 3)
    waiting = Calls()
    for number in range(3):
        waiting.add(call(f"/{number}"))

    def fail(*_: object) -> None:
        waiting.add(call("/late"))
        raise SQLAlchemyError("not now")

    with monkeypatch.context() as patched:
        patched.setattr(audit, "write", fail)
        with pytest.raises(SQLAlchemyError):
            waiting.flush(database)
    waiting.flush(database)
    assert paths(database) == ["/0", "/1", "/2"]


def test_old_calls_are_forgotten_and_counted_before(database: Database) -> None:
    now = utc_now()
    with database.transaction() as session:
        audit.write(session, [call(f"/{days}", at=now - timedelta(days=days)) for days in (0, 89, 91, 400)])
        assert audit.count_old(session, 90) == 2
        assert audit.forget_old(session, 90) == 2
        assert audit.count_old(session, 90) == 0
    assert paths(database) == ["/0", "/89"]


def test_a_page_of_calls_names_the_account_as_long_as_there_is_one(database: Database) -> None:
    with database.transaction() as session:
        account = audit.Account(id="a1", username="ada", password_hash="", role="admin")
        session.add(account)
        audit.write(session, [audit.Call(**vars(call()) | {"account_id": name}) for name in ("a1", "gone", None)])
    with database.snapshot() as session:
        found, total = audit.entries(session, page=1, limit=2)
        rest, _ = audit.entries(session, page=2, limit=2)
    assert [(entry.account_id, name) for entry, name in found + rest] == [(None, None), ("gone", None), ("a1", "ada")]
    assert total == 3
