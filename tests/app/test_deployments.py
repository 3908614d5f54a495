"""Deployments over HTTP: scheduled, looked at, begun, stopped and taken up again."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from datetime import UTC, timedelta, timezone
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func

from config.settings import Settings
from models import deployments as rows
from models.base import utc_now
from models.db import Database
from models.deployment_plans import KIND, VOICE_KIND
from models.jobs import spreading
from models.jobs.lifecycle import NewItem
from models.jobs.tables import STATES
from tests import making
from tests.app.deploying import NOVA, QUICK, TEXTS, TITLES, Deployments, in_hours, row, store_course


@pytest.fixture
def mine(client: FlaskClient, customer: dict[str, str]) -> Deployments:
    """The endpoints, as an ordinary client sees them."""
    return Deployments(client, customer)


@pytest.fixture
def course(database: Database) -> str:
    """The id of a course of two topics with titles that no file system takes."""
    return store_course(database, TEXTS, TITLES)


def stored(database: Database, curriculum_id: str, state: str = "queued", **values: Any) -> str:
    """The id of a deployment in a state, past every rule; nobody was rung."""
    params = {"curriculum_id": curriculum_id, "title": None, "voice_configs": [_config()], "scheduled_time": None}
    job = making.submit(database, doorbells=0, kind=KIND, params=params)
    making.change(database, job, state=state, run_after=utc_now() + timedelta(hours=1), **values)
    return job.id


def _config(**fields: Any) -> dict[str, Any]:
    return {"voice_id": "nova", "provider": None, "speed": 1.0, "format": "wav"} | fields


# --- Scheduling ---------------------------------------------------------------------------------------------------


def test_a_scheduled_deployment_is_shown_with_its_time_in_utc_and_what_there_is_to_say(
    mine: Deployments, course: str
) -> None:
    moment = (utc_now() + timedelta(days=1)).replace(microsecond=0).astimezone(timezone(timedelta(hours=-5)))
    answer = mine.schedule(course, NOVA, QUICK, scheduled_time=moment.isoformat(), title="For the bus")
    assert answer.status_code == 201
    shown = answer.get_json()
    assert shown["id"].startswith("deploy_")
    assert (shown["status"], shown["progress"], shown["curriculum_id"]) == ("scheduled", 0, course)
    assert shown["scheduled_time"] == moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    assert shown["title"] == "For the bus"
    assert shown["voice_configs"] == [_config(), _config(speed=1.25, format="mp3")]
    # A segment without a word is never spoken.
    assert (shown["total_segments"], [voice["total"] for voice in shown["voices"]]) == (6, [3, 3])
    assert {(voice["engine"], voice["status"], voice["cached"]) for voice in shown["voices"]} == {
        ("hibari", "scheduled", None)
    }
    assert (shown["error"], shown["started_at"], shown["finished_at"]) == (None, None, None)
    assert mine.get(f"/{shown['id']}").get_json() == shown
    assert mine.http.get(f"/api/jobs/{shown['id']}", headers=mine.headers).get_json()["state"] == "queued"


def test_what_is_scheduled_is_not_begun_before_its_time(mine: Deployments, course: str, worker: object) -> None:
    later = mine.schedule(course, scheduled_time=in_hours(1)).get_json()["id"]
    assert mine.until(mine.schedule(course).get_json()["id"], "completed")
    assert mine.get(f"/{later}").get_json()["status"] == "scheduled"


@pytest.mark.parametrize("hours", [-0.01, -10_000])
def test_a_time_that_is_past_means_at_once(mine: Deployments, course: str, worker: object, hours: float) -> None:
    shown = mine.made(course, scheduled_time=in_hours(hours))
    assert shown["scheduled_time"] < shown["created_at"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"scheduled_time": "2027-01-15T02:00:00"}, "names no zone"),
        ({"scheduled_time": "2027-01-15"}, "names no zone"),
        ({"scheduled_time": "tomorrow"}, "'tomorrow' is no time in ISO 8601"),
        ({"scheduled_time": 1768442400}, "1768442400 is not a text"),
        ({"scheduled_time": "9999-12-31T23:59:59-14:00"}, "out of range"),
        ({"scheduled_time": "2999-01-01T00:00:00Z"}, "5 years ahead"),
        ({"scheduled_time": "2027-02-30T00:00:00Z"}, "is no time"),
        ({"voice_configs": []}, "voice_configs"),
        ({"voice_configs": "nova"}, "'nova' is not a list"),
        ({"voice_configs": ["nova"]}, "'nova' is not an object"),
        ({"voice_configs": [{}]}, "voice_id"),
        ({"voice_configs": [{"voice_id": "nobody"}]}, "voice_id 'nobody' is unknown; there are"),
        ({"voice_configs": [{"voice_id": "nova", "provider": "nobody"}]}, "provider 'nobody' is unknown; there are"),
        ({"voice_configs": [{"voice_id": "nova", "provider": "hibari", "tts_provider": "hibari"}]}, "are the same"),
        ({"voice_configs": [{"voice_id": "nova", "speed": 9.0}]}, "9.0 is outside"),
        ({"voice_configs": [{"voice_id": "nova", "format": "midi"}]}, "'midi' is not one of"),
        ({"voice_configs": [{"voice_id": "nova", "loud": True}]}, "loud"),
        ({"voice_configs": [NOVA, NOVA | {"speed": 1.0}]}, "'nova' is asked for twice"),
        ({"voice_configs": [NOVA, NOVA | {"speed": 1.001}]}, "'nova' is asked for twice"),
        ({"voice_configs": [NOVA | {"speed": 1 + n / 100} for n in range(11)]}, "voice_configs"),
        ({"title": "x" * 501}, "501 characters"),
        ({"when": "now"}, "when"),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else "",
)
def test_what_cannot_be_scheduled_is_refused_by_name(
    mine: Deployments, course: str, wrong: dict[str, Any], said: str
) -> None:
    answer = mine.schedule(course, **wrong)
    assert (answer.status_code, answer.get_json()["code"]) == (400, "VALIDATION_ERROR")
    assert said in answer.get_json()["error"]
    assert mine.get().get_json()["total"] == 0


def test_whoever_is_to_be_told_of_its_end_is_noted(mine: Deployments, course: str, database: Database) -> None:
    answer = mine.schedule(course, scheduled_time=in_hours(1), callback_url="https://example.org/told")
    assert row(database, answer.get_json()["id"]).callback_urls == ["https://example.org/told"]


def test_an_unknown_course_is_not_found(mine: Deployments) -> None:
    answer = mine.schedule("nothing")
    assert (answer.status_code, answer.get_json()["code"]) == (404, "NOT_FOUND")


def test_a_known_provider_without_a_server_falls_back_and_says_so(mine: Deployments, course: str) -> None:
    config = {"voice_id": "nova", "tts_provider": "vibevoice"}
    (voice,) = mine.schedule(course, config, scheduled_time=in_hours(1)).get_json()["voices"]
    assert (voice["provider"], voice["engine"], voice["fallback"]) == ("vibevoice", "hibari", "vibevoice -> hibari")


def test_one_that_can_never_fit_is_refused_with_the_figures(
    configured: Settings, mine: Deployments, database: Database
) -> None:
    here = mine.http.application.extensions["voiceworks"]
    small = dataclasses.replace(here, settings=dataclasses.replace(configured, speech_cache_max_bytes=2_700_000))
    mine.http.application.extensions["voiceworks"] = small
    curriculum_id = store_course(database, [["A sentence of some length. " * 10] * 2, ["Another one. " * 30]], TITLES)
    # Equal texts are one clip: what seems to be 3.2 million bytes is 2.3 million when it is looked at closely.
    assert mine.schedule(curriculum_id, scheduled_time=in_hours(1)).status_code == 201
    refused = mine.schedule(curriculum_id, NOVA, QUICK)
    assert (refused.status_code, refused.get_json()["code"]) == (409, "CONFLICT")
    details = refused.get_json()["details"]
    assert (details["max_bytes"], details["held_bytes"]) == (2_700_000, 0)
    assert 3_000_000 < details["needed_bytes"] < 6_000_000
    assert all(str(figure) in refused.get_json()["error"] for figure in details.values())


# --- Looking ------------------------------------------------------------------------------------------------------


def test_they_are_listed_newest_first_in_pages_and_by_status(
    mine: Deployments, database: Database, course: str, client: FlaskClient, admin: dict[str, str]
) -> None:
    ids = {
        "scheduled": stored(database, course),
        "generating": stored(database, course, "running"),
        "paused": stored(database, course, "paused"),
        "completed": stored(database, course, "succeeded", items_total=1, items_succeeded=1),
        "completed_with_errors": stored(database, course, "succeeded", items_total=2, items_failed=1),
        "failed": stored(database, course, "failed", error_code="curriculum_gone", error_message="It was removed."),
        "cancelled": stored(database, course, "cancelled"),
    }
    making.submit(database, kind="speech.prefetch")
    all_of_them = Deployments(client, admin)
    whole = all_of_them.get().get_json()
    assert [each["id"] for each in whole["deployments"]] == list(ids.values())[::-1]
    assert [each["status"] for each in whole["deployments"]] == list(ids)[::-1]
    assert (whole["total"], whole["limit"], whole["offset"]) == (7, 50, 0)
    part = all_of_them.get(limit=2, offset=4).get_json()
    assert [each["id"] for each in part["deployments"]] == list(ids.values())[::-1][4:6]
    for status, deployment_id in ids.items():
        found = all_of_them.get(status=status).get_json()
        assert ([each["id"] for each in found["deployments"]], found["total"]) == ([deployment_id], 1)
    assert all_of_them.get(status="done").status_code == 400
    assert all_of_them.get(f"/{ids['failed']}").get_json()["error"] == {
        "code": "curriculum_gone",
        "message": "It was removed.",
    }
    # Nobody's are not an ordinary client's.
    assert mine.get().get_json() == {"deployments": [], "total": 0, "limit": 50, "offset": 0}


def test_somebody_elses_is_not_found_whatever_is_done_to_it(mine: Deployments, database: Database, course: str) -> None:
    theirs, other_kind = stored(database, course), making.submit(database).id
    for unseen in (theirs, other_kind, "nothing"):
        answers = [mine.get(f"/{unseen}{path}") for path in ("", "/manifest", "/bundle", "/captions")]
        answers += [mine.act(unseen, action) for action in ("start", "pause", "resume", "retry")]
        for answer in [*answers, mine.delete(unseen)]:
            assert (answer.status_code, answer.get_json()["code"]) == (404, "NOT_FOUND")
            assert answer.get_json()["error"] == f"There is no deployment '{unseen}'."


def test_each_voice_is_counted_by_itself(mine: Deployments, course: str, worker: object) -> None:
    assert mine.made(course)["voices"][0]["cached"] == 0
    shown = mine.made(course, NOVA, QUICK)
    there, made_now = shown["voices"]
    assert (there["total"], there["cached"], there["generated"], there["failed"]) == (3, 3, 0, 0)
    assert (made_now["total"], made_now["cached"], made_now["generated"], made_now["failed"]) == (3, 0, 3, 0)
    assert {voice["status"] for voice in shown["voices"]} == {"completed"}
    for voice, files in zip(shown["voices"], _by_voice(mine, shown["id"]), strict=True):
        assert voice["bytes"] == sum(file["size_bytes"] for file in files)
        assert voice["duration_seconds"] == pytest.approx(sum(file["duration_seconds"] for file in files), abs=0.01)
    assert (shown["progress"], shown["total_segments"]) == (1.0, 6)


def _by_voice(mine: Deployments, deployment_id: str) -> Iterator[list[dict[str, Any]]]:
    told = mine.get(f"/{deployment_id}/manifest").get_json()
    for voice in told["voices"]:
        yield [file for file in told["files"] if file["path"].startswith(f"{voice['folder']}/")]


def test_the_time_to_go_is_that_of_what_is_made_not_of_what_was_there(database: Database, mine: Deployments) -> None:
    curriculum_id = store_course(database, [[f"Sentence {number}." for number in range(10)]], ["Only"])
    job_id = stored(database, curriculum_id)
    making.change(database, row(database, job_id), run_after=func.now(), account_id=_account(mine))
    job = making.claim(database, row(database, job_id))
    there = [NewItem({}, {"clip": "x", "cached": True, "size_bytes": 1, "duration_seconds": 1.0})] * 4
    with database.transaction() as session:
        new = making.new_job(
            items=[*there, *[NewItem({})] * 6],
            kind=VOICE_KIND,
            parent_id=job.id,
            sliced=True,
            params={"number": 0, "voice_config": _config()},
        )
        spreading.spread(session, job, [new], able=lambda _: 0)
    (item,) = making.claim_items(database, new)  # type: ignore[arg-type]
    making.finish(database, item, {"clip": "y", "cached": False, "size_bytes": 2, "duration_seconds": 2.0})
    making.change(database, new, started_at=func.now() - timedelta(seconds=10))  # type: ignore[arg-type]
    (voice,) = mine.get(f"/{job_id}").get_json()["voices"]
    assert (voice["cached"], voice["generated"], voice["bytes"], voice["duration_seconds"]) == (4, 1, 6, 6.0)
    # One in ten seconds, and five to go.
    assert voice["eta_seconds"] == pytest.approx(50, abs=5)


def _account(mine: Deployments) -> str:
    return str(mine.http.get("/api/auth/me", headers=mine.headers).get_json()["id"])


# --- Acting -------------------------------------------------------------------------------------------------------

ALLOWED = {
    "start": {"queued": 202},
    "pause": {"queued": 200, "running": 200},
    "resume": {"paused": 200},
    "retry": {"failed": 200, "cancelled": 200},
}


@pytest.mark.parametrize("state", ["queued", "running", "paused", "succeeded", "failed", "cancelled"])
@pytest.mark.parametrize("action", ALLOWED)
def test_what_the_state_forbids_is_a_conflict_naming_it(
    client: FlaskClient, admin: dict[str, str], database: Database, course: str, action: str, state: str
) -> None:
    deployment_id = stored(database, course, state)
    answer = Deployments(client, admin).act(deployment_id, action)
    expected = ALLOWED[action].get(state, 409)
    assert answer.status_code == expected, answer.text
    if expected == 409:
        assert (answer.get_json()["code"], answer.get_json()["details"]["state"]) == ("CONFLICT", state)
        assert state in answer.get_json()["error"]
    else:
        assert answer.get_json()["id"] == deployment_id
        assert answer.get_json()["status"] == ("paused" if action == "pause" else "scheduled")


def test_one_that_is_started_does_not_wait_for_its_time(mine: Deployments, course: str, worker: object) -> None:
    scheduled = mine.schedule(course, scheduled_time=in_hours(5)).get_json()["id"]
    answer = mine.act(scheduled, "start")
    assert (answer.status_code, answer.get_json()["id"]) == (202, scheduled)
    shown = mine.until(scheduled, "completed")
    assert shown["finished_at"] < shown["scheduled_time"]
    assert mine.act(scheduled, "start").status_code == 409


def test_one_that_was_paused_before_its_time_goes_back_to_it(
    mine: Deployments, course: str, database: Database
) -> None:
    scheduled = mine.schedule(course, scheduled_time=in_hours(5)).get_json()["id"]
    due = row(database, scheduled).run_after
    assert mine.act(scheduled, "pause").get_json()["status"] == "paused"
    assert mine.act(scheduled, "resume").get_json()["status"] == "scheduled"
    assert row(database, scheduled).run_after == due


def test_one_that_was_cancelled_before_its_time_is_scheduled_again_by_a_retry(
    mine: Deployments, course: str, database: Database
) -> None:
    scheduled = mine.schedule(course, scheduled_time=in_hours(5)).get_json()["id"]
    due = row(database, scheduled).run_after
    mine.delete(scheduled)
    assert mine.act(scheduled, "retry").get_json()["status"] == "scheduled"
    assert row(database, scheduled).run_after == due


def test_an_unfinished_one_is_cancelled_and_shown_and_a_finished_one_is_removed(
    mine: Deployments, course: str, worker: object
) -> None:
    scheduled = mine.schedule(course, scheduled_time=in_hours(5)).get_json()["id"]
    cancelled = mine.delete(scheduled)
    assert (cancelled.status_code, cancelled.get_json()["status"]) == (200, "cancelled")
    done = mine.made(course)["id"]
    clip = mine.get(f"/{done}/manifest").get_json()["files"][0]["url"]
    for deployment_id in (scheduled, done):
        removed = mine.delete(deployment_id)
        assert (removed.status_code, set(removed.get_json())) == (200, {"message"})
        assert mine.get(f"/{deployment_id}").status_code == 404
    # What was spoken stays.
    assert mine.http.get(clip, headers=mine.headers).status_code == 200


def test_what_a_deployment_holds_is_not_emptied_until_it_is_removed(
    mine: Deployments, course: str, client: FlaskClient, admin: dict[str, str], worker: object
) -> None:
    done = mine.made(course)["id"]
    client.delete("/api/tts/cache", headers=admin)
    assert mine.bundle(done).testzip() is None
    mine.delete(done)
    client.delete("/api/tts/cache", headers=admin)
    assert client.get("/api/tts/cache/stats", headers=admin).get_json()["total_entries"] == 0


def test_a_course_is_not_removed_under_a_deployment_unless_by_force(
    mine: Deployments, course: str, customer: dict[str, str]
) -> None:
    scheduled = mine.schedule(course, scheduled_time=in_hours(5)).get_json()["id"]
    refused = mine.http.delete(f"/api/curriculum/{course}", headers=customer)
    assert (refused.status_code, refused.get_json()["code"]) == (409, "CONFLICT")
    assert refused.get_json()["details"]["job_ids"] == [scheduled]
    assert mine.http.delete(f"/api/curriculum/{course}?force=true", headers=customer).status_code == 200
    shown = mine.get(f"/{scheduled}").get_json()
    assert (shown["status"], shown["total_segments"]) == ("cancelled", 0)


def test_what_is_made_can_be_had_when_the_course_is_long_gone(
    mine: Deployments, course: str, customer: dict[str, str], worker: object
) -> None:
    done = mine.made(course)["id"]
    assert mine.http.delete(f"/api/curriculum/{course}", headers=customer).status_code == 200
    told = mine.get(f"/{done}/manifest").get_json()
    assert (told["title"], len(told["files"])) == ("Ein schöner Kurs", 3)
    assert mine.bundle(done).testzip() is None


def test_the_job_of_a_voice_is_listed_below_its_deployment_and_left_alone(
    mine: Deployments, course: str, customer: dict[str, str], worker: object
) -> None:
    done = mine.made(course, NOVA, QUICK)["id"]
    listed = mine.http.get("/api/jobs", headers=customer).get_json()["jobs"]
    assert [(job["id"], job["kind"]) for job in listed] == [(done, KIND)]
    parts = mine.http.get(f"/api/jobs?parent={done}", headers=customer).get_json()["jobs"]
    assert [job["kind"] for job in parts] == [VOICE_KIND] * 2
    part = parts[0]["id"]
    assert mine.http.get(f"/api/jobs/{part}", headers=customer).get_json()["parent_id"] == done
    for action in ("cancel", "pause", "resume", "retry"):
        refused = mine.http.post(f"/api/jobs/{part}/{action}", headers=customer)
        assert refused.status_code == 409
        assert done in refused.get_json()["error"]


def test_every_state_of_a_job_has_a_word(database: Database, course: str) -> None:
    assert set(rows.STATUS) == set(STATES)
    job = row(database, stored(database, course, "succeeded", items_failed=1))
    assert rows.status(job) == rows.WITH_ERRORS


def test_a_deployment_found_among_the_jobs_is_steered_there_too(
    mine: Deployments, course: str, customer: dict[str, str], database: Database
) -> None:
    scheduled = mine.schedule(course, scheduled_time=in_hours(5)).get_json()["id"]
    for action, status in (("pause", "paused"), ("resume", "scheduled"), ("cancel", "cancelled")):
        assert mine.http.post(f"/api/jobs/{scheduled}/{action}", headers=customer).status_code == 200
        assert mine.get(f"/{scheduled}").get_json()["status"] == status
