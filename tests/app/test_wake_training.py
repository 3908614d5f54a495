"""Starting trainings over HTTP: what is taken, what is refused and how it is named, two of one word, whose they are."""

from __future__ import annotations

import dataclasses
import io
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
import soundfile
from flask.testing import FlaskClient
from sqlalchemy import delete, func, select
from werkzeug.test import TestResponse

from app import create_app
from config.settings import Settings
from models import wake_captures, workers
from models.db import Database
from models.files import FileStore
from models.jobs.tables import Job
from models.wake_trainings import KIND, LANE, WakeTraining
from models.workers import Worker
from tests import making, waking
from tests.described import DescribedClient
from tests.waking import form, sound, wav
from tests.web import Web
from workers.wakeword.options import MODEL_TYPES, Options

START = "/api/train/start"


@pytest.fixture(autouse=True)
def trainer(database: Database) -> Iterator[None]:
    """Somebody who says that they train, and never does."""
    making.register(database, "train@here", LANE)
    yield
    with database.transaction() as session:
        session.execute(delete(Worker).where(Worker.host == "here"))


@pytest.fixture
def start(client: FlaskClient, customer: dict[str, str]) -> Callable[..., TestResponse]:
    """Sends a form that starts a training."""

    def send(word: str | None = "jarvis", *, headers: dict[str, str] | None = None, **fields: Any) -> TestResponse:
        sent = form(word, **fields)
        return client.post(START, data=sent, headers=headers or customer, content_type="multipart/form-data")

    return send


def jobs(database: Database) -> list[Job]:
    with database.transaction() as session:
        return list(session.scalars(select(Job).where(Job.kind == KIND).order_by(Job.created_at)))


def assert_invalid(answer: TestResponse, *named: str) -> None:
    """Fails unless it is the surface's 400 and names all of these."""
    found = answer.get_json()
    assert answer.status_code == 400, found
    assert set(found) == {"error", "message", "details"}
    assert found["error"] == "validation_error"
    for each in named:
        assert each in found["message"], found["message"]


def test_a_form_with_a_word_and_recordings_starts_a_training(
    start: Callable[..., TestResponse], database: Database
) -> None:
    answer = start()
    assert answer.status_code == 200, answer.text
    (job,) = jobs(database)
    assert answer.get_json() | {"warnings": []} == {
        "job_id": job.id,
        "status": "pending",
        "message": "Training job created",
        "warnings": [],
    }
    assert job.params == {
        "wake_word": "jarvis",
        "model_type": "ast",
        "options": vars(Options()),
        "seed": 1,
        "target_false_accepts_per_hour": 0.5,
    }
    assert job.resolution["model_type_used"] == "embedding"
    assert "AST_FOLDER" in job.resolution["reason"]
    with database.transaction() as session:
        clips = session.get_one(WakeTraining, job.id).clips
    assert [clip["name"] for clip in clips["recordings"]] == ["take 0.wav", "take 1.wav", "take 2.wav"]
    assert (clips["false_alarms"], clips["misses"]) == ([], [])


def test_what_was_sent_is_stored_as_it_was_sent(
    client: FlaskClient, start: Callable[..., TestResponse], database: Database
) -> None:
    content = sound(seed=9)
    start(audio_files=[(io.BytesIO(content), "C:\\fakepath\\../x/Take Ü.wav")])
    with database.transaction() as session:
        (clip,) = session.scalars(select(WakeTraining)).one().clips["recordings"]
    store: FileStore = client.application.extensions["voiceworks"].files
    assert store.path(clip["file"]).read_bytes() == content
    assert (clip["name"], clip["size_bytes"]) == ("Take Ü.wav", len(content))
    assert 0.9 < clip["duration_seconds"] < 1.4


@pytest.mark.parametrize("name", ["audio_files", "audio_files[]", "recordings", "recordings[]"])
def test_recordings_may_be_called_so(start: Callable[..., TestResponse], database: Database, name: str) -> None:
    answer = start(**{"audio_files": None, name: [(io.BytesIO(sound()), "a.wav")]})
    assert answer.status_code == 200, answer.text


