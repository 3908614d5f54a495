"""``cleanup``: its report, its exit status, and what it leaves when nobody comes or it is interrupted."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Sequence

import pytest

from app.cli import cleanup as command
from models import cleanups
from models.db import Database
from models.events import Doorbell
from models.jobs.tables import Job
from tests import making
from tests.app.cli.conftest import Run
from tests.conftest import eventually


@pytest.fixture(autouse=True)
def unrung(monkeypatch: pytest.MonkeyPatch) -> list[Doorbell]:
    """No worker hears of what is asked for here."""
    rung: list[Doorbell] = []
    monkeypatch.setattr("tasks.submit.ring", lambda doorbell, client=None: rung.append(doorbell))
    return rung


def newest(database: Database) -> list[Job]:
    with database.transaction() as session:
        return cleanups.newest(session)


def asked_for(database: Database) -> Job:
    (job,) = newest(database)
    return job


def meanwhile(
    database: Database, *, fails: bool = False, errors: Sequence[str] = (), seconds: float = 1.2
) -> threading.Thread:
    """Somebody who takes the cleanup soon, and finishes it a second later."""

    def act() -> None:
        (job,) = eventually(lambda: newest(database))
        claimed = making.claim(database, job)
        time.sleep(seconds)
        if fails:
            making.fail(database, claimed)
        else:
            told = {"errors": list(errors), "error_count": len(errors)}
            making.finish(database, claimed, {"files_removed": 3, "bytes_freed": 30, "duration_seconds": 1.0} | told)

    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_the_report_is_json_and_nothing_else(run: Run, database: Database, unrung: list[Doorbell]) -> None:
    worker = meanwhile(database)
    # It is waited for as long as it takes, once somebody has it.
    shown = run("cleanup", "--target", "outputs", "--max-age-hours", "2.5", "--wait", "1")
    worker.join()
    assert (shown.status, shown.err) == (0, "")
    assert (shown.json["status"], shown.json["files_removed"], shown.json["errors"]) == ("completed", 3, [])
    assert (shown.json["target"], shown.json["max_age_hours"], shown.json["dry_run"]) == ("outputs", 2.5, False)
    job = asked_for(database)
    assert shown.json["job_id"] == job.id
    assert [doorbell.lane for doorbell in unrung] == ["io"]


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        (["tmp/x: Permission denied"], "1 thing failed, the rest was done: tmp/x: Permission denied"),
        (["tmp: gone", "files: gone"], "2 things failed, the rest was done: tmp: gone"),
    ],
)
def test_one_of_which_a_part_failed_exits_with_1(run: Run, database: Database, errors: list[str], said: str) -> None:
    worker = meanwhile(database, errors=errors, seconds=0)
    shown = run("cleanup", "--quiet")
    worker.join()
    assert (shown.status, shown.json["status"], shown.json["errors"]) == (1, "completed", errors)
    assert shown.err == f"Cleanup {shown.json['job_id']}: {said}\n"


def test_a_quiet_one_says_nothing_when_all_went_well(run: Run, database: Database) -> None:
    worker = meanwhile(database, seconds=0)
    shown = run("cleanup", "--quiet")
    worker.join()
    assert (shown.status, shown.out, shown.err) == (0, "", "")


def test_one_that_fails_exits_with_1(run: Run, database: Database) -> None:
    worker = meanwhile(database, fails=True)
    shown = run("cleanup", "--dry-run")
    worker.join()
    assert shown.status == 1
    assert (shown.json["status"], shown.json["dry_run"]) == ("failed", True)
    assert shown.err.endswith("failed: It was broken.\n")


def test_one_that_nobody_takes_is_cancelled_and_told(run: Run, database: Database) -> None:
    shown = run("cleanup", "--wait", "1")
    assert (shown.status, shown.json["status"]) == (1, "cancelled")
    assert "no worker of lane io took it within 1 s" in shown.err
    assert asked_for(database).state == "cancelled"


def test_ctrl_c_cancels_it(run: Run, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command.time, "sleep", interrupt)
    shown = run("cleanup")
    assert (shown.status, shown.out) == (130, "")
    assert asked_for(database).state == "cancelled"


def test_sigterm_cancels_it(run: Run, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(command.time, "sleep", lambda seconds: signal.raise_signal(signal.SIGTERM))
    shown = run("cleanup")
    assert (shown.status, shown.out) == (143, "")
    assert asked_for(database).state == "cancelled"
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--target", value] for value in ("everything", "", "ALL")),
        *([f"--max-age-hours={value}"] for value in ("-1", "87601", "nan", "inf", "x", "")),
        *([f"--wait={value}"] for value in ("0", "-1", "x")),
        ["temp"],
    ],
    ids=str,
)
def test_what_makes_no_sense_exits_with_2_and_asks_for_nothing(
    run: Run, database: Database, arguments: list[str]
) -> None:
    shown = run("cleanup", *arguments)
    assert (shown.status, shown.out) == (2, "")
    assert newest(database) == []
