"""management.md, line by line: what it shows is sent, and what comes back is held against it."""

from __future__ import annotations

import importlib
import io
import re
import socket
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import soundfile
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from config.settings import Settings
from models import accounts, curricula
from models.base import new_id
from models.curricula import NewSegment, NewTopic
from models.db import Database
from models.jobs import lifecycle
from models.jobs.lifecycle import NewJob
from tests import making
from tests.conftest import API_KEY, CLIENT_KEY, PASSWORD, eventually
from tests.contract.conftest import Reach, assert_refused, routes, template
from tests.contract.document import Document, Request, assert_shaped, quoted
from tests.contract.headings import LATER, LEADING, MANAGEMENT, NO_PROMISE, documented, tested
from tests.web import Web, serving


def test_every_heading_has_a_test_or_is_known_to_be_later_work() -> None:
    for path in sorted(Path(__file__).parent.glob("test_management_*.py")):
        importlib.import_module(f"tests.contract.{path.stem}")
    said = {title for title, heading in MANAGEMENT.headings.items() if heading.says_something}
    assert not (LATER | NO_PROMISE) & set(tested)
    assert said == set(tested) | LATER | NO_PROMISE
    loose = {title: set(MANAGEMENT[title].prose) - LEADING - prose for title, prose in tested.items()}
    # Every sentence under a tested heading is answered for.
    assert {title: prose for title, prose in loose.items() if prose} == {}


@pytest.mark.parametrize("title", sorted(LATER))
def test_what_is_later_work_does_not_exist_yet(client: FlaskClient, title: str) -> None:
    promised = template(MANAGEMENT[title].request.method, MANAGEMENT[title].request.target)
    assert promised not in routes(client), f"{title} exists now: take it off LATER and test it"


@documented(
    "API Reference",
    "Management API (port 8766) endpoint documentation.",
)
@documented(
    "Overview",
    "The Management API provides backend services for:",
    "**Base URL:** `http://localhost:8766`",
)
def test_the_port_is_the_documented_one_unless_another_is_set(configured: Settings) -> None:
    (port,) = re.findall(r"port (\d+)", MANAGEMENT["API Reference"].prose[0])
    (base_url,) = quoted(MANAGEMENT["Overview"].prose[-1])
    assert configured.ports == (int(port),)
    assert base_url == f"http://localhost:{port}"


@documented("Authentication", "Most endpoints require JWT authentication:")
@documented("Get Token")
def test_a_username_and_password_give_a_token_that_opens_the_rest(reach: Reach) -> None:
    login = MANAGEMENT["Get Token"]
    answer = reach(login.request, body=login.request.body(username="client", password=PASSWORD), public=True)
    assert answer.status_code == 200
    assert_shaped(answer.get_json(), login.answer)
    assert answer.get_json()["expires_in"] == login.answer["expires_in"]
    (header,) = re.findall(r'-H "(.*?)"', MANAGEMENT["Authentication"].code[0])
    name, value = header.replace("<token>", answer.get_json()["access_token"]).split(": ")
    for heading in ("Statistics", "List Curricula", "Cache Statistics"):
        assert reach.send(MANAGEMENT[heading].request, headers={name: value}).status_code == 200


@documented("Get Token")
@pytest.mark.parametrize("wrong", [{"username": "nobody"}, {"password": "not this one"}], ids=["username", "password"])
def test_a_wrong_username_or_password_gives_no_token(reach: Reach, wrong: dict[str, str]) -> None:
    request = MANAGEMENT["Get Token"].request
    body = request.body(**{"username": "client", "password": PASSWORD} | wrong)
    assert_refused(reach(request, body=body, public=True), 401, "UNAUTHORIZED")


@documented("Health Check")
def test_health_needs_no_credential(reach: Reach) -> None:
    shown = MANAGEMENT["Health Check"]
    answer = reach.send(shown.request, headers={})
    assert answer.status_code == 200
    assert_shaped(answer.get_json(), shown.answer)
    assert answer.get_json()["status"] == shown.answer["status"]
    assert answer.get_json()["timestamp"].endswith("Z")
    assert datetime.fromisoformat(answer.get_json()["timestamp"]).tzinfo is not None


@documented("Statistics")
def test_statistics_have_every_figure(reach: Reach) -> None:
    shown = MANAGEMENT["Statistics"]
    answer = reach(shown.request)
    assert answer.status_code == 200
    assert_shaped(answer.get_json(), shown.answer)


