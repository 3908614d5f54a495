"""Tools of courses: found and read, spoken ahead, brought in from elsewhere, removed once that is confirmed."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from app.api import imports
from models.db import Database
from models.jobs.tables import Job
from tests import making
from tests.conftest import eventually
from tests.standing_in import Page, page_of, standing_in
from tests.tools_called import Tools, let, somebody

COURSE = {
    "title": "Birds",
    "description": "What flies.",
    "content": [
        {"title": "Owls", "segments": [{"text": "Owls hunt at night."}, {"text": "Their flight is silent."}]},
        {"title": "Larks", "description": "In the morning.", "segments": [{"text": "Larks sing while they rise."}]},
    ],
}


@pytest.fixture
def tools(client: FlaskClient, admin: dict[str, str], customer: dict[str, str]) -> Tools:
    """Those of an ordinary client who may call all about courses and jobs."""
    let(client, admin, "client", "course*", "job*")
    return Tools(client, customer)


@pytest.fixture
def course(tools: Tools) -> dict[str, Any]:
    """A course that there is."""
    answer = tools.client.post("/api/curriculum", json=COURSE, headers=tools.headers)
    assert answer.status_code == 201
    shown: dict[str, Any] = answer.get_json()
    return shown


def test_a_course_is_listed_found_and_read_topic_by_topic(tools: Tools, course: dict[str, Any]) -> None:
    rest = tools.client.get("/api/curriculum?limit=1", headers=tools.headers).get_json()
    assert tools.call("courses_list", limit=1) == rest
    assert tools.call("courses_list", offset=1)["curricula"] == []
    found = tools.call("course_search", query='"silent" or nothing')
    (match,) = found["curricula"]
    owls, larks = course["content"]
    assert (found["total"], match["id"]) == (1, course["id"])
    assert [place["segment_id"] for place in match["matches"]] == [owls["segments"][1]["id"]]
    outline = tools.call("course_get", course_id=course["id"])
    assert (outline["title"], outline["segment_count"]) == ("Birds", 3)
    assert outline["topics"] == [
        {"id": owls["id"], "title": "Owls", "description": "", "segment_count": 2},
        {"id": larks["id"], "title": "Larks", "description": "In the morning.", "segment_count": 1},
    ]
    (topic,) = tools.call("course_get", course_id=course["id"], topic_id=owls["id"])["topics"]
    assert topic == outline["topics"][0] | {"segments": owls["segments"]}


def test_what_is_not_there_is_named(tools: Tools, course: dict[str, Any]) -> None:
    for name in ("course_get", "course_prefetch"):
        assert "'nothing'" in tools.refused(name, 404, course_id="nothing")["detail"]
        body = tools.refused(name, 404, course_id=course["id"], topic_id="nowhere")
        assert "has no topic 'nowhere'" in body["detail"]


def test_a_topic_is_spoken_ahead_by_a_job_of_the_callers(
    tools: Tools, course: dict[str, Any], worker: object, client: FlaskClient, admin: dict[str, str], database: Database
) -> None:
    topic = course["content"][0]["id"]
    begun = tools.call("course_prefetch", course_id=course["id"], topic_id=topic, voice="nova", speed=1.5)
    assert (begun["total_segments"], begun["cached_segments"]) == (2, 0)

    def ended() -> Any:
        status = tools.call("job_status", job_id=begun["job_id"])
        return status if status["state"] == "succeeded" else None

    status = eventually(ended, within_seconds=20)
    assert (status["kind"], status["items"]) == ("speech.prefetch", {"total": 2, "succeeded": 2, "failed": 0})
    assert somebody(database, client, admin, "job*").refused("job_status", 404, job_id=begun["job_id"])
    again = tools.call("course_prefetch", course_id=course["id"], topic_id=topic, voice="nova", speed=1.5)
    assert again["cached_segments"] == 2


def test_a_course_is_brought_in_from_an_address(tools: Tools, worker: object) -> None:
    with standing_in() as site:
        text = "A heron stands still for an hour, and then it does not. What it saw was a fish."
        site.pages["/herons.html"] = Page(page_of("Herons", text).encode(), headers={"Content-Type": "text/html"})
        url = f"{site.url}/herons.html"
        begun = tools.call("course_import", url=url, title="Waders", accept_license=True)
        assert begun["status_url"] == f"/api/imports/{begun['job_id']}"

        def ended() -> Any:
            status = tools.call("job_status", job_id=begun["job_id"])
            assert status["state"] in ("queued", "running", "succeeded"), status["error"]
            return status if status["state"] == "succeeded" else None

        status = eventually(ended, within_seconds=30)
    assert status["kind"] == "imports.run"
    outline = tools.call("course_get", course_id=status["result"]["curriculum_id"])
    assert outline["title"] == "Waders"
    assert tools.client.get(begun["status_url"], headers=tools.headers).get_json()["parameters"] == {"url": url}


def test_an_import_is_the_callers_and_keeps_what_was_said_of_it(
    tools: Tools, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "LANE", making.LANE)
    begun = tools.call("course_import", url="https://example.org/a.epub", dry_run=True)
    assert begun["status"] == "pending"
    with database.reading() as session:
        params = session.get_one(Job, begun["job_id"]).params
    assert params == {
        "source": "url",
        "asked": {"url": "https://example.org/a.epub"},
        "title": None,
        "curriculum_id": None,
        "accept_license": False,
        "dry_run": True,
    }
    assert [job["id"] for job in tools.call("jobs_list", kind="imports.run")["jobs"]] == [begun["job_id"]]


def test_a_course_is_removed_once_that_is_confirmed(
    tools: Tools, course: dict[str, Any], client: FlaskClient, admin: dict[str, str]
) -> None:
    token = tools.refused("course_delete", 409, course_id=course["id"])["confirmation_token"]
    other = Tools(client, admin)
    # Good for this call by this caller, and for no other.
    assert "confirmation_token" in other.refused("course_delete", 422, token=token, course_id=course["id"])["detail"]
    assert "confirmation_token" in tools.refused("course_delete", 422, token=token, course_id="other")["detail"]
    assert tools.call("courses_list")["total"] == 1
    gone = tools.call("course_delete", token=token, course_id=course["id"])
    assert gone == {"message": f"Course {course['id']} was removed."}
    assert tools.call("courses_list")["total"] == 0


def test_a_course_that_is_worked_on_is_removed_by_force_only(
    tools: Tools, course: dict[str, Any], database: Database
) -> None:
    job = making.submit(database, kind="speech.prefetch", params={"curriculum_id": course["id"]})
    token = tools.refused("course_delete", 409, course_id=course["id"])["confirmation_token"]
    body = tools.refused("course_delete", 409, token=token, course_id=course["id"])
    assert (body["error_code"], "1 unfinished jobs" in body["detail"]) == ("CONFLICT", True)
    tools.confirm("course_delete", course_id=course["id"], force=True)
    assert making.read(database, job).state == "cancelled"
    assert (
        "'nothing'"
        in tools.refused(
            "course_delete",
            404,
            course_id="nothing",
            token=tools.refused("course_delete", 409, course_id="nothing")["confirmation_token"],
        )["detail"]
    )
