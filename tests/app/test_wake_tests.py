"""Testing wake words over HTTP: whether a word is in a file, and on which device."""

from __future__ import annotations

import dataclasses
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import requests
from flask.testing import FlaskClient
from sqlalchemy import delete, func, select, update
from werkzeug.test import TestResponse

pytest.importorskip("hibari")

from app import create_app
from config.settings import Settings
from models import accounts, wake_models, wake_trainings, workers
from models.db import Database
from models.jobs.tables import Job
from models.wake_models import WakeModel
from models.workers import Presence, Worker
from tests.alexa import file_of, keep_model, pcm, spoken
from tests.conftest import PASSWORD, eventually
from tests.described import DescribedClient
from tests.web import Web

PATH = "/api/test/file"
SHORT = file_of(spoken((1.0, "Alexa."), seconds=3))
OTHER = file_of(spoken((1.0, "Computer."), seconds=3))
FIELDS = {"detected", "confidence", "threshold", "model_id", "version", "processing_time_ms", "duration_seconds"}


@pytest.fixture
def send(client: FlaskClient, customer: dict[str, str], model: WakeModel) -> Callable[..., TestResponse]:
    """Sends a file to be tested."""

    def post(content: bytes | None = SHORT, name: str = "a.wav", **fields: str) -> TestResponse:
        form: dict[str, Any] = {"model_id": "alexa"} | fields
        if content is not None:
            form["audio"] = (io.BytesIO(content), name)
        return client.post(PATH, data=form, headers=customer, content_type="multipart/form-data")

    return post


Send = Callable[..., TestResponse]


def uploads(configured: Settings) -> list[str]:
    folder = wake_trainings.folders(configured.var_dir).uploads
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def refused(answer: TestResponse, status: int, code: str, *named: str) -> None:
    told = answer.get_json()
    assert (answer.status_code, set(told), told["error"]) == (status, {"error", "message", "details"}, code), (
        answer.text
    )
    assert all(each in told["message"] for each in named), told["message"]


# --- By file ---------------------------------------------------------------------------------------------------------


def test_a_file_with_the_word_is_told_from_one_without(send: Send, worker: object, configured: Settings) -> None:
    found, other = send(), send(OTHER)
    assert (found.status_code, other.status_code) == (200, 200)
    told = found.get_json()
    assert set(told) == FIELDS
    assert (told["detected"], told["threshold"], told["model_id"], told["version"]) == (True, 0.5, "alexa", 1)
    assert 0.5 <= told["confidence"] <= 1
    assert told["duration_seconds"] == 3.0
    assert (other.get_json()["detected"], other.get_json()["confidence"] < 0.3) == (False, True)
    assert uploads(configured) == []


def test_the_time_that_it_took_is_measured(send: Send, worker: object) -> None:
    send()
    short = send()
    began = time.perf_counter()
    long = send(file_of(np.tile(spoken((1.0, "Alexa."), seconds=10), 30)))
    waited = (time.perf_counter() - began) * 1000
    assert 1 <= short.get_json()["processing_time_ms"] < long.get_json()["processing_time_ms"] <= waited


def test_of_a_long_file_every_detection_is_told(send: Send, worker: object) -> None:
    # Ten minutes, with the word every twenty seconds.
    ten_minutes = np.tile(spoken((2.0, "Alexa."), seconds=20), 30)
    told = send(file_of(ten_minutes)).get_json()
    assert set(told) == FIELDS | {"detections"}
    assert [each["time_seconds"] for each in told["detections"]] == pytest.approx(
        [2.5 + 20 * number for number in range(30)], abs=0.3
    )
    assert all(set(each) == {"time_seconds", "confidence"} for each in told["detections"])
    assert all(told["threshold"] <= each["confidence"] <= told["confidence"] for each in told["detections"])
    print(f"ten minutes: {told['processing_time_ms']} ms")


