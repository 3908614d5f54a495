"""What is kept of requests: every error that is answered, in whatever way, and what administrators do."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest
import redis
from flask import Flask, Response
from flask.testing import FlaskClient
from sqlalchemy import func, select

from app import create_app
from app.http import errors
from app.http.access import ADMIN, METRICS
from config.settings import Settings
from models import accounts, cleanups, users
from models.audit import AuditEntry
from models.base import new_id
from models.db import Database
from models.error_reports import ROWS_A_MINUTE, ErrorReport
from models.records import GROUPS_WAITING
from tests import making
from tests.app.test_live import BOOK, jobs
from tests.app.test_streaming import Listener
from tests.conftest import API_KEY, CLIENT_KEY, PASSWORD, eventually
from tests.web import Web, serving

CHAPTER = BOOK[:4096]
Headers = dict[str, str]
Write = Callable[[], None]


@pytest.fixture
def write(client: FlaskClient, queue: redis.Redis) -> Write:
    """Writes what was put by, as the hub does once a second."""
    here = client.application.extensions["voiceworks"]
    return lambda: here.counters.flush(queue, here.database)


@contextmanager
def running(configured: Settings, database: Database, **changed: Any) -> Iterator[Flask]:
    """An application with other settings; what it put by is written at the end."""
    app = create_app(replace(configured, **changed))
    here = app.extensions["voiceworks"]
    try:
        yield app
        here.counters.records.flush(database)
    finally:
        here.hub.stop()
        here.database.dispose()


def errors_of(database: Database, request_id: str) -> list[ErrorReport]:
    with database.transaction() as session:
        found = select(ErrorReport).where(ErrorReport.request_id == request_id).order_by(ErrorReport.id)
        return list(session.scalars(found))


def calls_of(database: Database, request_id: str) -> list[AuditEntry]:
    with database.transaction() as session:
        found = select(AuditEntry).where(AuditEntry.request_id == request_id).order_by(AuditEntry.id)
        return list(session.scalars(found))


@pytest.mark.parametrize(
    ("method", "path", "sent", "endpoint", "status", "code", "level"),
    [
        ("GET", "/api/curriculum", {"key": ""}, "/api/curriculum", 401, "unauthorized", "warning"),
        ("GET", "/api/users", {}, "/api/users", 403, "forbidden", "warning"),
        ("GET", "/api/jobs/nothing", {}, "/api/jobs/<job_id>", 404, "not_found", "warning"),
        ("GET", "/api/nothing/at/all", {}, "unknown", 404, "not_found", "warning"),
        ("DELETE", "/api/curriculum", {}, "/api/curriculum", 405, "method_not_allowed", "warning"),
        ("PUT", "/api/jobs/x/cancel", {}, "/api/jobs/<job_id>/cancel", 405, "method_not_allowed", "warning"),
        ("POST", "/api/tts", {"json": {}}, "/api/tts", 400, "validation_error", "error"),
        ("POST", "/api/tts", {"data": b"x" * (17 * 2**20)}, "/api/tts", 413, "payload_too_large", "error"),
        ("GET", "/api/curriculum?limit=x", {}, "/api/curriculum", 400, "validation_error", "error"),
        (
            "POST",
            "/api/auth/login",
            {"json": {"username": "a", "password": "b"}},
            "/api/auth/login",
            401,
            "",
            "warning",
        ),
        ("GET", "/v1/models/nothing", {}, "/v1/models/<model>", 404, "model_not_found", "warning"),
        ("GET", "/api/jobs/a%00b", {}, "/api/jobs/<job_id>", 404, "not_found", "warning"),
    ],
)
def test_every_refusal_is_kept_with_its_template_code_and_level(
    client: FlaskClient,
    database: Database,
    write: Write,
    method: str,
    path: str,
    sent: dict[str, Any],
    endpoint: str,
    status: int,
    code: str,
    level: str,
) -> None:
    sent = dict(sent)
    headers = {"X-API-Key": sent.pop("key", CLIENT_KEY), "X-Request-ID": "req_of_mine"}
    answer = client.open(path, method=method, headers=headers, **sent)
    assert answer.status_code == status, answer.text
    write()
    (row,) = errors_of(database, "req_of_mine")
    assert (row.endpoint, row.status, row.level) == (endpoint, status, level)
    assert row.code == (code or "unauthorized")
    body = answer.get_json()
    assert row.message == (body["error"]["message"] if "/v1/" in path else body["error"])
    assert (row.count, row.user_ip, row.job_id) == (1, "127.0.0.0", None)


def test_what_is_answered_well_is_no_error(
    client: FlaskClient, customer: Headers, database: Database, write: Write
) -> None:
    for path in ("/health", "/api/curriculum", "/openapi.json"):
        assert client.get(path, headers=customer).status_code == 200
    write()
    with database.transaction() as session:
        assert session.scalar(select(func.count()).select_from(ErrorReport)) == 0


def test_what_nobody_expected_is_critical_and_tells_nothing_of_its_cause(
    client: FlaskClient, admin: Headers, database: Database, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a secret of the house")

    monkeypatch.setattr(users, "page", fail)
    answer = client.get("/api/users", headers=admin)
    assert answer.status_code == 500
    write()
    (row,) = errors_of(database, answer.headers["X-Request-ID"])
    assert (row.code, row.level, row.status) == ("server_error", "critical", 500)
    assert "secret" not in str(making.row(row))
    # It was an administrator's call all the same.
    (call,) = calls_of(database, answer.headers["X-Request-ID"])
    assert call.status == 500


def test_what_is_answered_past_the_handlers_is_kept_too(configured: Settings, database: Database, clean: None) -> None:
    def both() -> Response:
        # An error that was made, and not answered.
        errors.answer(404, "not_found", "There is none.")
        return Response(status=502)

    with running(configured, database) as app:
        app.add_url_rule("/teapot", view_func=lambda: Response("I am one", status=418), endpoint="teapot")
        app.add_url_rule("/gone", view_func=lambda: Response(status=499), endpoint="gone")
        app.add_url_rule("/both", view_func=both, endpoint="both")
        for path in ("/teapot", "/gone", "/both"):
            app.test_client().get(path, headers={"X-Request-ID": path[1:]})
    (row,) = errors_of(database, "teapot")
    assert (row.endpoint, row.status, row.code) == ("/teapot", 418, "error")
    # Nobody was there to be answered.
    assert errors_of(database, "gone") == []
    (row,) = errors_of(database, "both")
    assert (row.status, row.code) == (502, "server_error")


def test_who_asks_too_often_is_kept(configured: Settings, database: Database, clean: None) -> None:
    redis.Redis.from_url(configured.stream_redis_url).flushdb()
    with running(configured, database, rate_limits=True, rate_limit_by_name={"management": 1}) as app:
        answers = [app.test_client().get("/api/users", headers={"X-API-Key": API_KEY}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    (row,) = errors_of(database, answers[1].headers["X-Request-ID"])
    assert (row.endpoint, row.code, row.level) == ("/api/users", "rate_limited", "warning")
    # It was not let in.
    assert len(calls_of(database, answers[0].headers["X-Request-ID"])) == 1
    assert calls_of(database, answers[1].headers["X-Request-ID"]) == []


@pytest.mark.parametrize(
    ("came_from", "kept"), [("203.0.113.77", "203.0.113.0"), ("2001:db8:1:2:3::4", "2001:db8:1::"), ("<b>", None)]
)
def test_of_the_client_only_its_network_is_kept(
    configured: Settings, database: Database, clean: None, came_from: str, kept: str | None
) -> None:
    headers = {"X-Forwarded-For": came_from, "X-API-Key": API_KEY, "X-Request-ID": "mine"}
    with running(configured, database, trusted_proxies=(ip_network("127.0.0.0/8"),)) as app:
        app.test_client().get("/api/users/nobody", headers=headers)
    assert [row.user_ip for row in errors_of(database, "mine")] == [kept]
    assert [row.user_ip for row in calls_of(database, "mine")] == [kept]


# --- What administrators do -------------------------------------------------------------------------------------------


def test_each_call_that_only_an_administrator_may_make_has_a_row(
    client: FlaskClient, admin: Headers, customer: Headers, database: Database, write: Write
) -> None:
    made = client.post(
        "/api/users?token=secret123", json={"username": "ada", "password": "a long password"}, headers=admin
    )
    assert made.status_code == 201
    removed = client.delete(f"/api/users/{made.get_json()['id']}", headers=admin)
    missing = client.get("/api/users/vw_0123456789abcdef", headers=admin)
    refused = client.get("/api/users", headers=customer)
    nobody = client.get("/api/users")
    ordinary = client.get("/api/curriculum", headers=admin)
    write()
    (call,) = calls_of(database, made.headers["X-Request-ID"])
    with database.transaction() as session:
        administrator = accounts.find(session, "admin")
    assert administrator is not None
    assert (call.method, call.endpoint, call.path, call.status) == ("POST", "/api/users", "/api/users", 201)
    assert (call.account_id, call.user_ip) == (administrator.id, "127.0.0.0")
    (call,) = calls_of(database, removed.headers["X-Request-ID"])
    assert (call.method, call.endpoint) == ("DELETE", "/api/users/<user_id>")
    assert call.path == f"/api/users/{made.get_json()['id']}"
    (call,) = calls_of(database, missing.headers["X-Request-ID"])
    assert (call.status, call.path) == (404, "/api/users/vw_…")
    # Who was not let in did nothing, and what others may do, too, is nothing administrative.
    for answer in (refused, nobody, ordinary):
        assert calls_of(database, answer.headers["X-Request-ID"]) == []
    assert len(errors_of(database, refused.headers["X-Request-ID"])) == 1


def test_whoever_changes_a_credential_has_a_row(
    client: FlaskClient, customer: Headers, database: Database, write: Write
) -> None:
    made = client.post("/api/auth/keys", json={"name": "mine"}, headers=customer)
    revoked = client.delete(f"/api/auth/keys/{made.get_json()['id']}", headers=customer)
    changed = client.post(
        "/api/auth/password",
        json={"old_password": PASSWORD, "new_password": f"{PASSWORD}, a new one"},
        headers=customer,
    )
    nobody = client.post("/api/auth/keys", json={"name": "mine"})
    looked = client.get("/api/auth/keys", headers=customer)
    write()
    with database.transaction() as session:
        account = accounts.find(session, "client")
    assert account is not None
    for answer, method, endpoint in (
        (made, "POST", "/api/auth/keys"),
        (revoked, "DELETE", "/api/auth/keys/<key_id>"),
        (changed, "POST", "/api/auth/password"),
    ):
        (call,) = calls_of(database, answer.headers["X-Request-ID"])
        assert (call.method, call.endpoint, call.status) == (method, endpoint, answer.status_code)
        assert (call.account_id, answer.status_code < 300) == (account.id, True)
    assert [calls_of(database, answer.headers["X-Request-ID"]) for answer in (nobody, looked)] == [[], []]


@pytest.mark.parametrize("action", ["cancel", "pause", "resume", "retry"])
def test_a_cleanup_is_changed_by_administrators_only_and_that_is_kept(
    client: FlaskClient, admin: Headers, database: Database, write: Write, action: str
) -> None:
    with database.transaction() as session:
        operator = accounts.create(session, username="operator", password=PASSWORD, role="operator")
        accounts.store_key(session, operator, name="operator", role="operator", secret="an operator's key")
    job = making.submit(database, kind=cleanups.KIND, params=cleanups.params("temp", None, dry_run=True))
    theirs = {"X-API-Key": "an operator's key"}
    assert client.get(f"/api/jobs/{job.id}", headers=theirs).status_code == 200
    refused = client.post(f"/api/jobs/{job.id}/{action}", headers=theirs)
    assert (refused.status_code, refused.get_json()["code"]) == (403, "FORBIDDEN")
    assert making.read(database, job).state == "queued"
    obeyed = client.post(f"/api/jobs/{job.id}/{action}", headers=admin)
    assert obeyed.status_code in (200, 409)
    ordinary = making.submit(database)
    assert client.post(f"/api/jobs/{ordinary.id}/{action}", headers=theirs).status_code == obeyed.status_code
    write()
    (call,) = calls_of(database, obeyed.headers["X-Request-ID"])
    assert (call.endpoint, call.status) == (f"/api/jobs/<job_id>/{action}", obeyed.status_code)
    assert calls_of(database, refused.headers["X-Request-ID"]) == []


def audited(app: Flask) -> set[str]:
    """Every route whose calls are kept, with its method, but those whose path has to exist."""
    return {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        if getattr(app.view_functions[rule.endpoint], "audited", False) and "<" not in rule.rule
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def test_no_administrative_route_goes_without(
    client: FlaskClient, admin: Headers, database: Database, write: Write
) -> None:
    routes = audited(client.application)
    assert {"GET /api/v1/audit", "GET /api/v1/errors/recent", "POST /api/users", "DELETE /api/tts/cache"} <= routes
    for number, route in enumerate(sorted(routes)):
        method, _, path = route.partition(" ")
        client.open(path, method=method, headers=admin | {"X-Request-ID": f"req_{number}"})
    write()
    kept = {
        f"{call.method} {call.endpoint}"
        for number in range(len(routes))
        for call in calls_of(database, f"req_{number}")
    }
    assert kept == routes


def test_what_an_open_surface_lets_anybody_do_is_kept_as_nobodys(
    configured: Settings, database: Database, clean: None
) -> None:
    with running(configured, database, open_surfaces=frozenset({"administration"})) as app:
        answer = app.test_client().get("/api/v1/audit", headers={"X-Request-ID": "mine"})
    assert answer.status_code == 200
    (call,) = calls_of(database, "mine")
    assert (call.endpoint, call.account_id) == ("/api/v1/audit", None)


def test_what_only_administrators_may_do_is_kept_and_what_a_scraper_may_is_not(client: FlaskClient) -> None:
    for view in client.application.view_functions.values():
        if getattr(view, "access", None) == ADMIN:
            assert view.audited is True
        elif getattr(view, "access", None) == METRICS:
            assert view.audited is False


# --- Sockets and streams, in a real web process ----------------------------------------------------------------------


def test_a_socket_that_is_refused_counts_at_its_route(
    web: Web, telling: Database, customer: Headers, database: Database
) -> None:
    with telling.transaction() as session:
        agent = accounts.create(session, username="agent", password=PASSWORD, role="agent")
        accounts.store_key(session, agent, name="agent", role="agent", secret="an agent's key")
    refusals = [
        ("/ws", {}, 4401, "unauthorized", "/ws"),
        ("/ws", {"X-API-Key": "an agent's key"}, 4403, "forbidden", "/ws"),
        ("/ws/jobs/vw_0123456789abcdef", customer, 4404, "not_found", "/ws/jobs/<job_id>"),
        ("/ws/audio?session_id=nothing", customer, 4404, "not_found", "/ws/audio"),
    ]
    for number, (path, headers, closed, code, endpoint) in enumerate(refusals):
        request_id = new_id(f"socket_{number}_")
        assert web.close_code(path, header=headers | {"X-Request-ID": request_id}) == closed
        (row,) = eventually(lambda request_id=request_id: errors_of(database, request_id))
        assert (row.endpoint, row.status, row.code, row.level) == (endpoint, closed, code, "warning")
        assert (row.user_ip, row.count) == ("127.0.0.0", 1)
        assert row.message
        assert "0123456789abcdef" not in row.message


def test_a_socket_that_ends_well_is_no_error(web: Web, clean: None, customer: Headers, database: Database) -> None:
    request_id = new_id("well_")
    with web.socket("/ws", header=customer | {"X-Request-ID": request_id}) as opened:
        assert opened.next()["type"] == "connected"
    time.sleep(1.5)
    assert errors_of(database, request_id) == []


@pytest.mark.parametrize(
    ("path", "fields"), [("/api/tts?stream=1", {}), ("/v1/audio/speech", {"voice": "nova", "stream_format": "sse"})]
)
def test_an_answer_that_breaks_off_after_its_first_byte_is_an_error(
    web: Web, worker: object, clean: None, customer: Headers, database: Database, path: str, fields: dict[str, str]
) -> None:
    request_id = new_id("broken_")
    heard = Listener(web, CHAPTER, customer | {"X-Request-ID": request_id}, path=path, **fields)
    assert heard.first()
    assert heard.answer.status == 200
    (job,) = jobs(database)
    assert web.post(f"/api/jobs/{job.id}/cancel", headers=customer).status_code == 200
    with suppress(http.client.HTTPException, ConnectionError):
        heard.rest()
    (row,) = eventually(lambda: errors_of(database, request_id))
    assert (row.endpoint, row.status, row.level, row.count) == (path.partition("?")[0], 409, "error", 1)
    assert row.message.startswith("The answer broke off")


def test_a_listener_who_hangs_up_is_no_error(
    web: Web, worker: object, clean: None, customer: Headers, database: Database
) -> None:
    request_id = new_id("hung_up_")
    heard = Listener(web, CHAPTER, customer | {"X-Request-ID": request_id})
    assert heard.first()
    heard.hang_up()
    eventually(lambda: jobs(database)[0].state == "cancelled", within_seconds=20)
    time.sleep(1.5)
    assert errors_of(database, request_id) == []


def test_what_a_process_was_told_last_is_written_before_it_ends(
    configured: Settings, database: Database, clean: None, admin: Headers, tmp_path: Any
) -> None:
    request_id = new_id("last_")
    with serving(tmp_path / "web.log") as leaving:
        assert leaving.get("/api/users/nobody", headers=admin | {"X-Request-ID": request_id}).status_code == 404
    assert len(errors_of(database, request_id)) == 1
    assert len(calls_of(database, request_id)) == 1


# --- An attack --------------------------------------------------------------------------------------------------------


def test_a_flood_of_errors_leaves_a_handful_of_rows_and_none_of_its_secrets(
    client: FlaskClient, customer: Headers, database: Database, write: Write
) -> None:
    asked = 3000
    for number in range(asked):
        headers = {"X-Request-ID": f"flood_{number}", "X-API-Key": f"vw_{number:032d}"}
        match number % 5:
            case 0:
                client.get(f"/api/{number}/vw_secret_{number:08d}", headers=headers)
            case 1:
                client.get(f"/api/curriculum/{number}?token=secret_{number}", headers=headers)
            case 2:
                client.post(f"/api/curriculum/{number}", headers=headers)
            case 3:
                login = {"username": f"u{number}", "password": number}
                client.post("/api/auth/login", json=login, headers={"X-Request-ID": f"flood_{number}"})
            case _:
                speech = {"text": "Hi.", "voice_id": f"vw_secret_{number:08d}"}
                client.post("/api/tts", json=speech, headers=customer | {"X-Request-ID": f"flood_{number}"})
        if number % 500 == 0:
            write()
    write()
    with database.transaction() as session:
        rows = list(session.scalars(select(ErrorReport)))
    assert sum(row.count for row in rows) == asked
    minutes = {row.minute for row in rows}
    assert len({(row.endpoint, row.code) for row in rows}) == 5
    assert len(rows) <= 5 * ROWS_A_MINUTE * len(minutes) < GROUPS_WAITING
    everything = " ".join(str(making.row(row)) for row in rows)
    assert "secret_0" not in everything
    assert not any(f": {number} is not a text" in everything for number in range(3, asked, 5))
    assert "password: …" in everything
