"""Tools of wake words and of transcription: what the endpoints tell, train and remove, and whose it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete

from models import accounts, wake_captures, wake_trainings
from models.db import Database
from models.files import FileStore
from models.jobs.tables import Job
from models.wake_models import WakeModel
from models.wake_trainings import WakeTraining
from models.workers import Worker
from tests import making, waking
from tests.tools_called import Tools, let, somebody
from tests.transcribing import add, task_of

Make = Callable[..., WakeModel]


@pytest.fixture
def store(client: FlaskClient) -> FileStore:
    """Where files are kept."""
    found: FileStore = client.application.extensions["voiceworks"].files
    return found


@pytest.fixture
def tools(client: FlaskClient, admin: dict[str, str], customer: dict[str, str]) -> Tools:
    """Those of an ordinary client who may call all of them."""
    let(client, admin, "client", "*")
    return Tools(client, customer)


@pytest.fixture
def make(database: Database, store: FileStore, client: FlaskClient) -> Make:
    """Stores a model of the ordinary client's."""
    with database.reading() as session:
        account = accounts.find(session, "client")
        assert account is not None
    return lambda word="jarvis", **fields: waking.model(database, store, word, **{"account_id": account.id} | fields)


@pytest.fixture
def trainers(database: Database) -> Iterator[None]:
    """Somebody who says that they train, and never does."""
    making.register(database, "train@here", wake_trainings.LANE)
    yield
    with database.transaction() as session:
        session.execute(delete(Worker).where(Worker.host == "here"))


# --- Wake words ---------------------------------------------------------------------------------------------------


def test_models_are_listed_as_their_endpoint_does_with_ones_own_trainings_under_way(
    tools: Tools, make: Make, database: Database, store: FileStore, client: FlaskClient, admin: dict[str, str]
) -> None:
    made = make("hey jarvis")
    job = waking.train(database, store, "alexa", account_id=made.account_id)
    ended = waking.train(database, store, "computer", account_id=made.account_id)
    making.change(database, ended, state="failed")
    found = tools.call("wakeword_models")
    trainings = found.pop("trainings")
    assert found == tools.client.get("/api/models", headers=tools.headers).get_json()
    assert [model["id"] for model in found["models"]] == ["hey-jarvis"]
    assert [(each["job_id"], each["wake_word"], each["progress"]) for each in trainings] == [(job.id, "alexa", 0.0)]
    assert "history" not in trainings[0]
    assert tools.call("wakeword_models", type="default")["models"] == []
    assert somebody(database, client, admin, "wakeword_*").call("wakeword_models")["trainings"] == []


def test_a_word_is_trained_again_with_what_there_is_of_it(
    tools: Tools, make: Make, trainers: None, database: Database
) -> None:
    recording = {"file": "a" * 64, "name": "a.wav", "size_bytes": 1, "duration_seconds": 1.0}
    made = make("hey jarvis", recordings=[recording])
    begun = tools.call(
        "wakeword_train", wake_word="Hey Jarvis", model_type="bcresnet", num_epochs=7, target_false_accepts_per_hour=2
    )
    assert begun["status"] == "pending"
    with database.reading() as session:
        job = session.get_one(Job, begun["job_id"])
        clips = session.get_one(WakeTraining, job.id).clips
    assert (job.account_id, job.params["wake_word"], job.params["model_type"]) == (
        made.account_id,
        "hey jarvis",
        "bcresnet",
    )
    assert (job.params["options"]["num_epochs"], job.params["target_false_accepts_per_hour"]) == (7, 2.0)
    assert clips["recordings"] == [recording]
    assert tools.call("job_status", job_id=job.id)["kind"] == "wakeword.train"
    body = tools.refused("wakeword_train", 409, wake_word="hey jarvis")
    assert job.id in body["detail"]


def test_what_cannot_be_trained_is_told_with_what_helps(tools: Tools, make: Make) -> None:
    assert "POST /api/train/start" in tools.refused("wakeword_train", 404, wake_word="nobody")["detail"]
    make()
    assert "make train" in tools.refused("wakeword_train", 503, wake_word="jarvis")["detail"]


