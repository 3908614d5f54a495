"""transcription.md, line by line; and what decisions.md adds to it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from models import accounts
from models.db import Database
from models.files import FileStore
from tests import transcribing
from tests.conftest import API_KEY, CLIENT_KEY
from tests.contract.conftest import routes, template
from tests.contract.document import assert_shaped
from tests.contract.transcription_headings import (
    TRANSCRIPTION,
    TRANSCRIPTION_URL,
    Client,
    assert_refused,
    documented,
    request_of,
    statuses,
    titles,
)

AGENT = 123
SYSTEM_KEY = "your_api_key_here"


@pytest.fixture
def reach(application: Callable[..., FlaskClient]) -> Client:
    """A client with the document's system key."""
    return Client(application(tz_system_api_key=SYSTEM_KEY), SYSTEM_KEY)


@pytest.fixture
def store(reach: Client) -> FileStore:
    """Where files are kept."""
    found: FileStore = reach.http.application.extensions["voiceworks"].files
    return found


@pytest.fixture
def task_id(reach: Client, database: Database, store: FileStore) -> int:
    """A task of two seconds in the agent's hands."""
    (made,) = transcribing.add(database, store)
    assert transcribing.task_of(database, AGENT) == made
    return made


def test_every_heading_has_a_test() -> None:
    for path in sorted(Path(__file__).parent.glob("test_transcription_*.py")):
        importlib.import_module(f"tests.contract.{path.stem}")
    titles.assert_all_answered()


def test_every_documented_path_is_there(reach: Client) -> None:
    lines = [line for heading in TRANSCRIPTION.headings.values() for line in heading.prose]
    promised = [found for line in lines if (found := re.match(r"\*\*(\w+)\*\* `(\S+)`", line))]
    assert len(promised) == 8
    assert {template(found[1], found[2]) for found in promised} <= routes(reach.http)


@documented("Authentication", "Error Responses", "401 Unauthorized")
def test_the_key_is_asked_for_and_a_wrong_one_opens_nothing(reach: Client) -> None:
    shown = TRANSCRIPTION["401 Unauthorized"].answer
    request = request_of("Get System Statistics")
    for headers in ({}, {"X-API-Key": ""}, {"X-API-Key": "wrong"}, {"X-API-Key": SYSTEM_KEY + " "}):
        answer = reach.send(request, headers)
        if answer.status_code != 200:
            assert (answer.status_code, answer.get_json()) == (401, shown)
        else:
            # What stands around a header's value is no part of it.
            assert headers == {"X-API-Key": SYSTEM_KEY + " "}
    assert reach.send(request, {"X-API-Key": SYSTEM_KEY}).status_code == 200
    assert reach.send(request, {"X-API-Key": API_KEY}).status_code == 200
    # A client of other surfaces is nobody here.
    assert_refused(reach.send(request_of("Request Task"), {"X-API-Key": CLIENT_KEY}, json={"agent_id": 1}), 403)


@documented("Health Check")
def test_the_health_of_the_parts(reach: Client) -> None:
    shown = TRANSCRIPTION["Health Check"].answer
    answer = reach(request_of("Health Check"))
    assert answer.status_code == 200
    # Without a Label Studio, as decisions.md says.
    assert answer.get_json() == shown | {"label_studio": "not_configured", "project_id": None}


@documented("Health Check")
def test_a_label_studio_that_is_away_is_said_so(application: Callable[..., FlaskClient]) -> None:
    http = application(tz_system_api_key=SYSTEM_KEY, label_studio_url="http://127.0.0.1:9", label_studio_api_key="none")
    answer = Client(http, SYSTEM_KEY)(request_of("Health Check"))
    found = answer.get_json()
    assert answer.status_code == 500
    assert_shaped(found, TRANSCRIPTION["Health Check"].answer | {"detail": ""})
    assert (found["status"], found["label_studio"]) == ("unhealthy", "disconnected")
    assert "Label Studio is away" in found["detail"]


@documented("Request Task")
def test_a_task_is_given_with_every_documented_field(reach: Client, database: Database, store: FileStore) -> None:
    body, shown, none = TRANSCRIPTION["Request Task"].answers
    assert reach(request_of("Request Task"), json=body).get_json() == none
    (made,) = transcribing.add(database, store, seconds=12.5)
    answer = reach(request_of("Request Task"), json=body)
    assert answer.status_code == 200
    found = answer.get_json()
    assert_shaped(found, shown)
    assert (found["task_id"], found["duration"], found["file_name"]) == (made, 12.5, "take_0.wav")
    assert found["audio_url"] == f"{TRANSCRIPTION_URL}/api/audio/stream/{made}/{body['agent_id']}"
    again = reach(request_of("Request Task"), json=body).get_json()
    assert {name: again[name] for name in shown} == {name: found[name] for name in shown}
    assert reach(request_of("Request Task"), json={"agent_id": 124}).get_json() == none


