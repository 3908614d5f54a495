"""``callback_url``: from the request that makes a job to somebody's server, by the real worker and the real clock."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update
from werkzeug.test import TestResponse

from app import create_app
from app.callbacks import is_private
from config.child import Child
from config.settings import Settings
from models import accounts
from models.db import Database
from models.jobs import lifecycle
from models.jobs.tables import Job
from models.webhooks import WebhookDelivery
from tests import making
from tests.conftest import eventually
from tests.receiving import Receiver, Reply, receiving

ROOT = Path(__file__).parents[2]
ASYNC = {"Prefer": "respond-async"}
URL = "https://there.example/told"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Somebody's server."""
    with receiving() as running:
        yield running


@pytest.fixture
def clock(configured: Settings, tmp_path: Path) -> Iterator[None]:
    """The real beat, which rings what nobody rang."""
    child = Child(
        name="beat",
        argv=[
            *(sys.executable, "-m", "celery", "--app=tasks.celery_app", "beat"),
            *("--scheduler=celery.beat:Scheduler", "--pidfile="),
        ],
        log_path=tmp_path / "beat.log",
        cwd=ROOT,
    )
    child.start()
    yield
    child.stop()


@pytest.fixture
def ringing(client: FlaskClient) -> Database:
    """The web process's own database, whose commits ring the real worker."""
    database: Database = client.application.extensions["voiceworks"].database
    return database


@pytest.fixture
def strict(configured: Settings, clean: None) -> Iterator[FlaskClient]:
    """A client of an application that allows no private addresses."""
    app = create_app(dataclasses.replace(configured, webhook_allow_private=False))
    yield app.test_client()
    app.extensions["voiceworks"].hub.stop()
    app.extensions["voiceworks"].database.dispose()


@pytest.fixture
def mine(database: Database, clean: None) -> str:
    """The ordinary client's account."""
    with database.transaction() as session:
        account = accounts.find(session, "client")
        assert account is not None
        return account.id


def course(client: FlaskClient, headers: dict[str, str]) -> str:
    """The id of a course of two segments."""
    body = {"title": "A course", "content": [{"title": "A topic", "segments": ["One.", "Two."]}]}
    made: str = client.post("/api/curriculum", json=body, headers=headers).get_json()["id"]
    return made


