"""``Idempotency-Key``: a POST that is sent again is answered again, and does nothing a second time."""

from __future__ import annotations

import dataclasses
import io
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Response, request
from flask.testing import FlaskClient
from sqlalchemy import func, select, update
from werkzeug.test import TestResponse

from app.http.access import CLIENT, PUBLIC
from app.surfaces import GATEWAY, MANAGEMENT, guard
from config.settings import Settings
from models import accounts, idempotency
from models.accounts import ApiKey
from models.db import Database
from models.idempotency import IdempotentAnswer
from tests import making
from tests.app.conftest import row_counts
from tests.conftest import PASSWORD
from tests.web import Web

KEY = {"Idempotency-Key": "the first"}
NEW_KEY = {"name": "for a program"}


def replayed(answer: TestResponse) -> bool:
    assert answer.headers.get("Idempotent-Replay") in (None, "true")
    return "Idempotent-Replay" in answer.headers


def kept(database: Database) -> list[IdempotentAnswer]:
    with database.transaction() as session:
        return list(session.scalars(select(IdempotentAnswer)))


def make_older(database: Database, seconds: float) -> None:
    with database.transaction() as session:
        row = IdempotentAnswer
        session.execute(update(row).values(created_at=row.created_at - timedelta(seconds=seconds)))


def keys_made(database: Database) -> int:
    with database.transaction() as session:
        return session.scalar(select(func.count()).where(ApiKey.name == NEW_KEY["name"])) or 0


# --- The same again -----------------------------------------------------------------------------------------------


def test_the_same_request_is_done_once_and_answered_alike(
    client: FlaskClient, customer: dict[str, str], database: Database
) -> None:
    first, second, third = (client.post("/api/auth/keys", json=NEW_KEY, headers=customer | KEY) for _ in range(3))
    assert first.status_code == second.status_code == third.status_code == 201
    assert first.data == second.data == third.data
    assert first.content_type == second.content_type
    assert [replayed(each) for each in (first, second, third)] == [False, True, True]
    assert keys_made(database) == 1
    # Each answer has an id of its own.
    assert first.headers["X-Request-ID"] != second.headers["X-Request-ID"]


def test_without_a_key_nothing_is_kept_and_each_request_is_done(
    client: FlaskClient, customer: dict[str, str], database: Database
) -> None:
    answers = [client.post("/api/auth/keys", json=NEW_KEY, headers=customer) for _ in range(2)]
    assert [replayed(answer) for answer in answers] == [False, False]
    assert keys_made(database) == 2
    assert kept(database) == []


def test_another_key_is_another_request(client: FlaskClient, customer: dict[str, str], database: Database) -> None:
    for key in ("a", "b", "A"):
        client.post("/api/auth/keys", json=NEW_KEY, headers=customer | {"Idempotency-Key": key})
    assert keys_made(database) == 3


def test_a_secret_that_is_shown_once_is_not_stored_to_be_read(
    client: FlaskClient, customer: dict[str, str], database: Database
) -> None:
    answer = client.post("/api/auth/keys", json=NEW_KEY, headers=customer | KEY)
    secret = answer.get_json()["key"].encode()
    (row,) = kept(database)
    assert row.body is not None
    assert secret not in row.body
    assert secret in client.post("/api/auth/keys", json=NEW_KEY, headers=customer | KEY).data


