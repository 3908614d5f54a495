"""What tests of wake words share: recordings, a training in the queue, a model that was trained."""

from __future__ import annotations

import io
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from sqlalchemy import delete

from config.child import Child
from config.settings import Settings
from models import wake_models, wake_trainings, workers
from models.db import Database
from models.files import FileStore
from models.jobs.tables import Job
from models.wake_models import WakeModel
from models.workers import Worker
from tasks.training_child import TRAINER
from tests import making, trainer
from tests.conftest import eventually
from workers.wakeword.options import Options

# What a worker runs for a training, instead of ours.
STAND_IN = f"{sys.executable} {Path(trainer.__file__)}"


def sound(
    seconds: float = 1.0, *, seed: int = 1, gain: float = 0.3, rate_hz: int = 16000, around: float = 0.3
) -> bytes:
    """A WAV file of something that rises and falls as a word does, with quiet around it."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    tone = sum(np.sin(2 * np.pi * 120 * (1 + seed / 50) * number * time) / number for number in range(1, 12))
    word = tone * np.abs(np.sin(np.pi * 3 * time / max(seconds, 0.1)))
    quiet = np.zeros(round(around * rate_hz))
    samples = np.concatenate((quiet, gain * word, quiet)) + 1e-3 * rng.standard_normal(2 * len(quiet) + len(word))
    return wav(samples, rate_hz)


def wav(samples: Any, rate_hz: int = 16000) -> bytes:
    """A WAV file of these samples."""
    file = io.BytesIO()
    soundfile.write(file, np.clip(samples, -1, 1), rate_hz, format="WAV", subtype="PCM_16")
    return file.getvalue()


def form(word: str | None = "jarvis", takes: int = 3, **own: Any) -> dict[str, Any]:
    """The fields of a form that starts a training."""
    files = [(io.BytesIO(sound(seed=number + 1)), f"take {number}.wav") for number in range(takes)]
    found: dict[str, Any] = {"wake_word": word, "audio_files": files} | own
    return {name: value for name, value in found.items() if value is not None}


def train(database: Database, files: FileStore, word: str = "jarvis", *, clips: Any = None, **fields: Any) -> Job:
    """A training in the queue."""
    stored = files.put(sound())
    recording = {"file": stored, "name": "a.wav", "size_bytes": files.size(stored), "duration_seconds": 1.0}
    params = {
        "wake_word": word,
        "model_type": "ast",
        "options": vars(Options()),
        "seed": 1,
        "target_false_accepts_per_hour": 0.5,
    }
    job = making.submit(
        database,
        **{"id": f"train_{making.new_id()}", "kind": wake_trainings.KIND, "lane": making.LANE, "params": params}
        | fields,
    )
    with database.transaction() as session:
        wake_trainings.add(session, job, wake_word=word, clips=clips or {"recordings": [recording]})
    return job


def model(database: Database, store: FileStore, word: str = "jarvis", **fields: Any) -> WakeModel:
    """A stored model of a word, its next version."""
    plan = {
        "wake_word": word,
        "model_type": "embedding",
        "ast_folder": None,
        "options": vars(Options()),
        "seed": 1,
        "recordings": ["a.wav"],
    }
    report = trainer.report(plan)
    stored = {}
    for role, name in report["files"].items():
        content = f"{role} of {word} {making.new_id()}".encode()
        stored[role] = {"file": store.put(content), "size_bytes": len(content), "name": name}
    values = {"model_type": "embedding", "threshold": report["threshold"], "report": report, "files": stored} | fields
    with database.transaction() as session:
        return wake_models.add(session, wake_word=word, **values)


@contextmanager
def training_worker(
    configured: Settings,
    folder: Path,
    *,
    lane: str = wake_trainings.LANE,
    node: str = f"train@{socket.gethostname()}",
    command: str = STAND_IN,
) -> Iterator[Child]:
    """A real worker of a lane of trainings, whose training process is a stand-in."""
    argv = [
        *(sys.executable, "-m", "celery", "--app=tasks.worker", "worker", "--pool=solo"),
        *(f"--hostname={node}", f"--queues={lane}"),
        *("--without-gossip", "--without-mingle"),
    ]
    child = Child(
        name="worker_train",
        argv=argv,
        log_path=folder / "worker_train.log",
        env={TRAINER: command},
        cwd=Path(__file__).parents[1],
    )
    child.start()
    database = Database(configured.database_url, lambda signals: None, pool_size=1)

    def registered() -> bool:
        assert child.alive, child.log_tail()
        with database.transaction() as session:
            return any((node, child.pid) == (each.node, each.pid) for each in workers.alive(session))

    try:
        eventually(registered, within_seconds=60)
        yield child
    finally:
        child.stop()
        with database.transaction() as session:
            session.execute(delete(Worker).where(Worker.node == node))
        database.dispose()