GIVEN: dict[str, tuple[str, Any]] = {
    "batch_size": ("16", 16),
    "learning_rate": ("1e-3", 0.001),
    "num_epochs": ("3", 3),
    "early_stopping": ("2", 2),
    "dropout": ("0.25", 0.25),
    "label_smoothing": ("0", 0.0),
    "mixup_alpha": ("0.2", 0.2),
    "use_focal_loss": ("true", True),
    "focal_alpha": ("0.75", 0.75),
    "focal_gamma": ("1.5", 1.5),
    "use_attention": ("on", True),
    "use_se_block": ("1", True),
    "use_tcn": ("TRUE", True),
    "use_tts_positives": ("false", False),
    "use_real_negatives": ("0", False),
    "use_hard_negatives": ("no", False),
    "target_positive_samples": ("500", 500),
    "negative_ratio": ("3.5", 3.5),
    "hard_negative_ratio": ("1", 1.0),
}


def test_every_option_is_taken_and_none_is_forgotten(start: Callable[..., TestResponse], database: Database) -> None:
    assert set(GIVEN) == set(vars(Options()))
    others = {"model_type": "tcresnet", "seed": "7", "target_false_accepts_per_hour": "0.1"}
    answer = start(**{name: said for name, (said, _) in GIVEN.items()}, **others, favourite_colour="blue")
    assert answer.status_code == 200, answer.text
    (job,) = jobs(database)
    assert job.params["options"] == {name: value for name, (_, value) in GIVEN.items()}
    assert (job.params["model_type"], job.params["seed"]) == ("tcresnet", 7)
    assert job.params["target_false_accepts_per_hour"] == 0.1
    assert job.resolution == {"model_type_requested": "tcresnet", "model_type_used": "tcresnet", "reason": ""}


WRONG = [
    *(("batch_size", each) for each in ("0", "3", "1025", "1.5", "many", "", "1e9", "\u0661")),
    *(("learning_rate", each) for each in ("0", "-1", "0.2", "nan", "inf", "x")),
    *(("num_epochs", each) for each in ("0", "1001", "-5")),
    *(("early_stopping", each) for each in ("0", "1001")),
    *(("dropout", each) for each in ("-0.1", "0.91", "1")),
    *(("label_smoothing", each) for each in ("-0.1", "0.6")),
    *(("mixup_alpha", each) for each in ("-0.1", "4.1")),
    *(("focal_alpha", each) for each in ("-0.1", "1.1")),
    *(("focal_gamma", each) for each in ("-0.1", "10.1")),
    *((name, each) for name in GIVEN if name.startswith("use_") for each in ("maybe", "2", "")),
    *(("target_positive_samples", each) for each in ("19", "200001")),
    *(("negative_ratio", each) for each in ("-1", "51")),
    *(("hard_negative_ratio", each) for each in ("-1", "11")),
    *(("model_type", each) for each in ("", "AST", "resnet")),
    *(("target_false_accepts_per_hour", each) for each in ("0", "101")),
    *(("seed", each) for each in ("-1", str(2**31))),
    ("callback_url", "ftp://example.org"),
]


@pytest.mark.parametrize(("name", "value"), WRONG, ids=[f"{name}={value}" for name, value in WRONG])
def test_an_option_out_of_its_range_is_refused_by_name_and_value(
    start: Callable[..., TestResponse], database: Database, name: str, value: str
) -> None:
    assert_invalid(start(**{name: value}), name, value or "''")
    assert jobs(database) == []


@pytest.mark.parametrize("name", MODEL_TYPES)
def test_every_type_of_model_is_taken(start: Callable[..., TestResponse], name: str) -> None:
    assert start(model_type=name).status_code == 200


@pytest.mark.parametrize(
    "word",
    [
        "",
        " ",
        "a",
        "x" * 31,
        "j4rvis",
        "hey-jarvis",
        "hey_jarvis",
        "../../etc",
        "jarvis!",
        "{word}",
        "compare",
        "ja\0r",
        # Nobody sees these.
        "\u3164\u3164",
        "ja\u034fr",
        "ja\u200dr",
    ],
)
def test_a_word_that_is_none_is_refused(start: Callable[..., TestResponse], database: Database, word: str) -> None:
    assert_invalid(start(word), "wake_word")
    assert jobs(database) == []


def test_a_missing_word_is_named(start: Callable[..., TestResponse]) -> None:
    assert_invalid(start(None), "wake_word")


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("  Hey   Jarvis ", "Hey Jarvis"),
        ("ab", "ab"),
        ("x" * 30, "x" * 30),
        ("Cafe\u0301 olé", "Café olé"),
        ("小爱同学", "小爱同学"),
        ("हे जार्विस", "हे जार्विस"),
    ],
)
def test_a_word_of_letters_is_taken(
    start: Callable[..., TestResponse], database: Database, said: str, kept: str
) -> None:
    assert start(said).status_code == 200
    (job,) = jobs(database)
    assert job.params["wake_word"] == kept


