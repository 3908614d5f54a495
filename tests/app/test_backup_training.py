"""What language models are trained with, and where, in backups."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from models.db import Database
from models.llm import workers
from tests import tuning
from tests.backups import Headers, bare, export, restore, wipe

SECTIONS = ("training_prompts", "training_workers")


@pytest.fixture
def nodes(database: Database) -> list[str]:
    """Workers that do not run, one of them drained."""
    with database.transaction() as session:
        workers.number(session, "train@one")
        workers.drain(session, workers.number(session, "train@two"), drained=True)
    return ["train@one", "train@two"]


def listed(client: FlaskClient, admin: Headers) -> dict[str, str]:
    """The workers and how they are."""
    return {each["name"]: each["status"] for each in client.get(tuning.WORKERS, headers=admin).get_json()}


def test_prompts_and_workers_come_back_as_they_were(
    client: FlaskClient, admin: Headers, database: Database, nodes: list[str]
) -> None:
    tuning.prompt(client, admin, 1, tags=["a"], history=[{"role": "user", "content": "Hello"}])
    tuning.prompt(client, admin, 2, expected_output="", tool_calls=[{"name": "plex_search", "arguments": {"q": "x"}}])
    file = export(client, admin)
    assert [record["name"] for record in file["data"]["training_prompts"]] == ["prompt 1", "prompt 2"]
    assert file["data"]["training_workers"] == [
        {"name": "train@one", "drained": False},
        {"name": "train@two", "drained": True},
    ]
    before = client.get(tuning.PROMPTS, headers=admin).get_json()
    wipe(database)
    restore(client, admin, file, merge_mode=True)
    after = client.get(tuning.PROMPTS, headers=admin).get_json()
    own = ("id", "created_at", "updated_at")
    assert [{**each, **dict.fromkeys(own)} for each in after] == [{**each, **dict.fromkeys(own)} for each in before]
    assert listed(client, admin) == {"train@one": "offline", "train@two": "drained"}
    again = export(client, admin)["data"]
    assert {name: again[name] for name in SECTIONS} == {name: file["data"][name] for name in SECTIONS}


def test_a_changed_prompt_is_put_back_and_one_that_is_new_goes(client: FlaskClient, admin: Headers) -> None:
    first = tuning.prompt(client, admin, 1)
    file = export(client, admin, training_prompts=True)
    client.put(f"{tuning.PROMPTS}/{first}", json={"expected_output": "other"}, headers=admin)
    tuning.prompt(client, admin, 2)
    diff = restore(client, admin, file)["diff"]["training_prompts"]
    assert (diff["removed"], diff["changed"]) == (["prompt 2"], [{"record": "prompt 1", "fields": ["expected_output"]}])
    (left,) = client.get(tuning.PROMPTS, headers=admin).get_json()
    assert (left["id"], left["expected_output"]) == (first, "answer 1")


def test_a_worker_that_runs_keeps_its_number_whatever_a_file_says(
    client: FlaskClient, admin: Headers, database: Database, nodes: list[str]
) -> None:
    number = tuning.register(database)
    client.post(f"{tuning.WORKERS}/{number}/drain", headers=admin)
    restore(client, admin, bare(training_workers=[{"name": "train@three", "drained": True}]))
    assert listed(client, admin) == {"tune@here": "idle", "train@three": "drained"}
    with database.transaction() as session:
        assert workers.number(session, "tune@here") == number
    tuning.forget(database)