def deliveries(client: FlaskClient, headers: dict[str, str], job_id: str) -> list[dict[str, Any]]:
    answer = client.get(f"/api/jobs/{job_id}/deliveries", headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.get_json()["total"] == len(answer.get_json()["deliveries"])
    found: list[dict[str, Any]] = answer.get_json()["deliveries"]
    return found


# --- From end to end ----------------------------------------------------------------------------------------------


def test_whoever_asked_for_speech_is_told_with_a_signature_that_verifies(
    client: FlaskClient, customer: dict[str, str], worker: object, receiver: Receiver
) -> None:
    body = {"text": "Tell me when it is there.", "callback_url": receiver.url("/hook?of=mine")}
    accepted = client.post("/api/tts", json=body, headers=customer | ASYNC).get_json()
    told = receiver.first()
    # As a receiver would: nothing of ours but what the owner can read.
    secret = client.get("/api/auth/webhook-secret", headers=customer).get_json()["secret"]
    signed = told.headers["X-Voiceworks-Timestamp"].encode() + b"." + told.body
    expected = "sha256=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(told.headers["X-Voiceworks-Signature"], expected)
    assert (told.path, told.headers["X-Voiceworks-Event"]) == ("/hook?of=mine", "job.finished")
    assert told.message["event"] == "job.finished"
    # The job as lists show it, in the words that are stored.
    listed = client.get("/api/jobs", headers=customer).get_json()["jobs"][0]
    assert told.message["job"] == listed
    assert (listed["id"], listed["state"]) == (accepted["job_id"], "succeeded")
    sent = eventually(lambda: [each for each in deliveries(client, customer, listed["id"]) if each["log"]])
    assert told.headers["X-Voiceworks-Delivery"] == sent[0]["id"]


def test_prefetches_and_batches_tell_too(
    client: FlaskClient, customer: dict[str, str], worker: object, receiver: Receiver
) -> None:
    body = {"curriculum_id": course(client, customer), "callback_url": receiver.url("/prefetch")}
    prefetch = client.post("/api/tts/prefetch/topic", json=body, headers=customer).get_json()["job_id"]
    said = {"model": "tts-1", "voice": "alloy", "items": [{"input": "Three."}], "callback_url": receiver.url("/batch")}
    batch = client.post("/v1/audio/speech/batch", json=said, headers=customer).get_json()["id"]
    eventually(lambda: len(receiver.told) == 2)
    told = {each.path: each.message for each in receiver.told}
    assert (told["/prefetch"]["job"]["id"], told["/batch"]["job"]["id"]) == (prefetch, batch)
    assert told["/prefetch"]["job"]["items"] == {"total": 2, "succeeded": 2, "failed": 0}
    assert {each["event"] for each in told.values()} == {"job.finished"}


def test_a_cancelled_job_is_told(
    client: FlaskClient, customer: dict[str, str], ringing: Database, mine: str, worker: object, receiver: Receiver
) -> None:
    job = making.submit(ringing, account_id=mine, callback_url=receiver.url())
    assert client.post(f"/api/jobs/{job.id}/cancel", headers=customer).status_code == 200
    assert receiver.first().message["event"] == "job.cancelled"
    assert receiver.told[0].message["job"]["state"] == "cancelled"


def test_a_failed_job_is_told_with_its_error(ringing: Database, worker: object, receiver: Receiver) -> None:
    job = making.submit(ringing, callback_url=receiver.url())
    making.fail(ringing, making.claim(ringing, job), code="nothing_to_say")
    message = receiver.first().message
    assert message["event"] == "job.failed"
    assert message["job"]["error"] == {"code": "nothing_to_say", "message": "It was nothing_to_say."}


def test_a_receiver_that_failed_is_told_again_within_ten_seconds(
    client: FlaskClient, customer: dict[str, str], ringing: Database, mine: str, worker: object, clock: None
) -> None:
    with receiving([Reply(500)]) as receiver:
        job = making.submit(ringing, account_id=mine, callback_url=receiver.url())
        making.end_well(ringing, job)
        eventually(lambda: len(receiver.told) == 2, within_seconds=15)
        first, second = receiver.told
        assert second.at - first.at < 10
        assert first.headers["X-Voiceworks-Delivery"] == second.headers["X-Voiceworks-Delivery"]
        assert first.message == second.message
        (row,) = eventually(
            lambda: [each for each in deliveries(client, customer, job.id) if each["state"] == "delivered"]
        )
    assert [entry["status"] for entry in row["log"]] == [500, 204]
    assert (row["attempts"], row["next_attempt_at"]) == (2, None)
    assert row["finished_at"] is not None


def test_a_receiver_that_is_away_is_told_when_it_comes_back(
    ringing: Database, database: Database, worker: object, clock: None
) -> None:
    with receiving() as away:
        port = away.port
    job = making.submit(ringing, callback_url=f"http://127.0.0.1:{port}/told")
    making.end_well(ringing, job)

    def attempts() -> int:
        with database.transaction() as session:
            return session.query(WebhookDelivery).one().attempts

    eventually(lambda: attempts() == 1)
    with receiving(port=port) as back:
        assert back.first().message["job"]["id"] == job.id


def test_what_was_committed_by_a_process_that_died_before_it_rang_is_told_by_the_clock(
    database: Database, worker: object, receiver: Receiver, clock: None
) -> None:
    # The fixture's commits ring nobody.
    job = making.submit(database, callback_url=receiver.url())
    making.end_well(database, job)
    assert receiver.first().message["job"]["id"] == job.id
    time.sleep(6)
    assert len(receiver.told) == 1


# --- What is a callback_url ---------------------------------------------------------------------------------------

Ask = Callable[[str], TestResponse]


def asking(client: FlaskClient, headers: dict[str, str]) -> Ask:
    """A request that makes a job, with this callback_url; there is no such course, if all else is well."""

    def ask(url: object) -> TestResponse:
        body = {"curriculum_id": "nothing", "callback_url": url}
        return client.post("/api/tts/prefetch/topic", json=body, headers=headers)

    return ask


@pytest.mark.parametrize(
    "url",
    [
        *("http://there.example", "https://there.example/", "https://there.example:8443/a/b?c=d&e=%20f#g"),
        *(
            "http://8.8.8.8/",
            "http://[2606:4700::1111]:80/",
            "https://xn--mnchen-3ya.example/",
            "HTTPS://THERE.EXAMPLE",
        ),
        *("http://a.localhost.example/", "https://there.example/" + "a" * 1978, None),
    ],
)
def test_a_url_of_a_public_server_is_taken(strict: FlaskClient, customer: dict[str, str], url: str) -> None:
    assert asking(strict, customer)(url).status_code == 404


@pytest.mark.parametrize(
    "url",
    [
        *("", "there.example", "//there.example/", "ftp://there.example/", "file:///etc/passwd", "javascript:alert(1)"),
        *("http://", "http:///path", "http:there.example", "http://:80/", "http://there.example:0/"),
        *("http://there.example:99999/", "http://there.example:x/", "http://[::1", "http://[nonsense]/"),
        *("http://user@there.example/", "http://user:word@there.example/", "http://there.example\\@127.0.0.1/"),
        *("http://there.example/a b", "http://there.example/\n", "http://münchen.example/", "http://１２７.0.0.1/"),
        *("http://①②⑦.0.0.1/", "http://127。0。0。1/", " http://there.example/", "http://<there>/"),
        *("https://there.example/" + "a" * 1979, 5, [], {}),
    ],
)
def test_what_is_no_url_is_refused(client: FlaskClient, customer: dict[str, str], url: str) -> None:
    answer = asking(client, customer)(url)
    assert (answer.status_code, answer.get_json()["code"]) == (400, "VALIDATION_ERROR")
    assert answer.get_json()["error"].startswith("callback_url: ")
    # Not even in a complaint.
    assert "word" not in answer.text


PRIVATE = [
    *(
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.1.",
    ),
    *("0.0.0.0", "0", "localhost", "LOCALHOST", "localhost.", "a.localhost", "10.0.0.1", "172.16.0.1", "192.168.1.1"),
    *("169.254.169.254", "0xa9fea9fe", "2852039166", "100.64.0.1", "192.0.2.1", "224.0.0.1", "255.255.255.255"),
    *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:a00:1]", "[::127.0.0.1]", "[64:ff9b::127.0.0.1]"),
    *("[2002:7f00:1::]", "[fd00::1]", "[fe80::1]", "[fe80::1%25eth0]", "[fec0::1]", "[ff02::1]", "[2001:db8::1]"),
]


