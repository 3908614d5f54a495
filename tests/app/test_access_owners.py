"""Whose is whose: every route that leads to what is somebody's, asked for one's own and for others', by every role."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from app import access_table
from app.access_table import Line
from app.http.access import OWN_LISTED
from models import deployments, imports, sessions
from models.accounts import ROLES
from models.base import utc_now
from models.db import Database
from models.files import FileStore
from models.gateway.tables import ToolCall
from models.jobs.tables import Job
from models.transcription.tables import Assignment
from models.webhooks import WebhookDelivery
from tests import making, roles, transcribing, waking
from tests.roles import AGENT, Person

# What a request needs to be a good one.
BODIES: dict[str, dict[str, Any]] = {
    "PATCH /api/sessions/<session_id>": {"is_playing": True},
    "PATCH /api/models/<model_id>": {"threshold": 0.5},
    "POST /api/tasks/<int:task_id>/submit": {"transcription": "Hello."},
    "POST /api/tasks/<int:task_id>/skip": {"reason": "noise"},
}
# Ids that nobody has.
NOBODYS = {"job_id": "nobodys", "task_id": "999999", "assignment_id": "999999"}


@dataclass
class World:
    """Where things are made that are somebody's: the ids of a new one, by their names in routes."""

    database: Database
    files: FileStore

    def job(self, owner: Person, **fields: Any) -> dict[str, str]:
        job = making.submit(
            self.database, doorbells=0, account_id=owner.account_id, callback_url="http://127.0.0.1:9/", **fields
        )
        return {"job_id": job.id, "deployment_id": job.id, "import_id": job.id}

    def told(self, owner: Person) -> dict[str, str]:
        """A job whose message about its end was given up."""
        made = self.job(owner)
        with self.database.transaction() as session:
            job = session.get_one(Job, made["job_id"])
        making.end_well(self.database, job)
        with self.database.transaction() as session:
            delivery = session.scalars(select(WebhookDelivery).where(WebhookDelivery.job_id == job.id)).one()
            delivery.state = "failed"
            return made | {"delivery_id": delivery.id}

    def deployment(self, owner: Person) -> dict[str, str]:
        config = {"voice_id": "nova", "provider": None, "speed": 1.0, "format": "wav"}
        course = making.course(self.database, ["Hello."])
        params = {"curriculum_id": course, "title": "T", "scheduled_time": None, "voice_configs": [config]}
        return self.job(owner, kind=deployments.KIND, params=params)

    def an_import(self, owner: Person) -> dict[str, str]:
        params = {"source": "web", "asked": {}, "dry_run": False, "curriculum_id": None, "title": None}
        return self.job(owner, kind=imports.KIND, params=params)

    def prefetch(self, owner: Person) -> dict[str, str]:
        params = {"curriculum_id": "c", "topic_id": None, "voice_id": "nova", "cached_segments": 0}
        return self.job(owner, kind="speech.prefetch", params=params, items=1)

    def batch(self, owner: Person) -> dict[str, str]:
        return self.job(owner, kind="speech.batch", params={"encoding": "url", "asked": [None]}, items=1)

    def training(self, owner: Person) -> dict[str, str]:
        return {"job_id": waking.train(self.database, self.files, word(), account_id=owner.account_id).id}

    def detector(self, owner: Person) -> dict[str, str]:
        return {"model_id": waking.model(self.database, self.files, word(), account_id=owner.account_id).slug}

    def playing(self, owner: Person) -> dict[str, str]:
        with self.database.transaction() as session:
            return {"session_id": sessions.create(session, account_id=owner.account_id).id}

    def key(self, owner: Person) -> dict[str, str]:
        return {"key_id": owner.key_id}

    def task(self, owner: Person) -> dict[str, str]:
        """A task in the hands of a transcriber: of the one with the number, or of the next."""
        agent_id = AGENT if owner.role == "agent" else AGENT + 1
        transcribing.add(self.database, self.files)
        held = transcribing.given(self.database, agent_id)
        assert held is not None
        with self.database.transaction() as session:
            session.execute(update(Assignment).values(kept_text="Late."))
        return {"task_id": str(held.task.id), "agent_id": str(agent_id), "assignment_id": str(held.assignment.id)}

    def call(self, owner: Person) -> dict[str, str]:
        with self.database.transaction() as session:
            call = ToolCall(tool=making.new_id(), account_id=owner.account_id, user=owner.account_id, door="rest")
            call.at, call.arguments, call.status = utc_now(), {}, "success"
            session.add(call)
            return {"tool": call.tool}


