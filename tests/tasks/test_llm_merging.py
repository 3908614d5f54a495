"""Merging as a job: adapter and base model become one, once, whatever happens on the way; and previews."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func

from models import file_owners
from models.db import Database
from models.jobs import lifecycle
from models.jobs.tables import Job
from models.llm import merged, sessions
from tasks import run
from tasks.process import Process
from tests import llm_trainer, making, tuning

PREVIEW = "llm.preview"


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch, process: Process, tmp_path: Path) -> None:
    """The stand-in merges, in a folder of the test's own."""
    tuning.stands_in(monkeypatch, process, tmp_path)


@pytest.fixture
def act(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Says what the stand-in does beside its work."""
    return lambda what: monkeypatch.setenv("STAND_IN", what)


def trained(process: Process, database: Database) -> str:
    """A session that has its adapter."""
    job = tuning.queued(database, process.files)
    run.run_slice(sessions.KIND, job.id)
    assert making.read(database, job).state == "succeeded"
    return job.id


def merging(database: Database, session_id: str, dtype: str = "bfloat16") -> Job:
    """A merge that was asked for, on a lane that nobody serves."""
    with database.transaction() as session:
        row = merged.wanted(session, session_id, dtype)
        assert row is not None
        adapter = {name: each["file"] for name, each in row.files.items()}
    params = {"session_id": session_id, "adapter": adapter, "dtype": dtype}
    params["base_model"] = {"id": tuning.BASE, "path": "/nowhere", "format": "folder"}
    job = making.submit(database, id=f"merge_{dtype}", kind=merged.KIND, params=params)
    with database.transaction() as session:
        merged.begin(sessions.get(session, session_id, visible_to=None).row, job_id=job.id, dtype=dtype)
    return job


def status(database: Database, session_id: str) -> dict[str, Any]:
    with database.transaction() as session:
        found = merged.status(session, sessions.get(session, session_id, visible_to=None).row)
    assert found is not None
    return found


def test_a_merge_leaves_a_model_that_nobody_sweeps(process: Process, database: Database) -> None:
    made = trained(process, database)
    job = merging(database, made)
    assert status(database, made)["status"] == "queued"
    run.run_slice(merged.KIND, job.id)
    done = making.read(database, job)
    assert (done.state, done.error_code) == ("succeeded", None)
    files = (tuning.stored(database, made).merged or {})["files"]
    assert set(files) == {"README.md", "config.json", "model.safetensors"}
    learned = f"bfloat16 of adapter/adapter_model.safetensors of {made}".encode()
    assert process.files.path(files["model.safetensors"]["file"]).read_bytes() == learned
    report = json.loads(process.files.path(files["README.md"]["file"]).read_text())
    assert report["last_loss"] == 2.0 / llm_trainer.STEPS
    whole = sum(each["size_bytes"] for each in files.values())
    assert done.result == {"session_id": made, "size_bytes": whole}
    told = status(database, made)
    assert (told["status"], told["progress"], told["size_bytes"], told["error"]) == ("completed", 100.0, whole, None)
    names = [each["file"] for each in files.values()]
    with database.transaction() as session:
        assert file_owners.known(session, names) == set(names)
    assert not tuning.folder_of(process.settings, job.id).exists()
    # The adapter is as it was.
    assert process.files.exists(tuning.stored(database, made).files["adapter_model.safetensors"]["file"])


def test_another_type_takes_the_place_of_the_first_and_the_same_is_not_made_again(
    process: Process, database: Database
) -> None:
    made = trained(process, database)
    first = merging(database, made)
    run.run_slice(merged.KIND, first.id)
    with database.transaction() as session:
        assert merged.wanted(session, made, "bfloat16") is None
    second = merging(database, made, "float32")
    run.run_slice(merged.KIND, second.id)
    files = (tuning.stored(database, made).merged or {})["files"]
    assert process.files.path(files["model.safetensors"]["file"]).read_bytes().startswith(b"float32 of ")


def test_a_merge_whose_process_dies_is_tried_again(
    process: Process, database: Database, act: Callable[[str], None]
) -> None:
    made = trained(process, database)
    job = merging(database, made)
    act("die Merging")
    run.run_slice(merged.KIND, job.id)
    assert making.read(database, job).error_code == "training_died"
    making.change(database, job, run_after=func.now())
    run.run_slice(merged.KIND, job.id)
    assert (making.read(database, job).state, status(database, made)["status"]) == ("succeeded", "completed")


def test_a_merge_that_cannot_be_done_says_why_and_may_be_asked_for_again(
    process: Process, database: Database, act: Callable[[str], None]
) -> None:
    made = trained(process, database)
    act("refuse")
    job = merging(database, made)
    run.run_slice(merged.KIND, job.id)
    told = status(database, made)
    assert told["status"] == "failed"
    assert told["error"] == {"code": "ADAPTER_MISMATCH", "message": "The adapter does not fit."}
    with database.transaction() as session:
        assert merged.wanted(session, made, "bfloat16") is not None


def test_a_session_that_is_gone_gets_no_model(process: Process, database: Database) -> None:
    made = trained(process, database)
    job = merging(database, made)
    with database.transaction() as session:
        session.delete(sessions.get(session, made, visible_to=None).row)
        lifecycle.delete(session, made)
    run.run_slice(merged.KIND, job.id)
    assert making.read(database, job).state == "succeeded"


def preview(process: Process, database: Database) -> Job:
    """A preview of one prompt that was asked for."""
    row = {"prompt_id": 7, "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
    base = {"id": tuning.BASE, "path": "/nowhere", "format": "folder"}
    rows = process.files.put(json.dumps(row).encode() + b"\n")
    params = {"base_model": base, "config": {"lora_r": 4}, "rows": rows}
    return making.submit(database, kind=PREVIEW, params=params, live=True)


def test_a_preview_is_answered_and_leaves_nothing(process: Process, database: Database) -> None:
    job = preview(process, database)
    run.run_slice(PREVIEW, job.id)
    done = making.read(database, job)
    assert done.state == "succeeded"
    assert done.result is not None
    assert [each["prompt_id"] for each in done.result["prompts"]] == [7]
    assert done.result["warnings"] == ['{"lora_r": 4}']
    assert not tuning.folder_of(process.settings, job.id).exists()


def test_a_preview_that_cannot_be_made_says_why(
    process: Process, database: Database, act: Callable[[str], None]
) -> None:
    act("refuse")
    job = preview(process, database)
    run.run_slice(PREVIEW, job.id)
    failed = making.read(database, job)
    assert (failed.state, failed.error_code) == ("failed", "rows_too_long")
    assert not tuning.folder_of(process.settings, job.id).exists()