def test_a_threshold_is_honoured_and_the_models_own_counts_without_one(
    send: Send, worker: object, database: Database
) -> None:
    assert send(threshold="1").get_json() | {"processing_time_ms": 0, "confidence": 0} == {
        "detected": False,
        "confidence": 0,
        "threshold": 1.0,
        "model_id": "alexa",
        "version": 1,
        "processing_time_ms": 0,
        "duration_seconds": 3.0,
    }
    with database.transaction() as session:
        session.execute(update(WakeModel).values(threshold=1.0))
    assert (send().get_json()["detected"], send(threshold="0.1").get_json()["detected"]) == (False, True)


def test_a_version_is_tested_by_its_name(send: Send, worker: object, database: Database, configured: Settings) -> None:
    keep_model(database, configured.var_dir, threshold=0.9)
    told = [send(model_id=name).get_json() for name in ("alexa", "alexa@2", "alexa@1")]
    assert [(each["model_id"], each["version"], each["threshold"]) for each in told] == [
        ("alexa", 2, 0.9),
        ("alexa@2", 2, 0.9),
        ("alexa@1", 1, 0.5),
    ]


@pytest.mark.parametrize("form", ["FLAC", "MP3"])
def test_other_formats_and_rates_are_heard(send: Send, worker: object, form: str) -> None:
    sound = file_of(spoken((1.0, "Alexa."), seconds=3, rate=44_100), 44_100, form)
    # Whatever it is called.
    assert send(sound, name="../../voice.txt").get_json()["detected"]


def test_many_at_once_are_each_answered(web: Web, worker: object, model: WakeModel, customer: dict[str, str]) -> None:
    answers: dict[int, dict[str, Any]] = {}

    def send(number: int) -> None:
        content = SHORT if number % 2 else OTHER
        answer = requests.post(
            web.url(PATH), data={"model_id": "alexa"}, files={"audio": content}, headers=customer, timeout=60
        )
        answers[number] = answer.json()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {number: told["detected"] for number, told in answers.items()} == {n: bool(n % 2) for n in range(8)}


# --- What is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (None, "a file is needed"),
        (b"", "empty"),
        (b"This is a text.", "no audio file"),
        (file_of(np.zeros(0, np.float32)), "no sound"),
        (b"RIFF\x10\0\0\0WAVEfmt ", "no audio file"),
        # Bare samples do not say their rate.
        (pcm(spoken((1.0, "Alexa."), seconds=1)), "no audio file"),
    ],
    ids=["none", "empty", "text", "no samples", "half a header", "bare samples"],
)
def test_what_is_no_sound_is_refused(
    send: Send, worker: object, configured: Settings, content: bytes | None, named: str
) -> None:
    refused(send(content, name="a.wav"), 400, "validation_error", "audio", named)
    assert uploads(configured) == []


@pytest.mark.parametrize("threshold", ["1.01", "-0.1", "nan", "inf", "high", "", "0,5"])
def test_a_threshold_that_is_none_is_refused(send: Send, threshold: str) -> None:
    refused(send(threshold=threshold), 400, "validation_error", "threshold", threshold)


@pytest.mark.parametrize(
    "model_id",
    [
        *(
            "jarvis",
            "alexa@2",
            "alexa@0",
            "alexa@01",
            "alexa@1@1",
            "@1",
            "ALEXA",
            "42",
            "../alexa",
            "a/../../etc/passwd",
        ),
        *("alexa@99999999999999999999", "alexa\n", "é" * 50, "%00"),
    ],
)
def test_a_model_that_nobody_has_is_a_404(send: Send, model_id: str) -> None:
    refused(send(model_id=model_id), 404, "not_found")


@pytest.mark.parametrize("model_id", ["", "x" * 121, "al\0exa"])
def test_a_name_that_no_model_can_have_is_refused(send: Send, model_id: str) -> None:
    refused(send(model_id=model_id), 400, "validation_error", "model_id")


def test_a_test_needs_a_form_with_a_model(client: FlaskClient, customer: dict[str, str], model: WakeModel) -> None:
    sound = {"audio": (io.BytesIO(SHORT), "a.wav")}
    without = client.post(PATH, data=sound, headers=customer, content_type="multipart/form-data")
    refused(without, 400, "validation_error", "model_id")
    refused(client.post(PATH, json={"model_id": "alexa"}, headers=customer), 400, "validation_error")
    refused(client.post(PATH, headers=customer), 400, "validation_error")


