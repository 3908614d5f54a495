"""Voiceworks' own tools: what they say of themselves, who may call them, and by which doors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from flask import has_app_context
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator

from app.tools import calling, own
from app.tools.calling import Call
from models import accounts
from models.accounts import ROLES
from models.base import new_id
from models.db import Database
from models.errors import Invalid, NotFound
from models.gateway.tables import ToolCall
from tests.tools_called import Tools, let, somebody

# Each tool, and the view of the endpoint that it stands for.
STANDS_FOR = {
    "voices_list": "voices.page",
    "speech_speak": "speech.generate",
    "courses_list": "curriculum.list_curricula",
    "course_get": "curriculum.get_curriculum",
    "course_search": "curriculum.search_curricula",
    "course_prefetch": "prefetch.start",
    "course_import": "imports.start",
    "course_delete": "curriculum.remove_curriculum",
    "wakeword_models": "wake_models.list_models",
    "wakeword_train": "wake_models.retrain",
    "wakeword_delete_model": "wake_models.delete",
    "transcription_counts": "transcribing.count_available",
    "transcription_tasks": "transcription_tasks.list_tasks",
    "transcription_agents": "transcription_agents.list_agents",
    "job_status": "jobs.get_job",
    "jobs_list": "jobs.list_jobs",
    "job_cancel": "jobs.cancel",
}
DESTRUCTIVE = {"course_delete", "wakeword_delete_model"}
WRITING = {"speech_speak", "course_prefetch", "course_import", "wakeword_train", "job_cancel"} | DESTRUCTIVE
REFUSED = [(tool.name, role) for tool in own.tools().values() for role in ROLES if role not in (tool.access or ROLES)]


def test_each_tool_takes_the_roles_of_the_endpoint_that_it_stands_for(client: FlaskClient) -> None:
    views: Mapping[str, Any] = client.application.view_functions
    assert {name: tool.access for name, tool in own.tools().items() if name in STANDS_FOR} == {
        name: views[endpoint].access for name, endpoint in STANDS_FOR.items()
    }


@pytest.mark.parametrize("name", STANDS_FOR)
def test_a_tool_says_what_it_takes_and_what_it_does_to_the_world(name: str) -> None:
    tool = own.tools()[name]
    Draft202012Validator.check_schema(tool.schema)
    assert tool.description.endswith(".")
    assert (tool.read_only, tool.destructive) == (name not in WRITING, name in DESTRUCTIVE)
    for parameter in tool.parameters.values():
        assert parameter["description"]
        kind = parameter["type"]
        if kind == "string":
            assert "enum" in parameter or parameter["maxLength"] >= parameter["minLength"] >= 1
        elif kind != "boolean":
            assert "minimum" in parameter
        # What it says to be taken when nothing is given is taken.
        if "default" in parameter:
            Draft202012Validator(dict(parameter) | {"required": []}).validate(parameter["default"])


@pytest.mark.parametrize(("name", "role"), REFUSED)
def test_a_role_that_the_endpoint_refuses_is_refused_by_the_tool_whatever_groups_say(
    client: FlaskClient, admin: dict[str, str], database: Database, name: str, role: str
) -> None:
    tools = somebody(database, client, admin, "*", role=role)
    assert name not in tools.named()
    body = tools.refused(name, 403)
    assert body["error_code"] == "TOOL_FORBIDDEN"
    assert f"not role {role}" in body["detail"]


def test_what_clients_may_do_is_shown_to_one_who_is_known_and_in_a_group_and_to_nobody_else(
    client: FlaskClient, admin: dict[str, str], customer: dict[str, str]
) -> None:
    tools = Tools(client, customer)
    assert tools.named() == set()
    assert "Nobody knows" in tools.refused("courses_list", 403)["detail"]
    let(client, admin, "client", "course*", "voices_list")
    assert tools.named() == {name for name in STANDS_FOR if name.startswith("course")} | {"voices_list"}
    assert tools.call("courses_list")["total"] == 0
    assert "may call speech_speak" in tools.refused("speech_speak", 403, text="Hello.")["detail"]


def test_an_administrator_may_call_all_of_them(client: FlaskClient, admin: dict[str, str]) -> None:
    assert set(STANDS_FOR) <= Tools(client, admin).named()


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("speech_speak", {}, "text: it is needed"),
        ("speech_speak", {"text": "Hello.", "speed": 9}, "speed: 9 is above 4.0"),
        ("speech_speak", {"text": "Hello.", "speed": True}, "speed: True is no number"),
        ("speech_speak", {"text": "Hello.", "format": "midi"}, "format: 'midi' is none of"),
        ("speech_speak", {"text": "Hello.", "tempo": 2}, "tempo: speech_speak takes no such argument"),
        ("speech_speak", {"text": "... - !"}, "has no word that could be said"),
        ("speech_speak", {"text": "Hello.", "voice": "nobody"}, "'nobody'"),
        ("voices_list", {"limit": 0}, "limit: 0 is below 1"),
        ("voices_list", {"limit": 2.0}, "limit: 2.0 is not a whole number"),
        ("courses_list", {"offset": -1}, "offset: -1 is below 0"),
        ("course_search", {"query": "  "}, "query: '  ' is empty"),
        ("course_get", {"course_id": ["a"]}, "course_id: it is no string"),
        ("course_import", {"url": "ftp://example.org/a"}, "url: "),
        ("course_delete", {"course_id": "a", "force": "yes"}, "force: 'yes' is no boolean"),
        ("wakeword_train", {"wake_word": "jarvis", "num_epochs": 5000}, "num_epochs: 5000 is above"),
        ("transcription_tasks", {"state": "lost"}, "state: 'lost' is none of"),
        ("jobs_list", {"state": "gone"}, "state: 'gone' is none of"),
        ("jobs_list", {"cursor": "nothing"}, "cursor: there is no job 'nothing'"),
    ],
)
def test_arguments_that_do_not_fit_are_named(
    client: FlaskClient, admin: dict[str, str], name: str, arguments: dict[str, Any], told: str
) -> None:
    assert told in Tools(client, admin).refused(name, 422, **arguments)["detail"]


def test_a_tool_needs_no_request_around_it(
    client: FlaskClient, admin: dict[str, str], database: Database, worker: object
) -> None:
    here = client.application.extensions["voiceworks"]
    with database.reading() as session:
        account = accounts.find(session, "admin")
        assert account is not None
    caller = accounts.Caller(account.id, "admin", "admin")
    assert not has_app_context()

    def result(name: str, **arguments: Any) -> Any:
        return calling.call(here, caller, Call(name, arguments, "mcp")).result

    text = f"Nobody asked over the web for number {new_id()}."
    made = result("speech_speak", text=text)
    assert (made["cache"], result("speech_speak", text=text)["cache"]) == ("miss", "hit")
    for name in ("voices_list", "courses_list", "wakeword_models", "transcription_agents", "jobs_list"):
        assert result(name), name
    assert result("transcription_tasks")["total"] == result("transcription_counts")["available"] == 0
    with pytest.raises(NotFound, match="no wake-word model 'jarvis'"):
        result("wakeword_train", wake_word="jarvis")
    with pytest.raises(Invalid, match="no word that could be said"):
        result("speech_speak", text="... - !")
    with database.reading() as session:
        assert session.query(ToolCall).filter_by(door="mcp").count() == 11