def silence(seconds: float = 1.0) -> bytes:
    return wav(np.zeros(round(16000 * seconds)))


def clipped() -> bytes:
    return sound(gain=3.0)


BAD_FILES = {
    "silence": (silence(), "silent"),
    "hardly anything": (wav(1e-5 * np.random.default_rng(1).standard_normal(16000)), "silent"),
    "a tone": (wav(0.5 * np.sin(np.arange(16000))), "no speech"),
    "0.1 s": (sound(0.1, around=0.0), "0.10 s"),
    "60 s": (sound(60.0), "60"),
    "12 s": (sound(12.0), "12."),
    "two minutes": (silence(120), "120"),
    "text": (b"This is not a wave file.", "no audio"),
    "half a header": (sound()[:20], "no audio"),
    "an html page": (b"<html><body>RIFF</body></html>", "no audio"),
    "zip": (b"PK\x03\x04" + bytes(200), "no audio"),
}


@pytest.mark.parametrize("what", BAD_FILES)
def test_a_recording_that_cannot_be_used_is_named_with_the_reason(
    start: Callable[..., TestResponse], client: FlaskClient, database: Database, what: str
) -> None:
    content, reason = BAD_FILES[what]
    sent = [(io.BytesIO(sound()), "good.wav"), (io.BytesIO(content), "bad one.wav")]
    answer = start(audio_files=sent)
    assert_invalid(answer, "audio_files", "'bad one.wav'", reason)
    assert answer.get_json()["details"]["file"] == "bad one.wav"
    assert jobs(database) == []


def test_an_empty_file_is_refused(start: Callable[..., TestResponse]) -> None:
    assert_invalid(start(audio_files=[(io.BytesIO(b""), "empty.wav")]), "'empty.wav'")


@pytest.mark.parametrize("count", [0, 6])
def test_too_few_or_too_many_recordings_are_refused(start: Callable[..., TestResponse], count: int) -> None:
    assert_invalid(start(takes=count), "audio_files", str(count), "1 to 5")


def test_an_input_that_was_left_empty_is_no_recording(start: Callable[..., TestResponse]) -> None:
    assert_invalid(start(audio_files=[(io.BytesIO(b""), "")]), "0 files")


@pytest.mark.parametrize("name", ["false_alarms", "misses"])
def test_captured_clips_are_looked_at_too(start: Callable[..., TestResponse], database: Database, name: str) -> None:
    for content in (b"text", silence(0.1), silence(61)):
        assert_invalid(start(**{name: [(io.BytesIO(content), "c.wav")]}), name, "'c.wav'")
    # Silence may be what a detector fired at.
    assert start(**{f"{name}[]": [(io.BytesIO(silence()), "c.wav")]}).status_code == 200
    (job,) = jobs(database)
    with database.transaction() as session:
        (clip,) = session.get_one(WakeTraining, job.id).clips[name]
        kind = "false_alarm" if name == "false_alarms" else "miss"
        (capture,) = wake_captures.newest(session, "jarvis", kind)
    assert (capture.file, capture.duration_seconds) == (clip["file"], 1.0)


def test_a_clipped_recording_is_taken_with_a_warning(start: Callable[..., TestResponse], client: FlaskClient) -> None:
    answer = start(audio_files=[(io.BytesIO(clipped()), "loud.wav")])
    assert answer.status_code == 200
    (told, *_) = [text for text in answer.get_json()["warnings"] if "'loud.wav'" in text]
    assert "clipped" in told


def test_without_negatives_a_warning_says_what_to_do(start: Callable[..., TestResponse]) -> None:
    def about_cache(**fields: Any) -> bool:
        return any("POST /api/cache/build" in text for text in start(**fields).get_json().get("warnings", []))

    assert about_cache()
    assert not about_cache(word="other", use_real_negatives="false")


@pytest.mark.parametrize("rate_hz", [8000, 22050, 44100, 48000, 96000])
def test_recordings_may_have_any_rate(start: Callable[..., TestResponse], rate_hz: int) -> None:
    assert start(audio_files=[(io.BytesIO(sound(rate_hz=rate_hz)), "a.wav")]).status_code == 200


