"""Tautulli, Ollama and Label Studio as services with tools, against stand-ins."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.outside.calling import call, client_of
from tests.outside.server import KEY, running
from tests.outside.small import Ollama, Tautulli
from tests.studio import LEGACY, PERSONAL, StandIn, label_studio
from workers.clients.looking import look
from workers.clients.service import Refused
from workers.clients.types import types

# --- Tautulli --------------------------------------------------------------------------------------------------------


@pytest.fixture(params=[False, True], ids=["new", "old"])
def tautulli(request: pytest.FixtureRequest) -> Iterator[Tautulli]:
    with running(Tautulli(old=request.param)) as service:
        yield service


def test_who_watches_what_is_told_without_their_addresses(tautulli: Tautulli) -> None:
    told = call(client_of("tautulli", tautulli.url), "tautulli_activity")
    assert told["streams"] == 1
    (session,) = told["sessions"]
    assert session["title"] == "The Expanse - The Big Empty"
    assert (session["progress_percent"], session["bandwidth_kilobits_per_second"]) == (42, 4000)
    assert session["transcoding"] is True
    assert "192.168" not in str(told)
    assert "@" not in str(told)


def test_what_was_played_is_told_with_times_and_by_whom(tautulli: Tautulli) -> None:
    client = client_of("tautulli", tautulli.url)
    told = call(client, "tautulli_history")
    assert told["total"] == 2
    assert [(each["user"], each["stopped_at"]) for each in told["plays"]] == [
        ("Ada", "2023-11-14T23:13:20Z"),
        ("bob", None),
    ]
    assert [each["title"] for each in call(client, "tautulli_history", user="bob")["plays"]] == ["Alien"]
    assert [each["title"] for each in call(client, "tautulli_history", search="dun")["plays"]] == ["Dune"]
    assert len(call(client, "tautulli_history", limit=1)["plays"]) == 1


def test_the_key_goes_in_the_query_where_alone_it_is_taken(tautulli: Tautulli) -> None:
    call(client_of("tautulli", tautulli.url), "tautulli_activity")
    (asked,) = tautulli.asked
    assert asked.query["apikey"] == KEY
    assert KEY not in str(asked.headers)


def test_a_key_that_is_not_taken_is_no_good_answer_whatever_its_status(tautulli: Tautulli) -> None:
    kind = types()["tautulli"]
    assert look(kind, client_of("tautulli", tautulli.url)).healthy
    other = client_of("tautulli", tautulli.url, key="another key")
    assert not look(kind, other).healthy
    with pytest.raises(Refused) as caught:
        call(other, "tautulli_activity")
    assert caught.value.code == "upstream_unauthorized"
    assert "another key" not in caught.value.message


# --- Ollama ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def ollama() -> Iterator[Ollama]:
    with running(Ollama()) as service:
        yield service


def test_models_are_listed_and_answer_in_one_piece(ollama: Ollama) -> None:
    client = client_of("ollama", ollama.url, key=None)
    (model,) = call(client, "ollama_list_models")["models"]
    assert model == {
        "name": "llama3.2:1b",
        "size_bytes": 1_321_098_329,
        "family": "llama",
        "parameters": "1.2B",
        "quantization": "Q8_0",
    }
    made = call(client, "ollama_generate", model="llama3.2:1b", prompt="Why?", system="Be brief.", temperature=0)
    assert made == {"text": "Be brief.|Why?|0", "ended_by": "stop", "tokens": 3}
    assert "authorization" not in ollama.asked[-1].headers


def test_what_stands_before_ollama_gets_its_key(ollama: Ollama) -> None:
    call(client_of("ollama", ollama.url), "ollama_list_models")
    assert ollama.asked[-1].headers["authorization"] == f"Bearer {KEY}"


def test_a_model_that_is_not_there_is_named(ollama: Ollama) -> None:
    with pytest.raises(Refused, match=r"^mine answered 404: model 'gpt-9' not found$"):
        call(client_of("ollama", ollama.url, key=None), "ollama_generate", model="gpt-9", prompt="Why?")
    # What writes is asked once.
    assert ollama.lines() == ["POST /api/generate"]


# --- Label Studio ----------------------------------------------------------------------------------------------------


@pytest.fixture
def studio() -> Iterator[StandIn]:
    with label_studio() as service:
        yield service


@pytest.mark.parametrize("key", [LEGACY, PERSONAL])
def test_either_kind_of_token_opens_label_studio(studio: StandIn, key: str) -> None:
    first, second = studio.add(b"sound", b"sound", draft="a draft")
    studio.label(first, "by hand")
    client = client_of("label_studio", studio.url, key=key)
    assert look(types()["label_studio"], client).healthy
    told = call(client, "label_studio_list_projects")
    assert told == {"total": 1, "projects": [{"id": 1, "title": "Voices", "tasks": 2, "tasks_finished": 1}]}
    statistics = call(client, "label_studio_project_statistics", project_id=1)
    assert (statistics["tasks"], statistics["annotations"]) == (2, 1)
    task = call(client, "label_studio_get_task", task_id=first)
    assert (task["is_labeled"], task["data"]["audio"]) == (True, studio.tasks[first]["data"]["audio"])
    assert [each["result"] for each in task["annotations"]] == [[{"name": "said", "text": ["by hand"]}]]
    assert call(client, "label_studio_get_task", task_id=second)["annotations"] == []


def test_a_personal_token_is_sent_where_another_is_made_of_it_and_nowhere_else(studio: StandIn) -> None:
    call(client_of("label_studio", studio.url, key=PERSONAL), "label_studio_list_projects")
    assert [each.path for each in studio.asked] == ["/api/token/refresh/", "/api/projects/"]
    assert studio.asked[0].authorization == ""
    assert studio.asked[1].authorization.startswith("Bearer bearer.")


@pytest.mark.parametrize("key", ["0" * 40, "not.a.token", None])
def test_a_token_that_opens_nothing_is_not_well_and_not_told(studio: StandIn, key: str | None) -> None:
    client = client_of("label_studio", studio.url, key=key)
    found = look(types()["label_studio"], client)
    assert not found.healthy
    assert found.problem is not None
    assert found.problem.startswith("mine answered 401: ")
    assert str(key) not in found.problem
    with pytest.raises(Refused) as caught:
        call(client, "label_studio_get_task", task_id=1)
    assert caught.value.code == "upstream_unauthorized"


def test_what_label_studio_does_not_have_is_told(studio: StandIn) -> None:
    with pytest.raises(Refused, match=r"^mine answered 404: Not found\.$"):
        call(client_of("label_studio", studio.url, key=LEGACY), "label_studio_project_statistics", project_id=7)
