"""administration.md, line by line: what it shows is sent, and what comes back is held against it. Here: errors, access.

Files beside this one (``test_administration_*.py``) answer for other headings of the same document.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from sqlalchemy import select

from config.settings import Settings
from models.audit import AuditEntry
from models.db import Database
from models.error_reports import LEVELS
from tests import making
from tests.conftest import API_KEY, CLIENT_KEY
from tests.contract.administration_headings import ADMINISTRATION, NO_PROMISE, documented, promises, request, tested
from tests.contract.conftest import ADMINISTRATION_URL, Reach, assert_refused, routes, template
from tests.contract.document import Document, assert_shaped, quoted
from tests.web import serving

SUMMARY = "GET `/api/v1/errors/summary`"
RECENT = "GET `/api/v1/errors/recent`"
DECIDED = Document("decisions")["Administration"]
# Of what happened to whom the document shows an example: these names are no fields.
SUMMED_UP = ADMINISTRATION[SUMMARY].answer | {"by_type": {}, "by_endpoint": {}}


def test_every_heading_has_a_test_and_every_promise_is_answered_for() -> None:
    for path in sorted(Path(__file__).parent.glob("test_administration_*.py")):
        importlib.import_module(f"tests.contract.{path.stem}")
    said = {title for title, heading in ADMINISTRATION.headings.items() if heading.says_something}
    assert not NO_PROMISE & set(tested)
    assert said - set(tested) - NO_PROMISE == set()
    loose = {
        title: [each for each in promises(ADMINISTRATION[title]) if not each.startswith(tuple(prose))]
        for title, prose in tested.items()
    }
    assert {title: prose for title, prose in loose.items() if prose} == {}


@pytest.fixture
def reach(administration: Reach) -> Reach:
    """A client of this document."""
    return administration


@pytest.fixture
def write(reach: Reach, queue: redis.Redis) -> Callable[[], None]:
    """Writes what was put by, as a web process does once a second."""
    here = reach.http.application.extensions["voiceworks"]
    return lambda: here.counters.flush(queue, here.database)


def provoke(reach: Reach, write: Callable[[], None]) -> None:
    """Two errors of one kind and one of another, among four requests."""
    customer = {"X-API-Key": CLIENT_KEY}
    for _ in range(2):
        assert reach.http.post("/api/tts", json={}, headers=customer).status_code == 400
    assert reach.http.get("/api/jobs/nothing", headers=customer).status_code == 404
    assert reach.http.get("/api/curriculum", headers=customer).status_code == 200
    write()


@documented(SUMMARY, "`hours`: Time window for statistics")
def test_errors_are_summed_up(reach: Reach, database: Database, write: Callable[[], None]) -> None:
    shown = ADMINISTRATION[SUMMARY]
    provoke(reach, write)
    answer = reach.send(request(SUMMARY), headers=reach.credential)
    assert answer.status_code == 200
    found = answer.get_json()
    assert_shaped(found, SUMMED_UP)
    (default,) = re.findall(r"default: (\d+)", shown.bullets[0])
    assert found["period_hours"] == int(default)
    assert found["total_errors"] == 3
    assert found["by_type"] == {"validation_error": 2, "not_found": 1}
    assert found["by_endpoint"] == {"/api/tts": 2, "/api/jobs/<job_id>": 1}
    assert found["error_rate_percent"] == 75.0
    assert 0 <= found["trends"]["peak_hour"] <= 23
    assert found["trends"]["increasing"] is True
    assert reach.send(request(SUMMARY, "?hours=720"), headers=reach.credential).get_json()["period_hours"] == 720
    for wrong in ("hours=0", "hours=721", "hours=x", "hours=-1", "hours=1.5", "group_by=colour"):
        refused = reach.send(request(SUMMARY, f"?{wrong}"), headers=reach.credential)
        assert_refused(refused, 400, "VALIDATION_ERROR")
        assert wrong.partition("=")[0] in refused.get_json()["error"]


@documented(SUMMARY, "`group_by`: Group errors by type, endpoint, or time")
def test_grouping_adds_and_takes_nothing_away(reach: Reach, database: Database, write: Callable[[], None]) -> None:
    assert "`group_by` adds (`by_time` for time), never removes a field" in "; ".join(DECIDED.bullets)
    making.fail(database, making.claim(database, making.submit(database)))
    provoke(reach, write)
    shown = ADMINISTRATION[SUMMARY]
    for word in ("type", "endpoint", "time"):
        assert word in shown.bullets[1]
        found = reach.send(request(SUMMARY, f"?group_by={word}"), headers=reach.credential).get_json()
        assert_shaped(found, SUMMED_UP)
        assert ("by_time" in found) is (word == "time")
        groups = [found[name] for name in found if name.startswith("by_")]
        assert [sum(group.values()) for group in groups] == [found["total_errors"]] * len(groups)
    # A failed job counts under its kind.
    assert found["by_endpoint"][making.KIND] == 1
    assert found["total_errors"] == 4


@documented(RECENT, "`limit`: Number of recent errors")
def test_recent_errors_are_shown(reach: Reach, database: Database, write: Callable[[], None]) -> None:
    shown = ADMINISTRATION[RECENT]
    provoke(reach, write)
    answer = reach.send(request(RECENT), headers=reach.credential)
    assert answer.status_code == 200
    found = answer.get_json()
    assert_shaped(found, shown.answer)
    default, maximum = map(int, re.findall(r"(?:default|max): (\d+)", shown.bullets[0]))
    assert found["pagination"] == {"total": 3, "page": 1, "page_size": default}
    newest = found["errors"][0]
    assert (newest["error_code"], newest["endpoint"], newest["level"]) == ("NOT_FOUND", "/api/jobs/<job_id>", "warning")
    assert newest["message"] == "There is no job 'nothing'."
    assert newest["request_id"]
    assert newest["user_ip"] == "127.0.0.0"
    assert newest["timestamp"].endswith("Z")
    pages = [
        reach.send(request(RECENT, f"?limit=2&page={page}"), headers=reach.credential).get_json() for page in (1, 2)
    ]
    assert [error for page in pages for error in page["errors"]] == found["errors"]
    assert pages[1]["pagination"] == {"total": 3, "page": 2, "page_size": 2}
    assert "a limit over 500 is a validation error there" in "; ".join(DECIDED.bullets)
    most = reach.send(request(RECENT, f"?limit={maximum}"), headers=reach.credential)
    assert most.get_json()["pagination"]["page_size"] == maximum == 500
    for wrong in (f"limit={maximum + 1}", "limit=0", "limit=x", "page=0", "page=-1", "level=fatal"):
        assert_refused(reach.send(request(RECENT, f"?{wrong}"), headers=reach.credential), 400, "VALIDATION_ERROR")


@documented(RECENT, "`level`: Error level filter", "`endpoint`: Filter by specific endpoint")
def test_recent_errors_are_filtered(reach: Reach, database: Database, write: Callable[[], None]) -> None:
    (levels,) = re.findall(r"\((.*?)\)", ADMINISTRATION[RECENT].bullets[1])
    assert set(levels.split(", ")) == set(LEVELS)
    provoke(reach, write)
    everything = reach.send(request(RECENT), headers=reach.credential).get_json()["errors"]
    for level, codes in (("error", ["VALIDATION_ERROR"] * 2), ("warning", ["NOT_FOUND"]), ("critical", [])):
        found = reach.send(request(RECENT, f"?level={level}"), headers=reach.credential).get_json()
        assert ([error["error_code"] for error in found["errors"]], found["pagination"]["total"]) == (codes, len(codes))
    found = reach.send(request(RECENT, "?endpoint=/api/tts"), headers=reach.credential).get_json()
    assert {error["endpoint"] for error in found["errors"]} == {"/api/tts"}
    assert found["pagination"]["total"] == 2
    wanted = everything[0]["request_id"]
    assert reach.send(request(RECENT, f"?request_id={wanted}"), headers=reach.credential).get_json()["errors"] == [
        everything[0]
    ]


def test_the_document_s_types_hold_for_a_job_that_nobody_s_request_made(reach: Reach, database: Database) -> None:
    making.fail(database, making.claim(database, making.submit(database)))
    found = reach.send(request(RECENT), headers=reach.credential).get_json()
    assert_shaped(found, ADMINISTRATION[RECENT].answer)
    (error,) = found["errors"]
    assert (error["endpoint"], error["error_code"], error["level"]) == (making.KIND, "BROKEN", "error")
    assert (error["request_id"], error["user_ip"], error["status"]) == ("", "", None)


@documented("Monitoring Dashboard")
def test_the_document_s_dashboard_works_as_it_stands(
    configured: Settings, clean: None, worker: object, tmp_path: Path
) -> None:
    (example,) = ADMINISTRATION["Monitoring Dashboard"].code
    with serving(tmp_path / "web.log", OPEN_SURFACES="administration") as open_web:
        names: dict[str, Any] = {}
        exec(example.replace(ADMINISTRATION_URL, open_web.url("")), names)
        health = names["get_system_health"]()
    assert set(health) == {"cpu_usage", "memory_usage", "disk_available", "error_rate", "last_cleanup"}
    assert all(isinstance(health[name], int | float) for name in set(health) - {"last_cleanup"})


ADMINISTRATIVE = [title for title in ADMINISTRATION.headings if re.match(r"(GET|POST) `", title)]


@documented(
    "Access Control",
    "**Recommended**: Separate API keys",
    "**Network Security**: Consider restricting",
    "**Monitoring**: Log all administrative endpoint access",
)
@pytest.mark.parametrize("title", ADMINISTRATIVE)
def test_an_administrative_endpoint_takes_an_administrator_and_leaves_a_row(
    application: Callable[..., FlaskClient], database: Database, title: str
) -> None:
    http = application()
    asked = request(title)
    if template(asked.method, asked.target) not in routes(http):
        pytest.fail(f"{title} is documented and missing")
    closed = Reach(http, {"X-API-Key": API_KEY}, ADMINISTRATION_URL)
    assert_refused(closed.send(asked, headers={}), 401, "UNAUTHORIZED")
    assert_refused(closed.send(asked, headers={"X-API-Key": CLIENT_KEY}), 403, "FORBIDDEN")
    assert closed.send(asked, headers=closed.credential | {"X-Request-ID": "req_mine"}).status_code != 403
    here = http.application.extensions["voiceworks"]
    here.counters.records.flush(database)
    with database.transaction() as session:
        calls = list(session.scalars(select(AuditEntry)))
    assert [(call.endpoint, call.request_id) for call in calls] == [(asked.path, "req_mine")]


def test_the_rows_of_administrative_calls_are_shown_to_administrators(
    reach: Reach, database: Database, write: Callable[[], None]
) -> None:
    audit = request("GET `/api/v1/audit`")
    for _ in range(2):
        reach.send(request(SUMMARY, "?hours=1"), headers=reach.credential | {"X-Request-ID": "req_mine"})
    write()
    found = reach.send(audit, headers=reach.credential)
    assert found.status_code == 200
    assert found.get_json()["pagination"] == {"total": 2, "page": 1, "page_size": 50}
    newest = found.get_json()["entries"][0]
    assert {name: newest[name] for name in newest if name not in ("timestamp", "account_id")} == {
        "username": "admin" if reach.closed else None,
        "method": "GET",
        "endpoint": "/api/v1/errors/summary",
        "path": "/api/v1/errors/summary",
        "status": 200,
        "request_id": "req_mine",
        "user_ip": "127.0.0.0",
    }
    second = reach.send(request("GET `/api/v1/audit`", "?limit=1&page=2"), headers=reach.credential).get_json()
    assert second["entries"] == found.get_json()["entries"][1:]
    for wrong in ("limit=501", "limit=0", "page=0"):
        refused = reach.send(request("GET `/api/v1/audit`", f"?{wrong}"), headers=reach.credential)
        assert_refused(refused, 400, "VALIDATION_ERROR")


@documented("Rate Limiting", "Metrics endpoints: Higher frequency", "Error endpoints: Moderate frequency")
def test_errors_may_be_asked_for_moderately_often(
    application: Callable[..., FlaskClient], configured: Any, queue: redis.Redis
) -> None:
    administration = Document("decisions").sentence("Management: 100 a minute")
    (often,) = re.findall(r"Administration: (\d+) per credential", administration)
    assert configured.rate_limit_by_name["administration"] == int(often)
    redis.Redis.from_url(configured.stream_redis_url).flushdb()
    http = application(rate_limits=True, rate_limit_by_name={"administration": 2})
    answers = [http.get("/api/v1/errors/recent", headers={"X-API-Key": API_KEY}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[2].headers["Retry-After"]) > 0
    # Of another credential they count apart.
    assert http.get("/api/v1/errors/recent", headers={"X-API-Key": CLIENT_KEY}).status_code == 403


def test_the_conditions_of_decisions_are_those_tested_here() -> None:
    (errors,) = [bullet for bullet in DECIDED.bullets if bullet.startswith("Every 4xx and 5xx answer")]
    assert quoted(errors)[:3] == ["by_type", "by_endpoint", "total_errors"]
    assert "`errors/recent` pages with `page`" in errors
