"""management.md: sessions, what is played in them, and how often and from where one may ask."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable, Iterator

import pytest
import redis
import soundfile
import websocket
from flask.testing import FlaskClient

from config.settings import Settings
from models.db import Database
from tests import making
from tests.conftest import API_KEY, CLIENT_KEY, PASSWORD
from tests.contract.conftest import Reach, assert_refused
from tests.contract.document import Document, quoted
from tests.contract.headings import MANAGEMENT, documented
from tests.web import Web, serving

CREATE = MANAGEMENT["Create Session"].request
KEY = {"X-API-Key": CLIENT_KEY}


def create(reach: Reach, database: Database) -> tuple[str, str]:
    """The ids of a new course and of a session in it, made as the document shows."""
    course = making.course(database, ["One.", "Two and three."])
    answer = reach(CREATE, body=CREATE.body(curriculum_id=course))
    assert answer.status_code == 201, answer.text
    return course, answer.get_json()["id"]


@documented("Create Session")
@documented("Get Session")
def test_a_session_is_created_and_got(reach: Reach, database: Database) -> None:
    course, session_id = create(reach, database)
    got = reach(MANAGEMENT["Get Session"].request, id=session_id)
    assert got.status_code == 200
    found = got.get_json()
    assert {name: found[name] for name in CREATE.fields} == CREATE.body(curriculum_id=course)
    assert (found["playback_position"], found["segment_index"]) == (0, 0)
    assert_refused(reach(MANAGEMENT["Get Session"].request, id="nothing"), 404, "NOT_FOUND")


@documented("Update Session")
def test_a_session_is_moved(reach: Reach, database: Database) -> None:
    _, session_id = create(reach, database)
    update = MANAGEMENT["Update Session"].request
    moved = reach(update, body=update.body(), id=session_id)
    assert moved.status_code == 200
    assert {name: moved.get_json()[name] for name in update.fields} == update.fields
    assert reach(MANAGEMENT["Get Session"].request, id=session_id).get_json() == moved.get_json()
    assert_refused(reach(update, body=update.body(), id="nothing"), 404, "NOT_FOUND")


@documented("List Sessions")
def test_sessions_are_listed(reach: Reach, database: Database) -> None:
    made = [create(reach, database)[1] for _ in range(2)]
    listed = reach(MANAGEMENT["List Sessions"].request)
    assert listed.status_code == 200
    shape = quoted(Document("decisions").sentence("Management lists"))[0]
    assert set(listed.get_json()) == {"sessions", *re.findall(r'"(\w+)"', shape.partition("[...]")[2])}
    assert [each["id"] for each in listed.get_json()["sessions"]] == made[::-1]


@pytest.fixture(scope="module")
def open_web(configured: Settings) -> Iterator[Web]:
    """A web process that asks nobody for a credential."""
    with serving(configured.var_dir / "log" / "open_playing.log", OPEN_SURFACES="management") as running:
        yield running


@documented("Audio Streaming", "See `server/management/README.md` for protocol details.")
@pytest.mark.parametrize("mode", ["closed", "open"])
def test_the_audio_socket_speaks_the_messages_that_are_settled(
    request: pytest.FixtureRequest, clean: None, database: Database, worker: object, mode: str
) -> None:
    web: Web = request.getfixturevalue("web" if mode == "closed" else "open_web")
    headers = KEY if mode == "closed" else {}
    course = making.course(database, ["One.", "Two and three."])
    made = web.post("/api/sessions", json={"user_id": "user_123", "curriculum_id": course}, headers=headers).json()
    target = MANAGEMENT["Audio Streaming"].request.target.replace("xxx", made["id"])
    if mode == "closed":
        assert web.close_code(target) == 4401
    settled = promised_messages()
    with web.socket(target, header=headers) as opened:
        said = {
            "voice_config": {"voice_id": "nova", "provider": "vibevoice", "speed": 1.0},
            "set_topic": {"curriculum_id": course, "topic_id": None},
            "request_audio": {"segment_index": 1},
            "sync": {"segment_index": 1, "offset_ms": 200, "is_playing": True},
            "barge_in": {"segment_index": 1, "offset_ms": 300},
        }
        heard = {}
        for kind, fields in said.items():
            assert set(fields) == settled[kind]
            opened.send({"type": kind, **fields})
            answer = opened.next()
            heard[answer.pop("type")] = answer
        opened.send({"type": "request_audio", "segment_index": 2})
        answer = opened.next()
        heard[answer.pop("type")] = answer
    for kind in ("audio", "sync_ack", "barge_in_ack", "voice_config_ack", "topic_set"):
        assert settled[kind] <= set(heard[kind]), kind
    assert (heard["error"]["segment_index"], type(heard["error"]["error"])) == (2, str)
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(heard["audio"]["audio_base64"])))
    assert len(samples) / rate == pytest.approx(heard["audio"]["duration_seconds"], abs=0.002)
    with web.socket(f"{target}&binary=1", header=headers) as opened:
        opened.send({"type": "request_audio", "segment_index": 1})
        start = opened.next()
        sizes = []
        while (piece := opened.connection.recv_data())[0] == websocket.ABNF.OPCODE_BINARY:
            sizes.append(len(piece[1]))
        end = json.loads(piece[1])
    assert set(start) == {"type"} | settled["audio_start"]
    assert set(end) == {"type"} | settled["audio_end"]
    assert end["bytes"] == sum(sizes)


def promised_messages() -> dict[str, set[str]]:
    """The fields of each message that decisions.md names for ``/ws/audio``."""
    text = " ".join(line for line in Document("decisions").text.splitlines() if line.startswith("- `/ws/audio"))
    found = re.findall(r"`(\w+) \{([^}]*)\}`", text)
    return {kind: {name for name in fields.split(", ") if not name.endswith("?")} for kind, fields in found}


@documented("Rate Limiting")
@pytest.mark.parametrize(
    ("bullet", "path", "body"),
    [
        (0, "/api/curriculum", None),
        (1, "/api/auth/login", {"username": "client", "password": PASSWORD}),
        (2, "/api/tts", {"text": "Hello."}),
    ],
)
def test_each_documented_rate_is_the_one_that_counts(
    configured: Settings,
    application: Callable[..., FlaskClient],
    worker: object,
    bullet: int,
    path: str,
    body: dict[str, str] | None,
) -> None:
    bullets = MANAGEMENT["Rate Limiting"].bullets
    assert len(bullets) == 3, "a new rate needs a test"
    (rate,) = re.findall(r"(\d+) requests/minute", bullets[bullet])
    redis.Redis.from_url(configured.stream_redis_url).flushdb()
    http = application(rate_limits=True)

    def ask() -> tuple[int, str | None]:
        headers = {"X-API-Key": API_KEY}
        answer = http.post(path, json=body, headers=headers) if body else http.get(path, headers=headers)
        if answer.status_code == 429:
            assert_refused(answer, 429, "RATE_LIMITED")
            assert int(answer.headers["Retry-After"]) > 0
        return answer.status_code, answer.headers.get("RateLimit-Limit")

    assert ask() == (200, rate)
    if path == "/api/tts":
        # What is there already counts no more.
        assert ask() == (200, None)
    else:
        assert [ask()[0] for _ in range(int(rate))] == [200] * (int(rate) - 1) + [429]


@documented("CORS", "CORS is enabled for:")
def test_the_documented_origins_may_read_answers(client: FlaskClient) -> None:
    origins = [quoted(bullet)[0] for bullet in MANAGEMENT["CORS"].bullets]
    assert len(origins) == 2
    for origin in [*origins, "http://localhost:3003"]:
        request = MANAGEMENT["Statistics"].request
        answer = client.open(
            request.target, method=request.method, base_url="http://localhost:8766", headers=KEY | {"Origin": origin}
        )
        assert answer.status_code == 200
        assert answer.headers.get("Access-Control-Allow-Origin") == (origin if origin in origins else None)
