"""Building the negative cache as a job: from folders and prompts, stopped, tried again."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from models import wake_trainings
from models.db import Database
from models.jobs import lifecycle
from models.jobs.tables import Job
from tasks import run
from tasks.process import Process
from tests import making, waking
from workers.wakeword import prompts


@pytest.fixture(autouse=True)
def own_folder(process: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of the test's own."""
    monkeypatch.setattr(process, "settings", dataclasses.replace(process.settings, var_dir=tmp_path))


def build(database: Database) -> Job:
    job = making.submit(database, kind=wake_trainings.NEGATIVES, params={"max_workers": 2}, doorbells=0)
    run.run_slice(wake_trainings.NEGATIVES, job.id)
    return making.read(database, job)


@pytest.fixture
def own_sound(own_folder: None, process: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the settings name, with two speakers, on a machine without Debian's prompts."""
    folder = tmp_path / "mine"
    for speaker in ("anna", "bert"):
        (folder / speaker).mkdir(parents=True)
        (folder / speaker / "talk.wav").write_bytes(waking.sound(12.0))
    (folder / "LICENCE").write_text("CC0-1.0\n")
    monkeypatch.setattr(prompts, "INSTALLED", tmp_path / "nothing")
    monkeypatch.setattr(process, "settings", dataclasses.replace(process.settings, wakeword_folders=(folder,)))
    return folder


def test_the_cache_is_built_from_folders_where_prompts_are_not_to_be_had(
    process: Process, database: Database, own_sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nothing")
    done = build(database)
    assert done.state == "succeeded", done.error_message
    assert done.result is not None
    assert done.result["chunk_count"] >= 2
    assert done.result["size_bytes"] > 0
    (note,) = done.result["notes"]
    assert "cannot be fetched" in note
    again_done = build(database)
    assert again_done.result is not None
    assert again_done.result["chunk_count"] == done.result["chunk_count"]


def test_where_nothing_is_to_be_had_the_build_is_tried_again_and_says_why(
    process: Process, database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(prompts, "INSTALLED", tmp_path / "nothing")
    monkeypatch.setenv("PATH", "/nothing")
    waiting = build(database)
    assert (waiting.state, waiting.error_code) == ("queued", "prompts_missing")


def test_a_build_that_is_cancelled_stops_and_what_was_read_stays(
    process: Process, database: Database, own_sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nothing")
    job = making.submit(database, kind=wake_trainings.NEGATIVES, params={"max_workers": 1}, doorbells=0)
    told = run.Work.report

    def cancel(self: run.Work, progress: float, phase: str) -> None:
        if progress >= 0.5 and making.read(database, job).state == "running":
            with database.transaction() as session:
                lifecycle.cancel(session, job.id)
            self._reported_at = 0.0
        told(self, progress, phase)

    monkeypatch.setattr(run.Work, "report", cancel)
    run.run_slice(wake_trainings.NEGATIVES, job.id)
    assert making.read(database, job).state == "cancelled"
    monkeypatch.setattr(run.Work, "report", told)
    assert build(database).state == "succeeded"
