"""What comes after a training, over HTTP: one model of base and adapter, an Ollama that takes it over; and previews."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from config.child import Child
from config.settings import Settings
from models.db import Database
from models.jobs.tables import ENDED, Job
from models.llm import merged
from tests import making, tuning
from tests.conftest import eventually
from tests.outside.server import running
from tests.outside.small import Ollama
from tests.tuning import SESSIONS, WORKERS, Headers

PREVIEW = "/api/training/preview"
SERVICES = "/api/services"


@pytest.fixture
def trained(tuned: FlaskClient, admin: Headers, database: Database) -> Iterator[str]:
    """A session that has its adapter; a worker says that it is there."""
    tuning.register(database)
    tuning.prompt(tuned, admin)
    made = tuning.begun(tuned, admin)
    tuning.complete(database, tuned.application.extensions["voiceworks"].files, made)
    yield made
    tuning.forget(database)


@pytest.fixture
def ollama() -> Iterator[Ollama]:
    with running(Ollama()) as service:
        yield service


def post(client: FlaskClient, admin: Headers, session_id: str, what: str, **body: Any) -> TestResponse:
    return client.post(f"{SESSIONS}/{session_id}/{what}", json=body, headers=admin)


def whole(client: FlaskClient, admin: Headers, session_id: str) -> Any:
    return client.get(f"{SESSIONS}/{session_id}", headers=admin).get_json()["merged"]


def assert_error(answer: TestResponse, status: int, code: str, *named: str) -> None:
    """Fails unless it is this error, and names all of these."""
    found = answer.get_json()
    assert (answer.status_code, found["error_code"]) == (status, code), found
    for each in named:
        assert each in found["detail"], found


def merge(client: FlaskClient, admin: Headers, database: Database, session_id: str) -> None:
    """Has a worker done with the session's merge."""
    job_id = post(client, admin, session_id, "merge").get_json()["job_id"]
    with database.transaction() as session:
        job = session.get_one(Job, job_id)
    content = b"the whole model"
    store = client.application.extensions["voiceworks"].files
    files = {"model.safetensors": content, "config.json": b"{}", "README.md": b"# Card"}
    kept = {name: {"file": store.put(each), "size_bytes": len(each)} for name, each in files.items()}
    making.finish(database, making.claim(database, job))
    with database.transaction() as session:
        merged.complete(session, session_id, job_id=job_id, files=kept)


def service(client: FlaskClient, admin: Headers, url: str, **fields: Any) -> int:
    """The number of a new service."""
    body = {"name": "my ollama", "type": "ollama", "url": url} | fields
    answer = client.post(SERVICES, json=body, headers=admin)
    assert answer.status_code == 201, answer.text
    found: int = answer.get_json()["id"]
    return found


def ended(client: FlaskClient, admin: Headers, job_id: str) -> Any:
    """A job once a worker is done with it."""

    def look() -> Any:
        job = client.get(f"/api/jobs/{job_id}", headers=admin).get_json()
        return job if job["state"] in ENDED else None

    return eventually(look, within_seconds=20)


# --- Merging ---------------------------------------------------------------------------------------------------------


def test_a_merge_is_asked_for_once_shown_and_downloaded(
    tuned: FlaskClient, admin: Headers, database: Database, trained: str
) -> None:
    assert whole(tuned, admin, trained) is None
    assert_error(tuned.get(f"{SESSIONS}/{trained}/model", headers=admin), 409, "NOT_MERGED", "merge it first")
    first = post(tuned, admin, trained, "merge")
    assert (first.status_code, first.get_json()["status"], first.get_json()["dtype"]) == (202, "queued", "bfloat16")
    again = post(tuned, admin, trained, "merge", dtype="bfloat16")
    assert again.get_json()["job_id"] == first.get_json()["job_id"]
    assert_error(post(tuned, admin, trained, "merge", dtype="float32"), 409, "CONFLICT", "bfloat16")
    assert_error(tuned.delete(f"{SESSIONS}/{trained}", headers=admin), 409, "CONFLICT", first.get_json()["job_id"])
    assert_error(tuned.get(f"{SESSIONS}/{trained}/model", headers=admin), 409, "NOT_MERGED")
    merge(tuned, admin, database, trained)
    told = whole(tuned, admin, trained)
    assert (told["status"], told["progress"], told["size_bytes"]) == ("completed", 100.0, 23)
    archive = tuned.get(f"{SESSIONS}/{trained}/model", headers=admin)
    assert (archive.status_code, archive.mimetype) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(archive.data)) as opened:
        assert sorted(opened.namelist()) == ["README.md", "config.json", "model.safetensors"]
        assert opened.read("model.safetensors") == b"the whole model"
    assert post(tuned, admin, trained, "merge").get_json()["status"] == "completed"
    assert tuned.delete(f"{SESSIONS}/{trained}", headers=admin).status_code == 200


