"""Training sessions with a real worker: to the end, cancelled in each phase, after a kill, drained, tried again."""

from __future__ import annotations

import io
import json
import os
import signal
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from config.child import Child
from config.settings import Settings
from models.db import Database
from models.llm.tables import TrainingSession
from tests import llm_trainer, tuning
from tests.conftest import eventually
from tests.llm_trainer import PHASES, lives
from tests.tuning import SESSIONS, WITHIN_SECONDS, WORKERS, Headers


@pytest.fixture
def tuner(configured: Settings, tuned: FlaskClient, admin: Headers, tmp_path: Path) -> Iterator[Child]:
    """A worker that trains with the stand-in, and a prompt to learn from."""
    tuning.prompt(tuned, admin)
    with tuning.tuner(configured, tmp_path) as child:
        yield child


def worker(client: FlaskClient, admin: Headers) -> dict[str, Any]:
    """The one worker that there is."""
    (found,) = client.get(WORKERS, headers=admin).get_json()
    return dict(found)


def drain(client: FlaskClient, admin: Headers, worker_id: int, *, drained: bool = True) -> str:
    """The worker's status after the operator's word."""
    answer = client.post(f"{WORKERS}/{worker_id}/drain", json={"drained": drained}, headers=admin)
    assert answer.status_code == 200, answer.text
    return str(answer.get_json()["status"])


def hanging(configured: Settings, session_id: str) -> int:
    """The process that hangs in a session."""
    eventually((tuning.folder_of(configured, session_id) / "hangs").exists, within_seconds=20)
    return tuning.starts(configured, session_id)[-1]


def test_a_session_is_trained_to_its_end_and_its_adapter_is_there(
    tuned: FlaskClient, admin: Headers, tuner: Child, configured: Settings
) -> None:
    second = tuning.prompt(tuned, admin, 2)
    made = tuning.session(tuned, admin, "slow")
    told = tuning.start(tuned, admin, made)
    assert told["status"] in ("queued", "training")

    def in_the_middle() -> bool:
        now = tuning.status(tuned, admin, made)
        known = now["loss"] is not None and now["eta_seconds"] is not None
        return known and now["status"] == "training" and 0 < now["progress"] < 100

    eventually(in_the_middle)
    busy = worker(tuned, admin)
    assert (busy["status"], busy["current_session"], busy["name"]) == ("busy", made, tuning.NODE)
    done = tuning.becomes(tuned, admin, made, "completed")
    last = llm_trainer.step(llm_trainer.STEPS)
    assert (done["progress"], done["loss"], done["current_epoch"], done["error"]) == (100.0, last["loss"], 2, None)
    whole = tuned.get(f"{SESSIONS}/{made}", headers=admin).get_json()
    assert whole["loss_history"] == [llm_trainer.step(number) for number in range(1, llm_trainer.STEPS + 1)]
    assert whole["data_stats"]["rows"] == len(whole["prompt_ids"]) == 2
    assert second in whole["prompt_ids"]
    assert whole["warnings"] == ["Prompt 1 is cut off."]
    assert whole["report"]["last_loss"] == last["loss"]
    archive = tuned.get(f"{SESSIONS}/{made}/adapter", headers=admin)
    with zipfile.ZipFile(io.BytesIO(archive.data)) as opened:
        assert opened.testzip() is None
        # As model hubs lay them out: what loads it finds all in one folder.
        names = ["README.md", "adapter_config.json", "adapter_model.safetensors", "curve.png", "report.json"]
        assert sorted(opened.namelist()) == names
        assert opened.read("adapter_config.json") == f"adapter/adapter_config.json of {made}".encode()
        learned = [row["messages"][0]["content"] for row in json.loads(opened.read("report.json"))["rows"]]
    assert learned == ["question 1", "question 2"]
    assert [file["name"] for file in whole["files"]] == names
    job = tuned.get(f"/api/jobs/{made}", headers=admin).get_json()
    assert (job["kind"], job["state"]) == ("llm.finetune", "succeeded")
    result = tuned.get(f"/api/jobs/{made}/result", headers=admin).get_json()["result"]
    assert result == {"session_id": made, "loss": last["loss"]}
    eventually(lambda: not tuning.folder_of(configured, made).exists())
    assert worker(tuned, admin)["status"] == "idle"


