"""Prompts over HTTP: kept, changed, removed; as files in three forms, there and back; what is wrong with a file."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from models.db import Database
from tests import tuning
from tests.tuning import PROMPTS, Headers
from workers.llm.formats import FORMATS

WHOLE = {
    "name": "A film",
    "category": "media",
    "system_prompt": "You help.",
    "user_input": "I want to see Amélie\n— today",
    "expected_output": "I ask for it.",
    "tool_calls": [{"name": "overseerr_request", "arguments": {"title": "Amélie", "year": 2001}}],
    "history": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello!"}],
    "tags": ["films", "requests"],
}
# What no file has.
_OWN = ("id", "created_at", "updated_at")


def listed(client: FlaskClient, admin: Headers, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"{PROMPTS}{query}", headers=admin).get_json()
    return found


def plain(client: FlaskClient, admin: Headers) -> list[dict[str, Any]]:
    """All prompts without what is only here."""
    return [{name: value for name, value in each.items() if name not in _OWN} for each in listed(client, admin)]


def take_in(client: FlaskClient, admin: Headers, content: str | bytes, form: str = "jsonl") -> TestResponse:
    return client.post(f"{PROMPTS}/import?format={form}", data=content, headers=admin)


def assert_refused(answer: TestResponse, *named: str) -> None:
    """Fails unless the file was refused, and all of these are named."""
    assert answer.status_code == 422, answer.text
    for each in named:
        assert each in answer.get_json()["detail"], answer.get_json()


def test_a_prompt_is_kept_changed_and_removed(client: FlaskClient, admin: Headers) -> None:
    made = client.post(PROMPTS, json=WHOLE, headers=admin)
    assert made.status_code == 201
    assert made.get_json() == made.get_json() | WHOLE
    path = f"{PROMPTS}/{made.get_json()['id']}"
    assert client.get(path, headers=admin).get_json() == made.get_json()
    changed = client.put(path, json={"expected_output": "At once.", "tags": []}, headers=admin).get_json()
    assert changed == changed | WHOLE | {"expected_output": "At once.", "tags": []}
    assert changed["updated_at"] > made.get_json()["updated_at"]
    assert client.delete(path, headers=admin).get_json()["message"]
    for answer in (client.get(path, headers=admin), client.delete(path, headers=admin)):
        assert (answer.status_code, answer.get_json()["error_code"]) == (404, "PROMPT_NOT_FOUND")


def test_a_name_is_there_once(client: FlaskClient, admin: Headers) -> None:
    tuning.prompt(client, admin, 1)
    second = tuning.prompt(client, admin, 2)
    body = {"name": "prompt 1", "user_input": "q", "expected_output": "a"}
    for answer in (
        client.post(PROMPTS, json=body, headers=admin),
        client.put(f"{PROMPTS}/{second}", json={"name": "prompt 1"}, headers=admin),
    ):
        assert (answer.status_code, answer.get_json()["error_code"]) == (409, "CONFLICT")
        assert "'prompt 1'" in answer.get_json()["detail"]


def test_a_prompt_that_teaches_nothing_is_refused(client: FlaskClient, admin: Headers) -> None:
    body = {"name": "n", "user_input": "q", "expected_output": " "}
    assert_refused(client.post(PROMPTS, json=body, headers=admin), "expected_output")
    called = tuning.prompt(client, admin, expected_output="", tool_calls=[{"name": "plex_search"}])
    emptied = client.put(f"{PROMPTS}/{called}", json={"tool_calls": []}, headers=admin)
    assert_refused(emptied, "expected_output")
    assert plain(client, admin)[0]["tool_calls"] == [{"name": "plex_search", "arguments": {}}]


def test_prompts_are_found_by_category_and_tag(client: FlaskClient, admin: Headers) -> None:
    for number, (category, tags) in enumerate((("a", ["x"]), ("a", ["x", "y"]), ("b", []))):
        tuning.prompt(client, admin, number, category=category, tags=tags)
    assert [len(listed(client, admin, query)) for query in ("", "?category=a", "?tag=y", "?category=b&tag=x")] == [
        3,
        2,
        1,
        0,
    ]
    assert [each["name"] for each in listed(client, admin, "?limit=1&offset=1")] == ["prompt 1"]


@pytest.mark.parametrize("form", FORMATS)
def test_what_was_given_out_is_taken_in_again_as_it_was(client: FlaskClient, admin: Headers, form: str) -> None:
    client.post(PROMPTS, json=WHOLE, headers=admin)
    tuning.prompt(client, admin, 2)
    before = plain(client, admin)
    given = client.get(f"{PROMPTS}/export?format={form}", headers=admin)
    assert given.status_code == 200
    assert "attachment" in given.headers["Content-Disposition"]
    for each in listed(client, admin):
        client.delete(f"{PROMPTS}/{each['id']}", headers=admin)
    answer = take_in(client, admin, given.data, form)
    assert answer.status_code == 201, answer.text
    assert answer.get_json()["prompt_ids"] == [each["id"] for each in listed(client, admin)]
    assert plain(client, admin) == before
    again = take_in(client, admin, given.data, form)
    assert (again.status_code, again.get_json()["error_code"]) == (409, "CONFLICT")
    assert "A film" in again.get_json()["detail"]
    assert plain(client, admin) == before


def test_a_form_that_has_no_place_for_a_prompt_says_which_one(client: FlaskClient, admin: Headers) -> None:
    tuning.prompt(client, admin, history=[{"role": "user", "content": "Hello"}])
    assert_refused(client.get(f"{PROMPTS}/export?format=alpaca", headers=admin), "'prompt 1'")
    assert client.get(f"{PROMPTS}/export", headers=admin).status_code == 200


GOOD = {"name": "n", "user_input": "q", "expected_output": "a"}
TURNS = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]


@pytest.mark.parametrize(
    ("form", "content", "named"),
    [
        ("jsonl", f"{json.dumps(GOOD)}\n{{", ["line 2"]),
        ("jsonl", f"{json.dumps(GOOD)}\n\n{json.dumps({'name': 'm', 'user_input': 'q'})}", ["line 3", "expected_out"]),
        ("jsonl", json.dumps(GOOD | {"tags": "x"}), ["line 1", "tags"]),
        ("jsonl", json.dumps(GOOD | {"name": "x" * 201}), ["prompt 1", "name", "201"]),
        ("jsonl", json.dumps(GOOD | {"user_input": "q\0"}), ["prompt 1", "user_input"]),
        ("jsonl", json.dumps(GOOD | {"history": [{"content": "no role"}]}), ["prompt 1", "history", "role"]),
        ("jsonl", json.dumps(GOOD | {"tool_calls": [{}]}), ["prompt 1", "tool_calls", "name"]),
        ("jsonl", "", ["no prompts"]),
        ("jsonl", '{"a":' * 5000, ["JSON"]),
        ("jsonl", b"\xff", ["UTF-8", "byte 0"]),
        ("sharegpt", json.dumps([{"conversations": TURNS}, {"conversations": TURNS[:1]}]), ["entry 2", "conversat"]),
        ("sharegpt", json.dumps([{"conversations": [{"from": "robot", "value": "x"}]}]), ["entry 1, turn 1", "robot"]),
        ("alpaca", json.dumps([{"instruction": "", "output": "a"}]), ["entry 1", "instruction"]),
        ("alpaca", "[\n1\n", ["line"]),
        ("csv", "a,b", ["format", "csv"]),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_as_a_whole_and_says_where(
    client: FlaskClient, admin: Headers, form: str, content: str | bytes, named: list[str]
) -> None:
    assert_refused(take_in(client, admin, content, form), *named)
    assert listed(client, admin) == []


def test_prompts_of_a_file_without_names_are_told_apart(client: FlaskClient, admin: Headers) -> None:
    entries = [{"instruction": "Translate.", "input": word, "output": word.upper()} for word in ("a", "b", "c")]
    assert take_in(client, admin, json.dumps(entries), "alpaca").status_code == 201
    found = plain(client, admin)
    assert [each["name"] for each in found] == ["Translate.", "Translate. (2)", "Translate. (3)"]
    assert [each["user_input"] for each in found] == [f"Translate.\n{word}" for word in "abc"]


def test_thousands_of_prompts_are_taken_in_within_seconds_and_all_can_be_chosen(
    client: FlaskClient, admin: Headers, database: Database
) -> None:
    tuning.register(database)
    lines = "\n".join(json.dumps(GOOD | {"name": f"prompt {number}"}) for number in range(5000))
    ids = take_in(client, admin, lines).get_json()["prompt_ids"]
    assert ids == sorted(set(ids))
    assert len(ids) == 5000
    made = tuning.session(client, admin)
    # More than Postgres takes as parameters; those that are not there are named, as far as anybody would read.
    beyond = [*ids, *range(max(ids) + 1, max(ids) + 70_000)]
    answer = client.post(f"{tuning.SESSIONS}/{made}/start", json={"prompt_ids": beyond}, headers=admin)
    tuning.forget(database)
    assert_refused(answer, f"there is no prompt {max(ids) + 1}, ")
    assert len(answer.get_json()["detail"]) < 1000
