"""What tests of fine-tuning share: base models of a few bytes, prompts and sessions, a worker with the stand-in."""

from __future__ import annotations

import dataclasses
import json
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete
from sqlalchemy.orm import undefer

from config.child import Child
from config.settings import Settings
from models.db import Database
from models.files import FileStore
from models.jobs import work
from models.jobs.tables import Job
from models.llm import curves, sessions, workers
from models.llm.tables import TrainingSession
from models.workers import Worker
from tasks.process import Process
from tasks.training_child import TRAINER
from tests import llm_trainer, making, waking
from tests.conftest import eventually

# What a worker runs for a fine-tuning, instead of ours.
STAND_IN = f"{sys.executable} {Path(llm_trainer.__file__)}"
NODE = f"tune@{socket.gethostname()}"
BASE = "tiny/base"
PROMPTS = "/api/training/prompts"
SESSIONS = "/api/training/sessions"
WORKERS = "/api/training/workers"
WITHIN_SECONDS = 5.0
Headers = dict[str, str]


def base(folder: Path, base_id: str = BASE) -> Path:
    """A base model as far as its files go, in a folder of base models; that folder."""
    place = folder / base_id
    place.mkdir(parents=True)
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 16}
    (place / "config.json").write_text(json.dumps(shape | {"model_type": "llama", "max_position_embeddings": 64}))
    header = json.dumps({"weight": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}).encode()
    (place / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(16))
    (place / "tokenizer.json").write_text("{}")
    (place / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    return folder


def prompt(client: FlaskClient, headers: Headers, number: int = 1, **fields: Any) -> int:
    """The number of a new prompt."""
    body = {"name": f"prompt {number}", "user_input": f"question {number}", "expected_output": f"answer {number}"}
    answer = client.post(PROMPTS, json=body | fields, headers=headers)
    assert answer.status_code == 201, answer.text
    found: int = answer.get_json()["id"]
    return found


def session(client: FlaskClient, headers: Headers, act: str = "", **fields: Any) -> str:
    """The id of a new session, in which the stand-in does something beside training."""
    body = {"name": f"session do: {act}" if act else "session", "base_model": BASE}
    answer = client.post(SESSIONS, json=body | fields, headers=headers)
    assert answer.status_code == 201, answer.text
    found: str = answer.get_json()["id"]
    return found


def start(client: FlaskClient, headers: Headers, session_id: str, **body: Any) -> dict[str, Any]:
    """How a session is that was started."""
    answer = client.post(f"{SESSIONS}/{session_id}/start", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def begun(client: FlaskClient, headers: Headers, act: str = "", **body: Any) -> str:
    """The id of a session that was started."""
    made = session(client, headers, act)
    start(client, headers, made, **body)
    return made


def status(client: FlaskClient, headers: Headers, session_id: str) -> dict[str, Any]:
    """How a session is."""
    found: dict[str, Any] = client.get(f"{SESSIONS}/{session_id}/status", headers=headers).get_json()
    return found


def becomes(
    client: FlaskClient, headers: Headers, session_id: str, word: str, *, within_seconds: float = 20.0
) -> dict[str, Any]:
    """How a session is once its status is this word."""

    def look() -> dict[str, Any] | None:
        found = status(client, headers, session_id)
        assert found["status"] == word or found["status"] not in ("completed", "failed", "cancelled"), found
        return found if found["status"] == word else None

    return eventually(look, within_seconds=within_seconds) or {}


def register(database: Database, node: str = "tune@here") -> int:
    """The number of a worker that says that it is there, and does nothing."""
    with database.transaction() as session_:
        number = workers.number(session_, node)
    making.register(database, node, workers.LANE, workers.lane_of(number))
    return number


def forget(database: Database) -> None:
    """The workers of ``register`` are no more."""
    with database.transaction() as session_:
        session_.execute(delete(Worker).where(Worker.host == "here"))


def queued(database: Database, files: FileStore, *, name: str = "session", **fields: Any) -> Job:
    """A session that was started, on a lane that nobody serves."""
    row = {"prompt_id": 1, "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
    rows = files.put(json.dumps(row).encode() + b"\n")
    with database.transaction() as session_:
        made = sessions.create(session_, {"name": name, "base_model": BASE, "config": {}}, account_id=None).row.id
        sessions.begin(session_, made, worker_id=None, dataset={"file": rows, "sha256": rows, "prompt_ids": [1]})
    params = {"base_model": {"id": BASE, "path": "/nowhere", "format": "folder"}, "rows": rows}
    return making.submit(database, **{"id": made, "kind": sessions.KIND, "params": params} | fields)


def stored(database: Database, session_id: str) -> TrainingSession:
    """A session's row, with all that is told of it."""
    with database.transaction() as session_:
        return session_.get_one(TrainingSession, session_id, options=[undefer(TrainingSession.detail)])


def curve(database: Database, session_id: str) -> list[dict[str, Any]]:
    """A session's points."""
    with database.transaction() as session_:
        return curves.whole(session_, session_id)


def complete(database: Database, files: FileStore, session_id: str) -> Job:
    """A session that a worker has trained."""
    with database.transaction() as session_:
        job = work.claim_job(session_, session_id, node="tune@here", lease_seconds=60)
        assert job is not None
        content = b"adapter of " + session_id.encode()
        result = {"adapter_model.safetensors": {"file": files.put(content), "size_bytes": len(content)}}
        sessions.complete(session_, job, detail={"report": {"last_loss": 0.1}}, files=result)
        work.finish(session_, job, {})
    return job


def folder_of(configured: Settings, session_id: str) -> Path:
    """What a session has so far."""
    return sessions.folders(configured.var_dir).of_job(session_id)


def starts(configured: Settings, session_id: str) -> list[int]:
    """The processes that trained a session, one after the other."""
    folder = folder_of(configured, session_id)
    told = (folder.parent / f"{folder.name}.starts").read_text().split()
    assert "double" not in told, told
    return list(map(int, told))


def stands_in(monkeypatch: pytest.MonkeyPatch, process: Process, folder: Path) -> None:
    """Has the stand-in do what a process within the test's own starts, in a folder of the test's."""
    monkeypatch.setenv(TRAINER, STAND_IN)
    monkeypatch.setattr(process, "settings", dataclasses.replace(process.settings, var_dir=folder))


@contextmanager
def tuner(configured: Settings, folder: Path) -> Iterator[Child]:
    """A real worker of the lane of fine-tunings, whose process is the stand-in."""
    with waking.training_worker(configured, folder, lane=workers.LANE, node=NODE, command=STAND_IN) as child:
        yield child
