"""Errors: collapsed over all processes, without secrets, counted to the last."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text

from config.settings import Settings
from models import error_reports, forgetting
from models.base import utc_now
from models.db import Database
from models.error_reports import ROWS_A_MINUTE, ErrorReport, Report
from tests import making

NOON = datetime(2026, 1, 15, 12, 0, 30, tzinfo=UTC)


def said(
    number: int = 0, *, at: datetime = NOON, endpoint: str = "/api/x", code: str = "broken", **more: Any
) -> Report:
    fields = {"message": f"It was broken, {number}.", "request_id": f"req_{number}"} | more
    message = fields.pop("message")
    return error_reports.report(at, endpoint, code, error_reports.ERROR, message, **fields)


def record(database: Database, *reports: Report) -> None:
    with database.transaction() as session:
        error_reports.record(session, reports)


def rows(database: Database) -> list[ErrorReport]:
    with database.transaction() as session:
        return list(session.scalars(select(ErrorReport).order_by(ErrorReport.endpoint, ErrorReport.slot)))


def test_the_first_errors_of_a_minute_have_a_row_each_and_the_last_row_counts_the_rest(database: Database) -> None:
    record(database, *(said(number, at=NOON + timedelta(milliseconds=number)) for number in range(25)))
    found = rows(database)
    assert [row.slot for row in found] == list(range(ROWS_A_MINUTE))
    assert [row.count for row in found] == [1] * (ROWS_A_MINUTE - 1) + [25 - ROWS_A_MINUTE + 1]
    assert [row.request_id for row in found] == [f"req_{number}" for number in [*range(ROWS_A_MINUTE - 1), 24]]


def test_later_errors_of_the_same_minute_are_counted_in_the_last_row_which_shows_the_newest(database: Database) -> None:
    record(database, *(said(number) for number in range(ROWS_A_MINUTE - 1)))
    record(database, said(100, at=NOON + timedelta(seconds=1)), said(101, at=NOON + timedelta(seconds=2)))
    record(database, said(102, at=NOON + timedelta(seconds=5), message="The newest."))
    # One that could not be written before.
    record(database, said(103, at=NOON + timedelta(seconds=3), message="An older one."))
    last = rows(database)[-1]
    assert (len(rows(database)), last.count, last.request_id) == (ROWS_A_MINUTE, 4, "req_102")
    assert (last.message, last.at) == ("The newest.", NOON + timedelta(seconds=5))


def test_another_minute_endpoint_or_code_has_rows_of_its_own(database: Database) -> None:
    for number in range(2 * ROWS_A_MINUTE):
        record(
            database,
            said(number),
            said(number, at=NOON + timedelta(minutes=1)),
            said(number, endpoint="/api/y"),
            said(number, code="lost"),
        )
    found = rows(database)
    assert len(found) == 4 * ROWS_A_MINUTE
    assert sum(row.count for row in found) == 8 * ROWS_A_MINUTE


def test_many_threads_at_once_keep_to_the_rows_and_lose_no_count(database: Database) -> None:
    def write(process: int) -> None:
        for turn in range(20):
            groups = [said(turn, endpoint=f"/api/{number}") for number in range(3)]
            # In an order of its own.
            record(database, *(groups if process % 2 else reversed(groups)))

    making.at_once(8, write)
    found = rows(database)
    assert len(found) == 3 * ROWS_A_MINUTE
    assert sum(row.count for row in found) == 8 * 20 * 3
    assert {row.slot for row in found} == set(range(ROWS_A_MINUTE))


WRITING = """
import sys
from datetime import datetime
from models import error_reports
from models.db import Database
database = Database(sys.argv[1], lambda signals: None, pool_size=1)
at = datetime.fromisoformat(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for turn in range(40):
    with database.transaction() as session:
        found = [error_reports.report(at, "/api/x", "broken", "error", f"{turn}") for _ in range(3)]
        error_reports.record(session, found)
"""


def test_many_processes_at_once_keep_to_the_rows_and_lose_no_count(configured: Settings, database: Database) -> None:
    argv = [sys.executable, "-c", WRITING, configured.database_url, NOON.isoformat()]
    processes = [
        subprocess.Popen(
            argv, cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    assert [process.communicate(timeout=60)[1] for process in processes] == [b""] * 4
    found = rows(database)
    assert (len(found), sum(row.count for row in found)) == (ROWS_A_MINUTE, 4 * 40 * 3)


def test_a_job_that_fails_for_good_is_counted_under_its_kind(database: Database) -> None:
    job = making.submit(database, request_id="req_of_the_job")
    making.fail(database, making.claim(database, job), code="broken", again_in=0.0)
    assert rows(database) == []
    making.fail(database, making.claim(database, job), code="broken")
    (row,) = rows(database)
    assert (row.endpoint, row.code, row.level, row.count) == (making.KIND, "broken", "error", 1)
    assert (row.job_id, row.request_id, row.status) == (job.id, "req_of_the_job", None)
    assert (row.message, row.at) == ("It was broken.", making.read(database, job).finished_at)


def test_a_job_fails_with_its_last_item_and_once(database: Database) -> None:
    job = making.submit(database, items=3)
    for item in making.claim_items(database, job, 3):
        assert rows(database) == []
        making.fail(database, item)
    (row,) = rows(database)
    assert (row.job_id, row.count) == (job.id, 1)


def test_of_a_job_that_did_not_fail_there_is_no_error(database: Database) -> None:
    job = making.submit(database, items=2)
    first, second = making.claim_items(database, job, 2)
    making.fail(database, first)
    making.finish(database, second)
    assert making.read(database, job).state == "succeeded"
    making.end_well(database, making.submit(database))
    assert rows(database) == []


def test_a_failure_that_is_rolled_back_is_not_counted(database: Database) -> None:
    job = making.claim(database, making.submit(database))

    class Lost(Exception):
        pass

    def fail_and_lose() -> None:
        with database.transaction() as session:
            making.work.fail(session, job, code="broken", message="It was.")
            session.rollback()
            session.execute(text("select 1"))
        with database.transaction() as session:
            making.work.fail(session, job, code="broken", message="It was.")
            raise Lost

    with pytest.raises(Lost):
        fail_and_lose()
    assert rows(database) == []
    assert making.read(database, job).state == "running"


def test_jobs_that_fail_at_once_are_each_counted(database: Database) -> None:
    jobs = [making.claim(database, making.submit(database)) for _ in range(24)]
    making.at_once(8, lambda number: [making.fail(database, job) for job in jobs[number::8]])
    found = rows(database)
    assert sum(row.count for row in found) == 24
    # The test may have begun at the end of a minute.
    assert len(found) <= 2 * ROWS_A_MINUTE


def test_whoever_fails_a_job_holds_nobody_up_until_the_commit(database: Database) -> None:
    first, second = (making.claim(database, making.submit(database)) for _ in range(2))
    with database.transaction() as session:
        making.work.fail(session, first, code="broken", message="It was.")
        # In a transaction of its own, which would wait for ever.
        making.fail(database, second)
    assert sum(row.count for row in rows(database)) == 2


SECRETS = {
    "Authorization: Bearer abcdefgh12345678": "abcdefgh12345678",
    "The key vw_0123456789abcdef was not good.": "0123456789abcdef",
    "postgresql://me:hunter22@db/voice is away": "hunter22",
    "GET http://x/?token=tk_13579&x=1 was refused": "tk_13579",
    "'password': 'correct horse'": "correct horse",
    "role: 'x' is not one of these; password: 13572468 is not a text": "13572468",
    "new_password: ['a;b', 'staple'] is not a text": "staple",
    "refresh_token: {'a': 'battery'} is not a text": "battery",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl": "eyJzdWIiOiIxIn0",
    # One that would be cut in two.
    "x" * 480 + " secret=" + "s3cr3t-" * 20: "s3cr3t-",
}


@pytest.mark.parametrize("message", SECRETS, ids=range(len(SECRETS)))
def test_a_credential_in_a_message_is_not_stored(database: Database, message: str) -> None:
    record(database, said(message=message, endpoint="/api/y", request_id=None))
    (row,) = rows(database)
    assert SECRETS[message] not in str(making.row(row))
    assert "…" in row.message


def test_a_credential_for_a_request_id_is_not_stored(database: Database) -> None:
    record(database, said(request_id="vw_0123456789abcdef"))
    assert "0123456789abcdef" not in str(making.row(rows(database)[0]))


@pytest.mark.parametrize("message", ["a\0b", "a\ud800b", "a" * 10_000, ""], ids=["NUL", "surrogate", "long", "empty"])
def test_whatever_a_message_holds_can_be_stored(database: Database, message: str) -> None:
    record(database, said(message=message, code="Not a code!", endpoint="/" + "x" * 5000))
    (row,) = rows(database)
    assert len(row.message) <= error_reports.MESSAGE_CHARACTERS
    assert row.code == "error"
    assert len(row.endpoint) <= 200


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("192.168.1.100", "192.168.1.0"),
        ("10.0.0.255", "10.0.0.0"),
        ("2001:db8:1:2::/64", "2001:db8:1::"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("nowhere", None),
        ("<script>", None),
        ("", None),
    ],
)
def test_of_an_address_only_the_network_is_kept(address: str, shown: str | None) -> None:
    assert error_reports.masked(address) == shown


@pytest.mark.parametrize(
    ("status", "level"),
    [
        *((500, "critical"), (502, "error"), (503, "error"), (504, "error")),
        *((status, "error") for status in (400, 409, 413, 415, 416, 422)),
        *((status, "warning") for status in (401, 403, 404, 405, 429)),
    ],
)
def test_a_status_has_its_level(status: int, level: str) -> None:
    assert error_reports.level_of(status) == level


def test_old_errors_are_forgotten_and_counted_before(database: Database) -> None:
    now = utc_now()
    record(database, *(said(at=now - timedelta(days=days), endpoint=f"/{days:02d}") for days in (0, 29, 31, 40)))
    with database.transaction() as session:
        assert error_reports.count_old(session, 30) == 2
        assert error_reports.forget_old(session, 30) == 2
        assert error_reports.count_old(session, 30) == 0
    assert [row.endpoint for row in rows(database)] == ["/00", "/29"]


def test_very_many_errors_are_forgotten_in_parts(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "ROWS_AT_ONCE", 2)
    record(database, *(said(at=utc_now() - timedelta(days=31), endpoint=f"/{number}") for number in range(5)))
    record(database, said(at=utc_now()))
    with database.transaction() as session:
        assert error_reports.forget_old(session, 30) == 5
    assert len(rows(database)) == 1


def test_of_too_many_errors_the_oldest_are_forgotten(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(error_reports, "ROWS_KEPT", 3)
    for number in range(5):
        record(database, said(at=utc_now(), endpoint=f"/{number}"))
    with database.transaction() as session:
        assert error_reports.count_old(session, 30) == 2
        assert error_reports.forget_old(session, 30) == 2
        assert session.scalar(select(func.count()).select_from(ErrorReport)) == 3
    assert [row.endpoint for row in rows(database)] == ["/2", "/3", "/4"]
