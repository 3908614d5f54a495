"""Tools that a configuration declares: what becomes of their arguments, and what is wrong with one is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from referencing.exceptions import Unresolvable

from tests.outside.calling import client_of
from tests.outside.server import KEY, Answer, Asked, Outside, as_json, running
from workers.clients.looking import look
from workers.clients.service import Refused
from workers.clients.tools import Tool
from workers.clients.types import types
from workers.errors import BadInput

TYPE = types()["generic_http"]
TEXT, NUMBER, TRUTH = {"type": "string", "required": True}, {"type": "integer"}, {"type": "boolean"}
SET = {
    "name": "lights_set",
    "description": "Switch the lights of a room",
    "method": "POST",
    "path": "/rooms/{room}/lights",
    "query": {"by": "voice of {who}", "dim": "{dim}", "fixed": 1},
    "body": {
        "on": "{on}",
        "says": "{room} is {on}",
        "levels": ["{dim}", "x"],
        "inner": {"who": "{who}"},
        "fixed": None,
    },
    "headers": {"X-From": "Voiceworks"},
    "parameters": {"room": TEXT, "on": TRUTH, "dim": NUMBER, "who": {"type": "string"}},
}


class Echo(Outside):
    """Tells what it was asked; where it was told to, it says no."""

    def answer(self, asked: Asked) -> Answer:
        if asked.path == "/refuse":
            return as_json({"error": "Not today."}, 422)
        return as_json({"line": asked.line, "query": asked.query, "body": asked.body if asked.content else None})


@pytest.fixture
def echo() -> Iterator[Echo]:
    with running(Echo()) as service:
        yield service


def declared(**tool: Any) -> Tool:
    config = {"tools": [{"name": "a_tool", "description": "It does it.", "path": "/"} | tool]}
    TYPE.read(config)
    (made,) = TYPE.declared(config)
    return made


def call(echo: Echo, tool: Tool, **arguments: Any) -> Any:
    tool.check(arguments)
    return tool.run(client_of("generic_http", echo.url), arguments)


# --- What becomes of arguments ---------------------------------------------------------------------------------------


def test_arguments_come_where_their_names_stand_in_braces_and_as_what_they_are(echo: Echo) -> None:
    told = call(echo, declared(**SET), room="living room", on=True, dim=40, who="Ada & Bob")
    assert told["line"] == "POST /rooms/living%20room/lights"
    assert told["query"] == {"by": "voice of Ada & Bob", "dim": "40", "fixed": "1"}
    assert told["body"] == {
        "on": True,
        "says": "living room is true",
        "levels": [40, "x"],
        "inner": {"who": "Ada & Bob"},
    }
    assert echo.asked[0].headers["x-from"] == "Voiceworks"


def test_a_field_whose_argument_is_not_given_is_left_out(echo: Echo) -> None:
    told = call(echo, declared(**SET), room="attic")
    assert told["query"] == {"by": "voice of ", "fixed": "1"}
    assert told["body"] == {"says": "attic is ", "levels": [None, "x"], "inner": {}}


def test_an_argument_is_never_read_as_a_template(echo: Echo) -> None:
    told = call(echo, declared(**SET), room="{who}", who="{room}", on=False)
    assert told["line"] == "POST /rooms/%7Bwho%7D/lights"
    assert told["body"]["inner"] == {"who": "{room}"}
    assert told["body"]["says"] == "{who} is false"


@pytest.mark.parametrize(
    "room",
    [
        "../../admin",
        "..%2f..%2fadmin",
        "%2e%2e",
        "%2e%2e%2f",
        "a/b",
        "a?x=1",
        "a#x",
        "//evil.example/",
        "a;b",
        "a\\b",
        "\n",
        "ä",
    ],
)
def test_an_argument_stays_one_part_of_the_path(echo: Echo, room: str) -> None:
    told = call(echo, declared(path="/rooms/{room}/lights", parameters={"room": TEXT}), room=room)
    before, part, after = told["line"].rsplit("/", 2)
    assert (before, after) == ("GET /rooms", "lights")
    assert part
    assert echo.asked[0].raw_query == ""


@pytest.mark.parametrize("path", ["/rooms/{room}", "/rooms/{room}/lights", "{room}/lights", "/{room}"])
@pytest.mark.parametrize("room", ["", ".", ".."])
def test_what_would_lead_upwards_or_to_all_is_no_part_of_a_path(echo: Echo, path: str, room: str) -> None:
    tool = declared(path=path, method="DELETE", parameters={"room": TEXT})
    with pytest.raises(BadInput, match=r"^room: '.*' is no part of a path") as caught:
        call(echo, tool, room=room)
    assert caught.value.code == "bad_arguments"
    assert echo.asked == []


def test_dots_cannot_be_put_together(echo: Echo) -> None:
    tool = declared(path="/rooms/{one}{two}/x", parameters={"one": TEXT, "two": TEXT})
    with pytest.raises(BadInput, match="no part of a path"):
        call(echo, tool, one=".", two=".")
    assert echo.asked == []


def test_numbers_and_truth_in_a_path_are_spelled_as_in_json(echo: Echo) -> None:
    tool = declared(
        path="/a/{number}/{truth}",
        parameters={"number": NUMBER | {"required": True}, "truth": TRUTH | {"required": True}},
    )
    assert call(echo, tool, number=-7, truth=False)["line"] == "GET /a/-7/false"


@pytest.mark.parametrize("path", ["http://evil.example/x", "https://evil.example/{a}"])
def test_a_declared_path_that_leads_elsewhere_is_not_asked(echo: Echo, path: str) -> None:
    tool = declared(path=path, parameters={"a": TEXT})
    with pytest.raises(BadInput, match="leads away from mine"):
        call(echo, tool, a="b")


def test_the_reason_of_a_service_is_told(echo: Echo) -> None:
    with pytest.raises(Refused, match=r"^mine answered 422: Not today\.$"):
        call(echo, declared(path="/refuse"))


# --- What a tool is --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "read_only", "destructive"),
    [
        ({}, True, False),
        ({"method": "POST"}, False, False),
        ({"method": "PATCH"}, False, False),
        ({"method": "DELETE"}, False, True),
        ({"method": "POST", "read_only": True}, True, False),
        ({"method": "GET", "destructive": True}, True, True),
    ],
)
def test_what_a_tool_does_follows_from_its_method_unless_it_is_said(
    said: dict[str, Any], read_only: bool, destructive: bool
) -> None:
    tool = declared(**said)
    assert (tool.read_only, tool.destructive) == (read_only, destructive)


def test_a_declared_tool_takes_what_it_declares_and_nothing_else() -> None:
    tool = declared(**SET)
    assert tool.schema["required"] == ["room"]
    for arguments, named in (
        ({}, "room"),
        ({"room": 1}, "room"),
        ({"room": "a", "dim": "b"}, "dim"),
        ({"room": "a", "x": 1}, "x"),
    ):
        with pytest.raises(BadInput, match=named) as caught:
            tool.check(arguments)
        assert caught.value.code == "bad_arguments"


# --- Where its key goes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        (None, "x-api-key", KEY),
        ({"header": "Authorization", "prefix": "Bearer "}, "authorization", f"Bearer {KEY}"),
        ({"header": "X-Token"}, "x-token", KEY),
    ],
)
def test_the_key_goes_into_the_header_that_is_said(
    echo: Echo, auth: Mapping[str, str] | None, header: str, value: str
) -> None:
    config = {"auth": auth} if auth else {}
    TYPE.read(config)
    assert look(TYPE, client_of("generic_http", echo.url, config=config)).healthy
    assert echo.asked[0].headers[header] == value
    assert sum(KEY in each for each in echo.asked[0].headers.values()) == 1


def test_or_into_the_query(echo: Echo) -> None:
    config = {"auth": {"query": "token"}, "health_path": "/status"}
    assert look(TYPE, client_of("generic_http", echo.url, config=config)).healthy
    assert (echo.asked[0].path, echo.asked[0].query) == ("/status", {"token": KEY})
    assert KEY not in str(echo.asked[0].headers)


def test_no_argument_takes_the_place_of_the_key(echo: Echo) -> None:
    config = {"auth": {"query": "token"}}
    tool = declared(query={"token": "{token}"}, parameters={"token": {"type": "string"}})
    client = client_of("generic_http", echo.url, config=config)
    # Which is in no answer either.
    assert tool.run(client, {"token": "another"})["query"] == {"token": "***"}
    assert echo.asked[-1].query == {"token": KEY}


# --- Faults of a configuration are named -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"tools": [{"name": "Bad Name", "description": "d", "path": "/"}]}, r"config\.tools\.0\.name: 'Bad Name'"),
        ({"tools": [{"name": "a", "path": "/"}]}, r"config\.tools\.0: 'description' is a required property"),
        ({"tools": [{"name": "a", "description": "d", "path": "/", "method": "TRACE"}]}, r"tools\.0\.method: 'TRACE'"),
        ({"tools": [{"name": "a", "description": "d", "path": "/", "verb": "GET"}]}, r"tools\.0: .*'verb'"),
        ({"tools": [{"name": "a", "description": "d", "path": "/"}] * 2}, r"config\.tools: a is declared twice"),
        (
            {"tools": [{"name": "a", "description": "d", "path": "/{x}"}]},
            r"config\.tools\.0: x stands in braces, but is no parameter",
        ),
        (
            {"tools": [{"name": "a", "description": "d", "path": "/", "body": {"deep": [{"er": "{y}"}]}}]},
            r"config\.tools\.0: y stands in braces",
        ),
        (
            {"tools": [{"name": "a", "description": "d", "path": "/{x}", "parameters": {"x": {"type": "string"}}}]},
            r"config\.tools\.0\.path: x stands in it, so it has to be required",
        ),
        (
            {"tools": [{"name": "a", "description": "d", "path": "/", "parameters": {"x": {"type": "text"}}}]},
            r"config\.tools\.0\.parameters: 'text' is not valid",
        ),
        (
            {"tools": [{"name": "a", "description": "d", "path": "/", "headers": {"X-Room": "{x}"}}]},
            r"config\.tools\.0\.headers: .* nothing stands in braces",
        ),
        ({"auth": {"header": "X", "cookie": "y"}}, r"config\.auth: .*'cookie'"),
        ({"health_path": 7}, r"config\.health_path: 7 is not of type 'string'"),
        ({"tools": {}}, r"config\.tools: \{\} is not of type 'array'"),
    ],
)
def test_what_is_wrong_is_named(config: dict[str, Any], named: str) -> None:
    with pytest.raises(BadInput, match=named):
        TYPE.read(config)


@pytest.mark.parametrize("name", ["$ref", "$dynamicRef"])
@pytest.mark.parametrize("deep", [False, True])
def test_a_parameter_that_leads_elsewhere_is_refused_and_nobody_is_asked_for_it(
    echo: Echo, name: str, deep: bool
) -> None:
    parameter: dict[str, Any] = {name: f"{echo.url}/schema"}
    if deep:
        parameter = {"type": "array", "items": {"anyOf": [parameter]}}
    said = {"name": "a", "description": "d", "path": "/", "parameters": {"x": parameter}}
    with pytest.raises(BadInput, match=r"config\.tools\.0\.parameters: \$\w+ leads elsewhere"):
        TYPE.read({"tools": [said]})
    # Nor where it was not read before it is used.
    with pytest.raises(Unresolvable):
        TYPE.declared({"tools": [said]})[0].check({"x": [1]})
    assert echo.asked == []


def test_only_so_many_tools_are_taken() -> None:
    tools = [{"name": f"tool_{number}", "description": "d", "path": "/"} for number in range(101)]
    TYPE.read({"tools": tools[:100]})
    with pytest.raises(BadInput, match=r"^config\.tools: "):
        TYPE.read({"tools": tools})
