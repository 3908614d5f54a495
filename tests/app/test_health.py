"""Whether the service lives and is ready: told truly, soon, and at little cost, whatever hangs."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from flask.testing import FlaskClient
from sqlalchemy import event, text

from app import create_app, readiness
from app.readiness import Part, Readiness
from config import embedded
from config.settings import Settings
from models import migrations
from models.db import Database
from models.workers import EngineState
from tests.conftest import eventually

PARTS = {"database", "migrations", "queue", "streams", "speech"}
NOBODY = "postgresql+psycopg://nobody@127.0.0.1:1/nothing?connect_timeout=1"
AWAY = "redis://127.0.0.1:1"


@pytest.fixture
def application(configured: Settings) -> Iterator[Callable[..., FlaskClient]]:
    """A client of the application with changed settings."""
    made = []

    def make(**changes: object) -> FlaskClient:
        made.append(create_app(replace(configured, **changes)))
        return made[-1].test_client()

    yield make
    for app in made:
        app.extensions["voiceworks"].hub.stop()
        app.extensions["voiceworks"].database.dispose()


def test_ready_is_200_once_everything_is_there_and_a_worker_can_speak(client: FlaskClient, worker: object) -> None:
    answer = client.get("/health/ready")
    told = answer.get_json()
    assert (answer.status_code, told["status"], told["missing"]) == (200, "ready", [])
    assert told["checks"] == {name: {"status": "ok"} for name in PARTS}


def test_it_is_not_ready_while_no_worker_has_the_default_voice(client: FlaskClient, no_worker: None) -> None:
    answer = client.get("/health/ready")
    told = answer.get_json()
    assert (answer.status_code, told["status"], told["missing"]) == (503, "not_ready", ["speech"])
    assert "nova" in told["checks"]["speech"]["reason"]
    assert all(told["checks"][name] == {"status": "ok"} for name in PARTS - {"speech"})
    # An error like any other to a client that knows nothing of it.
    assert (told["code"], told["error"]) == ("NOT_READY", "Not ready: speech.")


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"database_url": NOBODY}, {"database", "migrations", "speech"}),
        ({"redis_url": AWAY}, {"queue"}),
        ({"stream_redis_url": AWAY}, {"streams"}),
    ],
)
def test_what_is_away_is_named_and_nothing_else_is_said_of_it(
    application: Callable[..., FlaskClient], worker: object, changes: dict[str, str], missing: set[str]
) -> None:
    http = application(**changes)
    answer = http.get("/health/ready")
    told = answer.get_json()
    assert (answer.status_code, set(told["missing"])) == (503, missing)
    assert {name for name, check in told["checks"].items() if check["status"] == "failed"} == missing
    assert "nobody" not in answer.text
    assert "127.0.0.1" not in answer.text
    # Whoever restarts what is stuck must not restart this.
    assert http.get("/health/live").status_code == 200


def test_liveness_asks_nobody(application: Callable[..., FlaskClient]) -> None:
    http = application(database_url=NOBODY, redis_url=AWAY, stream_redis_url=AWAY, rate_limits=True)
    began = time.monotonic()
    for _ in range(20):
        answer = http.get("/health/live")
        assert (answer.status_code, answer.get_json()) == (200, {"status": "alive"})
    assert time.monotonic() - began < 1.0


def test_a_database_of_an_older_version_is_not_ready_and_one_of_a_newer_is(
    database: Database, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = Readiness(database, redis.Redis(), redis.Redis(), lambda _: {}).look
    head = migrations.head()
    assert look("migrations") == {"migrations": None}
    monkeypatch.setattr(migrations, "head", lambda: "9999")
    behind = Readiness(database, redis.Redis(), redis.Redis(), lambda _: {}).look("migrations")["migrations"]
    assert behind == f"The database is at {head}, this version needs 9999."
    monkeypatch.setattr(migrations, "head", lambda: "0001")
    assert Readiness(database, redis.Redis(), redis.Redis(), lambda _: {}).look("migrations") == {"migrations": None}


def test_a_worker_that_leaves_is_nobody_who_speaks(database: Database) -> None:
    def speech(engines: dict[str, EngineState]) -> str | None:
        return Readiness(database, redis.Redis(), redis.Redis(), lambda _: engines).look("speech")["speech"]

    assert speech({"hibari": EngineState("1", alive=True)}) is None
    assert speech({"hibari": EngineState("1", alive=False), "espeak": EngineState("1", alive=True)})
    assert speech({})


# --- What hangs ------------------------------------------------------------------------------------------------------


def test_several_parts_that_hang_cost_no_more_than_one_and_are_asked_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "PATIENCE_SECONDS", 0.3)
    go_on, asked = threading.Event(), []

    class Hanging(redis.Redis):
        def ping(self, **_: object) -> bool:
            asked.append(self)
            return go_on.wait(20)

    ready = Readiness(database, Hanging(), Hanging(), lambda _: {})
    began = time.monotonic()
    found = [ready.look("queue", "streams", "database") for _ in range(3)]
    assert time.monotonic() - began < 1.5
    assert all(told["queue"] == told["streams"] == "It did not answer within 0.3 s." for told in found)
    assert all(told["database"] is None for told in found)
    assert len(asked) == 2
    go_on.set()
    # Once it answers, that is believed.
    eventually(lambda: ready.look("queue") == {"queue": None}, within_seconds=5)


def test_whoever_asks_a_hundred_times_a_second_asks_the_database_once(database: Database) -> None:
    statements = []
    event.listen(database._reading, "before_cursor_execute", lambda *told: statements.append(told[2]))
    ready = Readiness(database, redis.Redis(), redis.Redis(), lambda _: {})
    for _ in range(100):
        assert ready.look("database") == {"database": None}
    assert statements.count("select 1") <= 2


def test_a_part_that_failed_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "FRESH_SECONDS", 0.0)
    answers = iter([OSError("secret-host is away"), None])

    def look() -> None:
        if (answer := next(answers)) is not None:
            raise answer

    part = Part(look)
    assert part(time.monotonic() + 5) == "It cannot be asked (OSError)."
    assert part(time.monotonic() + 5) is None


def test_a_database_that_stopped_answering_is_told_within_patience(tmp_path: Path) -> None:
    with embedded.running(tmp_path) as servers:
        database = Database(servers.database_url, lambda signals: None, pool_size=2)
        with database.reading() as session:
            # What serves the one connection in the pool.
            back_end = session.scalars(text("select pg_backend_pid()")).one()
        ready = Readiness(database, redis.Redis(), redis.Redis(), lambda _: {})
        os.kill(back_end, signal.SIGSTOP)
        try:
            began = time.monotonic()
            told = ready.look("database")["database"]
            assert told is not None
            assert time.monotonic() - began < readiness.PATIENCE_SECONDS + 1
        finally:
            os.kill(back_end, signal.SIGCONT)
        eventually(lambda: ready.look("database") == {"database": None}, within_seconds=10)
        database.dispose()
