"""A worker of the version before beside a new one: what it does not know is left to others, and nothing fails by it."""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from sqlalchemy import delete

from config.child import Child
from config.settings import Settings
from models import workers
from models.db import Database
from models.events import Doorbell
from models.jobs.tables import ENDED, Job
from models.workers import Worker
from tasks import submit, upkeep
from tasks.process import Process
from tests import making
from tests.conftest import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
# No other worker of the tests takes from it.
LANE = "tts.background.remote"
KIND = "upkeep.cleanup"
ROOT = Path(__file__).parents[2]
Start = Callable[[str, str, str], Child]


@pytest.fixture
def start(configured: Settings, database: Database, tmp_path: Path) -> Iterator[Start]:
    """Starts a worker of a version on lanes."""
    started: list[Child] = []

    def begin(name: str, version: str, lanes: str) -> Child:
        command = [
            sys.executable,
            "-m",
            "celery",
            f"--app={version}",
            "worker",
            "--pool=solo",
            f"--hostname={name}@here",
        ]
        argv = [*command, f"--queues={lanes}", "--without-gossip", "--without-mingle", "--loglevel=INFO"]
        child = Child(name=name, argv=argv, log_path=tmp_path / f"{name}.log", env={"WORKER_ENGINES": ""}, cwd=ROOT)
        child.start()
        started.append(child)
        eventually(lambda: _registered(database, name, child), within_seconds=90)
        return child

    yield begin
    for child in started:
        child.stop()
    with database.transaction() as session:
        session.execute(delete(Worker).where(Worker.node.in_(["old@here", "new@here"])))


def _registered(database: Database, name: str, child: Child) -> bool:
    assert child.alive, child.log_tail()
    with database.transaction() as session:
        return any(each.node == f"{name}@here" for each in workers.alive(session))


def cleanup(database: Database) -> Job:
    """A cleanup in the queue, which removes nothing."""
    params = {"target": "temp", "max_age_hours": 1, "dry_run": True}
    return making.submit(database, kind=KIND, lane=LANE, params=params, doorbells=0)


def test_what_an_older_worker_does_not_know_is_done_by_a_newer_one(
    process: Process, database: Database, queue: redis.Redis, start: Start, tmp_path: Path
) -> None:
    older = start("old", "tests.tasks.older", LANE)
    job = cleanup(database)
    submit.ring(Doorbell(LANE, KIND, job.id))
    eventually(lambda: "unregistered task" in (tmp_path / "old.log").read_text(), within_seconds=30)
    # It dropped the message, and touched nothing.
    left = making.read(database, job)
    assert (left.state, left.attempts, left.error_code, left.version) == ("queued", 0, None, job.version)
    assert queue.llen(LANE) == 0
    start("new", "tasks.worker", LANE)

    def ended() -> bool:
        # Either may take what is rung: whoever has waited longer.
        upkeep.reclaim()
        time.sleep(1.0)
        return making.read(database, job).state in ENDED

    eventually(ended, within_seconds=60)
    done = making.read(database, job)
    assert (done.state, done.attempts, done.error_message) == ("succeeded", 1, None)
    assert older.alive
    assert _registered(database, "old", older)


def test_a_message_holds_the_id_of_a_job_and_nothing_else(database: Database, queue: redis.Redis) -> None:
    job = cleanup(database)
    submit.ring(Doorbell(LANE, KIND, job.id))
    message = json.loads(queue.lpop(LANE) or b"")
    assert message["headers"]["task"] == KIND
    said = json.dumps(message, default=str)
    assert "temp" not in said
    arguments, keywords, _ = json.loads(base64.b64decode(message["body"]))
    assert (arguments, keywords) == ([job.id], {})