def test_status_and_location_are_given_again(
    client: FlaskClient, customer: dict[str, str], database: Database, worker: object
) -> None:
    headers = customer | KEY | {"Prefer": "respond-async"}
    first, second = (client.post("/api/tts", json={"text": "Hello."}, headers=headers) for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.get_json() == second.get_json()
    assert first.headers["Location"] == second.headers["Location"]
    assert row_counts(database)["jobs"] == 1


def test_audio_is_not_stored_but_found_again(
    client: FlaskClient, customer: dict[str, str], database: Database, worker: object
) -> None:
    first, second = (client.post("/api/tts", json={"text": "Hello."}, headers=customer | KEY) for _ in range(2))
    assert (first.headers["X-TTS-Cache-Status"], second.headers["X-TTS-Cache-Status"]) == ("miss", "hit")
    assert first.data == second.data
    assert (replayed(first), replayed(second)) == (False, True)
    (row,) = kept(database)
    assert (row.status, row.body) == (200, None)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/tts?stream=1", {"text": "It is heard while it is made."}),
        ("/v1/audio/speech", {"model": "tts-1", "voice": "alloy", "input": "This, too.", "response_format": "wav"}),
    ],
)
def test_a_stream_goes_on_to_be_a_stream(
    client: FlaskClient, customer: dict[str, str], worker: object, path: str, body: dict[str, str]
) -> None:
    first = client.post(path, json=body, headers=customer | KEY)
    assert first.status_code == 200
    assert first.is_streamed
    assert "Content-Length" not in first.headers
    content = first.data
    second = client.post(path, json=body, headers=customer | KEY)
    assert replayed(second)
    assert len(second.data) > 1000
    assert content[-1000:] == second.data[-1000:]


# --- Another request under the same key ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/auth/keys", {"name": "another"}),
        ("/api/auth/keys?a=b", NEW_KEY),
        ("/api/tts", NEW_KEY),
        ("/v1/audio/speech", NEW_KEY),
    ],
)
def test_another_request_under_the_key_is_refused_naming_it(
    client: FlaskClient, customer: dict[str, str], database: Database, path: str, body: dict[str, str]
) -> None:
    client.post("/api/auth/keys", json=NEW_KEY, headers=customer | KEY)
    answer = client.post(path, json=body, headers=customer | KEY)
    assert answer.status_code == 400
    assert "'the first'" in str(answer.get_json()["error"])
    assert not replayed(answer)
    assert keys_made(database) == 1


def test_the_refusal_has_the_shape_and_status_of_its_surface(probe: Probe, customer: dict[str, str]) -> None:
    http = probe(lambda: {"done": True}, surface=GATEWAY)
    assert http.post("/probe", json={"a": 1}, headers=customer | KEY).status_code == 200
    answer = http.post("/probe", json={"a": 2}, headers=customer | KEY)
    assert answer.status_code == 422
    assert set(answer.get_json()) == {"detail", "error_code", "timestamp"}


def test_accounts_do_not_meet(client: FlaskClient, customer: dict[str, str], admin: dict[str, str]) -> None:
    mine = client.post("/api/auth/keys", json=NEW_KEY, headers=customer | KEY)
    theirs = client.post("/api/auth/keys", json=NEW_KEY, headers=admin | KEY)
    assert not replayed(theirs)
    assert mine.get_json()["key"] != theirs.get_json()["key"]


def test_a_lesser_key_of_the_same_account_does_not_get_the_answer_of_a_greater_one(
    client: FlaskClient, admin: dict[str, str], database: Database
) -> None:
    with database.transaction() as session:
        account = accounts.find(session, "admin")
        assert account is not None
        accounts.store_key(session, account, name="narrow", role="client", secret="a narrow key")
    client.post("/api/auth/keys", json=NEW_KEY, headers=admin | KEY)
    assert client.post("/api/auth/keys", json=NEW_KEY, headers={"X-API-Key": "a narrow key"} | KEY).status_code == 400


@pytest.mark.parametrize("key", ["", "x" * 256, "é", "a\tb", "\x7f"])
def test_a_key_that_is_none_is_refused(
    client: FlaskClient, customer: dict[str, str], database: Database, key: str
) -> None:
    answer = client.post("/api/auth/keys", json=NEW_KEY, headers=customer | {"Idempotency-Key": key})
    assert (answer.status_code, answer.get_json()["code"]) == (400, "VALIDATION_ERROR")
    assert "Idempotency-Key" in answer.get_json()["error"]
    assert keys_made(database) == 0


