"""Fine-tuning as a job: what the process is given, what is kept of what it says, and how it ends, whatever happens."""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func

from config.settings import Settings
from models.db import Database
from models.files import FileStore
from models.jobs import lifecycle
from models.jobs.tables import Job
from models.llm import sessions, workers
from models.llm.sessions import KIND
from tasks import run, sweep_files, worker
from tasks.process import Process
from tasks.sweeps import Ground
from tests import llm_trainer, making, tuning
from tests.conftest import eventually
from tests.llm_trainer import PHASES, STEPS, lives
from tests.tuning import WITHIN_SECONDS


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch, process: Process, tmp_path: Path) -> None:
    """The stand-in trains, in a folder of the test's own."""
    tuning.stands_in(monkeypatch, process, tmp_path)


@pytest.fixture
def act(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Says what the stand-in does beside training."""
    return lambda what: monkeypatch.setenv("STAND_IN", what)


def settings_of(process: Process) -> Settings:
    return process.settings


def folder_of(process: Process, job: Job) -> Path:
    return tuning.folder_of(process.settings, job.id)


def detail(database: Database, job: Job) -> dict[str, Any]:
    return tuning.stored(database, job.id).detail


def again(database: Database, job: Job) -> None:
    """The next try, without the pause before it."""
    making.change(database, job, run_after=func.now())
    run.run_slice(KIND, job.id)


def in_thread(job: Job) -> threading.Thread:
    """A worker at the job, in a thread of its own."""
    thread = threading.Thread(target=run.run_slice, args=[KIND, job.id])
    thread.start()
    return thread


def test_a_training_ends_with_stored_files_and_all_that_was_told(process: Process, database: Database) -> None:
    job = tuning.queued(database, process.files)
    run.run_slice(KIND, job.id)
    done = making.read(database, job)
    last = llm_trainer.step(STEPS)
    assert (done.state, done.progress, done.error_code) == ("succeeded", 1.0, None)
    assert done.result == {"session_id": job.id, "loss": last["loss"]}
    row = tuning.stored(database, job.id)
    assert (row.outcome, row.ended_at is not None) == ("completed", True)
    assert tuning.curve(database, job.id) == [llm_trainer.step(number) for number in range(1, STEPS + 1)]
    assert row.detail["data_stats"] == llm_trainer.stats(1)
    assert row.detail["report"]["first_loss"] == 2.0
    assert set(row.files) == {
        *("README.md", "adapter_config.json", "adapter_model.safetensors", "curve.png", "report.json")
    }
    for each in row.files.values():
        assert process.files.size(each["file"]) == each["size_bytes"]
    assert not folder_of(process, job).exists()


def test_the_plan_says_all_that_was_asked(
    process: Process, database: Database, act: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKER_THREADS", "3")
    monkeypatch.setenv("WORKER_DEVICE", "cuda:0")
    job = tuning.queued(database, process.files, name="Mine")
    with database.transaction() as session:
        sessions.get(session, job.id, visible_to=None).row.config = {"num_epochs": 7}
    act("always die")
    run.run_slice(KIND, job.id)
    folder = folder_of(process, job)
    plan = json.loads((folder / "plan.json").read_text())
    assert plan == {
        "name": "Mine",
        "base_model": job.params["base_model"] | {"cache": str(sessions.folders(settings_of(process).var_dir).bases)},
        "config": {"num_epochs": 7},
        "threads": 3,
        "device": "cuda:0",
    }
    assert (folder / "rows.jsonl").read_bytes() == process.files.path(job.params["rows"]).read_bytes()


def test_the_engine_reads_the_plan_as_it_was_meant(
    process: Process, database: Database, act: Callable[[str], None]
) -> None:
    from workers.llm import plan as plans

    job = tuning.queued(database, process.files)
    act("always die")
    run.run_slice(KIND, job.id)
    folder = folder_of(process, job)
    plan, (row,) = plans.read(folder), plans.read_rows(folder)
    assert plan.base_model.cache == sessions.folders(settings_of(process).var_dir).bases
    assert (plan.base_model.id, plan.base_model.path, plan.name) == (tuning.BASE, Path("/nowhere"), "session")
    assert [message["content"] for message in row.messages] == ["q", "a"]


def test_a_process_that_died_goes_on_with_the_next_try(
    process: Process, database: Database, act: Callable[[str], None]
) -> None:
    act("die 5")
    job = tuning.queued(database, process.files)
    run.run_slice(KIND, job.id)
    waiting = making.read(database, job)
    assert (waiting.state, waiting.error_code, waiting.attempts) == ("queued", "training_died", 1)
    assert "signal 9" in str(waiting.error_message)
    assert tuning.curve(database, job.id)[-1]["step"] == 5
    again(database, job)
    assert making.read(database, job).state == "succeeded"
    assert [each["step"] for each in tuning.curve(database, job.id)] == list(range(1, STEPS + 1))
    assert len(tuning.starts(settings_of(process), job.id)) == 2


def test_one_that_always_dies_fails_in_the_end(
    process: Process, database: Database, act: Callable[[str], None]
) -> None:
    act("always die")
    job = tuning.queued(database, process.files)
    run.run_slice(KIND, job.id)
    for _ in range(4):
        again(database, job)
    failed = making.read(database, job)
    assert (failed.state, failed.error_code, failed.attempts) == ("failed", "training_died", 5)
    # A retry goes on with what it has.
    assert (folder_of(process, job) / "checkpoint").exists()


def test_what_it_cannot_do_is_said_at_once_and_not_tried_again(
    process: Process, database: Database, act: Callable[[str], None]
) -> None:
    act("refuse")
    job = tuning.queued(database, process.files)
    run.run_slice(KIND, job.id)
    failed = making.read(database, job)
    assert (failed.state, failed.error_code, failed.attempts) == ("failed", "rows_too_long", 1)
    assert not folder_of(process, job).exists()


def test_what_is_no_message_does_no_harm(process: Process, database: Database, act: Callable[[str], None]) -> None:
    act("babble")
    job = tuning.queued(database, process.files)
    run.run_slice(KIND, job.id)
    assert making.read(database, job).state == "succeeded"


def test_without_its_prompts_it_fails_and_says_so(process: Process, database: Database) -> None:
    job = tuning.queued(database, process.files)
    process.files.path(job.params["rows"]).unlink()
    run.run_slice(KIND, job.id)
    failed = making.read(database, job)
    assert (failed.state, failed.error_code) == ("failed", "dataset_gone")


@pytest.mark.parametrize("how", ["hang", "deaf"])
@pytest.mark.parametrize("phase", PHASES)
def test_a_cancelled_one_is_gone_within_seconds_in_every_phase(
    process: Process, database: Database, act: Callable[[str], None], phase: str, how: str
) -> None:
    act(f"{how} {phase}")
    job = tuning.queued(database, process.files)
    folder = folder_of(process, job)
    thread = in_thread(job)
    eventually((folder / "hangs").exists)
    (pid,) = tuning.starts(settings_of(process), job.id)
    with database.transaction() as session:
        lifecycle.cancel(session, job.id)
    thread.join(WITHIN_SECONDS)
    assert not thread.is_alive()
    assert not lives(pid)
    assert making.read(database, job).state == "cancelled"
    assert not folder.exists()


def test_a_full_disk_is_waited_for(process: Process, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    job = tuning.queued(database, process.files)
    whole = FileStore.take

    def full(store: FileStore, path: Path) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(FileStore, "take", full)
    run.run_slice(KIND, job.id)
    waiting = making.read(database, job)
    assert (waiting.state, waiting.error_code) == ("queued", "disk_full")
    monkeypatch.setattr(FileStore, "take", whole)
    again(database, job)
    assert making.read(database, job).state == "succeeded"
    # What was trained is not trained again.
    assert len(tuning.starts(settings_of(process), job.id)) == 1


def test_what_a_drained_worker_took_before_it_knew_is_given_back(process: Process, database: Database) -> None:
    with database.transaction() as session:
        number = workers.number(session, process.node)
        workers.drain(session, number, drained=True)
    job = tuning.queued(database, process.files)
    run.run_slice(KIND, job.id)
    waiting = making.read(database, job)
    assert (waiting.state, waiting.attempts, waiting.waits_on) == ("queued", 0, workers.UNDRAINED)
    assert not folder_of(process, job).exists()
    with database.transaction() as session:
        workers.drain(session, number, drained=False)
    assert making.read(database, job).waits_on is None
    again(database, job)
    assert making.read(database, job).state == "succeeded"


def test_folders_go_a_day_after_their_end_and_unpacked_base_models_stay(
    process: Process, database: Database, root: Path, act: Callable[[str], None]
) -> None:
    folders = sessions.folders(root)
    act("always die")
    jobs = [tuning.queued(database, process.files) for _ in range(3)]
    for job in jobs:
        run.run_slice(KIND, job.id)
    for job, hours in ((jobs[0], 25), (jobs[1], 23)):
        with database.transaction() as session:
            lifecycle.cancel(session, job.id)
        making.change(database, job, finished_at=func.now() - func.make_interval(0, 0, 0, 0, hours))
    (folders.bases / "unpacked").mkdir(parents=True)
    for path in (*folders.root.iterdir(), folders.bases / "unpacked"):
        os.utime(path, (1, 1))
    said: list[str] = []
    ground = Ground(process, now=root.stat().st_mtime, failed=said.append)
    for candidate in sweep_files.of_sessions(ground):
        candidate.remove()
    assert said == []
    left = {path.name for path in folders.root.iterdir() if path.is_dir()}
    assert left == {"bases", jobs[1].id, jobs[2].id}
    shutil.rmtree(folders.root)


def test_a_worker_takes_what_is_meant_for_it_first_and_nothing_while_it_is_drained(
    process: Process, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    queues = worker.app.amqp.Queues(worker.app.conf.task_queues)
    with database.transaction() as session:
        number = workers.number(session, process.node)
    own = workers.lane_of(number)

    def consumed(*asked: str) -> list[str]:
        """What a worker of these lanes takes from in the end, in its order; the register has its own in any case."""
        queues.select(asked)
        with monkeypatch.context() as patch:
            patch.setattr(worker.app.amqp, "queues", queues)
            assert worker._own_lane(process, queues) == ([own] if "llm" in asked else [])
        return list(queues.consume_from)

    assert consumed("wakeword", "llm") == ["wakeword", own, "llm"]
    assert consumed("wakeword") == ["wakeword"]
    with database.transaction() as session:
        workers.drain(session, number, drained=True)
    assert consumed("wakeword", "llm") == ["wakeword"]
    assert consumed("llm") == []


def test_one_that_comes_further_each_time_may_lose_any_number_of_workers(
    process: Process, database: Database, act: Callable[[str], None]
) -> None:
    job = tuning.queued(database, process.files)
    for number in range(1, STEPS):
        act(f"die {number}")
        (folder_of(process, job) / "died").unlink(missing_ok=True)
        again(database, job)
        assert making.read(database, job).attempts == 1
    act("")
    again(database, job)
    assert making.read(database, job).state == "succeeded"
