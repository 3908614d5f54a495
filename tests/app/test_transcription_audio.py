"""The sound of a task: to its agent alone, any slice of it, by a key or by an address that opens itself."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from itsdangerous import URLSafeTimedSerializer

from app.http import signed
from models import accounts
from models.db import Database
from models.files import FileStore
from tests import transcribing
from tests.transcribing import task_of

ANN, BOB = 1, 2


@pytest.fixture
def path(client: FlaskClient, database: Database) -> str:
    """The sound of a task that one agent has."""
    store: FileStore = client.application.extensions["voiceworks"].files
    (made,) = transcribing.add(database, store)
    assert task_of(database, ANN) == made
    return f"/api/audio/stream/{made}/{ANN}"


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_slice_that_can_be_had_is_the_files(
    client: FlaskClient, admin: dict[str, str], path: str, data: st.DataObject
) -> None:
    content = transcribing.tone(2.0)
    start = data.draw(st.integers(0, len(content) - 1))
    kind = data.draw(st.sampled_from(["part", "rest", "end", "beyond"]))
    end = data.draw(st.integers(start, len(content) - 1))
    asked, expected = {
        "part": (f"bytes={start}-{end}", content[start : end + 1]),
        "rest": (f"bytes={start}-", content[start:]),
        "end": (f"bytes=-{start + 1}", content[-(start + 1) :]),
        "beyond": (f"bytes={start}-{end + 10**9}", content[start:]),
    }[kind]
    answer = client.get(path, headers=admin | {"Range": asked})
    assert (answer.status_code, answer.data) == (206, expected)
    first = len(content) - len(expected) if kind == "end" else start
    assert answer.headers["Content-Range"] == f"bytes {first}-{first + len(expected) - 1}/{len(content)}"


def test_what_cannot_be_had_and_what_is_no_range(client: FlaskClient, admin: dict[str, str], path: str) -> None:
    content = transcribing.tone(2.0)
    beyond = client.get(path, headers=admin | {"Range": f"bytes={len(content)}-"})
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{len(content)}")
    assert list(beyond.get_json()) == ["detail"]
    for odd in ("bytes=5-2", "bytes=abc", "items=0-1", "bytes=0-1,4-5"):
        assert client.get(path, headers=admin | {"Range": odd}).data == content
    head = client.head(path, headers=admin)
    assert (head.status_code, head.data, head.content_length) == (200, b"", len(content))
    tag = head.headers["ETag"]
    assert client.get(path, headers=admin | {"If-None-Match": tag}).status_code == 304
    same = {"Range": "bytes=0-9", "If-Range": tag}
    assert client.get(path, headers=admin | same).data == content[:10]
    assert client.get(path, headers=admin | same | {"If-Range": '"another"'}).data == content


def test_what_is_wanted_only_as_it_was_is_not_sent_as_it_is(
    client: FlaskClient, admin: dict[str, str], path: str
) -> None:
    for more in ({}, {"Range": "bytes=0-1"}):
        answer = client.get(path, headers=admin | {"If-Match": '"another"'} | more)
        assert (answer.status_code, list(answer.get_json())) == (412, ["detail"])
    tag = client.head(path, headers=admin).headers["ETag"]
    assert client.get(path, headers=admin | {"If-Match": tag}).status_code == 200


@pytest.mark.parametrize("number", [2**63 - 1, 2**63, 10**40])
def test_numbers_beyond_all_that_is_counted_are_nobodys(
    client: FlaskClient, admin: dict[str, str], number: int
) -> None:
    for path in (
        f"/api/audio/stream/{number}/1",
        f"/api/audio/stream/1/{number}",
        f"/api/transcription/tasks/{number}",
    ):
        assert client.get(path, headers=admin).status_code == 404, path
    assert client.get(f"/api/agents/{number}/stats", headers=admin).status_code == 200
    body = {"agent_id": 1, "transcription": "a text"}
    assert client.post(f"/api/tasks/{number}/submit", json=body, headers=admin).status_code == 404


def test_one_transcribers_answers_are_not_given_to_another_of_the_same_account(
    client: FlaskClient, database: Database
) -> None:
    transcribing.add(database, count=2)
    with database.transaction() as session:
        account = accounts.create(session, username="team", password="a password", role="agent")
        keys = [accounts.create_key(session, account, name="x", agent_id=agent)[1] for agent in (ANN, BOB)]

    def ask(key: str, agent_id: int) -> tuple[int, int | None]:
        headers = {"X-API-Key": key, "Idempotency-Key": "1"}
        answer = client.post("/api/tasks/request", json={"agent_id": agent_id}, headers=headers)
        return answer.status_code, answer.get_json().get("task_id")

    status, first = ask(keys[0], ANN)
    assert (status, ask(keys[0], ANN)) == (200, (200, first))
    assert ask(keys[1], ANN)[0] == 403
    status, second = ask(keys[1], BOB)
    assert status == 200
    assert second != first


def test_playing_renews_the_lease(client: FlaskClient, admin: dict[str, str], database: Database, path: str) -> None:
    transcribing.age(database, ANN, minutes=10)
    assert client.get(path, headers=admin | {"Range": "bytes=0-9"}).status_code == 206
    held = transcribing.given(database, ANN)
    assert held
    assert (held.assignment.lease_until - held.assignment.started_at).total_seconds() > 24 * 60
    # Once more within a moment it is not worth a write, and after an hour there is no more.
    transcribing.age(database, ANN, hours=1)
    assert client.get(path, headers=admin).status_code == 403


def test_a_signed_address_opens_itself_and_nothing_else(
    client: FlaskClient, database: Database, admin: dict[str, str], path: str
) -> None:
    shown = client.post("/api/tasks/request", json={"agent_id": ANN}, headers=admin).get_json()
    address = urlsplit(shown["signed_audio_url"])
    assert address.path == path
    signature = address.query.partition("=")[2]
    assert client.get(f"{path}?{address.query}", headers={"Range": "bytes=0-9"}).status_code == 206
    # A key that is wrong is not mended by a signature.
    assert client.get(f"{path}?{address.query}", headers={"X-API-Key": "wrong"}).status_code == 401
    for other in (path.replace("/stream/", "/peaks/"), path[:-1] + str(BOB), f"/api/agents/{ANN}/stats", "/api/jobs"):
        assert client.get(f"{other}?{address.query}").status_code == 401, other
    assert client.post(f"/api/tasks/{shown['task_id']}/submit?{address.query}", json={}).status_code == 401
    for bad in ("", "x", signature[:-1], signature + "x", "\0"):
        assert client.get(path, query_string={"signature": bad}).status_code == 401, bad
    database.dispose()


def test_a_signature_is_good_for_an_hour_and_ours_alone(
    client: FlaskClient, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = client.application.extensions["voiceworks"].settings.secret_key
    forged = URLSafeTimedSerializer("another key", salt="signed-path").dumps([path, ANN])
    assert client.get(path, query_string={"signature": forged}).status_code == 401
    good = signed.signature(key, path, agent_id=ANN)
    assert client.get(path, query_string={"signature": good}).status_code == 200
    monkeypatch.setattr(signed, "SECONDS", -1)
    assert client.get(path, query_string={"signature": good}).status_code == 401


def test_another_agents_key_hears_nothing(client: FlaskClient, database: Database, path: str) -> None:
    with database.transaction() as session:
        account = accounts.create(session, username="bob", password="a password", role="agent")
        _, bob = accounts.create_key(session, account, name="bob", agent_id=BOB)
        _, ann = accounts.create_key(session, account, name="ann", agent_id=ANN)
    assert client.get(path, headers={"X-API-Key": ann}).status_code == 200
    assert client.get(path, headers={"X-API-Key": bob}).status_code == 403
    assert client.get(path[:-1] + str(BOB), headers={"X-API-Key": bob}).status_code == 403


def test_a_file_that_is_gone_is_not_found(client: FlaskClient, admin: dict[str, str], database: Database) -> None:
    store: FileStore = client.application.extensions["voiceworks"].files
    (made,) = transcribing.add(database, store, seconds=0.75)
    task_of(database, ANN)
    name = store.put(transcribing.tone(0.75))
    store.remove([name])
    answer = client.get(f"/api/audio/stream/{made}/{ANN}", headers=admin)
    assert (answer.status_code, answer.get_json()) == (404, {"detail": "Audio file not found"})


def test_the_outline_is_there_before_the_sound(client: FlaskClient, admin: dict[str, str], path: str) -> None:
    answer = client.get(path.replace("/stream/", "/peaks/"), headers=admin)
    assert answer.get_json() == {"peaks": [0, 50, 100], "duration": 2.0}
