"""Tools that speak, and those that tell of jobs: the same work as the endpoints begin, and only one's own."""

from __future__ import annotations

import io
from typing import Any

import pytest
import soundfile
from flask.testing import FlaskClient

from app.tools.own import speech
from models import accounts
from models.db import Database
from tests import making
from tests.conftest import eventually
from tests.tools_called import Tools, let, somebody


@pytest.fixture
def tools(client: FlaskClient, admin: dict[str, str], customer: dict[str, str]) -> Tools:
    """Those of an ordinary client who may call all that speak, and those of jobs."""
    let(client, admin, "client", "speech_*", "voices_*", "job*")
    return Tools(client, customer)


@pytest.fixture
def account_id(client: FlaskClient, database: Database) -> str:
    """The ordinary client's account."""
    with database.reading() as session:
        account = accounts.find(session, "client")
        assert account is not None
        return account.id


def heard(tools: Tools, url: str) -> float:
    """How many seconds of sound are at a URL."""
    answer = tools.client.get(url, headers=tools.headers)
    assert answer.status_code == 200, answer.text
    samples, rate = soundfile.read(io.BytesIO(answer.data))
    assert abs(samples).max() > 0.05
    return float(len(samples) / rate)


def test_a_text_is_spoken_and_found_where_the_tool_says(tools: Tools, worker: object) -> None:
    asked: dict[str, Any] = {"text": "A tool says this.", "voice": "nova", "speed": 1.25, "format": "flac"}
    made = tools.call("speech_speak", **asked)
    assert (made["cache"], made["voice"], made["provider"]) == ("miss", "nova", "hibari")
    assert made["url"].startswith("/api/speech/")
    assert made["url"].endswith(".flac")
    assert abs(heard(tools, made["url"]) - made["duration_seconds"]) < 0.01
    assert tools.call("speech_speak", **asked) == made | {"cache": "hit"}
    # It is the clip that POST /api/tts gives, and the other way round.
    told = {("voice_id" if name == "voice" else name): value for name, value in asked.items()}
    answer = tools.client.post("/api/tts", json=told, headers=tools.headers)
    assert (answer.headers["X-TTS-Cache-Status"], answer.headers["Content-Location"]) == ("hit", made["url"])


def test_a_provider_that_is_not_there_is_replaced_and_the_answer_says_so(tools: Tools, worker: object) -> None:
    made = tools.call("speech_speak", text="Somebody else says this.", provider="vibevoice")
    assert made["fallback"] == "vibevoice -> hibari"


def test_what_takes_longer_is_a_job_whose_status_tells_the_url(
    tools: Tools, worker: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech, "SOON_SECONDS", 0.0)
    begun = tools.call("speech_speak", text="Nobody waits for this sentence.")
    assert begun == {"job_id": begun["job_id"], "status_url": f"/api/jobs/{begun['job_id']}"}

    def ended() -> Any:
        status = tools.call("job_status", job_id=begun["job_id"])
        assert status["state"] in ("queued", "running", "succeeded")
        return status if status["state"] == "succeeded" else None

    status = eventually(ended)
    assert (status["id"], status["kind"], status["progress"]) == (begun["job_id"], "speech.speak", 1.0)
    made = status["result"]
    assert made["cache"] == "miss"
    assert abs(heard(tools, made["url"]) - made["duration_seconds"]) < 0.01
    # Nothing of whose it is, nor where its file lies.
    assert set(made) == {"url", "duration_seconds", "cache"}
    assert "account_id" not in status


def test_where_nobody_can_speak_it_is_told_at_once(tools: Tools, no_worker: None) -> None:
    body = tools.refused("speech_speak", 503, text="Nobody is there to say this.")
    assert body["error_code"] == "PROVIDER_UNAVAILABLE"


def test_voices_are_listed_page_by_page_as_their_endpoint_does(tools: Tools, worker: object) -> None:
    answer = tools.client.get("/api/tts/voices?limit=3&offset=1", headers=tools.headers)
    assert tools.call("voices_list", limit=3, offset=1) == answer.get_json()
    assert any(voice["default"] and voice["available"] for voice in tools.call("voices_list")["voices"])


def test_one_sees_and_cancels_ones_own_jobs_only(
    tools: Tools, client: FlaskClient, admin: dict[str, str], database: Database, account_id: str
) -> None:
    mine = making.submit(database, account_id=account_id, items=2)
    theirs = making.submit(database)
    other = somebody(database, client, admin, "job*")
    assert [job["id"] for job in tools.call("jobs_list")["jobs"]] == [mine.id]
    assert other.call("jobs_list") == {"jobs": [], "next_cursor": None}
    for name in ("job_status", "job_cancel"):
        for caller, job in ((other, mine), (tools, theirs)):
            assert caller.refused(name, 404, job_id=job.id)["detail"] == f"There is no job {job.id!r}."
    assert making.read(database, theirs).state == "queued"
    status = tools.call("job_status", job_id=mine.id)
    assert (status["state"], status["result"], status["queue_position"]) == ("queued", None, 0)
    assert tools.call("job_cancel", job_id=mine.id)["state"] == "cancelled"
    assert "is cancelled" in tools.refused("job_cancel", 409, job_id=mine.id)["detail"]
    administrator = Tools(client, admin)
    assert {job["id"] for job in administrator.call("jobs_list")["jobs"]} == {mine.id, theirs.id}
    assert administrator.call("job_cancel", job_id=theirs.id)["state"] == "cancelled"


def test_jobs_are_listed_by_state_and_page_by_page(tools: Tools, database: Database, account_id: str) -> None:
    made = [making.submit(database, account_id=account_id).id for _ in range(3)]
    tools.call("job_cancel", job_id=made[0])
    assert [job["id"] for job in tools.call("jobs_list", state="cancelled")["jobs"]] == [made[0]]
    first = tools.call("jobs_list", limit=2)
    assert [job["id"] for job in first["jobs"]] == [made[2], made[1]]
    assert [job["id"] for job in tools.call("jobs_list", cursor=first["next_cursor"])["jobs"]] == [made[0]]


def test_a_failed_job_says_why(tools: Tools, database: Database, account_id: str) -> None:
    job = making.submit(database, account_id=account_id)
    making.fail(database, making.claim(database, job))
    status = tools.call("job_status", job_id=job.id)
    assert (status["state"], status["error"]) == ("failed", {"code": "broken", "message": "It was broken."})
    assert status["result"] is None


def test_jobs_of_administrators_are_cancelled_by_administrators_alone(
    client: FlaskClient, admin: dict[str, str], database: Database
) -> None:
    operator = somebody(database, client, admin, "*", role="operator")
    job = making.submit(database, kind="upkeep.cleanup")
    assert operator.call("job_status", job_id=job.id)["kind"] == "upkeep.cleanup"
    body = operator.refused("job_cancel", 403, job_id=job.id)
    assert body["error_code"] == "FORBIDDEN"
    assert "changing a job of kind upkeep.cleanup takes admin" in body["detail"]
    assert Tools(client, admin).call("job_cancel", job_id=job.id)["state"] == "cancelled"
