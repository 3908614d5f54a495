"""Training as a job: a child process that is listened to, stopped within seconds, and gone on with after any death."""

from __future__ import annotations

import dataclasses
import errno
import importlib.util
import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import func, select

from config.settings import Settings
from models import wake_models, wake_trainings
from models.db import Database
from models.jobs import lifecycle
from models.jobs.tables import Job
from models.wake_models import WakeModel
from models.wake_trainings import KIND, WakeTraining
from tasks import run, worker
from tasks.process import Process
from tasks.training_child import TRAINER
from tests import making, trainer, waking
from tests.conftest import eventually
from workers.wakeword.options import Options

WITHIN_SECONDS = 5.0


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch, process: Process, tmp_path: Path) -> None:
    """The stand-in trains, in a folder of the test's own."""
    monkeypatch.setenv(TRAINER, waking.STAND_IN)
    monkeypatch.setattr(process, "settings", dataclasses.replace(process.settings, var_dir=tmp_path))


@pytest.fixture
def act(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Says what the stand-in does beside training."""
    return lambda what: monkeypatch.setenv("STAND_IN", what)


def folder_of(process: Process, job: Job) -> Path:
    return wake_trainings.folders(process.settings.var_dir).of_job(job.id)


def detail(database: Database, job: Job) -> dict[str, Any]:
    with database.transaction() as session:
        return session.get_one(WakeTraining, job.id).detail


def models(database: Database) -> list[WakeModel]:
    with database.transaction() as session:
        return list(session.scalars(select(WakeModel).order_by(WakeModel.version)))


def starts(folder: Path) -> list[int]:
    """The numbers of the processes that trained in a folder."""
    return list(map(int, (folder / "starts").read_text().split()))


def lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def again(database: Database, job: Job) -> None:
    """The next try, without the pause before it."""
    making.change(database, job, run_after=func.now())
    run.run_slice(KIND, job.id)


def in_thread(job: Job) -> threading.Thread:
    """A worker at the job, in a thread of its own."""
    thread = threading.Thread(target=run.run_slice, args=[KIND, job.id])
    thread.start()
    return thread


def test_a_training_ends_with_a_model_whose_files_are_stored(process: Process, database: Database) -> None:
    job = waking.train(database, process.files, account_id="me")
    folder = folder_of(process, job)
    run.run_slice(KIND, job.id)
    done = making.read(database, job)
    assert (done.state, done.progress, done.error_code) == ("succeeded", 1.0, None)
    assert done.result == {"model_id": "jarvis@1", "model_type_used": "embedding", "reason": ""}
    (model,) = models(database)
    assert (model.job_id, model.account_id, model.active, model.threshold) == (job.id, "me", True, 0.65)
    assert (model.wake_word, model.model_type) == ("jarvis", "embedding")
    assert model.report["metrics"]["accuracy"] == 0.971
    assert set(model.files) == {"weights", "detector", "onnx", "openwakeword", "det_png", "det_json"}
    for role, each in model.files.items():
        content = process.files.path(each["file"]).read_bytes()
        assert content == f"{role} of jarvis {job.id}".encode()
        assert each["size_bytes"] == len(content)
    assert [clip["name"] for clip in model.recordings] == ["a.wav"]
    told = detail(database, job)
    assert (told["current_epoch"], told["total_epochs"]) == (trainer.EPOCHS, trainer.EPOCHS)
    assert [each["epoch"] for each in told["history"]] == [1, 2, 3, 4]
    assert told["metrics"] == trainer.metrics(trainer.EPOCHS)
    assert told["data_stats"]["recordings"] == 1
    assert told["warnings"] == ["Recording 'a.wav' is noisy (speech stands 9 dB above the noise)."]
    assert not folder.exists()


def test_the_plan_says_all_that_was_asked(process: Process, database: Database, act: Callable[[str], None]) -> None:
    clips = {
        use: [
            {"file": process.files.put(waking.sound(seed=number)), "name": f"{number}.{ending}"}
            for number, ending in enumerate(endings)
        ]
        for use, endings in (("recordings", ["WAV", "ogg"]), ("misses", ["wav"]), ("false_alarms", []))
    }
    params = {
        "wake_word": "Hey Jarvis",
        "model_type": "tcresnet",
        "options": vars(Options(num_epochs=7)),
        "seed": 5,
        "target_false_accepts_per_hour": 0.1,
    }
    negatives = wake_trainings.folders(process.settings.var_dir).negatives
    negatives.mkdir(parents=True)
    job = waking.train(database, process.files, "Hey Jarvis", clips=clips, params=params)
    act("always die")
    run.run_slice(KIND, job.id)
    folder = folder_of(process, job)
    plan = json.loads((folder / "plan.json").read_text())
    assert {name: plan[name] for name in params} == params
    assert plan["recordings"] == ["recordings/0.wav", "recordings/1.ogg"]
    assert (plan["misses"], plan["false_alarms"]) == (["misses/0.wav"], [])
    assert (folder / "recordings/1.ogg").read_bytes() == waking.sound(seed=1)
    assert plan["negatives"] == str(negatives)
    assert plan["ast_folder"] is None
    assert (plan["threads"] >= 1, plan["device"]) == (True, "cpu")


def test_without_negatives_or_where_they_are_not_wanted_the_plan_names_none(
    process: Process, database: Database, act: Callable[[str], None]
) -> None:
    act("always die")
    first = waking.train(database, process.files)
    run.run_slice(KIND, first.id)
    wake_trainings.folders(process.settings.var_dir).negatives.mkdir()
    params = first.params | {"options": first.params["options"] | {"use_real_negatives": False}}
    second = waking.train(database, process.files, "other", params=params)
    run.run_slice(KIND, second.id)
    for job in (first, second):
        assert json.loads((folder_of(process, job) / "plan.json").read_text())["negatives"] is None


@pytest.mark.parametrize("what", ["hang", "deaf"])
@pytest.mark.parametrize("phase", trainer.PHASES)
def test_a_cancelled_training_is_over_within_seconds_in_every_phase(
    process: Process, database: Database, act: Callable[[str], None], phase: str, what: str
) -> None:
    act(f"{what} {phase}")
    job = waking.train(database, process.files)
    folder = folder_of(process, job)
    thread = in_thread(job)
    eventually((folder / "hangs").exists)
    eventually(lambda: making.read(database, job).phase == phase)
    (pid,) = starts(folder)
    assert lives(pid)
    began = time.monotonic()
    with database.transaction() as session:
        lifecycle.cancel(session, job.id)
    thread.join(WITHIN_SECONDS + 1)
    assert not thread.is_alive()
    assert time.monotonic() - began < WITHIN_SECONDS
    assert not lives(pid)
    assert making.read(database, job).state == "cancelled"
    assert models(database) == []
    assert not folder.exists()


def test_a_paused_training_stops_and_goes_on_where_it_was(
    process: Process, database: Database, act: Callable[[str], None]
) -> None:
    act("hang Exporting")
    job = waking.train(database, process.files)
    folder = folder_of(process, job)
    thread = in_thread(job)
    eventually((folder / "hangs").exists)
    with database.transaction() as session:
        lifecycle.pause(session, job.id)
    thread.join(WITHIN_SECONDS + 1)
    assert not thread.is_alive()
    assert not any(map(lives, starts(folder)))
    assert (folder / "checkpoint").read_text() == str(trainer.EPOCHS)
    act("")
    with database.transaction() as session:
        lifecycle.resume(session, job.id, able_workers=1)
    run.run_slice(KIND, job.id)
    assert making.read(database, job).state == "succeeded"
    assert [each["epoch"] for each in detail(database, job)["history"]] == [1, 2, 3, 4]


def test_a_training_whose_process_is_killed_goes_on_from_its_checkpoint(
    process: Process, database: Database, act: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    act("die 2")
    job = waking.train(database, process.files)
    with caplog.at_level(logging.WARNING):
        run.run_slice(KIND, job.id)
    waiting = making.read(database, job)
    assert (waiting.state, waiting.error_code) == ("queued", "training_died")
    assert "signal 9" in (waiting.error_message or "")
    assert "Something terrible happened." in caplog.text
    assert [each["epoch"] for each in detail(database, job)["history"]] == [1, 2]
    assert detail(database, job)["current_epoch"] == 2
    again(database, job)
    assert making.read(database, job).state == "succeeded"
    (model,) = models(database)
    assert model.name == "jarvis@1"
    assert making.read(database, job).attempts == 2


def test_a_process_that_dies_every_time_is_tried_five_times(
    process: Process, database: Database, act: Callable[[str], None]
) -> None:
    act("always die")
    job = waking.train(database, process.files)
    run.run_slice(KIND, job.id)
    for _ in range(4):
        assert making.read(database, job).state == "queued"
        (folder_of(process, job) / "checkpoint").unlink()
        again(database, job)
    assert (making.read(database, job).state, making.read(database, job).error_code) == ("failed", "training_died")


def test_what_cannot_be_learned_from_fails_at_once_with_its_reason(
    process: Process, database: Database, act: Callable[[str], None]
) -> None:
    act("refuse")
    job = waking.train(database, process.files)
    run.run_slice(KIND, job.id)
    failed = making.read(database, job)
    assert (failed.state, failed.error_code) == ("failed", "recording_silent")
    assert failed.error_message == "recording 'b.wav' is silent"
    assert not folder_of(process, job).exists()
    # Tried again, it begins from the beginning.
    act("")
    with database.transaction() as session:
        lifecycle.retry(session, job.id, able_workers=1)
    run.run_slice(KIND, job.id)
    assert making.read(database, job).state == "succeeded"


def test_a_worker_that_lost_its_lease_stops_its_process_and_makes_no_model(
    process: Process, database: Database, act: Callable[[str], None]
) -> None:
    act("hang Extracting features")
    job = waking.train(database, process.files)
    folder = folder_of(process, job)
    thread = in_thread(job)
    eventually((folder / "hangs").exists)
    making.change(database, job, token="another's")
    thread.join(WITHIN_SECONDS + 1)
    assert not thread.is_alive()
    assert not any(map(lives, starts(folder)))
    # It is another's by now, and so is the folder.
    assert folder.exists()
    assert making.read(database, job).state == "running"
    assert models(database) == []


def test_a_lease_lost_at_the_very_end_makes_no_second_model(
    process: Process, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = waking.train(database, process.files)
    put = process.files.put

    def late(content: bytes) -> str:
        making.change(database, job, token="another's")
        return put(content)

    monkeypatch.setattr(process.files, "put", late)
    run.run_slice(KIND, job.id)
    assert models(database) == []
    assert folder_of(process, job).exists()
    monkeypatch.setattr(process.files, "put", put)
    making.change(database, job, state="queued", token=None)
    run.run_slice(KIND, job.id)
    assert [model.name for model in models(database)] == ["jarvis@1"]
    assert not folder_of(process, job).exists()


def test_a_finished_process_is_not_run_again_only_to_store_what_it_made(
    process: Process, database: Database, act: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = waking.train(database, process.files)

    def full(content: bytes) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(process.files, "put", full)
        run.run_slice(KIND, job.id)
    assert making.read(database, job).error_code == "disk_full"
    # Run again, it would fail.
    act("refuse")
    again(database, job)
    assert making.read(database, job).state == "succeeded"


def test_two_processes_are_never_in_one_folder(
    process: Process, database: Database, act: Callable[[str], None]
) -> None:
    act("hang Exporting")
    job = waking.train(database, process.files)
    folder = folder_of(process, job)
    thread = in_thread(job)
    eventually((folder / "hangs").exists)
    (first,) = starts(folder)
    # Stopped, it cannot notice that it has lost its lease, like one on a machine that stands still.
    os.kill(first, signal.SIGSTOP)
    making.change(database, job, state="queued", token=None)
    run.run_slice(KIND, job.id)
    assert starts(folder) == [first]
    waiting = making.read(database, job)
    assert waiting.error_code in ("folder_in_use", None)
    os.kill(first, signal.SIGCONT)
    thread.join(WITHIN_SECONDS + 1)
    assert not lives(first)
    act("")
    making.change(database, job, state="queued", token=None)
    again(database, job)
    assert making.read(database, job).state == "succeeded"


def test_what_a_library_prints_is_passed_over(
    process: Process, database: Database, act: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    act("babble")
    job = waking.train(database, process.files)
    run.run_slice(KIND, job.id)
    assert making.read(database, job).state == "succeeded"
    assert "Loading weights" in caplog.text


def test_what_the_process_started_does_not_outlive_it(
    process: Process, database: Database, act: Callable[[str], None]
) -> None:
    act("leave")
    before = {each.pid for each in psutil.process_iter() if each.name() == "sleep"}
    job = waking.train(database, process.files)
    run.run_slice(KIND, job.id)
    assert making.read(database, job).state == "succeeded"

    def left() -> set[int]:
        return {
            each.pid for each in psutil.process_iter(["cmdline"]) if each.info["cmdline"] == ["sleep", "60"]
        } - before

    eventually(lambda: not left())


def test_a_recording_that_is_gone_is_named_and_a_lost_capture_is_done_without(
    process: Process, database: Database
) -> None:
    gone = {"file": "a" * 64, "name": "first.wav", "size_bytes": 1, "duration_seconds": 1.0}
    there = gone | {"file": process.files.put(waking.sound()), "name": "second.wav"}
    job = waking.train(database, process.files, clips={"recordings": [gone]})
    run.run_slice(KIND, job.id)
    failed = making.read(database, job)
    assert (failed.state, failed.error_code) == ("failed", "clip_gone")
    assert "'first.wav'" in (failed.error_message or "")
    other = waking.train(database, process.files, "other", clips={"recordings": [there], "misses": [gone, there]})
    run.run_slice(KIND, other.id)
    assert making.read(database, other).state == "succeeded"
    assert any("misses: the file of 'first.wav' is gone" in text for text in detail(database, other)["warnings"])


def test_progress_is_stored_while_it_runs_and_never_goes_back(
    process: Process, database: Database, act: Callable[[str], None]
) -> None:
    act("hang Exporting")
    job = waking.train(database, process.files)
    thread = in_thread(job)
    seen: list[float] = []

    def far() -> bool:
        # In one look: between two of them it goes on.
        now = making.read(database, job)
        seen.append(now.progress)
        return now.phase == "Exporting"

    eventually(far)
    assert seen == sorted(seen)
    assert seen[-1] == 0.8
    assert detail(database, job)["current_epoch"] == trainer.EPOCHS
    with database.transaction() as session:
        lifecycle.cancel(session, job.id)
    thread.join(WITHIN_SECONDS + 1)


# --- Real workers -------------------------------------------------------------------------------------------------


def test_a_killed_workers_process_dies_with_it_and_the_next_worker_goes_on(
    process: Process,
    configured: Settings,
    database: Database,
    act: Callable[[str], None],
    tmp_path: Path,
) -> None:
    act("hang Exporting")
    folders = wake_trainings.folders(configured.var_dir)
    with waking.training_worker(configured, tmp_path) as worker:
        # By a database whose commits ring workers.
        job = waking.train(process.database, process.files, lane=wake_trainings.LANE)
        folder = folders.of_job(job.id)
        eventually((folder / "hangs").exists, within_seconds=30)
        eventually(lambda: detail(database, job).get("current_epoch") == trainer.EPOCHS)
        (pid,) = starts(folder)
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        eventually(lambda: not lives(pid))
    assert making.read(database, job).state == "running"
    act("")
    with waking.training_worker(configured, tmp_path):
        eventually(lambda: making.read(database, job).state == "succeeded", within_seconds=30)
    assert [each["epoch"] for each in detail(database, job)["history"]] == [1, 2, 3, 4]
    assert [model.name for model in models(database)] == ["jarvis@1"]
    assert not folder.exists()


def test_a_worker_that_is_asked_to_stop_leaves_its_training_to_the_next(
    process: Process,
    configured: Settings,
    database: Database,
    act: Callable[[str], None],
    tmp_path: Path,
) -> None:
    act("hang Exporting")
    with waking.training_worker(configured, tmp_path) as worker:
        job = waking.train(process.database, process.files, lane=wake_trainings.LANE)
        folder = wake_trainings.folders(configured.var_dir).of_job(job.id)
        eventually((folder / "hangs").exists, within_seconds=30)
        (pid,) = starts(folder)
        worker.ask_to_stop()
        eventually(lambda: not worker.alive)
        assert worker.poll() == os.EX_OK
    assert not lives(pid)
    waiting = making.read(database, job)
    assert (waiting.state, waiting.attempts, waiting.error_code) == ("queued", 0, None)
    act("")
    making.change(database, job, run_after=func.now(), waits_on=None)
    with waking.training_worker(configured, tmp_path):
        eventually(lambda: making.read(database, job).state == "succeeded", within_seconds=30)


def test_a_worker_without_what_training_needs_takes_no_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert worker._unable(["io", "wakeword"]) == {}
    monkeypatch.delenv(TRAINER)
    assert worker._unable(["io", "listen"]) == {}
    assert "`make train`" in worker._unable(["io", "wakeword"])["wakeword"]
    with pytest.raises(SystemExit, match=r"needs torch.*`make train`"):
        worker._unable(["wakeword"])
    # An installation of yesterday: what wake words need is there, what language models need is not yet.
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name == "torch" else None)
    assert set(worker._unable(["wakeword", "llm"])) == {"llm"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert worker._unable(["wakeword", "llm"]) == {}


def test_the_models_names_are_found_after_a_training(process: Process, database: Database) -> None:
    job = waking.train(database, process.files, "hey jarvis")
    run.run_slice(KIND, job.id)
    with database.transaction() as session:
        assert wake_models.find(session, "hey-jarvis@1").job_id == job.id