def word() -> str:
    """One that nobody has trained yet."""
    return "".join(chr(97 + int(digit, 16)) for digit in making.new_id()[-12:])


MAKERS: dict[str, Callable[[World, Person], dict[str, str]]] = {
    "/api/jobs/<job_id>/deliveries/": World.told,
    "/api/jobs": World.job,
    "/api/deployments": World.deployment,
    "/api/imports": World.an_import,
    "/api/tts/prefetch/": World.prefetch,
    "/v1/audio/speech/batch/": World.batch,
    "/api/train/": World.training,
    "/api/models/": World.detector,
    "/api/sessions": World.playing,
    "/api/auth/keys/": World.key,
    "/api/tasks/": World.task,
    "/api/audio/": World.task,
    "/api/agents/": World.task,
    "/api/transcription/kept/": World.task,
    "/api/mcp/": World.call,
}


def maker(line: Line) -> Callable[[World, Person], dict[str, str]]:
    """What makes something that the route leads to."""
    return next(make for prefix, make in MAKERS.items() if line.rule.startswith(prefix))


@pytest.fixture
def world(client: FlaskClient, database: Database) -> World:
    return World(database, client.application.extensions["voiceworks"].files)


@pytest.fixture
def owned(client: FlaskClient) -> list[Line]:
    """Every route that leads to what is somebody's."""
    found = [line for line in access_table.lines(client.application) if line.whose and line.method != "SOCKET"]
    assert len(found) > 40
    return sorted(found, key=lambda line: line.name)


def ask(client: FlaskClient, line: Line, who: Person, ids: dict[str, str]) -> TestResponse:
    """The answer to a good request for the thing of these ids."""
    path = line.rule.replace("<int:", "<")
    for name, value in ids.items():
        path = path.replace(f"<{name}>", value)
    assert "<" not in path, path
    body = BODIES.get(line.name, {}) | ({"agent_id": int(ids["agent_id"])} if "agent_id" in ids else {})
    if line.method in ("GET", "DELETE"):
        query = {"agent_id": ids["agent_id"]} if line.rule == "/api/tasks/available/count" else {}
        return client.open(path, method=line.method, headers=who.headers, query_string=query)
    return client.open(path, method=line.method, headers=who.headers, json=body)


def others(role: str) -> str:
    """The role of whoever else has something: of transcribers another number."""
    return "client" if role == "agent" else role


@pytest.mark.parametrize("role", ROLES)
def test_each_role_reaches_its_own_and_of_others_what_the_table_says(
    client: FlaskClient, world: World, owned: list[Line], role: str
) -> None:
    asked = 0
    for line in owned:
        cell = line.cell(role)
        if cell == "403":
            # Whose it is does not matter to those (tests/app/test_roles.py).
            continue
        me, somebody = roles.person(world.database, role), roles.person(world.database, others(role))
        make = maker(line)
        theirs = make(world, somebody)
        answer = ask(client, line, me, theirs)
        expected = cell.removeprefix("own, else ")
        if cell == "yes":
            assert answer.status_code not in (401, 403, 404, 500), (line.name, "others'", answer.text)
        elif cell == "own":
            assert answer.status_code == 200, (line.name, answer.text)
        else:
            assert answer.status_code == int(expected), (line.name, "others'", answer.text)
        if expected == "404":
            # Whether it is there cannot be told from the answer.
            unknown = ask(client, line, me, {name: NOBODYS.get(name, "nobodys") for name in theirs})
            text = next((each for name, each in theirs.items() if f"<{name}>" in line.rule))
            assert answer.text == unknown.text.replace("nobodys", text), line.name
        mine = make(world, me)
        answer = ask(client, line, me, mine)
        assert answer.status_code not in (401, 403, 404, 500), (line.name, "own", answer.text)
        asked += 1
    assert asked == {"admin": len(owned), "operator": len(owned)}.get(role, asked) > 2


@pytest.mark.parametrize("role", ["client", "operator", "admin"])
def test_each_role_is_listed_its_own_and_of_others_what_the_table_says(
    client: FlaskClient, world: World, owned: list[Line], role: str
) -> None:
    lists = [line for line in owned if line.whose == OWN_LISTED]
    assert len(lists) == 7
    for line in lists:
        me, somebody = roles.person(world.database, role), roles.person(world.database, "client")
        mine, theirs = maker(line)(world, me), maker(line)(world, somebody)
        answer = ask(client, line, me, {})
        assert answer.status_code == 200, line.name
        assert all(each in answer.text for each in set(mine.values())), line.name
        seen = {each in answer.text for each in set(theirs.values())}
        assert seen == {line.cell(role) == "yes"}, (line.name, answer.text)