def test_a_cancelled_merge_may_be_asked_for_again(
    tuned: FlaskClient, admin: Headers, database: Database, trained: str
) -> None:
    first = post(tuned, admin, trained, "merge").get_json()["job_id"]
    assert tuned.post(f"/api/jobs/{first}/cancel", headers=admin).status_code == 200
    assert whole(tuned, admin, trained)["status"] == "cancelled"
    second = post(tuned, admin, trained, "merge", dtype="float32").get_json()
    assert second["job_id"] != first
    assert second["status"] == "queued"


def test_a_worker_that_merges_is_at_that_session(
    tuned: FlaskClient, admin: Headers, database: Database, trained: str
) -> None:
    job_id = post(tuned, admin, trained, "merge").get_json()["job_id"]
    with database.transaction() as session:
        job = session.get_one(Job, job_id)
    making.claim(database, job, node="tune@here")
    (worker,) = tuned.get(WORKERS, headers=admin).get_json()
    assert (worker["status"], worker["current_session"]) == ("busy", trained)
    assert whole(tuned, admin, trained)["status"] == "merging"


def test_what_cannot_be_merged_is_refused(tuned: FlaskClient, admin: Headers, database: Database, trained: str) -> None:
    untrained = tuning.session(tuned, admin)
    assert_error(post(tuned, admin, untrained, "merge"), 409, "CONFLICT", "pending")
    assert_error(post(tuned, admin, "ft_none", "merge"), 404, "SESSION_NOT_FOUND", "ft_none")
    assert_error(post(tuned, admin, trained, "merge", dtype="int4"), 422, "VALIDATION_ERROR", "int4")
    tuning.forget(database)
    assert_error(post(tuned, admin, trained, "merge"), 503, "PROVIDER_UNAVAILABLE")


def test_a_worker_merges_what_it_trained(
    tuned: FlaskClient, admin: Headers, configured: Settings, tmp_path: Path
) -> None:
    tuning.prompt(tuned, admin)
    with tuning.tuner(configured, tmp_path):
        made = tuning.begun(tuned, admin)
        tuning.becomes(tuned, admin, made, "completed")
        assert post(tuned, admin, made, "merge").status_code == 202
        eventually(lambda: whole(tuned, admin, made)["status"] == "completed", within_seconds=20)
    archive = tuned.get(f"{SESSIONS}/{made}/model", headers=admin)
    with zipfile.ZipFile(io.BytesIO(archive.data)) as opened:
        assert opened.testzip() is None
        learned = f"bfloat16 of adapter/adapter_model.safetensors of {made}".encode()
        assert opened.read("model.safetensors") == learned


# --- Handing over ----------------------------------------------------------------------------------------------------


def test_an_ollama_gets_the_model_once_and_makes_it_its_own(
    tuned: FlaskClient, admin: Headers, database: Database, worker: Child, trained: str, ollama: Ollama
) -> None:
    merge(tuned, admin, database, trained)
    number = service(tuned, admin, ollama.url)
    asked = {"service_id": number, "model": "films:latest"}
    first = post(tuned, admin, trained, "handover", **asked)
    assert (first.status_code, first.get_json()["status"]) == (202, "queued")
    job = ended(tuned, admin, first.get_json()["job_id"])
    assert (job["state"], job["error"]) == ("succeeded", None)
    files = ollama.made["films:latest"]
    assert set(files) == {"model.safetensors", "config.json"}
    assert ollama.blobs[files["model.safetensors"]] == b"the whole model"
    # What it has is not sent again.
    ollama.asked.clear()
    second = post(tuned, admin, trained, "handover", service_id=number, model="other").get_json()["job_id"]
    assert ended(tuned, admin, second)["state"] == "succeeded"
    assert [each.method for each in ollama.asked if each.path.startswith("/api/blobs")] == ["HEAD", "HEAD"]
    assert ollama.made["other"] == files


