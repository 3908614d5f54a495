"""What must be refused: by name, in the surface's shape, with nothing stored and never a 500."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from models.db import Database
from models.jobs.tables import Job
from tests.app.bad_requests import CURRICULUM, SAY, TABLES, TTS, Bad, nested, topic
from tests.app.conftest import row_counts


@pytest.fixture
def stored_nothing(lasting_database: Database) -> Iterator[None]:
    """Fails when a test leaves a row behind."""
    before = _stored(lasting_database)
    yield
    assert _stored(lasting_database) == before


def _stored(database: Database) -> dict[str, int]:
    # That it was refused is written among the errors, whenever that is.
    return {table: count for table, count in row_counts(database).items() if table != "error_reports"}


@pytest.mark.parametrize(
    "bad",
    [pytest.param(bad, id=f"{table}: {name}") for table, bads in TABLES.items() for name, bad in bads.items()],
)
def test_bad_input_is_refused_by_name_and_nothing_is_stored(
    lasting_client: FlaskClient, customer: dict[str, str], operator: dict[str, str], stored_nothing: None, bad: Bad
) -> None:
    sent = bad.sent
    sent["headers"] = (operator if bad.path.startswith(SAY) else customer) | sent["headers"]
    answer = lasting_client.open(bad.path, method=bad.method, **sent)
    assert_refused(answer, bad.status, bad.code)
    error = answer.get_json()["error"]
    said = error["message"] if "/v1/" in bad.path else error
    missing = [name for name in bad.names if name not in said]
    assert not missing, f"{answer.get_json()} does not say {missing}"
    assert len(said) < 3000


def assert_refused(answer: TestResponse, status: int, code: str) -> None:
    """Fails unless the answer is an error in the shape of its surface: management's, or OpenAI's."""
    assert answer.status_code == status, answer.text[:500]
    body = answer.get_json()
    if answer.request.path.startswith("/v1/"):
        assert set(body) == {"error"}
        assert set(body["error"]) == {"message", "type", "param", "code"}
        assert (body["error"]["type"], body["error"]["code"]) == ("invalid_request_error", code)
        return
    # A path with NUL is refused before a surface is known.
    assert set(body) - {"detail"} == {"error", "code", "details"}
    assert body["code"] == code
    assert answer.headers["X-Request-ID"]


def test_a_large_page_or_offset_is_clipped_rather_than_refused(client: FlaskClient, customer: dict[str, str]) -> None:
    huge = client.get(f"{CURRICULUM}?limit={10**30}&offset={10**30}", headers=customer)
    assert (huge.status_code, huge.get_json()["curricula"]) == (200, [])
    assert huge.get_json()["limit"] == 200
    assert client.get(f"/api/jobs?limit={10**30}", headers=customer).status_code == 200


def test_unknown_query_parameters_are_ignored(client: FlaskClient, customer: dict[str, str]) -> None:
    assert client.get(f"{CURRICULUM}?page=2&limit=3", headers=customer).get_json()["limit"] == 3


def test_a_course_of_ten_thousand_segments_is_stored_and_got_in_order(
    client: FlaskClient, customer: dict[str, str]
) -> None:
    texts = [f"Segment {number}." for number in range(10_000)]
    content = [{"title": f"Topic {at}", "segments": texts[at * 1000 : (at + 1) * 1000]} for at in range(10)]
    created = client.post(CURRICULUM, json={"title": "Long", "content": content}, headers=customer)
    assert created.status_code == 201
    assert (created.get_json()["topic_count"], created.get_json()["segment_count"]) == (10, 10_000)
    got = client.get(f"{CURRICULUM}/{created.get_json()['id']}", headers=customer).get_json()
    assert [segment["text"] for topic in got["content"] for segment in topic["segments"]] == texts


def test_ten_thousand_equal_ids_are_refused_quickly(client: FlaskClient, customer: dict[str, str]) -> None:
    segments = [{"id": f"s{number // 2}", "text": "One."} for number in range(10_000)]
    answer = client.post(CURRICULUM, json=topic(segments=segments), headers=customer)
    assert_refused(answer, 400, "VALIDATION_ERROR")


def test_an_id_that_another_course_has_is_no_obstacle(client: FlaskClient, customer: dict[str, str]) -> None:
    first = client.post(CURRICULUM, json=topic(id="mine"), headers=customer)
    second = client.post(CURRICULUM, json=topic(id="mine"), headers=customer)
    assert [answer.status_code for answer in (first, second)] == [201, 201]
    assert second.get_json()["content"][0]["id"] == "mine"


def test_a_deep_but_reasonable_course_is_kept_whole(client: FlaskClient, customer: dict[str, str]) -> None:
    notes = nested(50)
    created = client.post(CURRICULUM, json=topic(notes=notes), headers=customer).get_json()
    got = client.get(f"{CURRICULUM}/{created['id']}", headers=customer).get_json()
    assert got["content"][0]["notes"] == notes


def test_a_text_that_the_voice_cannot_say_is_refused_by_the_worker(
    client: FlaskClient, customer: dict[str, str], database: Database, worker: Any
) -> None:
    # Letters, so it goes to the worker; none of them is English.
    answer = client.post(TTS, json={"text": "你好"}, headers=customer)
    assert_refused(answer, 400, "VALIDATION_ERROR")
    assert "text" in answer.get_json()["error"]
    with database.transaction() as session:
        (job,) = session.query(Job).all()
        assert (job.state, job.error_code) == ("failed", "nothing_to_say")
