"""Training sessions over HTTP, without anybody at work: what is taken, frozen, queued, refused, removed and kept."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select, update
from werkzeug.test import TestResponse

from models import file_owners
from models.db import Database
from models.errors import LeaseLost
from models.files import FileStore
from models.jobs import lifecycle, retention, work
from models.jobs.tables import Job
from models.llm import sessions
from models.llm.tables import TrainingWorker
from tests import making, tuning
from tests.conftest import eventually
from tests.tuning import BASE, PROMPTS, SESSIONS, WORKERS, Headers


@pytest.fixture(autouse=True)
def worker_id(database: Database) -> Iterator[int]:
    """The number of somebody who says that they train, and never does."""
    yield tuning.register(database)
    tuning.forget(database)


@pytest.fixture
def files(tuned: FlaskClient) -> FileStore:
    """Where files are stored."""
    found: FileStore = tuned.application.extensions["voiceworks"].files
    return found


def jobs(database: Database) -> list[Job]:
    with database.transaction() as session:
        return list(session.scalars(select(Job).order_by(Job.created_at)))


def send_start(client: FlaskClient, admin: Headers, session_id: str, **body: Any) -> TestResponse:
    return client.post(f"{SESSIONS}/{session_id}/start", json=body, headers=admin)


def assert_error(answer: TestResponse, status: int, code: str, *named: str) -> None:
    """Fails unless it is this error, and names all of these."""
    found = answer.get_json()
    assert (answer.status_code, found["error_code"]) == (status, code), found
    for each in named:
        assert each in found["detail"], found


def forget_jobs(database: Database, *ids: str) -> None:
    """These jobs ended long ago, and are cleaned up."""
    with database.transaction() as session:
        session.execute(update(Job).where(Job.id.in_(ids)).values(finished_at=func.now() - timedelta(days=400)))
    with database.transaction() as session:
        assert retention.remove(session, ids, days=30) == len(ids)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"config": {"num_epochs": 0}}, ["config", "num_epochs"]),
        ({"config": {"learning_rate": "fast"}}, ["config", "learning_rate"]),
        ({"config": {"epochs": 3}}, ["config", "'epochs'"]),
        ({"base_model": "../../etc/passwd"}, ["base_model", "../../etc/passwd"]),
        ({"base_model": "a/b/c"}, ["base_model", "a/b/c"]),
        ({"name": " "}, ["name"]),
        ({"worker": 1}, ["worker"]),
    ],
)
def test_what_no_session_can_be_is_refused_at_create(
    tuned: FlaskClient, admin: Headers, body: dict[str, Any], named: list[str]
) -> None:
    answer = tuned.post(SESSIONS, json={"name": "s", "base_model": BASE} | body, headers=admin)
    assert_error(answer, 422, "VALIDATION_ERROR", *named)


def test_of_many_starts_at_once_one_wins(tuned: FlaskClient, admin: Headers, database: Database) -> None:
    tuning.prompt(tuned, admin)
    made = tuning.session(tuned, admin)
    clients = [tuned.application.test_client() for _ in range(6)]
    answers = making.at_once(6, lambda number: send_start(clients[number], admin, made))
    assert sorted(answer.status_code for answer in answers) == [200, *[409] * 5]
    assert {answer.get_json()["error_code"] for answer in answers if answer.status_code == 409} == {
        "SESSION_NOT_PENDING"
    }
    assert [job.id for job in jobs(database)] == [made]


def test_what_is_learned_is_frozen_at_the_start(
    tuned: FlaskClient, admin: Headers, database: Database, files: FileStore
) -> None:
    first, second = tuning.prompt(tuned, admin, 1, system_prompt="Be brief."), tuning.prompt(tuned, admin, 2)
    made = tuning.begun(tuned, admin, prompt_ids=[second, first, second])
    tuned.put(f"{PROMPTS}/{first}", json={"expected_output": "something else"}, headers=admin)
    tuned.delete(f"{PROMPTS}/{second}", headers=admin)
    whole = tuned.get(f"{SESSIONS}/{made}", headers=admin).get_json()
    assert whole["prompt_ids"] == [second, first]
    (job,) = jobs(database)
    assert job.params["rows"] == whole["dataset_sha256"]
    rows = [json.loads(line) for line in files.path(job.params["rows"]).read_text().splitlines()]
    assert [row["prompt_id"] for row in rows] == [second, first]
    assert rows[1]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "question 1"},
        {"role": "assistant", "content": "answer 1"},
    ]
    assert rows[0]["messages"][-1]["content"] == "answer 2"


def test_those_that_wait_are_told_how_many_come_before_them(
    tuned: FlaskClient, admin: Headers, database: Database, worker_id: int
) -> None:
    tuning.prompt(tuned, admin)
    shared = [tuning.begun(tuned, admin) for _ in range(3)]
    own = [tuning.begun(tuned, admin, worker_id=worker_id) for _ in range(2)]

    def positions() -> list[int | None]:
        return [tuning.status(tuned, admin, each)["queue_position"] for each in (*shared, *own)]

    assert positions() == [0, 1, 2, 0, 1]
    with database.transaction() as session:
        running = work.claim_job(session, shared[0], node="tune@here", lease_seconds=60)
    assert running is not None
    assert positions() == [None, 1, 2, 1, 2]
    (listed,) = tuned.get(WORKERS, headers=admin).get_json()
    assert (listed["status"], listed["current_session"], listed["waiting"]) == ("busy", shared[0], 2)
    making.finish(database, running)
    assert positions() == [None, 0, 1, 0, 1]


def test_a_session_is_cancelled_pending_or_queued_and_removed_when_it_has_ended(
    tuned: FlaskClient, admin: Headers, database: Database
) -> None:
    tuning.prompt(tuned, admin)
    pending, queued = tuning.session(tuned, admin), tuning.begun(tuned, admin)
    assert_error(tuned.delete(f"{SESSIONS}/{queued}", headers=admin), 409, "CONFLICT", "queued")
    for each in (pending, queued):
        answer = tuned.post(f"{SESSIONS}/{each}/cancel", headers=admin)
        assert (answer.status_code, answer.get_json()["status"]) == (200, "cancelled")
        assert_error(tuned.post(f"{SESSIONS}/{each}/cancel", headers=admin), 409, "CONFLICT", "cancelled")
        assert_error(tuned.get(f"{SESSIONS}/{each}/adapter", headers=admin), 409, "CONFLICT", "no adapter")
        assert tuned.delete(f"{SESSIONS}/{each}", headers=admin).status_code == 200
        assert_error(tuned.get(f"{SESSIONS}/{each}", headers=admin), 404, "SESSION_NOT_FOUND", each)
    assert jobs(database) == []
    assert tuned.get(SESSIONS, headers=admin).get_json() == []


def test_a_cancel_and_a_worker_that_reports_do_not_wait_for_each_other(
    tuned: FlaskClient, admin: Headers, database: Database
) -> None:
    tuning.prompt(tuned, admin)
    made = tuning.begun(tuned, admin)
    job = making.claim(database, next(iter(jobs(database))))
    with ThreadPoolExecutor(1) as pool:
        with database.transaction() as session:
            work.report(session, job, progress=0.5, phase="Training")
            answer = pool.submit(tuned.post, f"{SESSIONS}/{made}/cancel", headers=admin)
            eventually(lambda: making.somebody_waits(database))
            sessions.note(session, job, {})
        assert answer.result(10).get_json()["status"] == "cancelled"
    with pytest.raises(LeaseLost), database.transaction() as session:
        sessions.note(session, job, {})


def test_a_base_model_that_is_not_whole_is_not_there(tuned: FlaskClient, admin: Headers) -> None:
    folder = tuned.application.extensions["voiceworks"].settings.llm_models
    (folder / BASE / "model.safetensors").unlink()
    tuning.prompt(tuned, admin)
    answer = send_start(tuned, admin, tuning.session(tuned, admin))
    assert_error(answer, 409, "BASE_MODEL_UNAVAILABLE", BASE, "safetensors")
    assert BASE not in {base["id"] for base in tuned.get("/api/training/base-models", headers=admin).get_json()}


def test_without_prompts_nothing_is_started(tuned: FlaskClient, admin: Headers) -> None:
    made = tuning.session(tuned, admin)
    assert_error(send_start(tuned, admin, made), 422, "VALIDATION_ERROR", "prompt_ids")
    assert_error(send_start(tuned, admin, made, prompt_ids=[]), 422, "VALIDATION_ERROR", "prompt_ids")
    assert tuning.status(tuned, admin, made)["status"] == "pending"


def test_a_drained_worker_is_given_nothing(tuned: FlaskClient, admin: Headers, worker_id: int) -> None:
    tuning.prompt(tuned, admin)
    made = tuning.session(tuned, admin)
    path = f"{WORKERS}/{worker_id}/drain"
    assert tuned.post(path, headers=admin).get_json()["status"] == "drained"
    assert_error(send_start(tuned, admin, made, worker_id=worker_id), 409, "WORKER_DRAINED", str(worker_id))
    nobody = send_start(tuned, admin, made)
    assert_error(nobody, 503, "PROVIDER_UNAVAILABLE", "make train")
    assert int(nobody.headers["Retry-After"]) > 0
    assert tuned.post(path, json={"drained": False}, headers=admin).get_json()["status"] == "idle"
    assert send_start(tuned, admin, made, worker_id=worker_id).get_json()["status"] == "queued"
    unknown = tuned.post(f"{WORKERS}/{worker_id + 1}/drain", headers=admin)
    assert_error(unknown, 404, "WORKER_NOT_FOUND", str(worker_id + 1))


def test_without_anybody_who_trains_a_start_says_what_is_missing(
    tuned: FlaskClient, admin: Headers, database: Database
) -> None:
    tuning.forget(database)
    tuning.prompt(tuned, admin)
    assert_error(send_start(tuned, admin, tuning.session(tuned, admin)), 503, "PROVIDER_UNAVAILABLE", "make train")
    (listed,) = tuned.get(WORKERS, headers=admin).get_json()
    assert (listed["status"], listed["host"]) == ("offline", None)
    with database.transaction() as session:
        assert session.scalar(select(func.count()).select_from(TrainingWorker)) == 1


def test_what_became_of_a_session_is_known_after_its_job_is_forgotten(
    tuned: FlaskClient, admin: Headers, database: Database, files: FileStore
) -> None:
    tuning.prompt(tuned, admin)
    trained, failed, cancelled = (tuning.begun(tuned, admin) for _ in range(3))
    tuning.complete(database, files, trained)
    making.fail(database, making.claim(database, next(job for job in jobs(database) if job.id == failed)))
    # Past the session's own endpoint.
    with database.transaction() as session:
        lifecycle.cancel(session, cancelled)
    words = {trained: "completed", failed: "failed", cancelled: "cancelled"}
    assert {each["id"]: each["status"] for each in tuned.get(SESSIONS, headers=admin).get_json()} == words
    forget_jobs(database, *words)
    assert jobs(database) == []
    for each, word in words.items():
        told = tuning.status(tuned, admin, each)
        assert (told["status"], told["progress"]) == (word, 100.0 if each == trained else 0.0)
        assert (told["error"] or {}).get("code") == ("BROKEN" if each == failed else None)
        assert tuned.get(f"{SESSIONS}/{each}", headers=admin).get_json()["ended_at"]
        assert_error(tuned.post(f"{SESSIONS}/{each}/cancel", headers=admin), 409, "CONFLICT", word)
        assert_error(send_start(tuned, admin, each), 409, "SESSION_NOT_PENDING", word)
    archive = tuned.get(f"{SESSIONS}/{trained}/adapter", headers=admin)
    assert (archive.status_code, archive.mimetype) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(archive.data)) as opened:
        assert opened.testzip() is None
        assert opened.read("adapter_model.safetensors") == b"adapter of " + trained.encode()
    assert tuned.delete(f"{SESSIONS}/{trained}", headers=admin).status_code == 200


def test_the_files_of_a_session_are_its_own_until_it_is_removed(
    tuned: FlaskClient, admin: Headers, database: Database, files: FileStore
) -> None:
    tuning.prompt(tuned, admin)
    made = tuning.begun(tuned, admin)
    tuning.complete(database, files, made)
    row = tuning.stored(database, made)
    assert row.dataset is not None
    names = {row.dataset["file"], *(each["file"] for each in row.files.values())}
    assert len(names) == 2
    with database.transaction() as session:
        assert file_owners.known(session, names | {"0" * 64}) == names
    assert tuned.delete(f"{SESSIONS}/{made}", headers=admin).status_code == 200
    with database.transaction() as session:
        assert file_owners.known(session, names) == set()
