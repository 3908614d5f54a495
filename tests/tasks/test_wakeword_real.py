"""A training with nothing standing in: from recordings to a detector that hears the word, killed on the way."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func

from models import wake_models, wake_trainings
from models.db import Database
from models.jobs.tables import Job
from models.wake_models import WakeModel
from models.wake_trainings import KIND, WakeTraining
from tasks import run
from tasks.process import Process
from tests import alexa, making, waking
from tests.conftest import eventually
from workers.wakeword.detector import Detector
from workers.wakeword.options import Options

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
pytest.importorskip("torch")

WORD = "alexa"
# As little as there can be of everything.
SMALL = vars(Options(num_epochs=30, early_stopping=30, target_positive_samples=40, negative_ratio=1.0, batch_size=16))


@pytest.fixture(autouse=True)
def here(process: Process, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """This worker, with a folder of its own."""
    monkeypatch.delenv("WORKER_TRAINER", raising=False)
    monkeypatch.setattr(process, "settings", dataclasses.replace(process.settings, var_dir=tmp_path))


def training(process: Process, database: Database, model_type: str, **options: Any) -> Job:
    """A training of the word as our own voice says it."""
    recordings = []
    for number, speed in enumerate((0.9, 1.0, 1.1)):
        quiet = np.zeros(alexa.RATE // 3, np.float32)
        content = alexa.file_of(np.concatenate((quiet, alexa.said("Alexa.", speed, number), quiet)))
        stored = process.files.put(content)
        recordings.append({"file": stored, "name": f"{number}.wav", "size_bytes": 1, "duration_seconds": 1.0})
    params = {
        "wake_word": WORD,
        "model_type": model_type,
        "options": SMALL | options,
        "seed": 1,
        "target_false_accepts_per_hour": 0.5,
    }
    return waking.train(database, process.files, WORD, clips={"recordings": recordings}, params=params)


def made(database: Database, job: Job) -> WakeModel:
    done = making.read(database, job)
    assert done.state == "succeeded", done.error_message
    with database.transaction() as session:
        model = wake_models.of_job(session, job.id)
    assert model is not None
    return model


def heard(process: Process, model: WakeModel, text: str) -> float:
    """The highest smoothed score of a text in two seconds of quiet on each side."""
    path = process.files.path(model.files["detector"]["file"])
    sound = alexa.spoken((2.0, text), seconds=5.0)
    return max(score.smoothed for score in Detector(path.read_bytes()).hear(sound))


def test_a_detector_from_recordings_alone_hears_the_word(process: Process, database: Database) -> None:
    job = training(process, database, "fewshot", use_tts_positives=False, use_hard_negatives=False)
    run.run_slice(KIND, job.id)
    model = made(database, job)
    assert model.model_type == "fewshot"
    assert set(model.files) >= {"detector", "det_png", "det_json"}
    assert heard(process, model, "Alexa.") > heard(process, model, "Good morning to all.")


def test_a_training_that_is_killed_among_its_epochs_goes_on_and_makes_every_file(
    process: Process, database: Database
) -> None:
    job = training(process, database, "ast")
    folder = wake_trainings.folders(process.settings.var_dir).of_job(job.id)
    thread = threading.Thread(target=run.run_slice, args=[KIND, job.id])
    thread.start()

    def epoch() -> int:
        with database.transaction() as session:
            found: int = session.get_one(WakeTraining, job.id).detail.get("current_epoch", 0)
            return found

    def child() -> int:
        unit = process.current_unit or ""
        return int(unit.rpartition("process ")[2].rstrip(")") or 0)

    eventually(lambda: epoch() or not thread.is_alive(), within_seconds=400)
    assert thread.is_alive(), making.read(database, job).error_message
    reached = epoch()
    os.kill(child(), signal.SIGKILL)
    thread.join(30)
    assert making.read(database, job).error_code == "training_died"
    assert (folder / "checkpoint.pt").exists()
    making.change(database, job, run_after=func.now())
    run.run_slice(KIND, job.id)
    model = made(database, job)
    assert not folder.exists()
    assert set(model.files) == {"weights", "detector", "onnx", "openwakeword", "det_png", "det_json"}
    assert model.files["openwakeword"]["size_bytes"] < 10**6
    report = model.report
    assert (report["model_type_requested"], report["model_type_used"]) == ("ast", "embedding")
    assert 0 < model.threshold < 1
    assert len(report["history"]) >= reached
    assert [each["epoch"] for each in report["history"]] == list(range(1, len(report["history"]) + 1))
    assert set(report["metrics"]) >= {"accuracy", "f1_score", "precision", "recall"}
    assert heard(process, model, "Alexa.") > heard(process, model, "Good morning to all.")
