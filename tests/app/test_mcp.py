"""The MCP endpoint: who may list and call what, what calls are answered, and that each leaves one row."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import anyio
import mcp_types as types
import pytest
import requests
from flask.testing import FlaskClient
from mcp import Client
from sqlalchemy import select

from app.http.access import ADMIN, CLIENT, SIGNED_IN, TRANSCRIBER
from app.tools import calling, own
from app.tools.own import OwnTool
from config import logs
from config.settings import Settings
from models import accounts
from models.db import Database
from models.gateway import groups, people
from models.gateway.tables import ToolCall
from tests.app.mcp_served import MODES, NEWEST, Mcp, Mode, caller, rows, served, text_of, tool
from tests.conftest import API_KEY, CLIENT_KEY, PASSWORD, eventually
from tests.outside.arr import Radarr
from tests.outside.server import KEY, running

GENERATIONS = ("2025-11-25", NEWEST)
Offer = Callable[..., None]


@pytest.fixture
def mcp(configured: Settings, clean: None) -> Iterator[Mcp]:
    """The endpoint, closed."""
    with served(configured) as running:
        yield running


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Offer:
    """Has these tools for our own, and no others but the one for jobs."""
    status = own.tools()["job_status"]

    def only(*tools: OwnTool) -> None:
        offered = {each.name: each for each in (*tools, status)}
        monkeypatch.setattr(own, "tools", lambda: offered)

    return only


def let(database: Database, username: str, *patterns: str) -> None:
    """Makes an account known, in a group of its own with these patterns."""
    with database.transaction() as session:
        people.create(session, {"canonical_name": username})
        groups.create(session, {"name": f"Those with {username}", "tool_permissions": list(patterns)}, [username])


# --- Who may list and call what --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_the_official_client_lists_and_calls_what_is_permitted_and_nothing_else(
    mcp: Mcp, offer: Offer, database: Database, mode: Mode
) -> None:
    offer(tool("lamp_on"), tool("lamp_off"), tool("door_open"))
    let(database, "client", "lamp_*")
    assert set(mcp.listed(mode=mode, key=CLIENT_KEY)) == {"lamp_on", "lamp_off"}
    assert set(mcp.listed(mode=mode)) >= {"lamp_on", "lamp_off", "door_open", "job_status"}
    answer = mcp.call("lamp_on", mode=mode, key=CLIENT_KEY, word="now")
    assert not answer.is_error
    assert answer.structured_content == json.loads(text_of(answer)) == {"done": True}
    assert mcp.refused("door_open", mode=mode, key=CLIENT_KEY) == "Unknown tool: door_open"
    assert rows(database) == [("lamp_on", "success", None), ("door_open", "failed", "TOOL_FORBIDDEN")]


@pytest.mark.parametrize("seed", range(6))
def test_whatever_the_groups_exactly_that_is_listed_and_runs_which_the_one_decision_allows(
    mcp: Mcp, offer: Offer, database: Database, seed: int
) -> None:
    chance = random.Random(seed)
    ran: list[str] = []

    def noting(name: str) -> Callable[[Any, Any], Any]:
        return lambda asked, arguments: ran.append(name)

    names = [f"{part}_{act}" for part in ("film", "lamp", "door") for act in ("find", "add", "drop")]
    access = {name: chance.choice([SIGNED_IN, CLIENT, ADMIN, TRANSCRIBER]) for name in names}
    tools = [tool(name, noting(name), access=access[name]) for name in names]
    offer(*tools)
    keys: dict[str, tuple[str, accounts.Caller]] = {}
    with database.transaction() as session:
        for number in range(4):
            role, name = chance.choice(accounts.ROLES), f"somebody-{number}"
            account = accounts.create(session, username=name, password=PASSWORD, role=role)
            accounts.store_key(session, account, name="key", role=role, secret=f"the key of {name} for tests")
            keys[f"the key of {name} for tests"] = name, caller(account.id, name, role)
            if chance.random() < 0.8:
                people.create(session, {"canonical_name": name})
        known = [person.canonical_name for person in people.everybody(session)]
        patterns = ["*", "film_*", "*_add", "l*p_f*", "lamp_find", "nothing", "door_?ind", *names]
        for number in range(chance.randrange(4)):
            fields = {"name": f"group {number}", "tool_permissions": chance.sample(patterns, chance.randrange(3))}
            groups.create(session, fields, chance.sample(known, chance.randrange(len(known) + 1)))
    for key, (name, who) in keys.items():
        with database.reading() as session:
            rights, _ = calling.rights(session, who)
        may = {each.name for each in tools if calling.may(rights, who.role, each).allowed}
        shown = mcp.post(headers={"X-API-Key": key}).json()["result"]["tools"]
        assert {each["name"] for each in shown} - {"job_status"} == may, name
        ran.clear()
        for each in names:
            answer = mcp.post("tools/call", headers={"X-API-Key": key}, name=each, arguments={}).json()
            assert answer.get("error", {}).get("message") == (None if each in may else f"Unknown tool: {each}")
        assert set(ran) == may, name
    assert len(rows(database)) == len(keys) * len(names)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_tool_that_is_denied_is_answered_as_one_that_there_is_not(
    mcp: Mcp, offer: Offer, database: Database, generation: str
) -> None:
    offer(tool("door_open", destructive=True, read_only=False))
    let(database, "client", "lamp_*")
    asked: dict[str, Any] = {"generation": generation, "headers": {"X-API-Key": CLIENT_KEY, "X-Request-ID": "same"}}
    answers = [
        mcp.post("tools/call", name=name, arguments={"wrong": 1, "service_id": 7}, **asked)
        for name in ("door_open", "gate_open")
    ]
    denied, unknown = [
        (answer.status_code, answer.content.replace(name, b"NAME"), _but_the_time(answer))
        for answer, name in zip(answers, (b"door_open", b"gate_open"), strict=True)
    ]
    assert denied == unknown
    assert answers[0].json()["error"] == {"code": types.INVALID_PARAMS, "message": "Unknown tool: door_open"}
    assert rows(database) == [("door_open", "failed", "TOOL_FORBIDDEN"), ("gate_open", "failed", "TOOL_NOT_FOUND")]


def _but_the_time(answer: requests.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name != "date"}


# --- Who may come in -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize(
    "credential",
    [{}, {"X-API-Key": "wrong"}, {"X-API-Key": ""}, {"Authorization": "Bearer a.b.c"}, {"Authorization": "Basic eA=="}],
)
def test_nobody_comes_in_without_a_good_credential(mcp: Mcp, generation: str, credential: dict[str, str]) -> None:
    answer = mcp.post(generation=generation, headers={"X-API-Key": None} | credential)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert answer.json().keys() == {"detail", "error_code", "timestamp"}
    assert answer.json()["error_code"] == "UNAUTHORIZED"
    assert answer.headers["X-Request-ID"].startswith("req_")


def test_a_key_and_a_token_are_taken_in_either_header_while_they_are_good(mcp: Mcp, client: FlaskClient) -> None:
    signed_in = client.post("/api/auth/login", json={"username": "client", "password": PASSWORD}).get_json()
    token = signed_in["access_token"]
    for header in (
        {"X-API-Key": API_KEY},
        {"Authorization": f"Bearer {API_KEY}"},
        {"Authorization": f"Bearer {token}"},
    ):
        assert mcp.post(headers={"X-API-Key": None} | header).status_code == 200, header
    answer = client.post("/api/auth/logout", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200
    assert mcp.post(headers={"X-API-Key": None, "Authorization": f"Bearer {token}"}).status_code == 401


def test_a_key_for_figures_opens_no_tools(configured: Settings, clean: None) -> None:
    with served(replace(configured, metrics_token="for figures only")) as mcp:
        answer = mcp.post(headers={"X-API-Key": "for figures only"})
        assert (answer.status_code, answer.json()["error_code"]) == (403, "FORBIDDEN")


def test_on_an_open_surface_everybody_is_let_in_but_nobody_with_a_wrong_key(configured: Settings, clean: None) -> None:
    with served(replace(configured, open_surfaces=frozenset({"gateway"}))) as mcp:
        assert mcp.post(headers={"X-API-Key": None}).status_code == 200
        assert mcp.post(headers={"X-API-Key": "wrong"}).status_code == 401


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_page_that_led_a_browser_here_under_a_name_of_its_own_is_refused(
    configured: Settings, clean: None, generation: str
) -> None:
    with served(replace(configured, mcp_hosts=("tools.example.org", "named.example.org:*"))) as mcp:

        def status(**headers: str) -> int:
            return mcp.post(generation=generation, headers=headers).status_code

        for host in ("localhost", "localhost:1", "127.0.0.1:80", "[::1]:9", "tools.example.org", "named.example.org:7"):
            assert status(Host=host) == 200, host
        for host in ("evil.example", "tools.example.org:81", "localhost.evil.example", f"evil.example:{mcp.port}"):
            assert status(Host=host) == 421, host
        assert status(Origin="https://evil.example") == 403
        assert status(Origin="http://localhost:3000") == 200


def test_only_calls_are_answered_at_its_path_and_health_beside_it(mcp: Mcp) -> None:
    for method in ("GET", "DELETE", "PUT"):
        answer = requests.request(method, mcp.url, headers={"X-API-Key": API_KEY}, timeout=10)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    live = requests.get(mcp.url.replace("/mcp", "/health/live"), timeout=10)
    assert (live.status_code, live.json()) == (200, {"status": "alive"})
    elsewhere = requests.get(mcp.url.replace("/mcp", "/elsewhere"), timeout=10)
    assert (elsewhere.status_code, elsewhere.json()["error_code"]) == (404, "NOT_FOUND")


# --- What a tool is shown as -----------------------------------------------------------------------------------------


def test_a_tool_says_what_it_takes_and_what_it_does_to_the_world(mcp: Mcp, offer: Offer) -> None:
    offer(tool("lamp_look"), tool("lamp_on", read_only=False), tool("lamp_break", read_only=False, destructive=True))
    shown = mcp.listed()

    def hints(name: str) -> tuple[bool | None, bool | None, bool | None]:
        said = shown[name].annotations
        assert said is not None
        return said.read_only_hint, said.destructive_hint, said.idempotent_hint

    assert hints("lamp_look") == (True, False, True)
    assert hints("lamp_on") == (False, False, False)
    assert hints("lamp_break") == (False, True, False)
    assert shown["lamp_look"].description == "What lamp_look does"
    assert shown["lamp_look"].input_schema == {
        "type": "object",
        "properties": {"word": {"type": "string"}},
        "required": [],
        "additionalProperties": False,
    }
    assert set(shown["lamp_break"].input_schema["properties"]) == {"word", "confirmation_token"}


def test_a_service_is_chosen_only_where_there_are_several_and_its_tools_only_shown_where_there_is_one(
    mcp: Mcp, client: FlaskClient, admin: dict[str, str], database: Database
) -> None:
    assert "radarr_search" not in mcp.listed()
    assert "no service" in text_of(mcp.call("radarr_search", query="x"))
    with running(Radarr()) as first, running(Radarr()) as second:
        numbers = []
        for name, outside in (("Films", first), ("More films", second)):
            body = {"name": name, "type": "radarr", "url": outside.url, "api_key": KEY}
            made = client.post("/api/services", json=body, headers=admin)
            assert made.status_code == 201
            numbers.append(made.get_json()["id"])
            if outside is first:
                assert "service_id" not in mcp.listed()["radarr_search"].input_schema["properties"]
        choice = mcp.listed()["radarr_search"].input_schema["properties"]["service_id"]
        assert choice["enum"] == numbers
        assert "More films" in choice["description"]
        assert not mcp.call("radarr_search", query="inc", service_id=numbers[1]).is_error
        assert (len(first.asked), len(second.asked)) == (0, 1)
        for wrong in ("x", True, 0, 2**70, None):
            assert mcp.call("radarr_search", query="inc", service_id=wrong).is_error, wrong
        assert (len(first.asked), len(second.asked)) == (0, 1)
    assert text_of(mcp.call("radarr_search", query="inc", service_id=numbers[0])).startswith("Films ")
    assert rows(database)[-1] == ("radarr_search", "failed", "UPSTREAM_UNAVAILABLE")


# --- What a call is answered -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_what_may_destroy_something_is_carried_out_once_confirmed_and_once_only(
    mcp: Mcp, offer: Offer, database: Database, mode: Mode
) -> None:
    broken: list[Any] = []
    offer(tool("lamp_break", lambda asked, arguments: broken.append(arguments), destructive=True, read_only=False))
    first = mcp.call("lamp_break", mode=mode, word="that")
    assert (first.is_error, broken) == (True, [])
    token = first.structured_content["confirmation_token"]
    assert text_of(first).endswith(f"confirmation_token: {token}")
    assert mcp.call("lamp_break", mode=mode, word="another", confirmation_token=token).is_error
    assert mcp.call("lamp_break", mode=mode, word="that", confirmation_token="x" * 2000).is_error
    assert broken == []
    assert not mcp.call("lamp_break", mode=mode, word="that", confirmation_token=token).is_error
    assert mcp.call("lamp_break", mode=mode, word="that", confirmation_token=token).is_error
    assert broken == [{"word": "that"}]
    codes = [code for _, _, code in rows(database)]
    assert codes[0] == "CONFIRMATION_REQUIRED"
    assert [code is None for code in codes] == [False, False, False, True, False]


@pytest.mark.parametrize("mode", MODES)
def test_what_goes_wrong_is_a_sentence_and_what_nobody_foresaw_says_nothing_of_itself(
    mcp: Mcp, offer: Offer, database: Database, mode: Mode
) -> None:
    def crash(asked: Any, arguments: Any) -> Any:
        raise RuntimeError("the canary sings")

    offer(tool("lamp_crash", crash), tool("lamp_on"), tool("lamp_odd", lambda asked, arguments: {"it": object()}))
    crashed = mcp.call("lamp_crash", mode=mode)
    assert (crashed.is_error, text_of(crashed)) == (True, "Error executing tool lamp_crash")
    assert "canary" not in crashed.model_dump_json()
    assert text_of(mcp.call("lamp_odd", mode=mode)) == "Error executing tool lamp_odd"
    wrong = mcp.call("lamp_on", mode=mode, word=5)
    assert (wrong.is_error, text_of(wrong)) == (True, "word: 5 is no string")
    assert "colour" in text_of(mcp.call("lamp_on", mode=mode, colour="red"))
    codes = [code for _, _, code in rows(database)]
    assert codes == ["INTERNAL_ERROR", None, "BAD_ARGUMENTS", "BAD_ARGUMENTS"]


@pytest.mark.parametrize("mode", MODES)
def test_results_that_are_no_objects_and_halves_of_characters_arrive(mcp: Mcp, offer: Offer, mode: Mode) -> None:
    results: dict[str, Any] = {"a_list": [1, "zwölf"], "a_word": "só", "nothing": None, "halves": {"x": "a\ud800b"}}
    offer(*(tool(name, lambda asked, arguments, name=name: results[name]) for name in results))  # type: ignore[misc]
    for name in ("a_list", "a_word", "nothing"):
        answer = mcp.call(name, mode=mode)
        assert (json.loads(text_of(answer)), answer.structured_content) == (results[name], None)
    assert mcp.call("halves", mode=mode).structured_content == {"x": "a?b"}


@pytest.mark.parametrize("generation", GENERATIONS)
def test_text_that_nobody_could_write_down_is_refused_in_words(mcp: Mcp, offer: Offer, generation: str) -> None:
    offer(tool("lamp_on"))
    for word in ("a\0b", "a\ud800b", {"x": ["\0"]}, float("inf")):
        answer = mcp.post("tools/call", generation=generation, name="lamp_on", arguments={"word": word}).json()
        assert "error" in answer or answer["result"]["content"][0]["text"].startswith("word"), answer


def test_a_name_that_nobody_could_write_down_is_no_tools(mcp: Mcp, offer: Offer, database: Database) -> None:
    offer(tool("lamp_on"))
    answer = mcp.post("tools/call", name="lamp\0on", arguments={}).json()
    assert (answer["result"]["isError"], rows(database)) == (True, [])


def test_a_client_that_takes_no_events_is_answered_in_one_piece(mcp: Mcp, offer: Offer) -> None:
    offer(tool("lamp_on", lambda asked, arguments: asked.report(0.5, "half") or {"done": True}))
    answer = mcp.post("tools/call", name="lamp_on", arguments={}, _meta={"progressToken": 1})
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json()["result"]["structuredContent"] == {"done": True}
    either = mcp.post("tools/list", headers={"Accept": "application/json, text/event-stream"})
    assert either.headers["Content-Type"].startswith("text/event-stream")


def test_a_request_keeps_its_name_from_door_to_history(mcp: Mcp, offer: Offer, database: Database) -> None:
    offer(tool("lamp_on", lambda asked, arguments: logs.request_id.get()))
    answer = mcp.post("tools/call", name="lamp_on", arguments={}, headers={"X-Request-ID": "mine-1"})
    assert (answer.headers["X-Request-ID"], answer.json()["result"]["content"][0]["text"]) == ("mine-1", '"mine-1"')
    with database.reading() as session:
        assert session.scalars(select(ToolCall.request_id)).all() == ["mine-1"]


# --- Many at once, and those who leave -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_slow_call_holds_up_none_of_twenty_others(mcp: Mcp, offer: Offer, database: Database, mode: Mode) -> None:
    others_done = threading.Event()
    offer(tool("lamp_slow", lambda asked, arguments: others_done.wait(20)), tool("lamp_on"))

    async def act(client: Client) -> list[str | None]:
        answered: list[str | None] = []

        async def fast() -> None:
            result = await client.call_tool("lamp_on", {})
            # What is wrong, where something is.
            answered.append(text_of(result) if result.is_error else None)
            if len(answered) == 20:
                others_done.set()

        async with anyio.create_task_group() as group:
            slow: list[types.CallToolResult] = []

            async def wait() -> None:
                slow.append(await client.call_tool("lamp_slow", {}))

            group.start_soon(wait)
            await anyio.sleep(0.2)
            for _ in range(20):
                group.start_soon(fast)
        # It waited for the others, and heard of them before its time was up.
        assert text_of(slow[0]) == "true"
        return answered

    assert mcp.talk(act, mode=mode) == [None] * 20
    assert sorted(rows(database)) == [("lamp_on", "success", None)] * 20 + [("lamp_slow", "success", None)]


@pytest.mark.parametrize("mode", MODES)
def test_a_call_whose_client_leaves_is_finished_and_written_down(
    mcp: Mcp, offer: Offer, database: Database, mode: Mode
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def run(asked: Any, arguments: Any) -> Any:
        begun.set()
        return go_on.wait(20)

    offer(tool("lamp_slow", run))

    async def act(client: Client) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "lamp_slow", {})
            while not begun.is_set():
                await anyio.sleep(0.01)
            group.cancel_scope.cancel()

    mcp.talk(act, mode=mode)
    assert rows(database) == [("lamp_slow", "pending", None)]
    go_on.set()
    eventually(lambda: rows(database) == [("lamp_slow", "success", None)])


def test_a_stop_waits_for_what_is_being_called_and_has_it_written_down(
    configured: Settings, clean: None, offer: Offer, database: Database
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def run(asked: Any, arguments: Any) -> Any:
        begun.set()
        return go_on.wait(20)

    offer(tool("lamp_slow", run))
    with served(configured) as mcp:
        gone = threading.Thread(target=_call_in_vain, args=[mcp])
        gone.start()
        assert begun.wait(10)
        # Longer than answers are waited for.
        threading.Timer(3.0, go_on.set).start()
    gone.join(10)
    assert rows(database) == [("lamp_slow", "success", None)]


def _call_in_vain(mcp: Mcp) -> None:
    with pytest.raises(requests.RequestException):
        mcp.post("tools/call", name="lamp_slow", arguments={}).raise_for_status()
