"""Every line of gateway.md: services, people, tools and their history, closed and open."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from models.db import Database
from models.gateway.tables import Service, ToolCall
from tests.conftest import CLIENT_KEY
from tests.contract.conftest import GATEWAY_URL, Reach, gateway_refused, routes, template
from tests.contract.document import assert_shaped
from tests.contract.gateway_headings import GATEWAY, documented, titles
from tests.outside.plex import Plex
from tests.outside.server import KEY, running

CREATE = GATEWAY["Create Service"].request
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def plex() -> Iterator[str]:
    """The URL of somebody's Plex."""
    with running(Plex()) as server:
        yield server.url


def made(gateway: Reach, **own: Any) -> dict[str, Any]:
    """A service as it was stored, of the documented body."""
    answer = gateway(CREATE, body=CREATE.body(**own))
    assert answer.status_code == 201, answer.text
    stored: dict[str, Any] = answer.get_json()
    return stored


def test_every_heading_has_a_test() -> None:
    for path in sorted(Path(__file__).parent.glob("test_gateway_*.py")):
        importlib.import_module(f"tests.contract.{path.stem}")
    titles.assert_all_answered()


@documented("Base URL")
def test_every_documented_path_is_there_and_its_port_is_the_documented_one(gateway: Reach) -> None:
    assert GATEWAY["Base URL"].code == [GATEWAY_URL]
    promised = [request for heading in GATEWAY.headings.values() for request in heading.requests]
    there = routes(gateway.http)
    assert {template(each.method, each.target) for each in promised} <= there
    sockets = [line for heading in GATEWAY.headings.values() for code in heading.code for line in code.splitlines()]
    paths = [line.split("8002")[1].split("'")[0] for line in sockets if "new WebSocket" in line]
    assert {f"WS {path.replace('SESSION_ID', '{}')}" for path in paths} <= there


@documented("Interactive Documentation")
def test_the_documents_pages_are_there_without_a_credential(gateway: Reach) -> None:
    for bullet in GATEWAY["Interactive Documentation"].bullets:
        url = bullet.split(": ", 1)[1]
        answer = gateway.http.get(url.removeprefix(GATEWAY_URL), base_url=GATEWAY_URL)
        assert answer.status_code == 200
        assert answer.mimetype == "text/html"


@documented("Health Check")
def test_health_is_told_to_everybody(gateway: Reach) -> None:
    answer = gateway(GATEWAY["Health Check"].request, public=True)
    assert answer.status_code == 200
    assert_shaped(answer.get_json(), GATEWAY["Health Check"].answer)


@documented("System Metrics")
def test_the_systems_metrics_are_the_documented_ones(gateway: Reach, plex: str) -> None:
    service = made(gateway, url=plex, api_key=KEY)
    gateway(GATEWAY["Test Service Connection"].request, service_id=str(service["id"]))
    answer = gateway(GATEWAY["System Metrics"].request)
    assert answer.status_code == 200
    assert_shaped(answer.get_json(), GATEWAY["System Metrics"].answer)
    assert (answer.get_json()["services_healthy"], answer.get_json()["services_total"]) == (1, 1)


@documented("List Services", "Create Service", "Update Service", "Delete Service")
def test_a_service_is_created_listed_changed_and_removed(gateway: Reach, database: Database) -> None:
    stored = made(gateway)
    shown = {name: value for name, value in CREATE.fields.items() if name != "api_key"}
    assert {name: stored[name] for name in shown} == shown
    (listed,) = gateway(GATEWAY["List Services"].request).get_json()
    assert listed == stored
    # Nobody looked at it yet.
    documented_one = GATEWAY["List Services"].answer[0]
    assert_shaped(listed | {"last_check": documented_one["last_check"]}, documented_one)
    assert listed["last_check"] is None
    with database.reading() as session:
        assert "your-plex-token" not in str(vars(session.scalars(select(Service)).one()))

    update = GATEWAY["Update Service"].request
    changed = gateway(update, body=update.fields, service_id=str(stored["id"]))
    assert changed.status_code == 200
    assert changed.get_json()["name"] == update.fields["name"]
    assert changed.get_json()["url"] == CREATE.fields["url"]
    assert changed.get_json()["has_api_key"]

    removed = gateway(GATEWAY["Delete Service"].request, service_id=str(stored["id"]))
    assert removed.status_code == 200
    assert removed.get_json()["message"]
    assert gateway(GATEWAY["List Services"].request).get_json() == []
    missing = gateway(GATEWAY["Delete Service"].request, service_id=str(stored["id"]))
    gateway_refused(missing, 404, "SERVICE_NOT_FOUND")


@documented("Test Service Connection")
def test_a_services_connection_is_tested(gateway: Reach, plex: str) -> None:
    test = GATEWAY["Test Service Connection"]
    service = made(gateway, url=plex, api_key=KEY)
    answer = gateway(test.request, service_id=str(service["id"]))
    assert answer.status_code == 200
    assert_shaped(answer.get_json(), test.answer)
    assert answer.get_json() == test.answer | {"response_time_ms": answer.get_json()["response_time_ms"]}
    (listed,) = gateway(GATEWAY["List Services"].request).get_json()
    assert_shaped(listed, GATEWAY["List Services"].answer[0])
    assert listed["is_healthy"]

    wrong = made(gateway, name="Another", url=plex, api_key="another-key")
    answer = gateway(test.request, service_id=str(wrong["id"]))
    assert answer.status_code == 200
    assert_shaped(answer.get_json(), test.answer)
    assert not answer.get_json()["success"]
    assert "another-key" not in answer.text