@pytest.mark.parametrize(("form_name", "subtype"), [("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("WAV", "FLOAT")])
def test_recordings_may_have_any_usual_format(start: Callable[..., TestResponse], form_name: str, subtype: str) -> None:
    samples, rate_hz = soundfile.read(io.BytesIO(sound()))
    file = io.BytesIO()
    soundfile.write(file, np.stack((samples, samples), 1), rate_hz, format=form_name, subtype=subtype)
    assert start(audio_files=[(io.BytesIO(file.getvalue()), "a")]).status_code == 200


def test_a_file_beyond_the_limit_is_413_in_the_surfaces_shape(configured: Settings, clean: None, customer: Any) -> None:
    app = create_app(dataclasses.replace(configured, max_upload_mb=1))
    app.test_client_class = DescribedClient
    for content in (bytes(2**20 + 1), bytes(3 * 2**20)):
        answer = app.test_client().post(START, data=form(audio_files=[(io.BytesIO(content), "a")]), headers=customer)
        assert answer.status_code == 413, answer.text
        assert answer.get_json()["error"] == "payload_too_large"
    app.extensions["voiceworks"].hub.stop()
    app.extensions["voiceworks"].database.dispose()


def test_a_body_that_is_no_form_is_refused(client: FlaskClient, customer: dict[str, str]) -> None:
    assert_invalid(client.post(START, json={"wake_word": "jarvis"}, headers=customer), "multipart/form-data")
    assert_invalid(client.post(START, headers=customer), "multipart/form-data")


def test_two_trainings_of_one_word_are_a_conflict_in_every_spelling(start: Callable[..., TestResponse]) -> None:
    first = start("hey jarvis").get_json()["job_id"]
    for spelled in ("hey jarvis", "Hey Jarvis", " HEY  JARVIS "):
        answer = start(spelled)
        assert answer.status_code == 409
        assert answer.get_json()["error"] == "conflict"
        assert first in answer.get_json()["message"]
    assert start("hey").status_code == 200


def test_of_those_who_start_one_word_at_once_one_does(client: FlaskClient, customer: Any, database: Database) -> None:
    app = client.application
    codes = making.at_once(4, lambda _: app.test_client().post(START, data=form(takes=1), headers=customer).status_code)
    assert sorted(codes) == [200, 409, 409, 409]
    assert len(jobs(database)) == 1


def test_where_nobody_trains_it_is_refused_naming_what_to_do(
    start: Callable[..., TestResponse], database: Database
) -> None:
    with database.transaction() as session:
        workers.leave(session, "train@here")
    answer = start()
    assert answer.status_code == 503
    assert set(answer.get_json()) == {"error", "message", "details"}
    assert "make train" in answer.get_json()["message"]
    assert int(answer.headers["Retry-After"]) > 0


def test_a_training_is_its_owners_and_an_administrators(
    start: Callable[..., TestResponse], client: FlaskClient, customer: Any, admin: Any
) -> None:
    mine, theirs = start("mine").get_json()["job_id"], start("theirs", headers=admin).get_json()["job_id"]

    def seen(headers: dict[str, str]) -> list[str]:
        return [each["job_id"] for each in client.get("/api/train/jobs", headers=headers).get_json()["jobs"]]

    assert (seen(customer), seen(admin)) == ([mine], [theirs, mine])
    for path in (f"/api/train/status/{theirs}", f"/api/train/download/{theirs}"):
        assert client.get(path, headers=customer).status_code == 404
    assert client.delete(f"/api/train/{theirs}", headers=customer).status_code == 404
    assert client.get(f"/api/train/status/{mine}", headers=admin).status_code == 200
    assert client.get("/api/train/jobs?limit=1", headers=admin).get_json()["jobs"][0]["job_id"] == theirs


def test_an_unfinished_training_has_no_model_and_cannot_be_deleted(
    start: Callable[..., TestResponse], client: FlaskClient, customer: Any
) -> None:
    job_id = start().get_json()["job_id"]
    shown = client.get(f"/api/train/status/{job_id}", headers=customer).get_json()
    assert (shown["status"], shown["progress"], shown["elapsed_time"]) == ("pending", 0.0, "0m 0s")
    assert (shown["current_epoch"], shown["total_epochs"], shown["metrics"]) == (0, 100, {})
    assert client.get(f"/api/train/download/{job_id}", headers=customer).status_code == 409
    assert client.delete(f"/api/train/{job_id}", headers=customer).status_code == 409
    assert client.post(f"/api/jobs/{job_id}/cancel", headers=customer).status_code == 200
    assert client.get(f"/api/train/status/{job_id}", headers=customer).get_json()["status"] == "cancelled"
    assert client.delete(f"/api/train/{job_id}", headers=customer).get_json()["message"] == "Job deleted successfully"
    assert client.get(f"/api/train/status/{job_id}", headers=customer).status_code == 404


@pytest.mark.parametrize("name", ["nothing", "..", "..%2f..%2fetc%2fpasswd", "%00", "a%20b", "x" * 300, "jarvis@2"])
def test_an_id_that_is_none_is_not_found(client: FlaskClient, customer: Any, name: str) -> None:
    for method, path in (("GET", "status/"), ("GET", "download/"), ("DELETE", "")):
        answer = client.open(f"/api/train/{path}{name}", method=method, headers=customer)
        assert answer.status_code in (404, 405), answer.text


def test_a_job_of_another_kind_is_no_training(client: FlaskClient, admin: Any, database: Database) -> None:
    other = making.submit(database)
    assert client.get(f"/api/train/status/{other.id}", headers=admin).status_code == 404


def test_the_elapsed_time_is_told_in_words(client: FlaskClient, admin: Any, database: Database) -> None:
    files: FileStore = client.application.extensions["voiceworks"].files
    job = waking.train(database, files)
    making.end_well(database, job)
    for seconds, words in ((5, "0m 5s"), (323, "5m 23s"), (3723, "1h 2m 3s")):
        making.change(database, job, started_at=func.now() - timedelta(seconds=seconds), finished_at=func.now())
        shown = client.get(f"/api/train/status/{job.id}", headers=admin).get_json()
        assert shown["elapsed_time"] == words


def test_the_same_key_twice_starts_one_training(client: FlaskClient, customer: Any, database: Database) -> None:
    content = sound()

    def send(word: str) -> TestResponse:
        sent = {"wake_word": word, "audio_files": [(io.BytesIO(content), "a.wav")]}
        boundary = "multipart/form-data; boundary=----the-same"
        body = b"".join(_parts(sent))
        headers = {**customer, "Idempotency-Key": "once", "Content-Type": boundary}
        return client.post(START, data=body, headers=headers)

    def _parts(sent: dict[str, Any]) -> Iterator[bytes]:
        head = b'------the-same\r\nContent-Disposition: form-data; name="'
        yield head + b'wake_word"\r\n\r\n' + sent["wake_word"].encode() + b"\r\n"
        for file, name in sent["audio_files"]:
            yield head + f'audio_files"; filename="{name}"\r\n\r\n'.encode() + file.read() + b"\r\n"
        yield b"------the-same--\r\n"

    first, again, other = send("jarvis"), send("jarvis"), send("alexa")
    assert (first.status_code, again.status_code, other.status_code) == (200, 200, 400)
    assert again.get_json() == first.get_json()
    assert again.headers["Idempotent-Replay"] == "true"
    assert len(jobs(database)) == 1


def test_a_failed_training_is_not_tried_again_beside_another_of_its_word(
    start: Callable[..., TestResponse], client: FlaskClient, customer: Any
) -> None:
    first = start().get_json()["job_id"]
    client.post(f"/api/jobs/{first}/cancel", headers=customer)
    second = start().get_json()["job_id"]
    answer = client.post(f"/api/jobs/{first}/retry", headers=customer)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "CONFLICT")
    assert second in answer.get_json()["error"]
    client.post(f"/api/jobs/{second}/cancel", headers=customer)
    assert client.post(f"/api/jobs/{first}/retry", headers=customer).status_code == 200
    assert start().status_code == 409


def test_a_web_process_answers_others_while_it_looks_at_recordings(
    web: Web, clean: None, customer: Any, database: Database
) -> None:
    content = sound(8.0, rate_hz=96000)
    answers: list[int] = []

    def send() -> None:
        for word in ("one", "two", "three"):
            sent = [("audio_files", (f"{number}.wav", content)) for number in range(5)]
            answers.append(web.post(START, data={"wake_word": word}, files=sent, headers=customer).status_code)

    # What reads sound is loaded for the first; that is no measure of the others.
    web.post(START, data={"wake_word": "first"}, files={"audio_files": ("a.wav", sound())}, headers=customer)
    thread = threading.Thread(target=send)
    thread.start()
    longest = 0.0
    while thread.is_alive():
        began = time.monotonic()
        assert web.get("/health/live").status_code == 200
        longest = max(longest, time.monotonic() - began)
        time.sleep(0.01)
    assert answers == [200, 200, 200]
    assert longest < 0.5