def test_a_file_that_is_too_large_is_a_413(configured: Settings, model: WakeModel, customer: dict[str, str]) -> None:
    app = create_app(dataclasses.replace(configured, max_upload_mb=1))
    app.test_client_class = DescribedClient
    http = app.test_client()
    # Of one just above, only the file itself is too large; of the other, the whole body.
    for size in (2**20 + 1, 3 * 2**20):
        sent = {"model_id": "alexa", "audio": (io.BytesIO(bytes(size)), "a.wav")}
        answer = http.post(PATH, data=sent, headers=customer, content_type="multipart/form-data")
        refused(answer, 413, "payload_too_large")
    assert uploads(configured) == []
    app.extensions["voiceworks"].hub.stop()
    app.extensions["voiceworks"].database.dispose()


def test_without_a_worker_it_is_said_at_once_who_is_missing(send: Send, worker: object, no_worker: None) -> None:
    answer = send()
    refused(answer, 503, "provider_unavailable", "listen", "worker_io")
    assert int(answer.headers["Retry-After"]) > 0


def test_a_model_whose_file_is_gone_is_a_404(
    send: Send, worker: object, model: WakeModel, configured: Settings, database: Database
) -> None:
    other = keep_model(database, configured.var_dir, wake_word="gone", detector=b"PK no detector at all")
    stored = configured.var_dir / "files" / other.files["detector"]["file"][:2] / other.files["detector"]["file"]
    stored.unlink()
    refused(send(model_id="gone"), 404, "not_found", "gone@1")


def test_a_model_that_is_none_is_our_fault(
    send: Send, worker: object, configured: Settings, database: Database
) -> None:
    keep_model(database, configured.var_dir, wake_word="broken", detector=b"PK no detector at all")
    answer = send(model_id="broken")
    refused(answer, 500, "internal_error")
    assert "PK" not in answer.text


@pytest.fixture
def busy(client: FlaskClient, configured: Settings) -> Iterator[None]:
    """As much is waiting as may wait."""
    here = client.application.extensions["voiceworks"]
    object.__setattr__(here, "settings", dataclasses.replace(configured, live_waiting_max=0))
    yield
    object.__setattr__(here, "settings", configured)


def test_when_too_much_is_waiting_it_is_said_when_to_come_back(send: Send, worker: object, busy: None) -> None:
    answer = send()
    refused(answer, 503, "busy")
    assert int(answer.headers["Retry-After"]) > 0


def test_who_hangs_up_frees_the_worker(
    web: Web, worker: object, model: WakeModel, customer: dict[str, str], database: Database, configured: Settings
) -> None:
    # Half an hour less a little: several seconds of work.
    content = file_of(np.tile(spoken((1.0, "Alexa."), seconds=10), 170))
    boundary = "the-boundary-of-parts"
    body = (
        (
            f'--{boundary}\r\nContent-Disposition: form-data; name="model_id"\r\n\r\nalexa\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\n'
        ).encode()
        + content
        + f"\r\n--{boundary}--\r\n".encode()
    )
    head = [f"POST {PATH} HTTP/1.1", f"Host: 127.0.0.1:{web.port}", f"Content-Length: {len(body)}"]
    head += [f"Content-Type: multipart/form-data; boundary={boundary}", f"X-API-Key: {customer['X-API-Key']}"]
    with socket.create_connection(("127.0.0.1", web.port), timeout=30) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode() + body)

        def job() -> Job | None:
            with database.transaction() as session:
                return session.scalars(select(Job).where(Job.state == "running")).one_or_none()

        assert eventually(job, within_seconds=20).kind == "wakeword.listen"
        assert len(uploads(configured)) == 1

    def ended() -> Any:
        with database.transaction() as session:
            return session.scalars(select(Job.state).where(Job.finished_at.is_not(None))).one_or_none()

    began = time.monotonic()
    assert eventually(ended) == "cancelled"
    print(f"from hanging up to the end of the job: {time.monotonic() - began:.2f} s")
    eventually(lambda: uploads(configured) == [])