@documented("Stream Audio")
def test_audio_is_streamed_whole_and_in_parts(reach: Client, task_id: int) -> None:
    request, ids = request_of("Stream Audio"), {"task_id": str(task_id), "agent_id": str(AGENT)}
    whole = reach(request, **ids)
    content = transcribing.tone(2.0)
    assert (whole.status_code, whole.mimetype, whole.data) == (200, "audio/wav", content)
    assert whole.headers["Accept-Ranges"] == "bytes"
    key = {"X-API-Key": SYSTEM_KEY}
    part = reach.send(request, key | {"Range": "bytes=0-1023"}, **ids)
    assert (part.status_code, part.data) == (206, content[:1024])
    assert part.headers["Content-Range"] == f"bytes 0-1023/{len(content)}"
    assert reach.send(request, key, task_id=str(task_id), agent_id="124").status_code == 403
    assert reach.send(request, key, task_id="999999", agent_id=str(AGENT)).status_code == 404
    assert statuses("Stream Audio") >= {200, 206, 401, 403, 404}


@documented("403 Forbidden")
def test_what_is_not_assigned_is_refused_in_these_words(reach: Client, task_id: int) -> None:
    shown = TRANSCRIPTION["403 Forbidden"].answer
    stranger = {"X-API-Key": SYSTEM_KEY}
    streamed = reach.send(request_of("Stream Audio"), stranger, task_id=str(task_id), agent_id="7")
    assert (streamed.status_code, streamed.get_json()) == (403, shown)
    skipped = reach.send(request_of("Skip Task"), stranger, task_id=str(task_id), json={"agent_id": 7})
    assert (skipped.status_code, skipped.get_json()) == (403, shown)


@documented("404 Not Found")
def test_a_task_that_is_not_there(reach: Client) -> None:
    shown = TRANSCRIPTION["404 Not Found"].answer
    body = TRANSCRIPTION["Submit Transcription"].answers[0]
    for title in ("Submit Transcription", "Skip Task"):
        answer = reach(request_of(title), json=body, task_id="424242")
        assert (answer.status_code, answer.get_json()) == (404, shown)


@documented("Submit Transcription")
def test_a_text_is_handed_in_and_counted(reach: Client, task_id: int) -> None:
    body, shown = TRANSCRIPTION["Submit Transcription"].answers
    request = request_of("Submit Transcription")
    missing = {name: value for name, value in body.items() if name != "transcription"}
    assert_refused(reach(request, json=missing, task_id=str(task_id)), 400, "transcription")
    assert_refused(reach(request, json=body | {"agent_id": 124}, task_id=str(task_id)), 400)
    answer = reach(request, json=body, task_id=str(task_id))
    assert answer.status_code == 200
    assert_shaped(answer.get_json(), shown)
    assert answer.get_json()["status"] == shown["status"]
    # The same answer again, whatever is sent.
    again = reach(request, json=body | {"transcription": "another"}, task_id=str(task_id))
    assert (again.status_code, again.get_json()) == (200, answer.get_json())
    # It is done: the lock is released, and nobody is offered it.
    ids = {"task_id": str(task_id), "agent_id": str(AGENT)}
    assert reach(request_of("Stream Audio"), **ids).status_code == 403
    assert reach(request_of("Request Task"), json={"agent_id": AGENT}).get_json()["task_id"] is None


@documented("Skip Task")
def test_a_task_is_skipped_and_stays_for_others(reach: Client, task_id: int) -> None:
    body, shown = TRANSCRIPTION["Skip Task"].answers
    answer = reach(request_of("Skip Task"), json=body, task_id=str(task_id))
    assert (answer.status_code, answer.get_json()) == (200, shown)
    assert reach(request_of("Request Task"), json={"agent_id": AGENT}).get_json()["task_id"] is None
    assert reach(request_of("Request Task"), json={"agent_id": 124}).get_json()["task_id"] == task_id


