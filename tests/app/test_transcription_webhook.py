"""Webhooks of Label Studio's: refused without the secret, and nothing but a reason to look."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from kombu import Queue
from werkzeug.test import TestResponse

from app import create_app
from app.api import transcription_webhook as api
from config.settings import Settings
from models import redis_keys
from models.db import Database
from models.files import FileStore
from models.transcription.submitting import submit
from models.transcription.tables import Annotation
from tasks.celery_app import app as celery
from tests import making, transcribing
from tests.described import DescribedClient

PATH = "/api/transcription/label-studio/webhook"
SECRET = "a secret of Label Studio's"
Send = Callable[..., TestResponse]


@pytest.fixture(autouse=True)
def lane(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody takes what is rung: a worker of other tests may still be there."""
    assert api.LANE == "imports"
    monkeypatch.setattr(api, "LANE", making.LANE)
    celery.amqp.queues.add(Queue(making.LANE))
    yield
    celery.amqp.queues.pop(making.LANE)


@pytest.fixture
def http(configured: Settings, clean: None) -> Iterator[FlaskClient]:
    app = create_app(dataclasses.replace(configured, label_studio_webhook_secret=SECRET))
    app.test_client_class = DescribedClient
    yield app.test_client()
    app.extensions["voiceworks"].hub.stop()
    app.extensions["voiceworks"].database.dispose()


@pytest.fixture
def send(http: FlaskClient, queue: redis.Redis) -> Send:
    """Tells of an action; a look had happened before it."""
    queue.set(redis_keys.LABEL_STUDIO_LOOKED_AT, "1", ex=600)

    def tell(action: str, **more: Any) -> TestResponse:
        return http.post(PATH, json={"action": action, **more}, headers={"X-Voiceworks-Secret": SECRET})

    return tell


def rung(queue: redis.Redis) -> list[str]:
    """The tasks that were rung."""
    messages = [json.loads(raw) for raw in queue.lrange(making.LANE, 0, -1)]
    assert all(json.loads(base64.b64decode(message["body"]))[1] == {} for message in messages)
    return [message["headers"]["task"] for message in messages]


def is_whole(queue: redis.Redis) -> bool:
    """Whether the next look is at all tasks."""
    return not queue.exists(redis_keys.LABEL_STUDIO_LOOKED_AT)


def test_new_tasks_are_looked_for_at_once(send: Send, queue: redis.Redis) -> None:
    assert send("TASKS_CREATED", tasks=[{"id": 1}]).status_code == 200
    assert (rung(queue), is_whole(queue)) == (["transcription.sync"], False)


@pytest.mark.parametrize(
    "action",
    ["TASKS_DELETED", "ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATIONS_DELETED"],
)
def test_what_was_removed_or_labelled_has_all_tasks_looked_at(send: Send, queue: redis.Redis, action: str) -> None:
    assert send(action, annotation={"result": [{"id": "by hand"}]}).status_code == 200
    assert (rung(queue), is_whole(queue)) == (["transcription.sync"], True)


def test_a_burst_rings_once_and_nothing_of_it_is_lost(send: Send, queue: redis.Redis) -> None:
    for _ in range(20):
        send("TASKS_CREATED")
    assert not is_whole(queue)
    send("TASKS_DELETED")
    assert (rung(queue), is_whole(queue)) == (["transcription.sync"], True)
    assert 0 < queue.ttl(redis_keys.LABEL_STUDIO_RUNG) <= 5


def test_what_we_wrote_ourselves_is_no_reason_to_look(
    send: Send, queue: redis.Redis, database: Database, configured: Settings
) -> None:
    (task,) = transcribing.add(database, FileStore(configured.var_dir / "files"))
    transcribing.given(database, 1)
    with database.transaction() as session:
        ours = submit(session, task, 1, "ours", rate_per_second=configured.transcription_rate_per_second)
        assert isinstance(ours, Annotation)
        name = ours.unique_id
    assert send("ANNOTATION_CREATED", annotation={"result": [{"id": name}]}).status_code == 200
    assert (rung(queue), is_whole(queue)) == ([], False)
    send("ANNOTATION_CREATED", annotation={"result": [{"id": name[:-1] + "!"}]})
    assert (rung(queue), is_whole(queue)) == (["transcription.sync"], True)


@pytest.mark.parametrize("action", ["", "PROJECT_UPDATED", "LABEL_LINK_CREATED"])
def test_other_news_are_no_reason_to_look(send: Send, queue: redis.Redis, action: str) -> None:
    assert send(action).status_code == 200
    assert (rung(queue), is_whole(queue)) == ([], False)


@pytest.mark.parametrize("headers", [{}, {"X-Voiceworks-Secret": ""}, {"X-Voiceworks-Secret": SECRET[:-1]}])
def test_without_the_secret_nothing_happens(
    http: FlaskClient, queue: redis.Redis, admin: dict[str, str], headers: dict[str, str]
) -> None:
    for more in ({}, admin, {"X-API-Key": SECRET}):
        answer = http.post(PATH, json={"action": "TASKS_CREATED"}, headers=headers | more)
        assert (answer.status_code, set(answer.get_json())) == (401, {"detail"})
    assert rung(queue) == []


@pytest.mark.parametrize("secret", ["", "None", "null"])
def test_where_no_secret_is_set_nobody_knows_it(client: FlaskClient, queue: redis.Redis, secret: str) -> None:
    answer = client.post(PATH, json={"action": "TASKS_CREATED"}, headers={"X-Voiceworks-Secret": secret})
    assert answer.status_code == 401
    assert rung(queue) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{not json",
        b"[]",
        b"[" * 100_000,
        b'{"action": "ANNOTATION_CREATED", "annotation": {"result": [{"id": 1}, null, {"id": ["a"]}]}}',
        b'{"action": "ANNOTATION_CREATED", "annotation": {"result": [{"id": "\\u0000%s"}]}}' % (b"x" * 35),
        b'{"action": "ANNOTATION_CREATED", "annotation": {"result": [{"id": "\\ud800%s"}]}}' % (b"x" * 35),
    ],
)
def test_whatever_comes_with_the_secret_breaks_nothing(http: FlaskClient, queue: redis.Redis, body: bytes) -> None:
    headers = {"X-Voiceworks-Secret": SECRET, "Content-Type": "application/json"}
    assert http.post(PATH, data=body, headers=headers).status_code == 200