@documented("List Curricula")
def test_a_list_of_curricula_has_the_documented_page(reach: Reach, database: Database) -> None:
    shown = MANAGEMENT["List Curricula"]
    defaults = {quoted(line)[0]: int(_default(line)) for line in shown.bullets}
    assert set(defaults) == {"limit", "offset"}, "a new query parameter needs a test"
    _store_curricula(database, defaults["limit"] + 2)
    answer = reach(shown.request)
    assert answer.status_code == 200
    whole = answer.get_json()
    assert {name: whole[name] for name in defaults} == defaults
    assert (len(whole["curricula"]), whole["total"]) == (defaults["limit"], defaults["limit"] + 2)
    last = reach(shown.request, query=f"?limit=3&offset={defaults['limit']}").get_json()
    assert (len(last["curricula"]), last["limit"], last["offset"]) == (2, 3, defaults["limit"])
    seen = [each["id"] for each in whole["curricula"] + last["curricula"]]
    assert len(set(seen)) == defaults["limit"] + 2


def test_a_limit_beyond_the_maximum_is_clipped(reach: Reach) -> None:
    (maximum,) = re.findall(r"management (\d+)", Document("decisions").sentence("Limits beyond the maximum"))
    assert reach(MANAGEMENT["List Curricula"].request, query="?limit=100000").get_json()["limit"] == int(maximum)


@documented("Create Curriculum")
@documented("Get Curriculum")
def test_a_curriculum_is_created_and_got_as_it_was_sent(reach: Reach) -> None:
    content = [
        {"id": "basics", "title": "Basics", "level": 1, "segments": [{"text": "Hello.", "slide": {"n": [1]}}, "Bye."]},
        {"title": "More", "text": "Only a text."},
    ]
    request = MANAGEMENT["Create Curriculum"].request
    sent = request.body(description="A course", content=content)
    created = reach(request, body=sent)
    assert created.status_code == 201
    got = reach(MANAGEMENT["Get Curriculum"].request, id=created.get_json()["id"])
    assert got.status_code == 200
    assert got.get_json() == created.get_json()
    whole = got.get_json()
    assert (whole["title"], whole["description"]) == (sent["title"], sent["description"])
    basics, more = whole["content"]
    assert (basics["id"], basics["title"], basics["level"]) == ("basics", "Basics", 1)
    assert [segment["text"] for segment in basics["segments"]] == ["Hello.", "Bye."]
    assert basics["segments"][0]["slide"] == {"n": [1]}
    assert [segment["text"] for segment in more["segments"]] == ["Only a text."]
    assert all(segment["id"] for topic in (basics, more) for segment in topic["segments"])
    assert more["id"]


@documented("Update Curriculum")
def test_a_curriculum_is_changed_and_what_stays_keeps_its_id(reach: Reach) -> None:
    content = [{"title": "One", "segments": ["First.", "Second."]}, {"title": "Two", "segments": ["Third."]}]
    created = reach(MANAGEMENT["Create Curriculum"].request, body={"title": "Old", "content": content}).get_json()
    shown = MANAGEMENT["Update Curriculum"]
    titled = reach(shown.request, body=shown.request.body(), id=created["id"])
    assert titled.status_code == 200
    assert titled.get_json()["title"] == shown.request.body()["title"]
    # An update without content leaves it.
    assert titled.get_json()["content"] == created["content"]
    moved = [{"title": "Two", "segments": ["Third."]}, {"title": "One", "segments": ["New.", "Second."]}]
    changed = reach(shown.request, body={"content": moved}, id=created["id"]).get_json()["content"]
    one, two = created["content"]
    assert [topic["id"] for topic in changed] == [two["id"], one["id"]]
    assert changed[0]["segments"] == two["segments"]
    assert [segment["id"] for segment in changed[1]["segments"]] == [segment["id"] for segment in one["segments"]]
    assert reach(MANAGEMENT["Get Curriculum"].request, id=created["id"]).get_json()["content"] == changed
    assert_refused(reach(shown.request, body={"title": "X"}, id="nothing"), 404, "NOT_FOUND")


@documented("Delete Curriculum")
def test_a_curriculum_is_removed_but_not_while_jobs_use_it(reach: Reach, database: Database) -> None:
    created = reach(MANAGEMENT["Create Curriculum"].request, body={"title": "Gone soon"}).get_json()["id"]
    job = making.submit(database, kind="speech.prefetch", items=1, params={"curriculum_id": created})
    request = MANAGEMENT["Delete Curriculum"].request
    refused = reach(request, id=created)
    assert_refused(refused, 409, "CONFLICT")
    assert job.id in refused.get_json()["details"]["job_ids"]
    removed = reach(request, id=created, query="?force=true")
    assert (removed.status_code, set(removed.get_json())) == (200, {"message"})
    assert making.read(database, job).state == "cancelled"
    assert_refused(reach(request, id=created), 404, "NOT_FOUND")


