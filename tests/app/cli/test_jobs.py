"""``jobs``: listing, showing, steering and watching them."""

from __future__ import annotations

import threading
import time

import pytest
from rich.console import Console

from app.cli import progress
from models.db import Database
from models.events import Doorbell
from models.jobs.lifecycle import NewItem
from tests import making
from tests.app.cli.conftest import Run


def test_jobs_are_listed_newest_first_and_by_state(run: Run, database: Database) -> None:
    first, second = making.submit(database), making.submit(database, kind="speech.speak")
    making.end_well(database, first)
    assert [job["id"] for job in run("jobs", "list", "--json").json["jobs"]] == [second.id, first.id]
    assert [job["id"] for job in run("jobs", "list", "--state", "succeeded", "--json").json["jobs"]] == [first.id]
    assert [job["id"] for job in run("jobs", "list", "--kind", "speech.speak", "--json").json["jobs"]] == [second.id]
    assert len(run("jobs", "list", "--limit", "1", "--json").json["jobs"]) == 1
    lines = run("jobs", "list").out.splitlines()
    assert lines[0].split() == ["ID", "KIND", "STATE", "DONE", "CREATED"]
    assert lines[2].split()[:4] == [first.id, "test.job", "succeeded", "100%"]


@pytest.mark.parametrize("arguments", [["--state", "asleep"], ["--kind", "no.kind"]])
def test_a_filter_that_fits_nothing_is_a_slip_and_is_told(arguments: list[str], run: Run, database: Database) -> None:
    shown = run("jobs", "list", *arguments)
    assert (shown.status, shown.out) == (2, "")
    assert arguments[1] in shown.err
    assert "; there are " in shown.err


def test_a_job_is_shown_with_what_failed_of_it(run: Run, database: Database) -> None:
    job = making.submit(database, items=7)
    for item in making.claim_items(database, job, 6):
        making.fail(database, item)
    shown = run("jobs", "show", job.id)
    assert "items     0 of 7, 6 failed" in shown.out
    assert "  item 0: It was broken." in shown.out
    assert "  … and 1 more failed item" in shown.out
    assert run("jobs", "show", job.id, "--json").json["items"] == {"total": 7, "succeeded": 0, "failed": 6}


@pytest.mark.parametrize("command", ["show", "cancel", "pause", "resume", "retry", "watch"])
def test_a_job_that_is_not_there_is_one_sentence(command: str, run: Run, database: Database) -> None:
    shown = run("jobs", command, "nothing")
    assert (shown.status, shown.out, shown.err) == (1, "", "There is no job 'nothing'.\n")


def test_a_job_is_paused_resumed_cancelled_and_queued_again(
    run: Run, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung: list[Doorbell] = []
    monkeypatch.setattr("tasks.submit.ring", lambda doorbell, client: rung.append(doorbell))
    job = making.submit(database)
    states = [run("jobs", command, job.id, "--json").json["state"] for command in ("pause", "resume", "cancel")]
    assert states == ["paused", "queued", "cancelled"]
    refused = run("jobs", "pause", job.id)
    assert (refused.status, refused.err) == (1, f"Job {job.id} is cancelled and cannot be paused.\n")
    assert "state           queued" in run("jobs", "retry", job.id).out
    assert rung == [Doorbell(making.LANE, making.KIND, job.id)] * 2


def test_watching_ends_with_the_job_and_tells_each_change(run: Run, database: Database) -> None:
    job = making.submit(database, items=2)

    def work() -> None:
        for item in making.claim_items(database, job, 2):
            time.sleep(2 * progress.POLL_SECONDS)
            making.finish(database, item)

    worker = threading.Thread(target=work)
    worker.start()
    shown = run("jobs", "watch", job.id)
    worker.join()
    assert shown.status == 0
    assert shown.out.splitlines()[-3:] == ["running 0.5000 1/2", "succeeded 1.0000 2/2", "2 items done."]


def test_watching_a_job_that_failed_exits_with_1(run: Run, database: Database) -> None:
    job = making.submit(database)
    making.fail(database, making.claim(database, job))
    shown = run("jobs", "watch", job.id)
    assert (shown.status, shown.out) == (1, "failed 0.0000\n")
    assert shown.err == f"Job {job.id} failed: It was broken.\n"


def test_the_sentence_tells_what_was_made_found_and_what_failed(database: Database) -> None:
    found = NewItem({"n": 0}, {"clip": "a", "cached": True})
    job = making.submit(database, items=[found, NewItem({"n": 1}), NewItem({"n": 2})])
    made, broken = making.claim_items(database, job, 2)

    def work() -> None:
        time.sleep(2 * progress.POLL_SECONDS)
        making.finish(database, made, {"duration_seconds": 90.0, "cached": False})
        making.fail(database, broken)

    worker = threading.Thread(target=work)
    worker.start()
    ended, sentence = progress.show(database, job.id, Console(), "Speaking")
    worker.join()
    assert ended.state == "succeeded"
    assert sentence.startswith("2 segments spoken, 1 min 30 s of speech in ")
    assert sentence.endswith(f", 1 found ready, 1 failed (`python -m app jobs retry {job.id}` tries them again).")


def test_the_bar_says_how_far_and_how_fast(database: Database) -> None:
    job = making.submit(database, items=2)
    first, second = making.claim_items(database, job, 2)

    def work() -> None:
        time.sleep(1.2)
        making.finish(database, first, {"duration_seconds": 60.0, "cached": False})
        time.sleep(0.6)
        making.finish(database, second, {"duration_seconds": 60.0, "cached": False})

    console = Console(force_terminal=True, width=110, record=True)
    worker = threading.Thread(target=work)
    worker.start()
    progress.show(database, job.id, console, "Speaking")
    worker.join()
    seen = console.export_text()
    assert "1/2" in seen
    assert "× real time" in seen