# --- On which device ------------------------------------------------------------------------------------------------


@pytest.fixture
def gpu(database: Database) -> Iterator[None]:
    """A worker with a GPU, as the fleet starts them."""
    with database.transaction() as session:
        workers.register(session, Presence("gpu0@there", "there", 1, "cuda:0", ["tts.live.neural"], {}, 0))
        workers.beat(
            session,
            "gpu0@there",
            current_unit=None,
            memory_bytes=0,
            gpu={"uuid": "GPU-1", "name": "NVIDIA GeForce RTX 3060", "memory_total_bytes": 1, "memory_used_bytes": 0},
        )
    yield
    with database.transaction() as session:
        session.execute(delete(Worker).where(Worker.node == "gpu0@there"))


@pytest.fixture
def operator(database: Database, clean: None) -> dict[str, str]:
    """Headers of an operator."""
    with database.transaction() as session:
        account = accounts.create(session, username="operator", password=PASSWORD, role="operator")
        accounts.store_key(session, account, name="o", role="operator", secret="an operator's key")
    return {"X-API-Key": "an operator's key"}


def test_without_a_gpu_there_is_the_processor(client: FlaskClient, operator: dict[str, str]) -> None:
    shown = {"device": "cpu", "cuda_available": False, "gpu_name": None, "devices": ["cpu"]}
    assert client.get("/api/test/device", headers=operator).get_json() == shown
    assert client.post("/api/test/device", json={"device": "cpu"}, headers=operator).get_json() == shown
    for device in ("cuda", "cuda:0", "CPU", "tpu", "0"):
        answer = client.post("/api/test/device", json={"device": device}, headers=operator)
        refused(answer, 400, "validation_error", repr(device), "only cpu")
    for body in ({}, {"device": ""}, {"device": 0}, {"device": None}, {"device": "x" * 51}):
        refused(client.post("/api/test/device", json=body, headers=operator), 400, "validation_error", "device")


def test_a_device_that_a_worker_has_is_chosen_and_given_up_with_it(
    client: FlaskClient, operator: dict[str, str], gpu: None, database: Database
) -> None:
    assert client.get("/api/test/device", headers=operator).get_json()["device"] == "cpu"
    for device in ("cuda", "cuda:0"):
        chosen = client.post("/api/test/device", json={"device": device}, headers=operator)
        assert chosen.get_json() == client.get("/api/test/device", headers=operator).get_json()
        assert chosen.get_json() == {
            "device": device,
            "cuda_available": True,
            "gpu_name": "NVIDIA GeForce RTX 3060",
            "devices": ["cpu", "cuda", "cuda:0"],
        }
    answer = client.post("/api/test/device", json={"device": "cuda:1"}, headers=operator)
    refused(answer, 400, "validation_error", "'cuda:1'", "cpu, cuda, cuda:0")
    with database.transaction() as session:
        session.execute(
            update(Worker)
            .values(heartbeat_at=func.now() - func.make_interval(0, 0, 0, 0, 0, 5))
            .where(Worker.node == "gpu0@there")
        )
    assert client.get("/api/test/device", headers=operator).get_json()["device"] == "cpu"


def test_a_client_sees_the_device_and_does_not_choose_it(
    client: FlaskClient, customer: dict[str, str], worker: object
) -> None:
    assert client.get("/api/test/device", headers=customer).get_json()["devices"] == ["cpu"]
    refused(client.post("/api/test/device", json={"device": "cpu"}, headers=customer), 403, "forbidden", "operator")


def test_tests_are_found_among_the_jobs(
    send: Send, worker: object, client: FlaskClient, customer: dict[str, str], database: Database
) -> None:
    send()
    (job,) = client.get("/api/jobs?kind=wakeword.listen", headers=customer).get_json()["jobs"]
    assert (job["state"], job["id"][:7]) == ("succeeded", "listen_")
    with database.transaction() as session:
        assert wake_models.find(session, "alexa").job_id is None
