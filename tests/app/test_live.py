"""Speech for those who wait, over a real web process: one synthesis for many, none for nobody, and honest refusals."""

from __future__ import annotations

import dataclasses
import http.client
import json
import socket
import time
from collections import Counter
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from config.settings import Settings
from models import accounts
from models.db import Database
from models.jobs.tables import Job
from models.speech_clips import SpeechClip
from tests import making
from tests.app.conftest import row_counts
from tests.conftest import eventually
from tests.web import Web

# About a second of work; long enough that 64 requests come while it is spoken.
PARAGRAPH = " ".join(
    f"This is sentence number {number} of a paragraph that somebody waits for." for number in range(12)
)
# Minutes of work: never finished within a test.
BOOK = " ".join(f"Sentence {number} of a long book that nobody will hear to its end." for number in range(300))


def jobs(database: Database) -> list[Job]:
    """Every job."""
    with database.transaction() as session:
        return list(session.scalars(select(Job).order_by(Job.created_at)))


def test_sixty_four_at_once_are_one_synthesis(
    web: Web, worker: object, clean: None, customer: dict[str, str], database: Database
) -> None:
    answers = making.at_once(64, lambda _: web.post("/api/tts", json={"text": PARAGRAPH}, headers=customer))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    outcomes = Counter(answer.headers["X-TTS-Cache-Status"] for answer in answers)
    assert outcomes["miss"] == 1
    assert outcomes["joined"] > 0
    assert set(outcomes) <= {"miss", "joined", "hit"}
    (job,) = jobs(database)
    assert (job.state, job.attempts) == ("succeeded", 1)
    assert row_counts(database)["speech_clips"] == 1
    # Nobody is left waiting.
    eventually(lambda: row_counts(database)["job_waiters"] == 0)


def test_two_accounts_never_share_a_job_but_share_the_clip(
    web: Web, worker: object, customer: dict[str, str], admin: dict[str, str], database: Database, clean: None
) -> None:
    def ask(number: int) -> tuple[bytes, str]:
        answer = web.post("/api/tts", json={"text": PARAGRAPH}, headers=(customer, admin)[number % 2])
        assert answer.status_code == 200, answer.text
        return answer.content, answer.headers["X-TTS-Cache-Status"]

    answers = making.at_once(8, ask)
    assert len({content for content, _ in answers}) == 1
    assert [outcome for _, outcome in answers].count("miss") == 1
    made = jobs(database)
    assert len(made) == len({job.account_id for job in made}) == 2
    assert sorted(job.result["cached"] for job in made if job.result) == [False, True]
    assert row_counts(database)["speech_clips"] == 1


class Caller:
    """A client that sends a request and does not wait for the answer."""

    def __init__(self, web: Web, text: str, headers: dict[str, str]) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=30)
        body = json.dumps({"text": text})
        self._connection.request("POST", "/api/tts", body, headers | {"Content-Type": "application/json"})

    def hang_up(self) -> None:
        """Closes the connection."""
        assert self._connection.sock is not None
        self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def answer(self) -> tuple[int, bytes]:
        """Status and body."""
        response = self._connection.getresponse()
        return response.status, response.read()


def test_who_hangs_up_frees_the_worker_within_two_seconds(
    web: Web, worker: object, clean: None, customer: dict[str, str], database: Database
) -> None:
    caller = Caller(web, BOOK, customer)
    eventually(lambda: [job.state for job in jobs(database)] == ["running"])
    caller.hang_up()
    begun = time.monotonic()
    eventually(lambda: jobs(database)[0].state == "cancelled", within_seconds=2)
    (job,) = jobs(database)
    assert (job.error_code, job.finished_at is not None) == ("abandoned", True)
    # The worker stops at its next look, and is there for somebody else.
    assert web.post("/api/tts", json={"text": "Next, please."}, headers=customer).status_code == 200
    assert time.monotonic() - begun < 10
    assert row_counts(database)["job_waiters"] <= 1


def test_who_hangs_up_while_queued_takes_the_job_along(
    web: Web, worker: object, clean: None, customer: dict[str, str], database: Database
) -> None:
    ahead = Caller(web, BOOK, customer)
    eventually(lambda: [job.state for job in jobs(database)] == ["running"])
    caller = Caller(web, "Behind the book.", customer)
    eventually(lambda: len(jobs(database)) == 2)
    caller.hang_up()
    eventually(lambda: [job.state for job in jobs(database) if job.params["clip"]["text"] != BOOK] == ["cancelled"])
    ahead.hang_up()
    eventually(lambda: {job.state for job in jobs(database)} == {"cancelled"})