@documented("Get Curriculum")
def test_a_curriculum_that_is_not_there_is_not_found(reach: Reach) -> None:
    assert_refused(reach(MANAGEMENT["Get Curriculum"].request, id="nothing"), 404, "NOT_FOUND")


@documented("Generate TTS", "Response: Audio data (binary)")
def test_a_text_is_answered_with_audio(reach: Reach, worker: Any) -> None:
    request = MANAGEMENT["Generate TTS"].request
    answer = reach(request, body=request.body())
    assert (answer.status_code, answer.content_type) == (200, "audio/wav")
    samples, rate = soundfile.read(io.BytesIO(answer.data))
    assert 1.0 < len(samples) / rate < 10.0
    # The document's provider has no engine here: another one speaks, and the answer says so.
    assert request.fields["provider"] in answer.headers["X-TTS-Fallback"]


@documented("Cache Statistics")
def test_cache_statistics_count_what_was_spoken(reach: Reach, worker: Any) -> None:
    shown = MANAGEMENT["Cache Statistics"]
    before = reach(shown.request)
    assert before.status_code == 200
    assert_shaped(before.get_json(), shown.answer)
    assert before.get_json() == dict.fromkeys(shown.answer, 0)
    request = MANAGEMENT["Generate TTS"].request
    sizes = [len(reach(request, body=request.body()).data) for _ in range(2)]
    # Outcomes are counted in memory and written once a second.
    after = eventually(lambda: (found := reach(shown.request).get_json())["hit_rate"] and found)
    assert_shaped(after, shown.answer)
    assert (after["total_entries"], after["size_bytes"]) == (1, sizes[0])
    assert (after["live_pending"], after["background_pending"]) == (0, 0)
    assert after["hit_rate"] == 0.5


@documented("Check Cache")
def test_the_cache_is_asked_about_a_text(reach: Reach, worker: Any) -> None:
    shown = MANAGEMENT["Check Cache"]
    asked = dict(part.split("=") for part in shown.request.target.partition("?")[2].split("&"))
    missed = reach(shown.request)
    assert (missed.status_code, missed.get_json()) == (200, {"cache_hit": False, "duration_seconds": None})
    request = MANAGEMENT["Generate TTS"].request
    spoken = reach(request, body=request.body(**asked | {"speed": float(asked["speed"])}))
    found = reach(shown.request)
    assert found.status_code == 200
    assert_shaped(found.get_json(), shown.answer)
    assert found.get_json()["cache_hit"] is True
    assert found.get_json()["duration_seconds"] == float(spoken.headers["X-TTS-Duration-Seconds"])


@documented("Prefetch Segments")
def test_the_segments_of_a_topic_are_prefetched(reach: Reach, database: Database, worker: Any) -> None:
    (course,) = _store_curricula(database, 1)
    with database.transaction() as session:
        ((topic, segments),) = curricula.outline(session, course)
    request = MANAGEMENT["Prefetch Segments"].request
    answer = reach(request, body=request.body(curriculum_id=course, topic_id=topic.id))
    assert answer.status_code == 202
    promised = re.findall(r"\w+", quoted(Document("decisions").sentence("Prefetch:"))[1])
    assert set(answer.get_json()) == set(promised)
    assert (answer.get_json()["total_segments"], answer.get_json()["cached_segments"]) == (len(segments), 0)
    speak = MANAGEMENT["Generate TTS"].request
    voice = {name: request.fields[name] for name in ("voice_id", "provider")}
    for segment in segments:
        look = Request("GET", f"/api/tts/cache?{urlencode({'text': segment.text} | voice)}")
        eventually(lambda look=look: reach(look).get_json()["cache_hit"], within_seconds=20)
        spoken = reach(speak, body=speak.body(text=segment.text, **voice))
        assert spoken.headers["X-TTS-Cache-Status"] == "hit"


@documented("Error Responses")
@documented("Common Error Codes")
@pytest.mark.parametrize("row", MANAGEMENT["Common Error Codes"].rows, ids=lambda row: row["Code"])
def test_each_code_of_the_table_comes_with_its_status(
    application: Callable[..., FlaskClient],
    database: Database,
    worker: Any,
    monkeypatch: pytest.MonkeyPatch,
    row: dict[str, str],
) -> None:
    provoke = _PROVOKED[row["Code"]]
    answer = provoke(application, database, monkeypatch)
    assert_refused(answer, int(row["HTTP Status"]), row["Code"])


def _unknown(application: Callable[..., FlaskClient], *_: Any) -> TestResponse:
    return application().get("/api/curriculum/nothing", headers={"X-API-Key": CLIENT_KEY})


def _invalid(application: Callable[..., FlaskClient], *_: Any) -> TestResponse:
    return application().post("/api/tts", json={}, headers={"X-API-Key": CLIENT_KEY})


