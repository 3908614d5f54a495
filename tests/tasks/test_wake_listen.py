"""The body of file tests: what a worker stores of a file that it listened to, and when it stops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("hibari")

from models import wake_models, wake_trainings
from models.base import new_id
from models.jobs import lifecycle
from models.jobs.tables import Job
from models.wake_models import WakeModel
from tasks import run, submit, wake_listen
from tasks.process import Process
from tests import making
from tests.alexa import file_of, keep_model, spoken
from workers.wakeword import hearing

KIND = "wakeword.listen"
SOUND = spoken((1.0, "Alexa."), (12.0, "Alexa."), seconds=14)


@pytest.fixture
def model(process: Process, root: Path) -> WakeModel:
    return keep_model(process.database, root)


def start(process: Process, model: WakeModel, content: bytes, *, threshold: float = 0.5) -> Job:
    """A test of a file that was sent, for somebody who waits."""
    uploads = wake_trainings.folders(process.settings.var_dir).uploads
    uploads.mkdir(parents=True, exist_ok=True)
    name = new_id()
    (uploads / name).write_bytes(content)
    params: dict[str, Any] = {
        "model": model.name,
        "detector": model.files["detector"]["file"],
        "upload": name,
        "threshold": threshold,
    }
    with process.database.transaction() as session:
        return submit.submit(session, KIND, lane=making.LANE, params=params, certain=True)[0]


def taken(process: Process, job: Job) -> Job:
    run.run_slice(KIND, job.id)
    return making.read(process.database, job)


def test_what_was_heard_is_the_result(process: Process, model: WakeModel) -> None:
    job = taken(process, start(process, model, file_of(SOUND)))
    assert job.state == "succeeded"
    assert job.result is not None
    assert set(job.result) == {"confidence", "detections", "duration_seconds", "took_seconds"}
    assert [each["time_seconds"] for each in job.result["detections"]] == pytest.approx([1.6, 12.6], abs=0.2)
    assert 0.5 <= job.result["confidence"] <= 1
    assert (job.result["duration_seconds"], job.result["took_seconds"] > 0) == (14.0, True)


def test_at_a_threshold_that_nothing_reaches_nothing_is_detected(process: Process, model: WakeModel) -> None:
    low = taken(process, start(process, model, file_of(SOUND))).result
    high = taken(process, start(process, model, file_of(SOUND), threshold=1.0)).result
    assert low is not None
    assert high is not None
    assert (high["detections"], high["confidence"]) == ([], low["confidence"])


@pytest.mark.parametrize(
    ("content", "code"), [(b"a text", "not_audio"), (file_of(np.zeros(0, np.float32)), "no_sound"), (b"", "not_audio")]
)
def test_what_is_no_sound_fails_at_once_and_for_good(
    process: Process, model: WakeModel, content: bytes, code: str
) -> None:
    job = taken(process, start(process, model, content))
    assert (job.state, job.error_code, job.attempts) == ("failed", code, 1)


def test_files_that_are_gone_fail_it_for_good(process: Process, model: WakeModel, root: Path) -> None:
    job = start(process, model, b"")
    (wake_trainings.folders(root).uploads / job.params["upload"]).unlink()
    assert taken(process, job).error_code == "upload_missing"
    wake_listen._scorers.clear()
    process.files.path(model.files["detector"]["file"]).unlink()
    assert taken(process, start(process, model, file_of(SOUND))).error_code == "model_missing"


def test_a_detector_is_opened_once_and_the_least_used_ones_are_let_go(
    process: Process, model: WakeModel, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wake_listen, "KEPT", 2)
    wake_listen._scorers.clear()
    own = model.files["detector"]["file"]
    taken(process, start(process, model, file_of(SOUND)))
    kept = wake_listen._scorers[own]
    taken(process, start(process, model, file_of(SOUND)))
    assert wake_listen._scorers == {own: kept}
    for number in range(2):
        # Another file of the same: its length is not looked at.
        other = keep_model(process.database, root, detector=process.files.path(own).read_bytes() + b"\0" * number * 4)
        taken(process, start(process, other, file_of(SOUND)))
    assert len(wake_listen._scorers) == 2


def test_who_is_not_waited_for_any_more_stops_after_the_piece_in_hand(
    process: Process, model: WakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[float] = []
    job = start(process, model, file_of(np.tile(SOUND, 6)))
    report = run.Work.report

    def cancel_at_once(work: run.Work, progress: float, phase: str) -> None:
        heard.append(progress)
        if len(heard) == 1:
            with process.database.transaction() as session:
                lifecycle.cancel(session, job.id)
        report(work, progress, phase)

    monkeypatch.setattr(run.Work, "report", cancel_at_once)
    ended = taken(process, job)
    assert (ended.state, ended.result) == ("cancelled", None)
    assert len(heard) < np.ceil(6 * 14 / hearing.PIECE_SECONDS)


def test_a_model_that_was_deleted_is_still_heard_by_who_came_before(process: Process, model: WakeModel) -> None:
    job = start(process, model, file_of(SOUND))
    with process.database.transaction() as session:
        wake_models.remove(session, "alexa")
    assert taken(process, job).state == "succeeded"
