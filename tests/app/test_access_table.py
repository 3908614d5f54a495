"""The table of who may use what: as the routes declare it, and nothing that is somebody's without a word about it."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import access_table
from app.access_table import Line
from models.accounts import ROLES

# What everybody of the roles may reach by its id, whoever made it. A new one is named here, so that somebody thinks
# about it.
SHARED_BY_ALL = {
    # Pages' files, without a secret in them.
    *("GET /static/<path:name>", "GET /docs/<release>/<name>"),
    # Courses belong to the house, as does what is spoken of them.
    *("GET /api/curriculum/<curriculum_id>", "PUT /api/curriculum/<curriculum_id>"),
    *("DELETE /api/curriculum/<curriculum_id>", "GET /api/curriculum/<curriculum_id>/export"),
    "GET /api/curriculum/<curriculum_id>/assets/<path:path>",
    "GET /api/curriculum/<curriculum_id>/topics/<topic_id>/captions",
    # Its name is a hash of what is said: who has it knows the text.
    *("GET /api/speech/<key>.<extension>", "GET /api/speech/<key>/captions"),
    "GET /v1/models/<model>",
    # Detectors are used by all, and changed by whoever trained them.
    *("GET /api/models/<model_id>", "GET /api/models/<model_id>/download", "GET /api/models/<model_id>/report"),
    *("GET /api/models/<model_id>/det.png", "GET /api/models/<model_id>/versions"),
    *("POST /api/models/<model_id>/retrain", "SOCKET /api/test/ws/<model_id>"),
    # The groups decide.
    "POST /api/mcp/tools/<name>",
}


@pytest.fixture
def lines(client: FlaskClient) -> list[Line]:
    """The table's lines."""
    return list(access_table.lines(client.application))


def test_the_page_has_the_table_as_the_routes_declare_it(client: FlaskClient) -> None:
    written = access_table.PAGE.read_text()
    assert written.count(access_table.BEGIN) == written.count(access_table.END) == 1
    assert access_table.page(client.application, written) == written, "run `python -m app.access_table`"


def test_every_route_and_socket_has_one_line_and_every_line_a_cell_for_every_role(client: FlaskClient) -> None:
    rules = client.application.url_map.iter_rules()
    routes = {
        f"{method} {rule.rule}"
        for rule in rules
        for method in ({"SOCKET"} if rule.websocket else (rule.methods or set()) - {"HEAD", "OPTIONS"})
    }
    rows = [row.split(" | ") for row in access_table.tables(client.application).splitlines() if row.startswith("| `")]
    assert sorted(row[0].strip("| `") for row in rows) == sorted(routes)
    cell = re.compile(r"yes|own|4?40[13]|own, else 4?40[34]")
    assert len(rows) > 190
    assert [row for row in rows if not all(cell.fullmatch(each) for each in row[1 : 2 + len(ROLES)])] == []


def test_what_leads_to_one_thing_of_many_says_whose_it_is_or_is_known_to_be_everybodys(lines: list[Line]) -> None:
    # Administrators and operators reach all there is.
    others = set(ROLES) - {"admin", "operator"}
    open_to_others = {line.name: line for line in lines if line.access is None or others & line.access}
    unsaid = {name for name, line in open_to_others.items() if line.parameters and line.whose is None}
    assert unsaid == SHARED_BY_ALL


def test_a_route_that_declares_nothing_would_be_nobodys_in_the_table(client: FlaskClient) -> None:
    app: Flask = client.application
    app.add_url_rule("/hole", view_func=lambda: "come in", endpoint="hole")
    hole = next(line for line in access_table.lines(app) if line.rule == "/hole")
    assert [hole.cell(role) for role in (None, *ROLES)] == ["401"] + ["403"] * len(ROLES)
    assert access_table.page(app, access_table.PAGE.read_text()) != access_table.PAGE.read_text()