def _without_token(application: Callable[..., FlaskClient], *_: Any) -> TestResponse:
    return application().get("/api/curriculum")


def _in_another_role(application: Callable[..., FlaskClient], database: Database, *_: Any) -> TestResponse:
    with database.transaction() as session:
        agent = accounts.create(session, username="agent", password=PASSWORD, role="agent")
        accounts.store_key(session, agent, name="agent", role="agent", secret="an agent's key")
    return application().get("/api/curriculum", headers={"X-API-Key": "an agent's key"})


def _too_often(application: Callable[..., FlaskClient], database: Database, *_: Any) -> TestResponse:
    with database.transaction() as session:
        account = accounts.find(session, "client")
        assert account is not None
        waiting = NewJob(
            id=new_id(),
            kind="speech.speak",
            lane="nobody's",
            params={},
            resolution={},
            live=True,
            account_id=account.id,
        )
        lifecycle.submit(session, waiting, doorbells=0)
    request = MANAGEMENT["Generate TTS"].request
    http = application(live_waiting_share=1)
    answer = http.post(request.target, json=request.body(), headers={"X-API-Key": CLIENT_KEY})
    assert int(answer.headers["Retry-After"]) > 0
    return answer


def _broken(
    application: Callable[..., FlaskClient], database: Database, monkeypatch: pytest.MonkeyPatch
) -> TestResponse:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("a secret of the house")

    monkeypatch.setattr(curricula, "page", fail)
    answer = application().get("/api/curriculum", headers={"X-API-Key": API_KEY})
    assert "secret" not in answer.text
    return answer


_PROVOKED: dict[str, Callable[..., TestResponse]] = {
    "NOT_FOUND": _unknown,
    "VALIDATION_ERROR": _invalid,
    "UNAUTHORIZED": _without_token,
    "FORBIDDEN": _in_another_role,
    "RATE_LIMITED": _too_often,
    "SERVER_ERROR": _broken,
}


@pytest.fixture(scope="module")
def open_web(configured: Settings) -> Iterator[Web]:
    """A web process that asks nobody for a credential."""
    with serving(configured.var_dir / "log" / "open_web.log", OPEN_SURFACES="management") as running:
        yield running


@documented("Real-time Updates")
@pytest.mark.parametrize("mode", ["closed", "open"])
def test_the_socket_sends_the_documented_messages(
    request: pytest.FixtureRequest, clean: None, admin: dict[str, str], mode: str
) -> None:
    web: Web = request.getfixturevalue("web" if mode == "closed" else "open_web")
    shown = MANAGEMENT["Real-time Updates"]
    if mode == "closed":
        assert web.close_code(shown.request.target) == 4401
    seeing = admin if mode == "closed" else {}
    with web.socket(shown.request.target, header=seeing) as watcher:
        assert watcher.next()["type"] == "connected"
        figures = watcher.next()
        assert figures["type"] == "stats_update"
        assert_shaped(figures["data"], MANAGEMENT["Statistics"].answer)
        with web.socket(shown.request.target, header=seeing) as other:
            client_id = other.next()["data"]["client_id"]
            came = watcher.until("client_connected", lambda data: data["client_id"] == client_id)
        went = watcher.until("client_disconnected", lambda data: data["client_id"] == client_id)
        # What gunicorn makes of this, it logs.
        with socket.create_connection(("127.0.0.1", web.port)) as connection:
            connection.sendall(b"NONSENSE\r\n\r\n")
        line = watcher.until("log_entry", lambda data: "NONSENSE" in data["message"])
        watcher.send({"type": "ping"})
        watcher.until("pong")
    promised = Document("decisions").sentence("`/ws` envelope")
    for kind, data in {"client_connected": came, "client_disconnected": went, "log_entry": line}.items():
        (fields,) = re.findall(rf"`[\w|]*{kind}[\w|]*\.data`? = `\{{(.*?)\}}`", promised)
        # A line names its job, too; otherwise it is what was decided, and no more.
        more = {"job_id"} if kind == "log_entry" else set()
        assert set(data) == set(fields.split(", ")) | more, kind
    assert came["clients_connected"] >= 2
    assert went["clients_connected"] >= 1
    assert {quoted(line)[0] for line in shown.bullets} == {
        *("stats_update", "log_entry", "client_connected", "client_disconnected")
    }


def _default(line: str) -> str:
    (value,) = re.findall(r"\(default: (\w+)\)", line)
    return value


def _store_curricula(database: Database, count: int) -> list[str]:
    with database.transaction() as session:
        return [
            curricula.create(
                session,
                title=f"Course {number}",
                description="",
                topics=[NewTopic(title="Only", segments=[NewSegment("One."), NewSegment("Two and three.")])],
                extra={},
                account_id=None,
            ).id
            for number in range(count)
        ]
