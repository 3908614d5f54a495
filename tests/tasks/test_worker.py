"""A real worker process: its first act, its entry in the register, its leaving."""

from __future__ import annotations

import importlib
import inspect
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from sqlalchemy import delete

from config.child import Child
from config.settings import Settings
from models import redis_keys
from models.db import Database
from models.events import Doorbell
from models.workers import Worker
from tasks import submit, worker
from tests import making
from tests.conftest import eventually
from tests.tasks.conftest import PARTS, SINGLE
from workers.device import Device
from workers.tts import provider

NODE = f"second@{socket.gethostname()}"
ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["io"])
def second(request: pytest.FixtureRequest, configured: Settings, database: Database) -> Iterator[Child]:
    """A worker of these queues, without engines, that is not started yet."""
    child = Child(
        name="second",
        argv=[
            *(sys.executable, "-m", "celery", "--app=tasks.worker", "worker", "--pool=solo"),
            *(f"--hostname={NODE}", f"--queues={request.param}", "--without-gossip", "--without-mingle"),
        ],
        log_path=configured.var_dir / "log" / "second.log",
        env={"WORKER_READY_FILE": str(configured.var_dir / "second.ready")},
        cwd=ROOT,
    )
    yield child
    child.stop()
    with database.transaction() as session:
        session.execute(delete(Worker).where(Worker.node == NODE))


def entry(database: Database) -> Worker | None:
    with database.transaction() as session:
        return session.get(Worker, NODE)


def test_a_worker_takes_back_what_its_former_life_held_registers_and_leaves_in_good_order(
    second: Child, database: Database, configured: Settings
) -> None:
    held, parts, theirs = (
        making.submit(database, kind=SINGLE),
        making.submit(database, kind=PARTS, items=1),
        making.submit(database, kind=SINGLE),
    )
    # Killed a moment ago: the leases have long to go.
    making.claim(database, held, node=NODE, lease_seconds=600)
    making.claim_items(database, parts, node=NODE, lease_seconds=600)
    making.claim(database, theirs, node="another", lease_seconds=600)
    second.start()

    def registered() -> Worker | None:
        assert second.alive, second.log_tail()
        return entry(database)

    found = eventually(registered, within_seconds=30)
    assert found is not None
    assert (found.pid, found.host) == (second.pid, socket.gethostname())
    assert (found.lanes, found.engines, found.device, found.draining) == (["io"], {}, "cpu", False)
    assert [making.read(database, job).state for job in (held, theirs)] == ["queued", "running"]
    assert making.read_items(database, parts)[0].state == "queued"
    assert making.read(database, held).error_code == "worker_lost"
    eventually((configured.var_dir / "second.ready").exists)

    def draining() -> bool:
        left = entry(database)
        return left is not None and left.draining

    second.ask_to_stop()
    eventually(draining)
    eventually(lambda: second.poll() is not None)
    assert second.poll() == os.EX_OK, second.log_tail()


def test_a_worker_without_what_an_optional_engine_needs_registers_the_others(
    second: Child, database: Database, configured: Settings
) -> None:
    second.env = {**second.env, "WORKER_ENGINES": "hibari,remote"}
    second.start()
    found = eventually(lambda: entry(database), within_seconds=30)
    assert found is not None
    assert list(found.engines) == ["hibari"]


@pytest.mark.parametrize("second", ["llm"], indirect=True)
def test_a_worker_that_cannot_begin_ends_and_takes_no_work_unregistered(second: Child) -> None:
    # Nobody listens there.
    away = "postgresql://postgres@127.0.0.1:1/nowhere?connect_timeout=1"
    second.env = {**second.env, "WORKER_TRAINER": "none", "DATABASE_URL": away}
    second.start()
    status = eventually(second.poll, within_seconds=60)
    assert status == os.EX_UNAVAILABLE, second.log_tail()
    assert "This worker cannot begin its work" in second.log_tail()


@pytest.mark.parametrize("second", ["tts.live.neural.head,tts.live.neural"], indirect=True)
def test_a_resident_worker_says_that_it_is_idle_until_it_leaves(second: Child, queue: redis.Redis) -> None:
    idle = redis_keys.idle_workers("tts.live.neural")
    second.start()
    eventually(lambda: queue.smembers(idle) == {NODE.encode()}, within_seconds=30)
    # A doubled message: nothing to do, and idle again after it.
    submit.ring(Doorbell("tts.live.neural", "speech.speak", "no-such-job"), queue)
    eventually(lambda: queue.scard(idle) == 1)
    assert queue.llen("tts.live.neural.head") == 0
    second.stop()
    assert queue.scard(idle) == 0


@pytest.mark.parametrize("name", ["piper", "remote"])
def test_what_settings_say_to_an_engine_is_what_it_takes(name: str, configured: Settings) -> None:
    options = worker._options(configured)
    assert sorted(options) == ["piper", "remote"]
    try:
        load = importlib.import_module(provider.MODULES[name]).load
    except ImportError as fault:
        pytest.skip(str(fault))
    inspect.signature(load).bind(Device("cpu", 1), **options[name])