@documented("List User Mappings", "Create User Mapping")
def test_a_user_mapping_is_created_and_listed(gateway: Reach) -> None:
    create = GATEWAY["Create User Mapping"].request
    answer = gateway(create, body=create.fields)
    assert answer.status_code == 201
    assert answer.get_json() == answer.get_json() | create.fields
    assert isinstance(answer.get_json()["id"], int)
    assert gateway(GATEWAY["List User Mappings"].request).get_json() == [answer.get_json()]
    gateway_refused(gateway(create, body=create.fields), 409, "CONFLICT")


@documented("List Groups", "Create Group", "Update Group Permissions")
def test_a_group_is_created_listed_and_given_permissions(gateway: Reach) -> None:
    create, permit = GATEWAY["Create Group"].request, GATEWAY["Update Group Permissions"].request
    answer = gateway(create, body=create.fields)
    assert answer.status_code == 201
    assert answer.get_json() == answer.get_json() | create.fields
    assert gateway(GATEWAY["List Groups"].request).get_json() == [answer.get_json()]
    permitted = gateway(permit, body=permit.fields, group_id=str(answer.get_json()["id"]))
    assert permitted.status_code == 200
    assert permitted.get_json()["tool_permissions"] == permit.fields["tools"]
    gateway_refused(gateway(create, body=create.fields), 409, "CONFLICT")


@documented("List Available Tools")
def test_the_documented_tools_are_listed_as_documented(gateway: Reach) -> None:
    listed = {tool["name"]: tool for tool in gateway(GATEWAY["List Available Tools"].request).get_json()}
    (example,) = GATEWAY["List Available Tools"].answer
    found = listed[example["name"]]
    assert found["description"] == example["description"]
    for name, parameter in example["parameters"].items():
        assert found["parameters"][name] == found["parameters"][name] | parameter
    assert set(GATEWAY["Update Group Permissions"].request.fields["tools"]) <= set(listed)


@documented("MCP Request History")
def test_the_history_has_every_call_and_takes_the_documented_filters(gateway: Reach, plex: str) -> None:
    made(gateway, url=plex, api_key=KEY)
    call = "/api/mcp/tools/plex_search"
    good = gateway.http.post(
        call, base_url=GATEWAY_URL, json={"arguments": {"query": "Inc"}}, headers=gateway.credential
    )
    assert good.status_code == 200, good.text
    assert good.get_json()["success"] is True
    bad = gateway.http.post(call, base_url=GATEWAY_URL, json={"arguments": {}}, headers=gateway.credential)
    gateway_refused(bad, 422, "BAD_ARGUMENTS")

    history = GATEWAY["MCP Request History"]
    names = [bullet.split("`")[1] for bullet in history.bullets]
    assert names == ["limit", "offset", "tool_name", "status"]
    everything = gateway(history.request).get_json()
    assert (everything["total"], everything["limit"], everything["offset"]) == (2, 50, 0)
    assert [item["status"] for item in everything["items"]] == ["failed", "success"]
    for query, count in (
        ("?limit=1", 1),
        ("?offset=1", 1),
        ("?tool_name=plex_search", 2),
        ("?tool_name=radarr_search", 0),
        ("?status=success", 1),
        ("?status=failed", 1),
        ("?status=pending", 0),
    ):
        assert len(gateway(history.request, query=query).get_json()["items"]) == count, query
    gateway_refused(gateway(history.request, query="?status=denied"), 422, "VALIDATION_ERROR")


@documented("Error Responses", "Common HTTP Status Codes")
def test_errors_have_the_documented_form_and_statuses(gateway: Reach) -> None:
    shown = {int(row["Code"]) for row in GATEWAY["Common HTTP Status Codes"].rows}
    assert shown == {200, 201, 400, 404, 422, 500}
    (example,) = GATEWAY["Error Responses"].answers
    get = GATEWAY["Delete Service"].request
    missing = gateway(get, service_id="1")
    gateway_refused(missing, 404, example["error_code"])
    unknown = gateway.http.get("/api/no-such-thing", base_url=GATEWAY_URL)
    gateway_refused(unknown, 404, "NOT_FOUND")
    nothing = gateway(CREATE, body={})
    gateway_refused(nothing, 422, "VALIDATION_ERROR")
    assert "name" in nothing.get_json()["detail"]


def test_only_administrators_change_services_groups_and_mappings(gateway: Reach, database: Database) -> None:
    if not gateway.closed:
        pytest.skip("where the surface is open, everybody is an administrator")
    for title in ("Create Service", "Create User Mapping", "Create Group"):
        request = GATEWAY[title].request
        answer = gateway.send(request, body=request.fields, headers={"X-API-Key": CLIENT_KEY})
        gateway_refused(answer, 403, "FORBIDDEN")
    with database.reading() as session:
        assert session.scalars(select(ToolCall)).all() == []