@pytest.mark.parametrize("key", ["x", "x" * 255, '"8e03978e-40d5-43e8-bc93-6894a57f9324"', "a b~!"])
def test_a_key_may_be_anything_printable(client: FlaskClient, customer: dict[str, str], key: str) -> None:
    headers = customer | {"Idempotency-Key": key}
    answers = [client.post("/api/auth/keys", json=NEW_KEY, headers=headers) for _ in range(2)]
    assert [replayed(answer) for answer in answers] == [False, True]


# --- What is not kept ---------------------------------------------------------------------------------------------


def test_a_refused_request_stores_nothing_so_that_the_mended_one_is_done(
    client: FlaskClient, customer: dict[str, str], database: Database
) -> None:
    refused = client.post("/api/auth/keys", json={"name": ""}, headers=customer | KEY)
    assert refused.status_code == 400
    assert kept(database) == []
    assert client.post("/api/auth/keys", json=NEW_KEY, headers=customer | KEY).status_code == 201


def test_a_request_that_failed_unexpectedly_is_done_when_it_comes_again(
    probe: Probe, customer: dict[str, str], database: Database
) -> None:
    faults = [RuntimeError("once")]

    def view() -> dict[str, bool]:
        if faults:
            raise faults.pop()
        return {"done": True}

    http = probe(view)
    assert http.post("/probe", headers=customer | KEY).status_code == 500
    assert kept(database) == []
    again = http.post("/probe", headers=customer | KEY)
    assert (again.status_code, replayed(again)) == (200, False)


def test_whoever_may_not_claims_no_key(client: FlaskClient, customer: dict[str, str], database: Database) -> None:
    assert client.post("/api/users", json={}, headers=customer | KEY).status_code == 403
    assert client.post("/api/users", json={}, headers=KEY).status_code == 401
    assert kept(database) == []


def test_signing_in_and_everything_but_post_pass_it_over(
    client: FlaskClient, customer: dict[str, str], database: Database
) -> None:
    said = {"username": "client", "password": PASSWORD}
    answers = [client.post("/api/auth/login", json=said, headers=KEY) for _ in range(2)]
    answers += [client.get("/api/jobs", headers=customer | KEY) for _ in range(2)]
    answers += [client.delete("/api/jobs/x", headers=customer | KEY)]
    assert not any(replayed(answer) for answer in answers)
    assert answers[0].get_json() != answers[1].get_json()
    assert kept(database) == []


def test_an_open_surface_keeps_answers_of_nobody_in_particular(
    configured: Settings, clean: None, database: Database
) -> None:
    from app import create_app

    app = create_app(dataclasses.replace(configured, open_surfaces=frozenset({"management"})))
    body = {"title": "A course", "content": []}
    answers = [app.test_client().post("/api/curriculum", json=body, headers=KEY) for _ in range(2)]
    assert [(answer.status_code, replayed(answer)) for answer in answers] == [(201, False), (201, True)]
    assert [row.account_id for row in kept(database)] == [""]
    app.extensions["voiceworks"].database.dispose()


# --- While the first is being answered ----------------------------------------------------------------------------

Probe = Callable[..., FlaskClient]


@pytest.fixture
def probe(configured: Settings, clean: None) -> Iterator[Probe]:
    """An application whose ``POST /probe`` does what a test says, behind the guard."""
    from app import create_app

    app = create_app(configured)

    def serve(view: Callable[[], Any], *, surface: Any = MANAGEMENT, allowed: Any = CLIENT) -> FlaskClient:
        app.add_url_rule("/probe", endpoint="probe", view_func=guard(view, surface, allowed), methods=["POST"])
        return app.test_client()

    yield serve
    app.extensions["voiceworks"].database.dispose()