def test_a_model_is_deleted_by_whoever_trained_it_once_that_is_confirmed(
    tools: Tools, make: Make, database: Database, client: FlaskClient, admin: dict[str, str]
) -> None:
    make(), make()
    with database.transaction() as session:
        clip: dict[str, Any] = {"file": "a" * 64, "size_bytes": 1, "duration_seconds": 1.0, "account_id": None}
        wake_captures.add(session, slug="jarvis", kind="false_alarm", **clip)
    other = somebody(database, client, admin, "wakeword_*")
    for caller, status in ((other, 403), (Tools(client, admin), 200)):
        token = caller.refused("wakeword_delete_model", 409, model_id="jarvis@1")["confirmation_token"]
        answer = caller.ask("wakeword_delete_model", token=token, model_id="jarvis@1")
        assert answer.status_code == status, answer.text
    assert [model["version"] for model in tools.call("wakeword_models")["models"]] == [2]
    tools.confirm("wakeword_delete_model", model_id="jarvis")
    assert tools.call("wakeword_models")["models"] == []
    with database.reading() as session:
        assert wake_captures.newest(session, "jarvis", "false_alarm") == []


def test_a_word_of_which_a_version_is_somebody_elses_is_not_deleted_whole(tools: Tools, make: Make) -> None:
    make(account_id=None), make()
    token = tools.refused("wakeword_delete_model", 409, model_id="jarvis")["confirmation_token"]
    body = tools.refused("wakeword_delete_model", 403, token=token, model_id="jarvis")
    assert "somebody else's model jarvis@1 takes admin" in body["detail"]
    assert tools.call("wakeword_models")["total"] == 1


# --- Transcription ------------------------------------------------------------------------------------------------


@pytest.fixture
def manager(database: Database, client: FlaskClient, admin: dict[str, str]) -> Tools:
    """Those of an operator."""
    return somebody(database, client, admin, "transcription_*", role="operator")


def test_tasks_are_listed_as_managers_see_them_with_where_their_texts_are_had(
    manager: Tools, database: Database, store: FileStore
) -> None:
    numbers = add(database, store, count=3)
    rest = manager.client.get("/api/transcription/tasks?limit=2", headers=manager.headers).get_json()
    found = manager.call("transcription_tasks", limit=2)
    urls = found.pop("export_urls")
    assert found == rest
    assert [task["id"] for task in found["tasks"]] == numbers[:2]
    assert manager.call("transcription_tasks", state="done")["total"] == 0
    for url in urls.values():
        assert manager.client.get(url, headers=manager.headers).status_code == 200


def test_it_is_counted_for_transcribers_too_how_much_there_is_to_do(
    client: FlaskClient, admin: dict[str, str], database: Database, store: FileStore
) -> None:
    add(database, store, count=3)
    assert task_of(database, 1) is not None
    agent = somebody(database, client, admin, "transcription_*", role="agent")
    assert agent.named() == {"transcription_counts"}
    counts: Any = {"available": 2, "total_unlabeled": 3, "total_locked": 1}
    assert agent.call("transcription_counts") == counts
    assert client.get("/api/tasks/available/count", headers=agent.headers).get_json() == counts


def test_transcribers_are_listed_with_what_each_did(manager: Tools, database: Database, store: FileStore) -> None:
    (number,) = add(database, store, seconds=2.0)
    assert task_of(database, 7) == number
    body = {"agent_id": 7, "transcription": "Well."}
    assert manager.client.post(f"/api/tasks/{number}/submit", json=body, headers=manager.headers).status_code == 200
    found = manager.call("transcription_agents")
    assert found == manager.client.get("/api/transcription/agents", headers=manager.headers).get_json()
    (agent,) = found["agents"]
    assert (agent["agent_id"], agent["total_tasks_completed"], agent["total_earnings"]) == (7, 1, 0.1)
    done = manager.call("transcription_tasks", state="done")
    assert [task["id"] for task in done["tasks"]] == [number]
    (text,) = manager.client.get(done["export_urls"]["json"], headers=manager.headers).get_json()
    assert (text["task_id"], text["text"]) == (number, "Well.")
