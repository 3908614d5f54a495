"""wakewords.md and decisions.md: testing, by file, over a websocket, on a device; closed and open."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import websocket
from flask.testing import FlaskClient
from sqlalchemy import delete

pytest.importorskip("hibari")

from config.settings import Settings
from models import workers
from models.db import Database
from models.workers import Presence, Worker
from tests.alexa import RATE, file_of, keep_model, pcm, spoken
from tests.conftest import API_KEY, CLIENT_KEY
from tests.contract.document import Document, Heading, assert_shaped
from tests.contract.wakeword_headings import WAKEWORDS, Client, assert_refused, documented
from tests.web import Web, serving

DECISIONS = Document("decisions")
# The document's own word, which its detector here takes "alexa" for.
MODEL = "jarvis"
DOCUMENTED = WAKEWORDS["Test with File"].answer
WORD = spoken((1.0, "Alexa."), seconds=3)


@pytest.fixture(params=["closed", "open"])
def reach(request: pytest.FixtureRequest, application: Callable[..., FlaskClient]) -> Client:
    """A client of this document, with a key and, where the surface is open, without."""
    if request.param == "open":
        return Client(application(open_surfaces=frozenset({"wakewords"})), {})
    return Client(application(), {"X-API-Key": API_KEY})


@pytest.fixture
def model(clean: None, database: Database, configured: Settings) -> None:
    """The model of the document's examples."""
    keep_model(database, configured.var_dir, wake_word=MODEL, threshold=DOCUMENTED["threshold"])


def sent(reach: Client, sound: np.ndarray, **fields: str) -> Any:
    """The answer to the documented form."""
    form = {"model_id": DOCUMENTED["model_id"], "audio": (io.BytesIO(file_of(sound)), "word.wav")} | fields
    return reach(WAKEWORDS["Test with File"].request, form=form)


@documented("Test with File")
def test_a_file_is_tested_as_documented(reach: Client, worker: object, model: None) -> None:
    fields = WAKEWORDS["Test with File"].rows
    assert {row["Field"]: row["Required"] for row in fields} == {"model_id": "Yes", "audio": "Yes", "threshold": "No"}
    answer = sent(reach, WORD)
    assert answer.status_code == 200
    assert_shaped(answer.get_json(), DOCUMENTED)
    assert answer.get_json() | {"confidence": 0, "processing_time_ms": 0} == DOCUMENTED | {
        "confidence": 0,
        "processing_time_ms": 0,
        "version": 1,
        "duration_seconds": 3.0,
    }
    assert answer.get_json()["confidence"] >= DOCUMENTED["threshold"]
    assert sent(reach, WORD, threshold="0.9").get_json()["threshold"] == 0.9
    assert sent(reach, spoken(seconds=3)).get_json()["detected"] is False
    assert_refused(sent(reach, WORD, threshold="2"), 400, "validation_error")
    assert_refused(sent(reach, WORD, model_id="unknown"), 404, "not_found")


def test_a_file_longer_than_the_promised_time_is_told_in_places(reach: Client, worker: object, model: None) -> None:
    sentence = DECISIONS.sentence("`POST /api/test/file`")
    (seconds,) = re.findall(r"longer than (\d+) s", sentence)
    (shown,) = re.findall(r"`detections: \[(\{.*?\})\]`", sentence)
    assert "detections" not in sent(reach, spoken((1.0, "Alexa."), seconds=int(seconds))).get_json()
    told = sent(reach, spoken((1.0, "Alexa."), (8.0, "Alexa."), seconds=int(seconds) + 1)).get_json()
    assert [set(each) for each in told["detections"]] == [set(re.findall(r'"(\w+)"', shown))] * 2
    assert told["confidence"] >= max(each["confidence"] for each in told["detections"])


def test_sending_a_file_without_a_worker_is_refused_in_the_documented_form(reach: Client, model: None) -> None:
    # No worker was asked for; one that other tests left running may be there all the same.
    answer = sent(reach, WORD)
    if answer.status_code != 200:
        assert_refused(answer, 503, "provider_unavailable")