def test_while_the_first_is_being_answered_the_second_is_told_to_come_back(
    probe: Probe, customer: dict[str, str], database: Database
) -> None:
    began, go_on = threading.Event(), threading.Event()
    calls = []

    def view() -> dict[str, int]:
        calls.append(1)
        began.set()
        assert go_on.wait(10)
        return {"call": len(calls)}

    http = probe(view)
    answers: list[TestResponse] = []
    first = threading.Thread(
        target=lambda: answers.append(http.application.test_client().post("/probe", headers=customer | KEY))
    )
    first.start()
    assert began.wait(10)
    second = http.post("/probe", headers=customer | KEY)
    assert (second.status_code, second.get_json()["code"]) == (409, "CONFLICT")
    assert second.headers["Retry-After"] == "1"
    assert "the first" in second.get_json()["error"]
    # Another body is another request, whatever has become of the first.
    assert http.post("/probe", json={"other": 1}, headers=customer | KEY).status_code == 400
    go_on.set()
    first.join()
    third = http.post("/probe", headers=customer | KEY)
    assert (third.get_json(), replayed(third)) == ({"call": 1}, True)
    assert answers[0].get_json() == {"call": 1}


def test_of_many_at_once_one_is_done(client: FlaskClient, customer: dict[str, str], database: Database) -> None:
    def ask(_: int) -> TestResponse:
        return client.application.test_client().post("/api/auth/keys", json=NEW_KEY, headers=customer | KEY)

    answers = making.at_once(8, ask)
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert sum(answer.status_code == 201 and not replayed(answer) for answer in answers) == 1
    assert keys_made(database) == 1


def test_the_claim_of_a_process_that_died_is_taken_over_after_the_longest_answer(
    client: FlaskClient, customer: dict[str, str], database: Database, configured: Settings
) -> None:
    client.post("/api/auth/keys", json=NEW_KEY, headers=customer | KEY)
    with database.transaction() as session:
        session.execute(update(IdempotentAnswer).values(status=None, body=None))
    make_older(database, configured.live_wait_seconds)
    assert client.post("/api/auth/keys", json=NEW_KEY, headers=customer | KEY).status_code == 409
    make_older(database, 60)
    assert client.post("/api/auth/keys", json={"name": "another"}, headers=customer | KEY).status_code == 400
    again = client.post("/api/auth/keys", json=NEW_KEY, headers=customer | KEY)
    assert (again.status_code, replayed(again)) == (201, False)
    assert replayed(client.post("/api/auth/keys", json=NEW_KEY, headers=customer | KEY))


def test_one_whose_claim_was_taken_over_changes_nothing(database: Database) -> None:
    asked = {"account_id": "a", "key": "k", "digest": "d"}
    answer: dict[str, Any] = {"status": 200, "media_type": "application/json", "location": None}
    with database.transaction() as session:
        slow = idempotency.claim(session, **asked, dead_after_seconds=60)
    make_older(database, 61)
    assert isinstance(slow, idempotency.Claim)
    with database.transaction() as session:
        quick = idempotency.claim(session, **asked, dead_after_seconds=60)
    assert isinstance(quick, idempotency.Claim)
    with database.transaction() as session:
        idempotency.keep(session, slow, body=b"slow", **answer)
        idempotency.drop(session, slow)
    assert [row.status for row in kept(database)] == [None]
    with database.transaction() as session:
        idempotency.keep(session, quick, body=b"quick", **answer)
    assert [row.body for row in kept(database)] == [b"quick"]


def test_a_real_web_process_streams_replays_and_refuses_alike(
    web: Web, clean: None, customer: dict[str, str], worker: object, database: Database
) -> None:
    said = {"model": "tts-1", "voice": "alloy", "input": "A sentence that is heard. " * 20, "response_format": "pcm"}
    headers = customer | {"Idempotency-Key": "of a stream"}
    first = web.post("/v1/audio/speech", json=said, headers=headers)
    second = web.post("/v1/audio/speech", json=said, headers=headers)
    assert first.headers["Transfer-Encoding"] == "chunked"
    assert len(first.content) > 100_000
    assert first.content == second.content
    assert (first.headers.get("Idempotent-Replay"), second.headers.get("Idempotent-Replay")) == (None, "true")
    made = [web.post("/api/auth/keys", json=NEW_KEY, headers=customer | KEY) for _ in range(2)]
    assert made[0].content == made[1].content
    assert keys_made(database) == 1
    other = web.post("/api/auth/keys", json={"name": "another"}, headers=customer | KEY)
    assert other.status_code == 400


