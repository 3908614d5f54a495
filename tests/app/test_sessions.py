"""Sessions by REST: where somebody is in a course, and whose it is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, text, update

from models import sessions
from models.db import Database
from models.sessions import PlaybackSession
from tests.conftest import eventually
from tests.roles import key_of_role

Headers = dict[str, str]
CONTENT = [{"id": "one", "title": "One", "segments": ["First.", "Second."]}]


@pytest.fixture
def course(client: FlaskClient, admin: Headers) -> str:
    """A course with a topic ``one``."""
    made = client.post("/api/curriculum", json={"title": "A course", "content": CONTENT}, headers=admin)
    return str(made.get_json()["id"])


def create(client: FlaskClient, headers: Headers, **fields: Any) -> dict[str, Any]:
    answer = client.post("/api/sessions", json={"user_id": "user_123"} | fields, headers=headers)
    assert answer.status_code == 201, answer.text
    return dict(answer.get_json())


def test_a_session_begins_at_the_beginning_and_goes_where_it_is_put(
    client: FlaskClient, customer: Headers, course: str
) -> None:
    made = create(client, customer, curriculum_id=course, config={"theme": {"dark": True}})
    assert (made["user_id"], made["curriculum_id"], made["status"]) == ("user_123", course, "active")
    assert (made["playback_position"], made["segment_index"], made["ended_at"]) == (0.0, 0, None)
    assert made["config"] == {"theme": {"dark": True}}
    path = f"/api/sessions/{made['id']}"
    moved = {"playback_position": 150, "segment_index": 5, "topic_id": "one", "voice_id": "alloy", "is_playing": True}
    changed = client.patch(path, json=moved, headers=customer)
    assert changed.status_code == 200
    assert {name: changed.get_json()[name] for name in moved} == moved
    assert changed.get_json()["updated_at"] > made["updated_at"]
    assert client.get(path, headers=customer).get_json() == changed.get_json()


def test_sessions_are_listed_newest_first_and_by_whose_they_are(
    client: FlaskClient, customer: Headers, admin: Headers
) -> None:
    mine = [create(client, customer, user_id=f"user_{number}")["id"] for number in range(3)]
    theirs = create(client, admin)["id"]
    listed = client.get("/api/sessions?limit=2&offset=1", headers=customer).get_json()
    assert set(listed) == {"sessions", "total", "limit", "offset"}
    assert ([each["id"] for each in listed["sessions"]], listed["total"]) == ([mine[1], mine[0]], 3)
    everybody = client.get("/api/sessions", headers=admin).get_json()["sessions"]
    assert [each["id"] for each in everybody] == [theirs, *reversed(mine)]
    of_one = client.get("/api/sessions?user_id=user_1", headers=customer).get_json()
    assert [each["id"] for each in of_one["sessions"]] == [mine[1]]
    client.delete(f"/api/sessions/{mine[0]}", headers=customer)
    for status, expected in (("active", mine[:0:-1]), ("ended", mine[:1])):
        found = client.get(f"/api/sessions?status={status}", headers=customer).get_json()
        assert [each["id"] for each in found["sessions"]] == expected


def test_somebody_elses_session_is_not_there(client: FlaskClient, customer: Headers, database: Database) -> None:
    path = f"/api/sessions/{create(client, customer)['id']}"
    other = key_of_role(database, "client")
    for answer in (
        client.get(path, headers=other),
        client.patch(path, json={"segment_index": 1}, headers=other),
        client.delete(path, headers=other),
    ):
        assert (answer.status_code, answer.get_json()["code"]) == (404, "NOT_FOUND")
    assert client.get(path, headers=customer).get_json()["segment_index"] == 0
    assert client.get(path, headers=key_of_role(database, "operator")).status_code == 200


def test_an_ended_session_stays_as_it_is(client: FlaskClient, customer: Headers) -> None:
    path = f"/api/sessions/{create(client, customer)['id']}"
    ended = client.delete(path, headers=customer)
    assert (ended.status_code, set(ended.get_json())) == (200, {"message"})
    shown = client.get(path, headers=customer).get_json()
    assert (shown["status"], shown["is_playing"]) == ("ended", False)
    refused = client.patch(path, json={"segment_index": 3}, headers=customer)
    assert (refused.status_code, refused.get_json()["code"]) == (409, "CONFLICT")
    assert client.delete(path, headers=customer).status_code == 200
    assert client.get(path, headers=customer).get_json() == shown


def test_another_course_leaves_the_former_ones_topic(client: FlaskClient, customer: Headers, course: str) -> None:
    made = create(client, customer, curriculum_id=course, topic_id="one")
    other = client.post("/api/curriculum", json={"title": "Other"}, headers=customer).get_json()["id"]
    path = f"/api/sessions/{made['id']}"
    assert client.patch(path, json={"segment_index": 1}, headers=customer).get_json()["topic_id"] == "one"
    moved = client.patch(path, json={"curriculum_id": other}, headers=customer).get_json()
    assert (moved["curriculum_id"], moved["topic_id"]) == (other, None)


@pytest.mark.parametrize(
    ("fields", "status", "named"),
    [
        ({"curriculum_id": "curr_456"}, 404, "curr_456"),
        ({"topic_id": "one"}, 400, "topic_id"),
        ({"voice_id": "nobody"}, 400, "'nobody'"),
        ({"provider": "nobody"}, 400, "'nobody'"),
        ({"speed": 9}, 400, "9"),
        ({"segment_index": -1}, 400, "-1"),
        ({"segment_index": 1.5}, 400, "1.5"),
        ({"playback_position": -0.1}, 400, "-0.1"),
        ({"playback_position": "150"}, 400, "'150'"),
        ({"is_playing": "yes"}, 400, "is_playing"),
        ({"is_playing": 1}, 400, "is_playing"),
        ({"config": []}, 400, "config"),
        ({"user_id": "x" * 501}, 400, "501"),
        ({"colour": "red"}, 400, "colour"),
    ],
    ids=str,
)
def test_a_bad_session_is_refused_by_name(
    client: FlaskClient, customer: Headers, fields: dict[str, Any], status: int, named: str
) -> None:
    made = create(client, customer)
    for answer in (
        client.post("/api/sessions", json=fields, headers=customer),
        client.patch(f"/api/sessions/{made['id']}", json=fields, headers=customer),
    ):
        assert answer.status_code == status, answer.text
        assert named in answer.get_json()["error"]
    assert client.get("/api/sessions", headers=customer).get_json()["total"] == 1


def test_the_other_word_for_provider_is_taken(client: FlaskClient, customer: Headers) -> None:
    assert create(client, customer, tts_provider="hibari")["provider"] == "hibari"
    both = {"tts_provider": "hibari", "provider": "hibari"}
    assert client.post("/api/sessions", json=both, headers=customer).status_code == 400


def test_a_course_that_is_removed_while_a_session_of_it_is_made_is_a_conflict(
    client: FlaskClient, customer: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It was there when it was looked for.
    monkeypatch.setattr(sessions, "_refuse_unknown_place", lambda *_: None)
    answer = client.post("/api/sessions", json={"curriculum_id": "gone"}, headers=customer)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "CONFLICT")


def test_of_two_changes_at_once_the_later_ones_topic_is_of_the_earlier_ones_course(
    client: FlaskClient, customer: Headers, admin: Headers, course: str, database: Database
) -> None:
    other = client.post("/api/curriculum", json={"title": "Another", "content": []}, headers=admin).get_json()["id"]
    session_id = create(client, customer, curriculum_id=course)["id"]
    with ThreadPoolExecutor() as pool:
        with database.transaction() as session:
            sessions.change(session, session_id, {"curriculum_id": other})
            later = pool.submit(
                client.application.test_client().patch,
                f"/api/sessions/{session_id}",
                json={"topic_id": "one"},
                headers=customer,
            )
            waiting = text("select count(*) from pg_locks where not granted")
            eventually(lambda: session.scalar(waiting))
        answer = later.result()
    assert (answer.status_code, "no topic 'one'" in answer.get_json()["error"]) == (404, True)


def test_an_unknown_topic_of_a_course_is_named(client: FlaskClient, customer: Headers, course: str) -> None:
    body = {"curriculum_id": course, "topic_id": "two"}
    answer = client.post("/api/sessions", json=body, headers=customer)
    assert answer.status_code == 404
    assert "'two'" in answer.get_json()["error"]


def test_statistics_count_the_sessions_somebody_listens_in(
    client: FlaskClient, customer: Headers, admin: Headers, database: Database
) -> None:
    kept, left, ended = (create(client, customer)["id"] for _ in range(3))
    assert client.get("/api/stats", headers=admin).get_json()["active_sessions"] == 3
    client.delete(f"/api/sessions/{ended}", headers=customer)
    with database.transaction() as session:
        long_ago = func.now() - timedelta(hours=2)
        session.execute(update(PlaybackSession).where(PlaybackSession.id == left).values(updated_at=long_ago))
    assert client.get("/api/stats", headers=admin).get_json()["active_sessions"] == 1
    assert client.get(f"/api/sessions/{kept}", headers=customer).get_json()["status"] == "active"


def test_a_course_that_sessions_play_is_not_removed_unless_forced(
    client: FlaskClient, customer: Headers, admin: Headers, course: str
) -> None:
    made = create(client, customer, curriculum_id=course)
    refused = client.delete(f"/api/curriculum/{course}", headers=admin)
    assert (refused.status_code, refused.get_json()["code"]) == (409, "CONFLICT")
    assert refused.get_json()["details"]["session_ids"] == [made["id"]]
    assert client.delete(f"/api/curriculum/{course}?force=true", headers=admin).status_code == 200
    shown = client.get(f"/api/sessions/{made['id']}", headers=customer).get_json()
    assert (shown["status"], shown["curriculum_id"]) == ("ended", None)