# --- Live -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["closed", "open"])
def served(request: pytest.FixtureRequest, configured: Settings, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A web process and the headers of a credential; none where the surface is open."""
    opened = {"OPEN_SURFACES": "wakewords"} if request.param == "open" else {}
    log_path: Path = tmp_path_factory.mktemp("web") / "web.log"
    with serving(log_path, **opened) as web:
        yield web, [] if opened else [f"X-API-Key: {CLIENT_KEY}"]


@contextmanager
def listening(served: tuple[Web, list[str]], query: str = "") -> Iterator[websocket.WebSocket]:
    web, headers = served
    (target,) = [request.target for request in shown().requests]
    path = target.format(model_id=MODEL) + query
    if headers:
        assert web.close_code(path) == 4401
    with web.socket(path, header=headers) as opened:
        yield opened.connection


def shown() -> Heading:
    return WAKEWORDS["WebSocket Testing"]


@documented("WebSocket Testing")
def test_the_documented_dialect_is_spoken(served: tuple[Web, list[str]], model: None) -> None:
    # The first example is the client's; its sound is written in words.
    said, told = shown().answers
    assert set(said) == {"type", "data", "sample_rate"}
    with listening(served) as connection:
        for start in range(0, len(WORD), 2000):
            data = base64.b64encode(pcm(WORD[start : start + 2000])).decode()
            connection.send(json.dumps(said | {"data": data, "sample_rate": RATE}))
        found = [json.loads(connection.recv())]
        while found[-1]["time_seconds"] < 2.5:
            found.append(json.loads(connection.recv()))
    for message in found:
        assert_shaped(message, told)
        assert (message["type"], message["threshold"]) == (told["type"], DOCUMENTED["threshold"])
    assert sum(message["detected"] for message in found) == 1


def test_the_socket_keeps_what_decisions_promise(served: tuple[Web, list[str]], model: None) -> None:
    sentence = DECISIONS.sentence("`POST /api/test/file`")
    assert "at least twice per second of audio" in sentence
    assert {"?threshold=", "?refractory_ms="} <= set(re.findall(r"`(\?\w+=)`", sentence))
    (rate,) = re.findall(r"PCM16 mono at `\?sample_rate=` \((\d+)\)", sentence)
    assert int(rate) == RATE
    with listening(served, "?threshold=0.25&refractory_ms=60000") as connection:
        twice = np.concatenate((WORD, WORD))
        for start in range(0, len(twice), 2000):
            connection.send_binary(pcm(twice[start : start + 2000]))
        found = [json.loads(connection.recv())]
        while found[-1]["time_seconds"] < 5.5:
            found.append(json.loads(connection.recv()))
    assert [message["detected"] for message in found].count(True) == 1
    assert {message["threshold"] for message in found} == {0.25}
    assert max(np.diff([0.0] + [message["time_seconds"] for message in found])) <= 0.5


# --- On which device ------------------------------------------------------------------------------------------------


@pytest.fixture
def gpu(database: Database) -> Iterator[None]:
    """A worker on the document's GPU."""
    name = WAKEWORDS["Get Device Info"].answer["gpu_name"]
    with database.transaction() as session:
        workers.register(session, Presence("gpu0@there", "there", 1, "cuda:0", ["tts.live.neural"], {}, 0))
        workers.beat(session, "gpu0@there", current_unit=None, memory_bytes=0, gpu={"name": name})
    yield
    with database.transaction() as session:
        session.execute(delete(Worker).where(Worker.node == "gpu0@there"))


@documented("Set Device", "Get Device Info")
def test_a_device_that_is_there_is_set_and_shown(reach: Client, gpu: None) -> None:
    request, told = WAKEWORDS["Set Device"].request, WAKEWORDS["Get Device Info"].answer
    (body,) = WAKEWORDS["Set Device"].answers
    answer = reach(request, json=body)
    assert answer.status_code == 200
    found = reach(WAKEWORDS["Get Device Info"].request)
    assert found.status_code == 200
    assert_shaped(found.get_json(), told)
    assert {name: found.get_json()[name] for name in told} == told


def test_a_device_that_nobody_has_is_refused_with_those_there_are(reach: Client) -> None:
    sentence = DECISIONS.sentence("`POST /api/test/device`")
    assert "400 naming those there are" in sentence
    answer = reach(WAKEWORDS["Set Device"].request, json={"device": "cuda:7"})
    assert_refused(answer, 400, "validation_error")
    assert "cpu" in answer.get_json()["message"]
    assert "cuda:7" in answer.get_json()["message"]