def test_a_session_is_cancelled_in_each_phase_and_the_next_begins_at_once(
    tuned: FlaskClient, admin: Headers, tuner: Child, configured: Settings
) -> None:
    acts = [*(f"hang {phase}" for phase in PHASES), "deaf Training"]
    made = [tuning.begun(tuned, admin, act) for act in acts]
    for number, session_id in enumerate(made):
        pid = hanging(configured, session_id)
        began = time.monotonic()
        assert tuned.post(f"{SESSIONS}/{session_id}/cancel", headers=admin).get_json()["status"] == "cancelled"
        eventually(lambda pid=pid: not lives(pid), within_seconds=WITHIN_SECONDS)
        eventually(lambda at=session_id: not tuning.folder_of(configured, at).exists(), within_seconds=WITHIN_SECONDS)
        if number + 1 < len(made):
            hanging(configured, made[number + 1])
            assert time.monotonic() - began < WITHIN_SECONDS
    assert [tuning.status(tuned, admin, each)["status"] for each in made] == ["cancelled"] * len(made)
    assert all(len(tuning.starts(configured, each)) == 1 for each in made)


def test_a_worker_that_is_killed_goes_on_with_what_it_had(
    tuned: FlaskClient, admin: Headers, tuner: Child, configured: Settings, tmp_path: Path
) -> None:
    made = tuning.begun(tuned, admin, "slow")
    checkpoint = tuning.folder_of(configured, made) / "checkpoint"
    eventually(lambda: checkpoint.exists() and int(checkpoint.read_text() or 0) >= 3, within_seconds=20)
    number = worker(tuned, admin)["id"]
    (trainer,) = tuning.starts(configured, made)
    assert tuner.pid is not None
    os.kill(tuner.pid, signal.SIGKILL)
    # It dies with the one that listened to it.
    eventually(lambda: not lives(trainer), within_seconds=WITHIN_SECONDS)
    reached = int(checkpoint.read_text())
    with tuning.tuner(configured, tmp_path):
        tuning.becomes(tuned, admin, made, "completed")
        assert worker(tuned, admin)["id"] == number
    assert len(tuning.starts(configured, made)) == 2
    history = tuned.get(f"{SESSIONS}/{made}", headers=admin).get_json()["loss_history"]
    steps = [point["step"] for point in history]
    # What was said last before the kill may not have been stored; nothing is there twice.
    assert steps == sorted(set(steps))
    assert steps[-1] == llm_trainer.STEPS
    assert reached >= 3


def test_a_drained_worker_finishes_what_it_does_and_is_given_nothing_until_it_is_undrained(
    tuned: FlaskClient, admin: Headers, tuner: Child, configured: Settings, tmp_path: Path
) -> None:
    running = tuning.begun(tuned, admin, "hang Training")
    hanging(configured, running)
    number = worker(tuned, admin)["id"]
    own, shared = tuning.begun(tuned, admin, worker_id=number), tuning.begun(tuned, admin)
    assert drain(tuned, admin, number) == "drained"
    assert tuning.status(tuned, admin, running)["status"] == "training"
    tuned.post(f"{SESSIONS}/{running}/cancel", headers=admin)
    eventually(lambda: worker(tuned, admin)["current_session"] is None)
    time.sleep(2.0)
    assert [tuning.status(tuned, admin, each)["status"] for each in (own, shared)] == ["queued", "queued"]
    # It stays so over a restart.
    tuner.stop()
    with tuning.tuner(configured, tmp_path):
        assert (worker(tuned, admin)["id"], worker(tuned, admin)["status"]) == (number, "drained")
        time.sleep(2.0)
        assert [tuning.status(tuned, admin, each)["status"] for each in (own, shared)] == ["queued", "queued"]
        assert drain(tuned, admin, number, drained=False) in ("idle", "busy")
        for each in (own, shared):
            tuning.becomes(tuned, admin, each, "completed")
        more = tuning.begun(tuned, admin, worker_id=number)
        tuning.becomes(tuned, admin, more, "completed")
    assert all(len(tuning.starts(configured, each)) == 1 for each in (own, shared, more))


def test_a_session_that_failed_is_tried_again_as_a_job(
    tuned: FlaskClient, admin: Headers, tuner: Child, configured: Settings, database: Database
) -> None:
    made = tuning.begun(tuned, admin, "refuse")
    failed = tuning.becomes(tuned, admin, made, "failed")
    assert failed["error"] == {"code": "ROWS_TOO_LONG", "message": "Every prompt is longer than 8 tokens."}
    with database.transaction() as session:
        session.execute(update(TrainingSession).where(TrainingSession.id == made).values(name="mended"))
    answer = tuned.post(f"/api/jobs/{made}/retry", headers=admin)
    assert (answer.status_code, answer.get_json()["state"]) == (200, "queued")
    assert tuning.becomes(tuned, admin, made, "completed")["error"] is None
    assert len(tuning.starts(configured, made)) == 2
    assert tuned.post(f"/api/jobs/{made}/retry", headers=admin).status_code == 409
