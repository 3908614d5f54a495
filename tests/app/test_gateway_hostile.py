"""What somebody hostile sends by way of the gateway: no process is held up, and nothing secret is told."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from config.settings import Settings
from models.gateway.groups import Rule
from tests.outside.scripted import Scripted
from tests.outside.server import plain, running

TOOLS = "/api/mcp/tools"
KEY = "SuperSecretKey123"


@pytest.fixture
def site(client: FlaskClient, admin: dict[str, str]) -> Iterator[Scripted]:
    """A service whose answers a test chooses."""
    with running(Scripted()) as server:
        tool = {"name": "site_get", "description": "Get it", "path": "/", "parameters": {"pin": {"type": "string"}}}
        tool["parameters"]["pin"] |= {"maxLength": 4}  # type: ignore[index]
        body = {"name": "Site", "type": "generic_http", "url": server.url, "api_key": KEY, "config": {"tools": [tool]}}
        answer = client.post("/api/services", json=body, headers=admin)
        assert answer.status_code == 201, answer.text
        yield server


def call(client: FlaskClient, headers: dict[str, str], **arguments: Any) -> Any:
    return client.post(f"{TOOLS}/site_get", json={"arguments": arguments}, headers=headers)


def last(client: FlaskClient, admin: dict[str, str]) -> dict[str, Any]:
    item: dict[str, Any] = client.get("/api/mcp/history?limit=1", headers=admin).get_json()["items"][0]
    return item


@pytest.mark.parametrize("text", ["a\\u0000b", "\\ud800"])
def test_an_error_that_cannot_be_written_is_told_and_kept_all_the_same(
    client: FlaskClient, admin: dict[str, str], site: Scripted, text: str
) -> None:
    bad = plain(f'{{"message": "{text}"}}'.encode(), 400, "application/json")
    site.says("/", bad)
    assert call(client, admin).status_code == 502
    assert last(client, admin)["status"] == "failed"
    number = client.get("/api/services", headers=admin).get_json()[0]["id"]
    tested = client.post(f"/api/services/{number}/test", headers=admin)
    assert (tested.status_code, tested.get_json()["success"]) == (200, False)


@pytest.mark.parametrize("charset", ["nosuch", "punycode", "idna", "base64"])
def test_the_encoding_that_an_answer_names_is_not_believed(
    client: FlaskClient, admin: dict[str, str], site: Scripted, charset: str
) -> None:
    site.says("/", plain(b"x" * 200_000, 200, f"text/plain; charset={charset}"))
    began = time.process_time()
    assert call(client, admin).status_code == 200
    assert time.process_time() - began < 3


def test_a_key_that_a_service_repeats_reaches_nobody(
    client: FlaskClient, admin: dict[str, str], site: Scripted
) -> None:
    told = {"headers": {"X-Api-Key": KEY, KEY: 1}, "escaped": "@"}
    site.says("/", plain(json.dumps(told).replace("@", "".join(f"\\u{ord(each):04x}" for each in KEY)).encode(), 200))
    answer = call(client, admin)
    assert answer.status_code == 200
    assert KEY not in answer.text
    assert answer.get_json()["result"]["escaped"] == "***"


def test_an_answer_without_numbers_is_json_still(client: FlaskClient, admin: dict[str, str], site: Scripted) -> None:
    site.says("/", plain(b'{"a": NaN, "b": 1e999, "c": -Infinity, "d": 1.5}', 200, "application/json"))
    assert call(client, admin).get_json()["result"] == {"a": None, "b": None, "c": None, "d": 1.5}
    site.says("/", plain(b'{"a":' * 900 + b"1" + b"}" * 900, 200, "application/json"))
    assert call(client, admin).status_code == 502


def test_a_secret_that_does_not_fit_is_not_quoted(client: FlaskClient, admin: dict[str, str], site: Scripted) -> None:
    answer = call(client, admin, pin="hunter2secret")
    assert answer.status_code == 422
    assert "hunter2" not in answer.text
    assert "hunter2" not in json.dumps(last(client, admin))


def test_what_is_kept_of_a_call_is_bounded_and_nothing_of_one_that_was_not_to_be(
    client: FlaskClient, admin: dict[str, str], customer: dict[str, str], site: Scripted
) -> None:
    much = {f"a{number}": [["x" * 480] * 50] * 50 for number in range(8)}
    assert call(client, admin, **much).status_code == 422
    assert 0 < len(json.dumps(last(client, admin)["arguments"])) < 40_000
    for who, tool in ((customer, "site_get"), (admin, "nosuch")):
        client.post(f"{TOOLS}/{tool}", json={"arguments": much}, headers=who)
        assert last(client, admin)["arguments"] == {}


@pytest.mark.parametrize(
    ("body", "everybody"),
    [({"x" * 2**20: [0] * 1500}, 400), ({"a": [0] * 1_200_000}, 413)],
    ids=["long name", "many"],
)
def test_a_body_of_everybodys_is_small_and_that_of_others_is_read_without_a_bomb(
    client: FlaskClient, admin: dict[str, str], body: dict[str, Any], everybody: int
) -> None:
    began = time.process_time()
    assert client.post("/api/auth/login", json=body).status_code == everybody
    refused = client.post("/api/groups", json=body, headers=admin)
    assert refused.status_code == 422
    assert len(refused.data) < 5000
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    ("pattern", "tool", "covers"),
    [
        ("*" * 40 + "Z", "a" * 64, False),
        ("*" * 40, "plex_search", True),
        ("plex_*", "plex_", True),
        ("*_search", "plex_search", True),
        ("a*b*a", "aba", True),
        ("a*a", "a", False),
        ("a*b*c", "acb", False),
        ("plex_search", "plex_search", True),
        ("plex_search", "plex_searchx", False),
    ],
)
def test_a_pattern_is_read_in_the_time_of_its_length(pattern: str, tool: str, covers: bool) -> None:
    assert Rule("g", pattern).covers(tool) is covers


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"auth": {"header": "X\r\nY"}}, "no header"),
        ({"auth": {"header": "Host"}}, "no header"),
        ({"auth": {"header": "X-Y", "prefix": "é"}}, "no header may hold"),
        ({"tools": [{"name": "zz\n", "description": "d", "path": "/"}]}, "name"),
        ({"tools": [{"name": "zz", "description": "d", "path": "/", "headers": {"Content-Length": "1"}}]}, "no header"),
        (
            {"tools": [{"name": "zz", "description": "d", "path": "/", "parameters": {"a": {"pattern": "^(a+)+$"}}}]},
            "pattern",
        ),
    ],
)
def test_a_declaration_that_could_never_work_or_never_end_is_refused(
    client: FlaskClient, admin: dict[str, str], config: dict[str, Any], named: str
) -> None:
    body = {"name": "x", "type": "generic_http", "url": "http://127.0.0.1:9", "config": config}
    answer = client.post("/api/services", json=body, headers=admin)
    assert answer.status_code == 422
    assert named in answer.get_json()["detail"]


def test_numbers_that_no_row_has_are_not_found(client: FlaskClient, admin: dict[str, str]) -> None:
    for path in ("services", "groups", "users/mappings"):
        for number in (2**31, 2**40, 10**30):
            assert client.get(f"/api/{path}/{number}", headers=admin).status_code == 404


# --- Where the surface needs no credential ----------------------------------------------------------------------------


@pytest.fixture
def opened(configured: Settings, clean: None) -> Iterator[FlaskClient]:
    """A client of an installation whose gateway is open."""
    from app import create_app

    app = create_app(dataclasses.replace(configured, open_surfaces=frozenset({"gateway"})))
    yield app.test_client()
    app.extensions["voiceworks"].hub.stop()
    app.extensions["voiceworks"].database.dispose()


def test_an_open_gateway_gives_no_accounts_and_no_tools_of_what_is_closed(opened: FlaskClient) -> None:
    listed = {tool["name"] for tool in opened.get(TOOLS).get_json()}
    assert "plex_search" in listed
    assert not {"jobs_list", "course_delete", "speech_speak"} & listed
    assert opened.post(f"{TOOLS}/jobs_list", json={}).status_code == 403
    exported = opened.post("/api/backup/export", json={"passphrase": "of my own choosing"})
    assert exported.status_code == 200
    assert not {"users", "api_keys"} & set(exported.get_json()["data"])
    assert opened.post("/api/backup/export", json={"users": True}).status_code == 403
    mine = {"version": "1.0", "data": {"users": []}, "options": {"merge_mode": True}}
    assert opened.post("/api/backup/import", json=mine).status_code == 403
    assert opened.post("/api/backup/import", json={"snapshot": "x"}).status_code == 403


@pytest.mark.parametrize(
    ("headers", "host", "allowed"),
    [
        ({}, "localhost:8002", True),
        ({}, "192.168.1.5:8002", True),
        ({}, "nas:8002", True),
        ({}, "nas.local", True),
        ({}, "evil.example:8002", False),
        ({"Origin": "http://evil.example"}, "localhost:8002", False),
        ({"Origin": "http://localhost:8002"}, "localhost:8002", True),
    ],
)
def test_an_open_gateway_is_no_ones_page_but_ours(
    opened: FlaskClient, headers: dict[str, str], host: str, allowed: bool
) -> None:
    answer = opened.get("/api/services", headers=headers | {"Host": host})
    assert answer.status_code == (200 if allowed else 401)
