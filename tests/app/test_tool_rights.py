"""Who may call which tool: the same by every door, whatever groups there are."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from app.tools import own
from models.db import Database
from models.gateway.tables import Group, ToolCall, UserMapping
from tests.outside.overseerr import Overseerr
from tests.outside.server import KEY, running
from workers.clients.types import types

TOOLS = "/api/mcp/tools"
NAMES = sorted(tool.name for kind in types().values() for tool in kind.tools)
PEOPLE = ("client", "somebody", "nobody")
PATTERNS = st.sampled_from(
    [
        *NAMES,
        "*",
        "plex_*",
        "radarr_*",
        "*_search",
        "*_delete_*",
        "plex",
        "plex_",
        "_search",
        "p*h",
        "**",
    ]
)
GROUPS = st.lists(
    st.tuples(st.lists(PATTERNS, max_size=3, unique=True), st.lists(st.sampled_from(PEOPLE), max_size=3, unique=True)),
    max_size=4,
)


@pytest.fixture
def wiped(database: Database) -> Any:
    """Forgets groups and people."""

    def wipe() -> None:
        with database.transaction() as session:
            for table in (Group, UserMapping, ToolCall):
                session.execute(delete(table))

    return wipe


@given(groups=GROUPS, known=st.booleans())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_tool_is_listed_callable_and_explained_exactly_where_a_group_says_so(
    client: FlaskClient,
    admin: dict[str, str],
    customer: dict[str, str],
    wiped: Any,
    groups: list[tuple[list[str], list[str]]],
    known: bool,
) -> None:
    wiped()
    for name in PEOPLE:
        if name != "client" or known:
            assert client.post("/api/users/mappings", json={"canonical_name": name}, headers=admin).status_code == 201
    for number, (patterns, members) in enumerate(groups):
        there = [name for name in members if name != "client" or known]
        body = {"name": f"g{number}", "tool_permissions": patterns, "members": there}
        assert client.post("/api/groups", json=body, headers=admin).status_code == 201
    rules = [pattern for patterns, members in groups if "client" in members for pattern in patterns]
    any_rule = any(patterns for patterns, _ in groups)

    def may(tool: str) -> bool:
        # Said once more, and otherwise: names hold nothing that fnmatch would take for a pattern.
        return known and (not any_rule or any(fnmatchcase(tool, rule) for rule in rules))

    listed = {tool["name"] for tool in client.get(TOOLS, headers=customer).get_json()}
    assert listed & set(NAMES) == {name for name in NAMES if may(name)}
    for name in (NAMES[0], "plex_search", "radarr_delete_movie"):
        # Nothing is configured, so what is allowed finds no service, or has to be told more.
        answer = client.post(f"{TOOLS}/{name}", json={}, headers=customer)
        assert (answer.status_code != 403) == may(name), (name, answer.get_json())
        if not may(name):
            assert answer.get_json()["error_code"] == "TOOL_FORBIDDEN"
        explained = client.get(f"/api/groups/explain?user=client&tool={name}", headers=admin).get_json()
        assert explained["allowed"] == may(name)
        if explained["group"]:
            assert fnmatchcase(name, explained["pattern"])


def test_an_administrator_may_call_every_tool_whatever_groups_say(client: FlaskClient, admin: dict[str, str]) -> None:
    client.post("/api/groups", json={"name": "few", "tool_permissions": ["plex_search"]}, headers=admin)
    listed = {tool["name"] for tool in client.get(TOOLS, headers=admin).get_json()}
    assert listed == set(NAMES) | set(own.tools())


def test_a_permission_that_is_taken_away_is_gone_with_the_next_call(
    client: FlaskClient, admin: dict[str, str], customer: dict[str, str]
) -> None:
    client.post("/api/users/mappings", json={"canonical_name": "client"}, headers=admin)
    group = {"name": "all", "tool_permissions": ["*"], "members": ["client"]}
    group_id = client.post("/api/groups", json=group, headers=admin).get_json()["id"]
    call = {"arguments": {"query": "x"}}
    assert client.post(f"{TOOLS}/plex_search", json=call, headers=customer).status_code == 404
    client.put(f"/api/groups/{group_id}/permissions", json={"tools": ["radarr_*"]}, headers=admin)
    assert client.post(f"{TOOLS}/plex_search", json=call, headers=customer).status_code == 403
    client.put(f"/api/groups/{group_id}/permissions", json={"tools": ["*"]}, headers=admin)
    client.put(f"/api/groups/{group_id}/members", json={"members": []}, headers=admin)
    assert client.post(f"{TOOLS}/plex_search", json=call, headers=customer).status_code == 403


def test_somebody_is_known_by_the_address_of_their_account(
    client: FlaskClient, admin: dict[str, str], customer: dict[str, str]
) -> None:
    mapping = {"canonical_name": "john", "email": "Client@Example.com"}
    client.post("/api/users/mappings", json=mapping, headers=admin)
    assert client.post(f"{TOOLS}/plex_search", json={}, headers=customer).status_code == 403
    (account,) = [
        user for user in client.get("/api/users", headers=admin).get_json()["users"] if user["username"] == "client"
    ]
    client.patch(f"/api/users/{account['id']}", json={"email": "client@example.com"}, headers=admin)
    assert client.post(f"{TOOLS}/plex_search", json={}, headers=customer).status_code == 422
    (item,) = client.get("/api/mcp/history?status=failed&limit=1", headers=admin).get_json()["items"]
    assert item["user"] == "john"
    explained = client.get("/api/groups/explain?user=john&tool=plex_search", headers=admin).get_json()
    assert explained["allowed"]


@pytest.mark.parametrize(
    ("method", "path", "body", "named"),
    [
        ("POST", "/api/groups", {"name": "g", "tool_permissions": ["a b"]}, "a b"),
        ("POST", "/api/groups", {"name": "g", "members": ["ghost"]}, "ghost"),
        ("POST", "/api/groups", {"name": "  "}, "name"),
        ("POST", "/api/groups", {"name": "g", "extra": 1}, "extra"),
        ("POST", "/api/users/mappings", {"canonical_name": "x", "service_mappings": {"plex": 1}}, "plex"),
        ("POST", "/api/users/mappings", {"email": "x@y"}, "canonical_name"),
        ("GET", "/api/groups/explain?user=x", None, "tool"),
    ],
)
def test_bad_input_is_refused_by_name(
    client: FlaskClient, admin: dict[str, str], method: str, path: str, body: Any, named: str
) -> None:
    answer = client.open(path, method=method, json=body, headers=admin)
    assert answer.status_code == 422
    assert named in answer.get_json()["detail"]
    assert client.get("/api/groups", headers=admin).get_json() == []


def test_who_calls_is_who_their_mapping_says_at_the_service(
    client: FlaskClient, admin: dict[str, str], customer: dict[str, str]
) -> None:
    with running(Overseerr()) as server:
        service = {"name": "Wishes", "type": "overseerr", "url": server.url, "api_key": KEY}
        client.post("/api/services", json=service, headers=admin)
        mapping = {"canonical_name": "client", "service_mappings": {"overseerr": "guest 2", "Wishes": "john_plex"}}
        mapped = client.post("/api/users/mappings", json=mapping, headers=admin).get_json()["id"]

        def requested(tmdb_id: int, media_type: str) -> Any:
            call = {"arguments": {"media_type": media_type, "tmdb_id": tmdb_id}}
            answer = client.post(f"{TOOLS}/overseerr_request", json=call, headers=customer)
            assert answer.status_code == 200, answer.text
            return answer.get_json()["result"]["request"]["requested_by"]

        assert requested(438631, "movie") == "John"
        client.put(f"/api/users/mappings/{mapped}", json={"service_mappings": {"overseerr": "guest 2"}}, headers=admin)
        assert requested(60735, "tv") == "guest 2"