def test_who_hangs_up_takes_nothing_from_those_who_joined(
    web: Web, worker: object, clean: None, customer: dict[str, str], database: Database
) -> None:
    first, second = (Caller(web, PARAGRAPH, customer) for _ in range(2))
    eventually(lambda: row_counts(database)["job_waiters"] == 2)
    first.hang_up()
    status, content = second.answer()
    assert (status, content[:4]) == (200, b"RIFF")
    assert [job.state for job in jobs(database)] == ["succeeded"]


def test_a_job_asked_for_later_is_not_taken_along_by_who_hangs_up(
    web: Web, worker: object, clean: None, customer: dict[str, str], database: Database
) -> None:
    later = web.post("/api/tts", json={"text": PARAGRAPH}, headers=customer | {"Prefer": "respond-async"}).json()
    caller = Caller(web, PARAGRAPH, customer)
    eventually(lambda: row_counts(database)["job_waiters"] == 2)
    caller.hang_up()
    done = eventually(
        lambda: (found := web.get(later["status_url"], headers=customer).json())["finished_at"] and found,
        within_seconds=20,
    )
    assert done["state"] == "succeeded"


def test_who_has_waited_long_enough_is_told_to_come_back(
    configured: Settings, worker: object, clean: None, customer: dict[str, str], database: Database
) -> None:
    from app import create_app

    app = create_app(dataclasses.replace(configured, live_wait_seconds=1))
    answer = app.test_client().post("/api/tts", json={"text": BOOK}, headers=customer)
    app.extensions["voiceworks"].hub.stop()
    app.extensions["voiceworks"].database.dispose()
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert [job.state for job in jobs(database)] == ["cancelled"]


def test_without_a_worker_what_is_new_is_refused_and_what_is_known_is_served(
    web: Web, clean: None, customer: dict[str, str], database: Database, worker: object, request: pytest.FixtureRequest
) -> None:
    known = web.post("/api/tts", json={"text": "Known before."}, headers=customer)
    request.getfixturevalue("no_worker")
    # Who waited for the answer is forgotten a moment after it.
    eventually(lambda: row_counts(database)["job_waiters"] == 0)
    before = row_counts(database)
    refused = web.post("/api/tts", json={"text": "New."}, headers=customer)
    assert (refused.status_code, refused.json()["code"]) == (503, "PROVIDER_UNAVAILABLE")
    assert int(refused.headers["Retry-After"]) > 0
    assert "hibari" in refused.json()["error"]
    later = web.post("/api/tts", json={"text": "New."}, headers=customer | {"Prefer": "respond-async"})
    assert (later.status_code, later.json()["code"]) == (503, "PROVIDER_UNAVAILABLE")
    assert row_counts(database) == before
    again = web.post("/api/tts", json={"text": "Known before."}, headers=customer)
    assert (again.status_code, again.headers["X-TTS-Cache-Status"]) == (200, "hit")
    assert again.content == known.content
    assert web.get(known.headers["Content-Location"], headers=customer).content == known.content
    looked = web.get("/api/tts/cache", params={"text": "Known before."}, headers=customer)
    assert looked.json()["cache_hit"] is True


def test_without_a_worker_a_prefetch_is_refused_too(
    client: FlaskClient, customer: dict[str, str], no_worker: None, database: Database
) -> None:
    content = [{"title": "T", "segments": ["One."]}]
    course = client.post("/api/curriculum", headers=customer, json={"title": "C", "content": content}).get_json()["id"]
    refused = client.post("/api/tts/prefetch/topic", json={"curriculum_id": course}, headers=customer)
    assert (refused.status_code, refused.get_json()["code"]) == (503, "PROVIDER_UNAVAILABLE")
    assert int(refused.headers["Retry-After"]) > 0
    assert jobs(database) == []