def test_an_ollama_that_is_away_is_waited_for_and_one_that_refuses_is_not(
    tuned: FlaskClient, admin: Headers, database: Database, worker: Child, trained: str, ollama: Ollama
) -> None:
    merge(tuned, admin, database, trained)
    away = service(tuned, admin, "http://127.0.0.1:9", name="away")
    job_id = post(tuned, admin, trained, "handover", service_id=away, model="films").get_json()["job_id"]
    asked = {"service_id": away, "model": "films"}

    def tried() -> bool:
        job = tuned.get(f"/api/jobs/{job_id}", headers=admin).get_json()
        return job["state"] == "queued" and (job["error"] or {}).get("code") == "upstream_unavailable"

    eventually(tried)
    # Who asks again meanwhile asks for the same.
    assert post(tuned, admin, trained, "handover", **asked).get_json()["job_id"] == job_id
    tuned.post(f"/api/jobs/{job_id}/cancel", headers=admin)
    broken = service(tuned, admin, ollama.url + "/nowhere", name="broken")
    job_id = post(tuned, admin, trained, "handover", service_id=broken, model="films").get_json()["job_id"]
    job = ended(tuned, admin, job_id)
    assert (job["state"], job["error"]["code"]) == ("failed", "upstream_error")
    assert ollama.made == {}


def test_what_cannot_be_handed_over_is_refused(
    tuned: FlaskClient, admin: Headers, database: Database, trained: str, ollama: Ollama
) -> None:
    number = service(tuned, admin, ollama.url)
    assert_error(
        post(tuned, admin, trained, "handover", service_id=number, model="films"), 409, "NOT_MERGED", "merge it first"
    )
    merge(tuned, admin, database, trained)
    assert_error(
        post(tuned, admin, trained, "handover", service_id=number + 1, model="films"), 404, "SERVICE_NOT_FOUND"
    )
    other = service(tuned, admin, ollama.url, name="plex", type="plex")
    assert_error(
        post(tuned, admin, trained, "handover", service_id=other, model="films"), 422, "VALIDATION_ERROR", "plex"
    )
    for name in ("", "../films", "a b", "films:"):
        answer = post(tuned, admin, trained, "handover", service_id=number, model=name)
        assert_error(answer, 422, "VALIDATION_ERROR", "model")


# --- Previews --------------------------------------------------------------------------------------------------------


def test_a_preview_shows_what_the_prompts_become(
    tuned: FlaskClient, admin: Headers, worker: Child, tmp_path: Path
) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    words = {word: number for number, word in enumerate(("[UNK]", "user", "assistant", "question", "answer", ":", "2"))}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "bases" / tuning.BASE / "tokenizer.json"))
    first, second = (tuning.prompt(tuned, admin, number) for number in (1, 2))
    body = {"base_model": tuning.BASE, "prompt_ids": [second], "config": {"lora_r": 4}}
    answer = tuned.post(PREVIEW, json=body, headers=admin)
    assert answer.status_code == 200, answer.text
    (shown,) = answer.get_json()["prompts"]
    assert shown == {
        "prompt_id": second,
        "text": "user: question 2\nassistant: answer 2\n",
        "learned": "answer 2\n",
        "tokens": 8,
        "prompt_tokens": 6,
        "truncated": False,
        "held_out": False,
    }
    assert answer.get_json()["data_stats"]["memory_estimate_bytes"] > 0
    assert "no chat template" in answer.get_json()["warnings"][0]
    everything = tuned.post(PREVIEW, json={"base_model": tuning.BASE}, headers=admin).get_json()
    assert [each["prompt_id"] for each in everything["prompts"]] == [first, second]


def test_what_cannot_be_previewed_is_refused(tuned: FlaskClient, admin: Headers, no_worker: None) -> None:
    def preview(**body: Any) -> TestResponse:
        return tuned.post(PREVIEW, json={"base_model": tuning.BASE} | body, headers=admin)

    assert_error(preview(), 422, "VALIDATION_ERROR")
    made = tuning.prompt(tuned, admin)
    assert_error(preview(base_model="no/such"), 409, "BASE_MODEL_UNAVAILABLE", "no/such")
    assert_error(preview(base_model="../x"), 422, "VALIDATION_ERROR", "../x")
    assert_error(preview(prompt_ids=[made + 1]), 422, "VALIDATION_ERROR", str(made + 1))
    assert_error(preview(config={"lora_r": 0}), 422, "VALIDATION_ERROR", "lora_r")
    assert_error(preview(), 503, "PROVIDER_UNAVAILABLE", "worker_io")
