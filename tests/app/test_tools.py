"""Calls of tools over REST: each leaves one row, whatever comes of it, and none holds a secret."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update

from app.tools import calling
from models.db import Database
from models.gateway import calls
from models.gateway.tables import Service, ToolCall
from tests.outside.arr import Radarr
from tests.outside.server import KEY, Answer, Asked, Outside, as_json, plain, running

TOOLS, HISTORY = "/api/mcp/tools", "/api/mcp/history"


@pytest.fixture
def radarr(client: FlaskClient, admin: dict[str, str]) -> Iterator[Radarr]:
    """Somebody's Radarr, which is known here."""
    with running(Radarr()) as server:
        body = {"name": "Films", "type": "radarr", "url": server.url, "api_key": KEY}
        assert client.post("/api/services", json=body, headers=admin).status_code == 201
        yield server


class Odd(Outside):
    """Answers as it is told to; ``waits`` lets it wait first."""

    def __init__(self) -> None:
        super().__init__()
        self.next: Answer = as_json({"ok": True})
        self.waits: threading.Event | None = None

    def answer(self, asked: Asked) -> Answer:
        """What comes next."""
        if self.waits is not None:
            self.waits.wait(20)
        return self.next


@pytest.fixture
def odd(client: FlaskClient, admin: dict[str, str]) -> Iterator[Odd]:
    """A service with a tool of its own."""
    with running(Odd()) as server:
        tools = [
            {"name": "odd_get", "description": "Get it", "path": "/x", "parameters": {"q": {"type": "string"}}},
            {"name": "odd_delete", "description": "Delete it", "path": "/x", "method": "DELETE"},
        ]
        config = {"tools": tools, "timeout_seconds": 0.5}
        body = {"name": "Odd", "type": "generic_http", "url": server.url, "api_key": KEY, "config": config}
        answer = client.post("/api/services", json=body, headers=admin)
        assert answer.status_code == 201, answer.text
        yield server


def rows(database: Database) -> list[tuple[str, str, str | None, str | None]]:
    with database.reading() as session:
        found = session.scalars(select(ToolCall).order_by(ToolCall.id))
        return [(row.tool, row.status, row.error_code, row.service) for row in found]


def test_each_call_leaves_one_row_whatever_comes_of_it(
    client: FlaskClient, admin: dict[str, str], customer: dict[str, str], radarr: Radarr, odd: Odd, database: Database
) -> None:
    def call(name: str, who: dict[str, str] = admin, **body: Any) -> tuple[int, str | None]:
        answer = client.post(f"{TOOLS}/{name}", json=body, headers=who)
        return answer.status_code, answer.get_json().get("error_code")

    assert call("radarr_search", arguments={"query": "inc"}) == (200, None)
    assert call("no_such_tool") == (404, "TOOL_NOT_FOUND")
    assert call("radarr_search", customer, arguments={"query": "inc"}) == (403, "TOOL_FORBIDDEN")
    assert call("radarr_search", arguments={"query": 5}) == (422, "BAD_ARGUMENTS")
    assert call("sonarr_search", arguments={"query": "x"}) == (404, "SERVICE_NOT_FOUND")
    odd.next = plain(b"<html>no</html>", 500)
    assert call("odd_get") == (502, "UPSTREAM_ERROR")
    odd.next = plain(b"", 401)
    assert call("odd_get") == (502, "UPSTREAM_UNAUTHORIZED")
    odd.waits = threading.Event()
    assert call("odd_get") == (502, "UPSTREAM_TIMEOUT")
    odd.waits.set()
    assert rows(database) == [
        ("radarr_search", "success", None, "Films"),
        ("no_such_tool", "failed", "TOOL_NOT_FOUND", None),
        ("radarr_search", "failed", "TOOL_FORBIDDEN", None),
        ("radarr_search", "failed", "BAD_ARGUMENTS", None),
        ("sonarr_search", "failed", "SERVICE_NOT_FOUND", None),
        ("odd_get", "failed", "UPSTREAM_ERROR", "Odd"),
        ("odd_get", "failed", "UPSTREAM_UNAUTHORIZED", "Odd"),
        ("odd_get", "failed", "UPSTREAM_TIMEOUT", "Odd"),
    ]


def test_a_crash_in_a_tool_is_a_failed_call_and_tells_nothing(
    client: FlaskClient, admin: dict[str, str], radarr: Radarr, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: Any, **__: Any) -> None:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr(calling, "connect", crash)
    answer = client.post(f"{TOOLS}/radarr_search", json={"arguments": {"query": "x"}}, headers=admin)
    assert answer.status_code == 500
    assert "hunter2" not in answer.text
    assert rows(database) == [("radarr_search", "failed", "INTERNAL_ERROR", "Films")]
    assert "hunter2" not in client.get(HISTORY, headers=admin).text


def test_a_call_whose_process_ended_is_closed_after_a_while(
    client: FlaskClient, admin: dict[str, str], database: Database
) -> None:
    new = calls.NewCall("plex_search", "admin", None, "rest", {}, None)
    with database.transaction() as session:
        calls.begin(session, new)
        late = calls.begin(session, new)
        session.execute(
            update(ToolCall).where(ToolCall.id == late).values(at=ToolCall.at - calls.LONGEST - calls.LONGEST)
        )
        assert calls.give_up(session) == 1
    pending, crashed = client.get(HISTORY, headers=admin).get_json()["items"]
    assert (pending["status"], crashed["status"], crashed["error_code"]) == ("pending", "failed", "CRASHED")


