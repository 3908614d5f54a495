"""Many texts in one call: each with its own result or its own error, over a real web process and worker."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from app.api import openai_batch
from config.versions import AUDIO_FORMATS
from models.db import Database
from models.jobs.tables import Job
from tests import making
from tests.app.conftest import row_counts
from tests.app.test_live import BOOK, jobs
from tests.conftest import eventually
from tests.web import Web
from workers.audio import codec

BATCH = "/v1/audio/speech/batch"
Ask = Callable[..., requests.Response]


@pytest.fixture
def ask(web: Web, worker: object, clean: None, customer: dict[str, str]) -> Ask:
    """Sends a batch of these items."""

    def send(items: Any, **shared: Any) -> requests.Response:
        body = {"model": "tts-1", "voice": "nova", "response_format": "wav"} | shared | {"items": items}
        return web.post(BATCH, json=body, headers=customer)

    return send


def said(*texts: str) -> list[dict[str, Any]]:
    return [{"input": text} for text in texts]


def test_each_text_has_its_result_or_its_error_in_order(ask: Ask, web: Web, customer: dict[str, str]) -> None:
    items = [
        {"input": "The first."},
        {"input": ""},
        {"input": "Of another form.", "response_format": "mp3", "speed": 2.0},
        {"input": "Of no voice.", "voice": "nobody"},
        {"input": "Of no model.", "model": "gpt-9"},
        5,
        {},
        {"input": "Too fast.", "speed": 9},
        {"input": "你好"},
        {"input": "x" * 4097},
        {"input": "The first."},
    ]
    answer = ask(items)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["object"], body["status"], body["succeeded"], body["failed"]) == (
        "audio.speech.batch",
        "completed",
        3,
        8,
    )
    data = body["data"]
    assert [item["index"] for item in data] == list(range(len(items)))
    assert [at for at, item in enumerate(data) if item["status"] == "succeeded"] == [0, 2, 10]
    assert (data[2]["format"], data[0]["format"]) == ("mp3", "wav")
    assert (data[0]["url"], data[0]["cached"], data[10]["cached"]) == (data[10]["url"], False, True)
    named = {1: "input", 3: "nobody", 4: "gpt-9", 5: "5", 6: "input", 7: "9", 8: "text", 9: "4097"}
    for at, name in named.items():
        assert name in data[at]["error"]["message"], data[at]
    assert data[4]["error"]["code"] == "model_not_found"
    for at in (0, 2):
        sound = web.get(data[at]["url"], headers=customer)
        assert (sound.status_code, len(sound.content)) == (200, data[at]["size_bytes"])
        assert sound.headers["Content-Type"] == AUDIO_FORMATS[data[at]["format"]].media_type
        clip = codec.decode(sound.content)
        assert clip.duration_seconds == pytest.approx(data[at]["duration_seconds"], abs=0.05)


def test_the_sound_may_be_enclosed(ask: Ask, web: Web, customer: dict[str, str]) -> None:
    body = ask(said("Enclosed.", "Also enclosed."), encoding="base64").json()
    for item in body["data"]:
        content = base64.b64decode(item["audio"], validate=True)
        assert len(content) == item["size_bytes"]
        assert content == web.get(item["url"], headers=customer).content
    again = web.get(f"{BATCH}/{body['id']}", headers=customer).json()
    assert again == body


def test_what_is_too_much_to_enclose_is_there_by_its_url(
    client: Any, admin: dict[str, str], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_batch, "MAX_ENCLOSED_BYTES", 12)
    files = client.application.extensions["voiceworks"].files
    results = [
        {"clip": "c", "form": {"format": "wav"}, "duration_seconds": 1.0, "sample_rate_hz": 1, "cached": False}
        | {"file": files.put(content), "size_bytes": len(content)}
        for content in (b"8 bytes.", b"8 more..", b"4 ..")
    ]
    job = batch_of(database, 3, encoding="base64")
    for item, result in zip(making.claim_items(database, job, 3), results, strict=True):
        making.finish(database, item, result)
    data = client.get(f"{BATCH}/{job.id}", headers=admin).get_json()["data"]
    assert [item["audio"] and base64.b64decode(item["audio"]) for item in data] == [b"8 bytes.", None, b"4 .."]
    assert all(item["url"] for item in data)


def test_when_every_text_is_bad_there_is_no_job(ask: Ask, database: Database) -> None:
    before = row_counts(database)
    answer = ask([{"input": ""}, {}, None])
    assert answer.status_code == 200
    body = answer.json()
    assert (body["id"], body["status"], body["succeeded"], body["failed"]) == (None, "completed", 0, 3)
    assert {item["status"] for item in body["data"]} == {"failed"}
    assert row_counts(database) == before


def test_one_text_is_a_batch(ask: Ask) -> None:
    body = ask(said("Only one.")).json()
    assert [item["status"] for item in body["data"]] == ["succeeded"]


def test_as_many_as_there_may_be(ask: Ask, database: Database) -> None:
    began = time.monotonic()
    body = ask(said(*["The same."] * 255, "The last.")).json()
    print(f"256 texts in {time.monotonic() - began:.1f} s")
    assert (body["status"], body["succeeded"]) == ("completed", 256)
    assert len({item["url"] for item in body["data"]}) == 2
    assert body["data"][255]["url"] != body["data"][0]["url"]
    assert row_counts(database)["speech_clips"] == 2


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"items": said("One.") * 257}, "256"),
        ({"items": []}, "items"),
        ({"items": "One."}, "'One.'"),
        ({"items": {"input": "One."}}, "items"),
        ({"items": None}, "items"),
        ({}, "items"),
        ({"items": said("One."), "encoding": "hex"}, "'hex'"),
        ({"items": said("One."), "encoding": 5}, "5"),
    ],
)
def test_a_batch_that_is_none_is_refused(
    client: Any, customer: dict[str, str], database: Database, fields: dict[str, Any], name: str
) -> None:
    before = row_counts(database)
    answer = client.post(BATCH, json={"model": "tts-1", "voice": "nova"} | fields, headers=customer)
    assert answer.status_code == 400
    assert name in answer.get_json()["error"]["message"]
    assert answer.get_json()["error"]["type"] == "invalid_request_error"
    assert row_counts(database) == before


def test_without_a_worker_every_text_says_so(client: Any, customer: dict[str, str], no_worker: None) -> None:
    body = {"model": "tts-1", "voice": "nova", "items": said("Nobody can say this.")}
    answer = client.post(BATCH, json=body, headers=customer)
    told = answer.get_json()
    fault = told["error"] if answer.status_code == 503 else told["data"][0]["error"]
    assert fault["code"] == "provider_unavailable"
    assert "hibari" in fault["message"]


# --- Later ----------------------------------------------------------------------------------------------------------


def batch_of(database: Database, count: int, *, encoding: str = "url", **fields: Any) -> Job:
    """A batch that no worker takes."""
    params = {"encoding": encoding, "asked": [None] * count}
    return making.submit(database, kind=openai_batch.KIND, items=count, params=params, **fields)


def test_a_batch_is_polled_by_its_id(client: Any, admin: dict[str, str], database: Database) -> None:
    job = batch_of(database, 2)
    waiting = client.get(f"{BATCH}/{job.id}", headers=admin)
    assert (waiting.status_code, waiting.get_json()["status"]) == (202, "queued")
    assert [item["status"] for item in waiting.get_json()["data"]] == ["queued", "queued"]
    for item in making.claim_items(database, job, 2):
        making.fail(database, item, code="nothing_to_say")
    done = client.get(f"{BATCH}/{job.id}", headers=admin)
    assert (done.status_code, done.get_json()["status"], done.get_json()["failed"]) == (200, "completed", 2)
    assert done.get_json()["data"][0]["error"]["code"] == "nothing_to_say"


def test_what_had_not_begun_when_a_batch_was_cancelled_is_cancelled(
    client: Any, admin: dict[str, str], database: Database
) -> None:
    job = batch_of(database, 3)
    first, _ = making.claim_items(database, job, 2)
    making.fail(database, first)
    assert client.post(f"/api/jobs/{job.id}/cancel", headers=admin).status_code == 200
    answer = client.get(f"{BATCH}/{job.id}", headers=admin)
    assert (answer.status_code, answer.get_json()["status"]) == (200, "cancelled")
    # The second is in flight, and will be kept.
    assert [item["status"] for item in answer.get_json()["data"]] == ["failed", "running", "cancelled"]


def test_somebody_elses_batch_and_what_is_no_batch_are_not_found(
    client: Any, admin: dict[str, str], customer: dict[str, str], database: Database
) -> None:
    theirs, other = batch_of(database, 1, account_id="somebody else"), making.submit(database)
    for job, headers in ((theirs.id, customer), (other.id, admin), ("nothing", admin), ("a%00b", admin)):
        answer = client.get(f"{BATCH}/{job}", headers=headers)
        assert answer.status_code == 404
    assert client.get(f"{BATCH}/{theirs.id}", headers=admin).status_code == 202


def test_who_hangs_up_finds_the_batch_done_later(
    web: Web, worker: object, clean: None, customer: dict[str, str], database: Database
) -> None:
    body = {"model": "tts-1", "voice": "nova", "items": said(BOOK[:1500], "And the last.")}
    with pytest.raises(requests.Timeout):
        requests.post(web.url(BATCH), json=body, headers=customer, timeout=0.3)
    (job,) = eventually(lambda: jobs(database))
    done = eventually(
        lambda: (found := web.get(f"{BATCH}/{job.id}", headers=customer)).status_code == 200 and found.json(),
        within_seconds=20,
    )
    assert (done["status"], done["succeeded"]) == ("completed", 2)