@pytest.mark.parametrize("host", PRIVATE)
def test_a_private_address_is_refused_in_every_spelling(
    strict: FlaskClient, customer: dict[str, str], host: str
) -> None:
    for url in (f"http://{host}/", f"https://{host}:8443/told"):
        answer = asking(strict, customer)(url)
        assert answer.status_code == 400, url
        assert "callback_url" in answer.get_json()["details"]["fields"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0x7f.1", "10.0.0.1"])
def test_where_private_ones_are_allowed_they_are_taken(
    client: FlaskClient, customer: dict[str, str], host: str
) -> None:
    assert asking(client, customer)(f"http://{host}/").status_code == 404


def test_names_are_not_looked_up_before_they_are_told() -> None:
    assert not is_private("there.example")
    assert not is_private("127.0.0.1.example")
    assert not is_private("256.1.1.1.1")


def test_without_a_job_there_is_nothing_to_be_told_of(client: FlaskClient, customer: dict[str, str]) -> None:
    body = {"text": "Hello.", "callback_url": URL}
    for path in ("/api/tts", "/api/tts?stream=1"):
        answer = client.post(path, json=body, headers=customer)
        assert answer.status_code == 400
        assert "respond-async" in answer.get_json()["error"]


# --- What was told ------------------------------------------------------------------------------------------------


def ended(database: Database, account_id: str | None, url: str = URL) -> str:
    """The id of a job that has ended; nobody is rung to tell."""
    job: Job = making.submit(database, account_id=account_id, callback_url=url)
    making.end_well(database, job)
    return job.id


def test_a_delivery_is_shown_before_its_first_attempt(
    client: FlaskClient, customer: dict[str, str], database: Database, mine: str
) -> None:
    (shown,) = deliveries(client, customer, ended(database, mine))
    assert shown["next_attempt_at"] == shown["created_at"]
    assert shown | {"id": "", "created_at": "", "next_attempt_at": ""} == {
        "id": "",
        "url": URL,
        "event": "job.finished",
        "state": "pending",
        "attempts": 0,
        "next_attempt_at": "",
        "created_at": "",
        "finished_at": None,
        "log": [],
    }


def test_a_job_without_one_has_none(
    client: FlaskClient, customer: dict[str, str], database: Database, mine: str
) -> None:
    assert deliveries(client, customer, making.submit(database, account_id=mine).id) == []


def test_deliveries_of_others_jobs_are_not_there(
    client: FlaskClient, customer: dict[str, str], admin: dict[str, str], database: Database
) -> None:
    theirs = ended(database, "somebody else")
    (shown,) = deliveries(client, admin, theirs)
    with database.transaction() as session:
        session.execute(update(WebhookDelivery).values(state="failed"))
    for method, path in (("GET", ""), ("POST", f"/{shown['id']}/retry")):
        unknown = client.open(f"/api/jobs/unknown/deliveries{path}", method=method, headers=customer)
        answer = client.open(f"/api/jobs/{theirs}/deliveries{path}", method=method, headers=customer)
        assert (answer.status_code, answer.get_json()["code"]) == (404, "NOT_FOUND")
        assert answer.get_json()["error"] == unknown.get_json()["error"].replace("unknown", theirs)
    assert deliveries(client, admin, theirs)[0]["state"] == "failed"


def test_one_that_was_given_up_is_sent_once_more_and_no_other(
    client: FlaskClient, customer: dict[str, str], ringing: Database, mine: str, worker: object
) -> None:
    with receiving([Reply(410)]) as receiver:
        job = ended(ringing, mine, receiver.url())
        (shown,) = eventually(lambda: [each for each in deliveries(client, customer, job) if each["state"] == "failed"])
        retry = f"/api/jobs/{job}/deliveries/{shown['id']}/retry"
        assert client.post(retry, headers=customer).get_json()["state"] == "pending"
        eventually(lambda: deliveries(client, customer, job)[0]["state"] == "delivered")
        again = client.post(retry, headers=customer)
    assert len(receiver.told) == 2
    assert (again.status_code, again.get_json()["code"]) == (409, "CONFLICT")
    assert client.post(f"/api/jobs/{job}/deliveries/x/retry", headers=customer).status_code == 404


# --- The key ------------------------------------------------------------------------------------------------------


def test_each_account_reads_a_key_of_its_own(
    client: FlaskClient, customer: dict[str, str], admin: dict[str, str]
) -> None:
    secrets = [
        client.get("/api/auth/webhook-secret", headers=headers).get_json() for headers in (customer, customer, admin)
    ]
    assert all(list(said) == ["secret"] and len(said["secret"]) == 64 for said in secrets)
    assert secrets[0] == secrets[1] != secrets[2]


def test_one_key_for_all_is_told_to_administrators_only(
    configured: Settings, clean: None, customer: dict[str, str], admin: dict[str, str]
) -> None:
    app = create_app(dataclasses.replace(configured, voiceworks_webhook_secret="chosen by the operator"))
    http = app.test_client()
    assert http.get("/api/auth/webhook-secret", headers=admin).get_json() == {"secret": "chosen by the operator"}
    refused = http.get("/api/auth/webhook-secret", headers=customer)
    assert refused.status_code == 403
    assert "VOICEWORKS_WEBHOOK_SECRET" in refused.get_json()["error"]
    assert "chosen" not in refused.text
    app.extensions["voiceworks"].database.dispose()


def test_on_an_open_surface_nobody_has_a_key(configured: Settings, clean: None) -> None:
    for chosen in (None, "chosen by the operator"):
        settings = dataclasses.replace(
            configured, open_surfaces=frozenset({"management"}), voiceworks_webhook_secret=chosen
        )
        app = create_app(settings)
        answer = app.test_client().get("/api/auth/webhook-secret")
        assert answer.status_code == 404
        assert "chosen" not in answer.text
        app.extensions["voiceworks"].database.dispose()


def test_a_job_that_ends_twice_is_told_twice(
    client: FlaskClient, customer: dict[str, str], database: Database, mine: str
) -> None:
    job = making.submit(database, account_id=mine, callback_url=URL)
    with database.transaction() as session:
        lifecycle.cancel(session, job.id)
    with database.transaction() as session:
        lifecycle.retry(session, job.id, able_workers=1)
    making.end_well(database, job)
    assert [each["event"] for each in deliveries(client, customer, job.id)] == ["job.cancelled", "job.finished"]