def test_secrets_among_the_arguments_are_not_kept(
    client: FlaskClient, admin: dict[str, str], odd: Odd, database: Database
) -> None:
    arguments = {
        "q": f"https://x/?api_key=CANARY1&y=1 Bearer CANARY2.x {KEY}",
        "password": "CANARY3",
        "deep": [{"token": 4}],
    }
    client.post(f"{TOOLS}/odd_get", json={"arguments": arguments}, headers=admin)
    client.post(f"{TOOLS}/nothing", json={"arguments": {"a" * 2000: "b" * 20_000}}, headers=admin)
    text = client.get(HISTORY, headers=admin).text
    assert "CANARY" not in text
    assert len(text) < 5000
    with database.reading() as session:
        (first, _) = session.scalars(select(ToolCall).order_by(ToolCall.id))
    assert first.arguments["password"] == "***"
    assert first.arguments["deep"] == [{"token": "***"}]


def test_a_destructive_call_is_made_twice_and_its_token_is_good_for_that_call_once(
    client: FlaskClient, admin: dict[str, str], radarr: Radarr
) -> None:
    movie = 7
    radarr.library[movie] = {"id": movie, "title": "Inception"}
    path = f"{TOOLS}/radarr_delete_movie"

    def delete(number: int, token: str | None = None) -> Any:
        body = {"arguments": {"movie_id": number}, "confirmation_token": token}
        return client.post(path, json=body, headers=admin)

    first = delete(movie)
    assert (first.status_code, first.get_json()["error_code"]) == (409, "CONFIRMATION_REQUIRED")
    token = first.get_json()["confirmation_token"]
    assert token in first.get_json()["detail"]
    assert movie in radarr.library
    assert token not in client.get(HISTORY, headers=admin).text
    assert delete(movie + 1, token).status_code == 422
    assert delete(movie, "x" + token).status_code == 422
    assert delete(movie, token).status_code == 200
    assert movie not in radarr.library
    again = delete(movie, token)
    assert again.status_code == 422
    assert "used before" in again.get_json()["detail"]


def test_after_five_calls_without_an_answer_nobody_is_sent_there_for_a_while(
    client: FlaskClient, admin: dict[str, str], odd: Odd, database: Database
) -> None:
    odd.close()
    for _ in range(5):
        assert (
            client.post(f"{TOOLS}/odd_get", json={}, headers=admin).get_json()["error_code"] == "UPSTREAM_UNAVAILABLE"
        )
    closed = client.post(f"{TOOLS}/odd_get", json={}, headers=admin)
    assert "5 times in a row" in closed.get_json()["detail"]
    with database.transaction() as session:
        session.execute(update(Service).values(closed_until=Service.created_at))
    assert "refused the connection" in client.post(f"{TOOLS}/odd_get", json={}, headers=admin).get_json()["detail"]


def test_the_service_that_is_named_is_called_else_the_first_that_is_well(
    client: FlaskClient, admin: dict[str, str], radarr: Radarr, database: Database
) -> None:
    body = {"name": "More films", "type": "radarr", "url": radarr.url, "api_key": KEY}
    second = client.post("/api/services", json=body, headers=admin).get_json()["id"]

    def called(**named: Any) -> Any:
        client.post(f"{TOOLS}/radarr_search", json={"arguments": {"query": "x"}, **named}, headers=admin)
        return client.get(f"{HISTORY}?limit=1", headers=admin).get_json()["items"][0]["service"]

    assert called() == "Films"
    assert called(service_id=second) == "More films"
    with database.transaction() as session:
        session.execute(update(Service).where(Service.name == "Films").values(is_healthy=False))
    assert called() == "More films"
    client.put(f"/api/services/{second}", json={"enabled": False}, headers=admin)
    assert called() == "Films"
    off = {"arguments": {"query": "x"}, "service_id": second}
    answer = client.post(f"{TOOLS}/radarr_search", json=off, headers=admin)
    assert (answer.status_code, answer.get_json()["error_code"]) == (409, "SERVICE_DISABLED")


def test_many_calls_at_once_leave_a_row_each(
    client: FlaskClient, admin: dict[str, str], radarr: Radarr, database: Database
) -> None:
    app = client.application

    def call(_: int) -> int:
        answer = app.test_client().post(f"{TOOLS}/radarr_search", json={"arguments": {"query": "x"}}, headers=admin)
        return answer.status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(call, range(40))) == {200}
    assert rows(database) == [("radarr_search", "success", None, "Films")] * 40


def test_others_calls_are_seen_by_administrators_only(
    client: FlaskClient, admin: dict[str, str], customer: dict[str, str], radarr: Radarr
) -> None:
    for who in (admin, customer):
        client.post(f"{TOOLS}/radarr_search", json={"arguments": {"query": "x"}}, headers=who)
    assert client.get(HISTORY, headers=admin).get_json()["total"] == 2
    seen = client.get(HISTORY, headers=customer).get_json()
    assert [item["error_code"] for item in seen["items"]] == ["TOOL_FORBIDDEN"]
    statistics = client.get("/api/mcp/statistics", headers=admin).get_json()
    (line,) = statistics["by_tool"]
    assert (line["name"], line["calls"], line["failed"]) == ("radarr_search", 2, 1)
    assert {each["name"] for each in statistics["by_user"]} == {"admin", "client"}
    assert client.get("/api/mcp/statistics", headers=customer).get_json()["by_tool"][0]["calls"] == 1