# --- A day --------------------------------------------------------------------------------------------------------


def test_after_a_day_the_key_is_free(client: FlaskClient, customer: dict[str, str], database: Database) -> None:
    client.post("/api/auth/keys", json=NEW_KEY, headers=customer | KEY)
    make_older(database, 24 * 3600 - 60)
    assert replayed(client.post("/api/auth/keys", json=NEW_KEY, headers=customer | KEY))
    make_older(database, 61)
    other = client.post("/api/auth/keys", json={"name": "another"}, headers=customer | KEY)
    assert (other.status_code, replayed(other)) == (201, False)


def test_what_is_older_than_a_day_is_forgotten(
    client: FlaskClient, customer: dict[str, str], database: Database
) -> None:
    client.post("/api/auth/keys", json=NEW_KEY, headers=customer | KEY)
    make_older(database, 24 * 3600 + 1)
    client.post("/api/auth/keys", json=NEW_KEY, headers=customer | {"Idempotency-Key": "young"})
    with database.transaction() as session:
        assert idempotency.count_old(session) == 1
        assert idempotency.forget_old(session) == 1
        assert idempotency.count_old(session) == 0
    assert [row.key for row in kept(database)] == ["young"]


# --- Bodies -------------------------------------------------------------------------------------------------------


def test_a_body_that_is_too_long_is_refused_unread(
    client: FlaskClient, customer: dict[str, str], database: Database
) -> None:
    headers = customer | KEY | {"Content-Type": "application/json"}
    body = io.BytesIO(b"{" * 1000)
    length = {"CONTENT_LENGTH": str(17 * 2**20)}
    answer = client.post("/api/curriculum", input_stream=body, headers=headers, environ_overrides=length)
    assert (answer.status_code, answer.get_json()["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert body.tell() == 0
    assert kept(database) == []


def test_a_form_with_files_is_read_by_the_view_and_is_the_same_under_another_boundary(
    probe: Probe, customer: dict[str, str]
) -> None:
    def view() -> dict[str, Any]:
        return {"file": request.files["file"].read().decode(), "field": request.form["field"], "at": time.time()}

    http = probe(view)

    def upload(content: bytes) -> TestResponse:
        data = {"field": "a", "file": (io.BytesIO(content), "name.txt")}
        return http.post("/probe", data=data, headers=customer | KEY)

    first, second, other = upload(b"sound"), upload(b"sound"), upload(b"noise")
    assert (first.get_json()["file"], first.get_json()["field"]) == ("sound", "a")
    assert replayed(second)
    assert first.get_json() == second.get_json()
    assert other.status_code == 400


def test_an_answer_without_a_body_is_given_again(probe: Probe, customer: dict[str, str]) -> None:
    calls: list[int] = []

    def view() -> Response:
        calls.append(1)
        return Response(status=204)

    http = probe(view)
    answers = [http.post("/probe", headers=customer | KEY) for _ in range(2)]
    assert [(each.status_code, each.data, replayed(each)) for each in answers] == [(204, b"", False), (204, b"", True)]
    assert len(calls) == 1


def test_a_public_view_is_called_each_time(probe: Probe, database: Database) -> None:
    calls: list[int] = []

    def view() -> dict[str, int]:
        calls.append(1)
        return {"call": len(calls)}

    http = probe(view, allowed=PUBLIC)
    assert [http.post("/probe", headers=KEY).get_json() for _ in range(2)] == [{"call": 1}, {"call": 2}]
    assert kept(database) == []
