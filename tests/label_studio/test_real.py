"""The whole way to a real Label Studio, and whether the stand-in of the other tests answers as it does."""

from __future__ import annotations

import dataclasses
import json
import threading
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import requests
from flask.testing import FlaskClient
from sqlalchemy import func, select, update

from app import create_app
from config.settings import Settings
from models.db import Database
from models.transcription import ledger
from models.transcription.assigning import Choice
from models.transcription.submitting import submit
from models.transcription.tables import LABEL_STUDIO, Annotation, Assignment, Task
from tasks import annotations
from tasks import label_studio as syncing
from tasks.process import Process
from tests import transcribing
from tests.conftest import eventually
from tests.receiving import receiving
from tests.studio import LEGACY, PERSONAL, StandIn, label_studio
from tests.transcribing import tone
from workers.clients.label_studio import LabelStudio

SYSTEM = {"X-API-Key": "a system key for tests"}
THERE = Choice(source=LABEL_STUDIO)
RATE = Decimal("0.05")


@pytest.fixture(params=["legacy", "personal"])
def key(request: pytest.FixtureRequest, real: Any) -> str:
    """Either kind of token."""
    return LEGACY if request.param == "legacy" else str(real.personal)


@pytest.fixture
def connected(
    process: Process, root: None, real: Any, key: str, configured: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """Settings of a worker and of a web process that know it; without tasks of other tests."""
    for task in real.ask("GET", f"api/tasks/?project={real.project}&page=1&page_size=500&fields=all").json()["tasks"]:
        real.ask("DELETE", f"api/tasks/{task['id']}/")
    said = dataclasses.replace(
        process.settings,
        label_studio_url=real.url,
        label_studio_api_key=key,
        label_studio_project_id=real.project,
        tz_system_api_key=SYSTEM["X-API-Key"],
    )
    monkeypatch.setattr(process, "settings", said)
    annotations._server.cache_clear()
    annotations._project.cache_clear()
    yield said
    idle()


def idle() -> None:
    eventually(lambda: annotations.senders.at_work == 0, within_seconds=60)


def delivered(database: Database, *, within_seconds: float = 60) -> None:
    """Sends what is due, again at once where it was not taken, until nothing waits."""

    def nothing_waits() -> bool:
        with database.transaction() as session:
            session.execute(
                update(Annotation)
                .where(Annotation.state == "pending", annotations.senders.at_work == 0)
                .values(due_at=func.now())
            )
        annotations.deliver()
        idle()
        with database.transaction() as session:
            return not session.scalar(select(func.count()).where(Annotation.state == "pending"))

    eventually(nothing_waits, within_seconds=within_seconds)


def texts(found: list[dict[str, Any]]) -> list[str]:
    return [each["result"][0]["value"]["text"][0] for each in found]


def test_from_the_request_to_the_annotation_there(
    connected: Settings, clean: None, database: Database, real: Any
) -> None:
    (task,) = real.add(tone(2.0))
    syncing.sync()
    syncing.prepare()
    app = create_app(connected)
    http: FlaskClient = app.test_client()
    try:
        assert http.get("/api/health", headers=SYSTEM).get_json()["label_studio"] == "connected"
        given = http.post("/api/tasks/request", json={"agent_id": 1}, headers=SYSTEM).get_json()
        assert (given["task_id"], given["duration"]) == (task, 2.0)
        assert http.get(f"/api/audio/stream/{task}/1", headers=SYSTEM).data == tone(2.0)
        body = {"agent_id": 1, "transcription": "Grüße, “wörtlich” 🎧\nzweite Zeile"}
        sent = http.post(f"/api/tasks/{task}/submit", json=body, headers=SYSTEM)
        assert sent.status_code == 200
        delivered(database)
        (there,) = real.read_back(task)
        assert texts([there]) == [body["transcription"]]
        again = http.post(f"/api/tasks/{task}/submit", json=body, headers=SYSTEM).get_json()
        assert again["label_studio_annotation_id"] == there["id"]
        assert again["annotation_id"] == sent.get_json()["annotation_id"]
    finally:
        app.extensions["voiceworks"].hub.stop()
        app.extensions["voiceworks"].database.dispose()
    # It counts as labelled there.
    assert real.ask("GET", f"api/tasks/{task}/").json()["is_labeled"] is True


def hand_in(database: Database, agent: int) -> int:
    """The number of the task whose text was taken."""
    task = transcribing.task_of(database, agent, THERE)
    assert task is not None
    with database.transaction() as session:
        assert isinstance(submit(session, task, agent, f"text of {agent}", rate_per_second=RATE), Annotation)
    return task


def test_a_text_whose_answer_was_lost_is_there_once_and_its_number_is_known(
    connected: Settings, database: Database, real: Any
) -> None:
    (task,) = real.add(tone(1.0))
    syncing.sync()
    syncing.prepare()
    hand_in(database, 1)
    studio = annotations._server(real.url, connected.label_studio_api_key or "", real.project)
    with database.transaction() as session:
        ours = session.scalars(select(Annotation)).one()
    # As by a sender that died before it could say so.
    number = studio.annotate(studio.project(), task, ours.text, unique_id=ours.unique_id, worked_seconds=1.0)
    delivered(database)
    with database.transaction() as session:
        assert session.get_one(Annotation, ours.id).label_studio_annotation_id == number
    assert [each["id"] for each in real.read_back(task)] == [number]


def test_a_task_that_was_deleted_there_is_void_and_one_that_nobody_has_is_gone(
    connected: Settings, database: Database, real: Any
) -> None:
    one, two, three = real.add(tone(1.0), tone(1.0), tone(1.0))
    syncing.sync()
    syncing.prepare()
    assert hand_in(database, 1) == one
    for task in (one, two):
        real.ask("DELETE", f"api/tasks/{task}/")
    delivered(database)
    syncing.sync(whole=True)
    with database.transaction() as session:
        assert [session.get_one(Task, task).state for task in (one, two, three)] == ["gone", "gone", "open"]
        assert session.scalars(select(Assignment)).one().state == "void"
        assert ledger.balance(session, 1) == 0
        ours = session.scalars(select(Annotation)).one()
        assert (ours.state, ours.problem) == ("refused", f"Task {one} was removed from Label Studio.")


def test_killed_and_started_again_while_texts_are_handed_in_it_has_each_once(
    connected: Settings, database: Database, real: Any
) -> None:
    made = real.add(*[tone(1.0)] * 12)
    syncing.sync()
    syncing.prepare()
    killed = threading.Event()

    def outage() -> None:
        real.kill()
        killed.set()
        real.start()

    killer = threading.Thread(target=outage)
    for agent in range(1, 13):
        hand_in(database, agent)
        annotations.deliver()
        if agent == 4:
            killer.start()
    assert killed.wait(30)
    killer.join(240)
    delivered(database, within_seconds=120)
    for task in made:
        with database.transaction() as session:
            ours = session.scalars(select(Annotation).where(Annotation.task_id == task)).one()
        found = real.ask("GET", f"api/tasks/{task}/annotations/").json()
        assert [(each["id"], texts([each])) for each in found] == [(ours.label_studio_annotation_id, [ours.text])]
        assert ours.state == "written"
    with database.transaction() as session:
        assert sum(ledger.balance(session, agent) for agent in range(1, 13)) == RATE * 12


# --- The stand-in ----------------------------------------------------------------------------------------------------

ORDER = json.dumps({"ordering": ["-tasks:id"]})


def answers(url: str, project: int, task: int, gone: int, sound: str) -> dict[str, tuple[int, Any]]:
    """What is answered to the same requests: the status, and of what we read its form."""
    told: dict[str, tuple[int, Any]] = {}
    unique, result = str(uuid.uuid4()), [{"id": "a", "from_name": "said", "to_name": "sound", "type": "textarea"}]
    result[0] |= {"value": {"text": ["said"]}}  # type: ignore[dict-item]

    def ask(name: str, method: str, path: str, form: Any = None, *, token: str = LEGACY, **options: Any) -> None:
        headers = {"Authorization": f"Token {token}"} if token else {}
        answer = requests.request(
            method, f"{url}/{path}", headers=headers, timeout=60, allow_redirects=False, **options
        )
        told[name] = answer.status_code, form(answer.json()) if form and answer.ok else None

    def listed(page: int, size: int, of: int = project) -> dict[str, Any]:
        return {"params": {"project": of, "page": page, "page_size": size, "fields": "all", "query": ORDER}}

    def shape(found: Any) -> Any:
        numbers = [each["id"] for each in found["tasks"]]
        one = found["tasks"][0]
        return numbers == sorted(numbers, reverse=True), found["total"], sorted({"data", "is_labeled"} & set(one))

    def written(found: Any) -> Any:
        return [(type(each["id"]).__name__, "unique_id" in each, each["result"]) for each in found]

    at = f"api/tasks/{task}/"
    path = f"{at}annotations/"
    body = {"result": result, "unique_id": unique, "lead_time": 1.5}
    ask("project", "GET", f"api/projects/{project}/", lambda found: found["label_config"].split())
    ask("no such project", "GET", "api/projects/999/")
    ask("list", "GET", "api/tasks/", shape, **listed(1, 200))
    ask("first page", "GET", "api/tasks/", shape, **listed(1, 1))
    ask("last page", "GET", "api/tasks/", shape, **listed(2, 1))
    ask("page beyond the end", "GET", "api/tasks/", **listed(3, 1))
    ask("list of no project", "GET", "api/tasks/", **listed(1, 200, 999))
    ask("task", "GET", f"api/tasks/{task}/", lambda found: found["is_labeled"])
    ask("no annotations", "GET", path, written)
    ask("annotate", "POST", path, lambda found: written([found]), json=body)
    ask("annotate again", "POST", path, json=body)
    ask("annotate without a good id", "POST", path, json=body | {"unique_id": "one"})
    ask("annotations", "GET", path, written)
    ask(
        "annotated task",
        "GET",
        f"api/tasks/{task}/",
        lambda found: (found["is_labeled"], written(found["annotations"])),
    )
    ask("deleted task", "GET", f"api/tasks/{gone}/")
    ask(
        "annotate a deleted task",
        "POST",
        f"api/tasks/{gone}/annotations/",
        json=body | {"unique_id": str(uuid.uuid4())},
    )
    ask("annotations of a deleted task", "GET", f"api/tasks/{gone}/annotations/")
    ask("sound", "GET", sound.lstrip("/"))
    ask("sound that is not there", "GET", "data/upload/1/none.wav")
    for name, token in (("a wrong token", "wrong"), ("no token", "")):
        ask(f"project by {name}", "GET", f"api/projects/{project}/", token=token)
        ask(f"sound by {name}", "GET", sound.lstrip("/"), token=token)
        ask(f"annotate by {name}", "POST", path, token=token, json=body | {"unique_id": str(uuid.uuid4())})
    ask("refresh by a wrong token", "POST", "api/token/refresh/", token="", json={"refresh": "a.wrong.token"})
    return told


def of_stand_in(studio: StandIn) -> dict[str, tuple[int, Any]]:
    task, other, gone = studio.add(tone(1.0), tone(1.0), tone(1.0))
    studio.forget(gone)
    return answers(studio.url, 1, task, gone, studio.tasks[other]["data"]["audio"])


def test_the_stand_in_answers_as_the_real_one(real: Any) -> None:
    project = real.project
    for task in real.ask("GET", f"api/tasks/?project={project}&page=1&page_size=500&fields=all").json()["tasks"]:
        real.ask("DELETE", f"api/tasks/{task['id']}/")
    task, other, gone = real.add(tone(1.0), tone(1.0), tone(1.0))
    real.ask("DELETE", f"api/tasks/{gone}/")
    sound = real.ask("GET", f"api/tasks/{other}/").json()["data"]["audio"]
    truth = answers(real.url, project, task, gone, sound)
    with label_studio() as studio:
        assert of_stand_in(studio) == truth
    assert len(truth) == 26


def test_a_bearer_is_as_good_for_the_stand_in_as_for_the_real_one(real: Any) -> None:
    def statuses(url: str, personal: str, project: int) -> list[int]:
        found = requests.post(f"{url}/api/token/refresh/", json={"refresh": personal}, timeout=60)
        ask = f"{url}/api/projects/{project}/"
        tokens = [f"Bearer {found.json()['access']}", f"Bearer {personal}", f"Token {personal}", "Bearer wrong"]
        return [
            found.status_code,
            *(requests.get(ask, headers={"Authorization": each}, timeout=60).status_code for each in tokens),
        ]

    with label_studio() as studio:
        assert statuses(studio.url, PERSONAL, 1) == statuses(real.url, real.personal, real.project)


def test_the_clients_list_is_that_of_the_real_one(real: Any, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.clients.label_studio.PAGE_TASKS", 2)
    made = real.add(*[tone(1.0)] * 4)
    here = LabelStudio(real.url, key, real.project)
    assert [task.id for task in here.tasks(newer_than=made[0])] == made[:0:-1]
    assert {*made} <= {task.id for task in here.tasks()}
    assert here.has(made[0])
    assert not here.has(999_999)
    real.ask("DELETE", f"api/tasks/{made[0]}/")
    assert not here.has(made[0])


ACTIONS = ["TASKS_CREATED", "TASKS_DELETED", "ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED"]


def test_its_webhooks_come_with_the_secret_and_say_what_we_read(real: Any) -> None:
    with receiving() as receiver:
        body = {
            "project": real.project,
            "url": receiver.url(),
            "actions": ACTIONS,
            "headers": {"X-Voiceworks-Secret": "a secret"},
            "send_payload": True,
            "send_for_all_actions": False,
        }
        made = real.ask("POST", "api/webhooks/", json=body)
        assert made.status_code == 201, made.text
        (task,) = real.add(tone(1.0))
        name = str(uuid.uuid4())
        here = LabelStudio(real.url, LEGACY, real.project)
        here.annotate(here.project(), task, "text", unique_id=name, worked_seconds=1.0)
        real.ask("DELETE", f"api/tasks/{task}/")
        wanted = {"TASKS_CREATED", "ANNOTATION_CREATED", "TASKS_DELETED"}
        eventually(lambda: wanted <= {told.message["action"] for told in receiver.told}, within_seconds=60)
        real.ask("DELETE", f"api/webhooks/{made.json()['id']}/")
    assert {told.headers["X-Voiceworks-Secret"] for told in receiver.told} == {"a secret"}
    (written,) = (told.message for told in receiver.told if told.message["action"] == "ANNOTATION_CREATED")
    assert written["annotation"]["result"][0]["id"] == name
