"""What the errors of a period come to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models import error_figures, error_reports
from models.db import Database
from models.error_reports import ErrorReport

NOW = datetime(2026, 1, 15, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


def store(database: Database, hours_ago: float, count: int = 1, **fields: Any) -> None:
    given = {"endpoint": "/api/x", "code": "broken", "level": "error", "message": "It was.", "status": 400} | fields
    report = error_reports.report(NOW - hours_ago * HOUR, count=count, **given)
    with database.transaction() as session:
        error_reports.record(session, [report])


def summary(database: Database, hours: int = 24, requests: int = 1000) -> dict[str, Any]:
    with database.snapshot() as session:
        return error_figures.summary(session, since=NOW - hours * HOUR, now=NOW, requests=requests)


def recent(database: Database, **wanted: Any) -> tuple[list[ErrorReport], int]:
    with database.snapshot() as session:
        return error_figures.recent(session, **{"page": 1, "limit": 50} | wanted)


def test_of_nothing_everything_is_none(database: Database) -> None:
    found = summary(database, hours=2, requests=0)
    assert (found["total_errors"], found["error_rate_percent"]) == (0, 0.0)
    assert (found["by_type"], found["by_endpoint"]) == ({}, {})
    assert found["trends"] == {"increasing": False, "peak_hour": None}
    assert found["by_time"] == {"2026-01-15T10:00:00Z": 0, "2026-01-15T11:00:00Z": 0, "2026-01-15T12:00:00Z": 0}


def test_every_part_adds_up_to_the_total(database: Database) -> None:
    store(database, 1, count=15)
    store(database, 2, count=5, code="lost")
    store(database, 3, count=3, endpoint="/api/y")
    store(database, 25, count=100)
    found = summary(database)
    assert found["total_errors"] == 23
    assert list(found["by_type"].items()) == [("broken", 18), ("lost", 5)]
    assert list(found["by_endpoint"].items()) == [("/api/x", 20), ("/api/y", 3)]
    assert sum(found["by_time"].values()) == 23
    assert (len(found["by_time"]), found["by_time"]["2026-01-15T10:00:00Z"]) == (25, 5)
    assert found["error_rate_percent"] == 2.3


def test_the_rate_is_of_answers_alone(database: Database) -> None:
    store(database, 1, count=10)
    store(database, 1, count=7, status=None, endpoint="speech.batch")
    store(database, 1, count=3, status=4401, endpoint="/ws")
    assert (summary(database)["total_errors"], summary(database)["error_rate_percent"]) == (20, 1.0)
    # More answers than requests is a fault of the counting, and shows.
    assert summary(database, requests=3)["error_rate_percent"] == 333.33


@pytest.mark.parametrize(("early", "late", "increasing"), [(3, 4, True), (4, 4, False), (4, 3, False), (0, 1, True)])
def test_errors_increase_when_the_second_half_has_more(
    database: Database, early: int, late: int, increasing: bool
) -> None:
    for hours_ago, count in ((20, early), (2, late)):
        if count:
            store(database, hours_ago, count=count)
    assert summary(database)["trends"]["increasing"] is increasing


def test_the_peak_is_the_hour_of_the_day_with_most_of_all_days(database: Database) -> None:
    store(database, 0.1, count=5)  # 12 h
    store(database, 3, count=4)  # 9 h
    store(database, 27, count=4)
    assert summary(database)["trends"]["peak_hour"] == 12
    assert summary(database, hours=48)["trends"]["peak_hour"] == 9
    store(database, 24.2, count=3)
    # Alike: the earlier.
    assert summary(database, hours=48)["trends"]["peak_hour"] == 9


def test_recent_errors_come_newest_first_by_pages(database: Database) -> None:
    for number in range(7):
        store(database, number, message=f"{number}")
    pages = [recent(database, page=page, limit=3) for page in (1, 2, 3, 4)]
    assert [[row.message for row in rows] for rows, _ in pages] == [["0", "1", "2"], ["3", "4", "5"], ["6"], []]
    assert {total for _, total in pages} == {7}


def test_recent_errors_are_filtered(database: Database) -> None:
    store(database, 1, request_id="req_1", level="critical")
    store(database, 2, request_id="req_2", endpoint="/api/y")
    for wanted, rows in (
        ({"level": "critical"}, ["req_1"]),
        ({"endpoint": "/api/y"}, ["req_2"]),
        ({"request_id": "req_2"}, ["req_2"]),
        ({"request_id": "req_2", "level": "critical"}, []),
        ({}, ["req_1", "req_2"]),
    ):
        found, total = recent(database, **wanted)
        assert ([row.request_id for row in found], total) == (rows, len(rows))
