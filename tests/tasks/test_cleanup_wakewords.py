"""What cleanups leave of wake words: models, captures, unfinished trainings; and what they take."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from models import wake_captures, wake_models, wake_trainings
from models.db import Database
from models.files import FileStore
from models.jobs.tables import Job
from models.wake_captures import WakeCapture
from models.wake_models import WakeModel
from tasks.process import Process
from tests import making, waking
from tests.tasks.cleaning import OLD, YOUNG, age, clean, put, went, write


@pytest.fixture(autouse=True)
def of_its_own(process: Process, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """This worker, with a folder and a store of its own."""
    monkeypatch.setattr(process, "settings", dataclasses.replace(process.settings, var_dir=tmp_path))
    monkeypatch.setattr(process, "files", FileStore(tmp_path / "files"))


def age_all(process: Process) -> None:
    for path in process.files.root.glob("??/*"):
        age(path, OLD)


def capture(database: Database, file: str) -> None:
    with database.transaction() as session:
        about = {"size_bytes": 1, "duration_seconds": 1.0, "account_id": None}
        wake_captures.add(session, slug="jarvis", kind="miss", file=file, **about)


def test_a_cleanup_of_everything_leaves_models_captures_and_what_trainings_need(
    process: Process, database: Database
) -> None:
    recording = {"file": put(process, "first"), "name": "a.wav", "size_bytes": 5, "duration_seconds": 1.0}
    for _ in range(2):
        waking.model(database, process.files, recordings=[recording])
    waking.train(database, process.files, "other")
    capture(database, put(process, "captured"))
    age_all(process)
    before = {path.name for path in process.files.root.glob("??/*")}
    assert len(before) == 2 * 6 + 3
    stray = put(process, "nobody's")
    assert went(clean(database)) == {"files_without_rows": (1, 8, 0)}
    assert not process.files.exists(stray)
    assert {path.name for path in process.files.root.glob("??/*")} == before


def test_files_go_when_their_word_does(process: Process, database: Database) -> None:
    waking.model(database, process.files)
    age_all(process)
    with database.transaction() as session:
        wake_models.remove(session, "jarvis")
    result = clean(database)
    assert result["files_removed"] == 6
    assert not list(process.files.root.glob("??/*"))


def test_an_old_job_goes_and_its_model_stays_with_its_files(process: Process, database: Database) -> None:
    job = waking.train(database, process.files)
    making.end_well(database, job)
    waking.model(database, process.files, job_id=job.id)
    making.change(database, job, finished_at=func.now() - timedelta(days=400))
    age_all(process)
    # The recording was the training's alone; it is found without a row when the job has gone.
    clean(database)
    clean(database)
    with database.transaction() as session:
        assert session.scalars(select(Job).where(Job.id == job.id)).one_or_none() is None
        model = session.scalars(select(WakeModel)).one()
        assert model.job_id is None
        assert all(process.files.exists(each["file"]) for each in model.files.values())
    assert len(list(process.files.root.glob("??/*"))) == 6


def test_folders_of_trainings_go_a_day_after_their_end(process: Process, database: Database) -> None:
    folders = wake_trainings.folders(process.settings.var_dir)
    running, ended, old = (waking.train(database, process.files, word) for word in ("one", "two", "three"))
    making.claim(database, running)
    for job in (ended, old):
        making.end_well(database, job)
    making.change(database, old, finished_at=func.now() - timedelta(days=2))
    listening = making.submit(database, kind=wake_trainings.LISTEN, params={"upload": "wanted"})
    for name in (running.id, ended.id, old.id, "nobodys"):
        write(folders.root / name / "plan.json", OLD)
        age(folders.root / name, OLD)
    write(folders.root / "young" / "plan.json", YOUNG)
    write(folders.uploads / "wanted", OLD)
    write(folders.uploads / "sent", OLD)
    write(folders.uploads / "sent just now", YOUNG)
    write(folders.negatives / "mine" / "source.json", OLD)
    write(folders.packages / "sounds.deb", OLD)
    for kept in (folders.uploads, folders.negatives, folders.packages):
        age(kept, OLD)
    expected = {"training_folders": (3, 15, 0)}
    assert went(clean(database, "temp", dry=True)) == expected
    assert went(clean(database, "temp")) == expected
    left = {str(path.relative_to(folders.root)) for path in folders.root.rglob("*") if path.is_file()}
    assert left == {
        *(f"{name}/plan.json" for name in (running.id, ended.id, "young")),
        *("uploads/wanted", "uploads/sent just now", "negatives/mine/source.json", "packages/sounds.deb"),
    }
    assert making.read(database, listening).state == "queued"


def test_a_capture_whose_file_is_gone_goes_and_a_model_whose_files_are_gone_stays(
    process: Process, database: Database
) -> None:
    waking.model(database, process.files)
    for path in process.files.root.glob("??/*"):
        path.unlink()
    capture(database, put(process, "there"))
    capture(database, "f" * 64)
    with database.transaction() as session:
        session.execute(update(WakeCapture).values(created_at=func.now() - timedelta(days=2)))
    assert went(clean(database)) == {"captures_without_files": (0, 0, 1)}
    with database.transaction() as session:
        assert len(session.scalars(select(WakeCapture)).all()) == 1
        assert session.scalars(select(WakeModel)).one().name == "jarvis@1"


def test_where_the_store_is_not_mounted_no_capture_is_forgotten(process: Process, database: Database) -> None:
    capture(database, "f" * 64)
    with database.transaction() as session:
        session.execute(update(WakeCapture).values(created_at=func.now() - timedelta(days=2)))
    result = clean(database, "old_files")
    assert any("mounted" in text for text in result["errors"])
    with database.transaction() as session:
        assert len(session.scalars(select(WakeCapture)).all()) == 1