@documented("Get Available Task Count", "Get System Statistics")
def test_what_there_is_to_do_is_counted(application: Callable[..., FlaskClient], database: Database) -> None:
    shown = TRANSCRIPTION["Get Available Task Count"].answer
    transcribing.add(database, count=4)
    held = transcribing.task_of(database, AGENT)
    reach = Client(application(tz_system_api_key=SYSTEM_KEY), SYSTEM_KEY)
    answer = reach(request_of("Get Available Task Count"))
    assert answer.status_code == 200
    assert_shaped(answer.get_json(), shown)
    assert answer.get_json() == {"available": 3, "total_unlabeled": 4, "total_locked": 1}
    reach(request_of("Skip Task"), json={"agent_id": AGENT, "reason": "noise"}, task_id=str(held))
    # As it was half a minute ago, but for what this agent skipped.
    counted = reach(request_of("Get Available Task Count"), query=f"?agent_id={AGENT}").get_json()
    assert counted["available"] == 2
    stats = reach(request_of("Get System Statistics"))
    assert stats.status_code == 200
    assert_shaped(stats.get_json(), TRANSCRIPTION["Get System Statistics"].answer)
    at = stats.get_json()["last_updated"]
    assert at.endswith("Z")
    assert datetime.fromisoformat(at)


@documented("Get Agent Statistics")
def test_the_statistics_of_an_agent(reach: Client, database: Database, store: FileStore) -> None:
    shown = TRANSCRIPTION["Get Agent Statistics"].answer
    request, ids = request_of("Get Agent Statistics"), {"agent_id": str(AGENT)}
    nobody = reach(request, **ids)
    assert nobody.status_code == 200
    zeros = {name: 0 for name in shown if name.startswith("total_")}
    assert nobody.get_json() == {"agent_id": AGENT, **zeros, "last_active": None, "created_at": None}
    # The document's own sum: 1250.5 s at 0.05 a second are 62.525, shown as 62.53.
    (made,) = transcribing.add(database, store, seconds=shown["total_duration_seconds"])
    transcribing.task_of(database, AGENT)
    body = {"agent_id": AGENT, "transcription": "all of it"}
    reach(request_of("Submit Transcription"), json=body, task_id=str(made))
    answer = reach(request, **ids)
    assert answer.status_code == 200
    found = answer.get_json()
    assert_shaped(found, shown)
    told = {name: found[name] for name in ("total_duration_seconds", "total_earnings", "total_tasks_completed")}
    assert told == {
        "total_duration_seconds": shown["total_duration_seconds"],
        "total_earnings": shown["total_earnings"],
        "total_tasks_completed": 1,
    }


@documented("500 Internal Server Error")
def test_an_error_of_ours_has_the_documented_form(reach: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from models.transcription import agents

    def broken(*_: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(agents, "find", broken)
    answer = reach(request_of("Get Agent Statistics"), agent_id="1")
    assert_refused(answer, 500, "Internal server error")
    assert "secret" not in answer.text


@documented("CORS")
def test_pages_of_any_origin_may_ask_without_credentials(reach: Client) -> None:
    answer = reach.send(request_of("Get System Statistics"), {"X-API-Key": SYSTEM_KEY, "Origin": "https://a.example"})
    assert (
        answer.headers["Access-Control-Allow-Origin"] == "*"
        or answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
    )
    preflight = reach.http.options(
        "/api/tasks/request",
        base_url=TRANSCRIPTION_URL,
        headers={
            "Origin": "https://a.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "x-api-key, content-type",
        },
    )
    assert preflight.status_code == 200
    assert "x-api-key" in preflight.headers["Access-Control-Allow-Headers"].lower()
    assert "Access-Control-Allow-Credentials" not in preflight.headers


def test_an_agents_key_acts_as_that_agent_alone(reach: Client, database: Database, task_id: int) -> None:
    with database.transaction() as session:
        account = accounts.create(session, username="ann", password="a password for ann", role="agent")
        _, own = accounts.create_key(session, account, name="page", agent_id=AGENT)
        _, other = accounts.create_key(session, account, name="page", agent_id=7)
        _, none = accounts.create_key(session, account, name="page")
    request = request_of("Request Task")
    assert reach.send(request, {"X-API-Key": own}, json={"agent_id": AGENT}).get_json()["task_id"] == task_id
    for key in (other, none):
        assert_refused(reach.send(request, {"X-API-Key": key}, json={"agent_id": AGENT}), 403, "This")
        ids = {"task_id": str(task_id), "agent_id": str(AGENT)}
        assert_refused(reach.send(request_of("Stream Audio"), {"X-API-Key": key}, **ids), 403)
        assert_refused(reach.send(request_of("Get Agent Statistics"), {"X-API-Key": key}, agent_id="123"), 403)