@pytest.mark.parametrize(
    ("setting", "owner", "status", "code"),
    [
        ("live_waiting_max", "somebody else", 503, "BUSY"),
        ("live_waiting_share", "client", 429, "RATE_LIMITED"),
    ],
)
def test_when_too_much_is_waiting_more_is_refused_with_a_time_to_come_back(
    configured: Settings,
    worker: object,
    clean: None,
    customer: dict[str, str],
    database: Database,
    setting: str,
    owner: str,
    status: int,
    code: str,
) -> None:
    from app import create_app

    with database.transaction() as session:
        account = accounts.find(session, owner)
        owner_id = account.id if account else owner
    app = create_app(dataclasses.replace(configured, **{setting: 2}))
    http = app.test_client()
    # Background work and what has begun do not count.
    making.submit(database, account_id=owner_id)
    making.claim(database, making.submit(database, account_id=owner_id, live=True))
    waiting = [making.submit(database, account_id=owner_id, live=True)]
    assert http.post("/api/tts", json={"text": "One more."}, headers=customer).status_code == 200
    waiting.append(making.submit(database, account_id=owner_id, live=True))
    refused = http.post("/api/tts", json={"text": "One too many."}, headers=customer)
    assert (refused.status_code, refused.get_json()["code"]) == (status, code)
    assert int(refused.headers["Retry-After"]) > 0
    assert "2" in refused.get_json()["error"]
    # What is there already costs nobody anything.
    assert http.post("/api/tts", json={"text": "One more."}, headers=customer).headers["X-TTS-Cache-Status"] == "hit"
    for job in waiting:
        making.change(database, job, state="cancelled")
    assert http.post("/api/tts", json={"text": "Room again."}, headers=customer).status_code == 200
    app.extensions["voiceworks"].hub.stop()
    app.extensions["voiceworks"].database.dispose()


def test_anothers_share_is_not_mine(
    configured: Settings, worker: object, clean: None, customer: dict[str, str], database: Database
) -> None:
    from app import create_app

    app = create_app(dataclasses.replace(configured, live_waiting_share=1))
    making.submit(database, account_id="somebody else", live=True)
    assert app.test_client().post("/api/tts", json={"text": "Mine."}, headers=customer).status_code == 200
    app.extensions["voiceworks"].hub.stop()
    app.extensions["voiceworks"].database.dispose()


# --- What only a real server shows ----------------------------------------------------------------------------------


def test_a_long_text_may_be_asked_about_in_the_address(web: Web, clean: None, customer: dict[str, str]) -> None:
    # A segment of a course, in a script that takes nine bytes of an address for each letter.
    answer = web.get(f"/api/tts/cache?text={quote('あ' * 890)}", headers=customer)
    assert (answer.status_code, answer.json()["cache_hit"]) == (200, False)


def test_a_body_of_more_than_sixteen_mebibytes_is_a_413_in_the_surfaces_shape(
    web: Web, clean: None, customer: dict[str, str]
) -> None:
    size = 16 * 2**20 + 1
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=30)
    connection.putrequest("POST", "/api/tts")
    for name, value in (customer | {"Content-Type": "application/json", "Content-Length": str(size)}).items():
        connection.putheader(name, value)
    connection.endheaders()
    # The answer does not wait for a body that nobody wants.
    answer = connection.getresponse()
    assert answer.status == 413
    body = json.loads(answer.read())
    assert (set(body), body["code"]) == ({"error", "code", "details"}, "PAYLOAD_TOO_LARGE")
    connection.close()


def test_many_requests_on_one_connection_are_answered_in_order(
    web: Web, worker: object, clean: None, customer: dict[str, str]
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=30)
    seen = []
    for number in range(5):
        body = json.dumps({"text": f"Request number {number}."})
        connection.request("POST", "/api/tts", body, customer | {"Content-Type": "application/json"})
        answer = connection.getresponse()
        seen.append((answer.status, len(answer.read()) == int(answer.headers["Content-Length"])))
    assert seen == [(200, True)] * 5
    connection.close()


def test_a_head_of_stored_speech_sends_no_body_over_the_wire(
    web: Web, worker: object, clean: None, customer: dict[str, str]
) -> None:
    spoken = web.post("/api/tts", json={"text": "A head."}, headers=customer)
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=30)
    connection.request("HEAD", spoken.headers["Content-Location"], headers=customer)
    head = connection.getresponse()
    assert (head.status, head.read()) == (200, b"")
    assert head.headers["Content-Length"] == str(len(spoken.content))
    # The connection is still in step: the next answer is the next answer.
    connection.request("GET", spoken.headers["Content-Location"], headers=customer | {"Range": "bytes=0-3"})
    part = connection.getresponse()
    assert (part.status, part.read()) == (206, b"RIFF")
    connection.close()


def test_clips_that_nobody_could_make_leave_nothing_behind(
    web: Web, worker: object, clean: None, customer: dict[str, str], database: Database
) -> None:
    caller = Caller(web, BOOK, customer)
    eventually(lambda: [job.state for job in jobs(database)] == ["running"])
    caller.hang_up()
    eventually(lambda: jobs(database)[0].state == "cancelled")

    def states() -> list[str]:
        with database.transaction() as session:
            return list(session.scalars(select(SpeechClip.state)))

    # Not held by the one who stopped: the next to ask makes it at once.
    eventually(lambda: states() in ([], ["absent"]))
