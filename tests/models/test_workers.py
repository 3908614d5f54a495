"""The register of workers: who is alive, who can do what."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, update

from models import workers
from models.db import Database
from models.workers import ALIVE_SECONDS, EngineState, Worker
from tests import making

pytestmark = pytest.mark.usefixtures("register_of_its_own")


def silent_for(database: Database, node: str, seconds: float) -> None:
    with database.transaction() as session:
        earlier = func.now() - timedelta(seconds=seconds)
        session.execute(update(Worker).where(Worker.node == node).values(heartbeat_at=earlier))


def able(database: Database, lane: str = "test.lane") -> int:
    with database.transaction() as session:
        return workers.able(session, lane)


def nodes(database: Database) -> list[str]:
    """The live workers that this test invented."""
    with database.transaction() as session:
        return [worker.node for worker in workers.alive(session) if worker.host == "here"]


def test_a_registered_worker_is_alive_and_able(database: Database) -> None:
    making.register(database, "b", "test.lane", "test.other")
    making.register(database, "a", "test.lane")
    assert nodes(database) == ["a", "b"]
    assert (able(database), able(database, "test.other"), able(database, "test.none")) == (2, 1, 0)


def test_a_lane_s_name_must_fit_wholly(database: Database) -> None:
    making.register(database, "a", "test.lane.long")
    assert able(database) == 0


def test_a_worker_that_fell_silent_is_dead(database: Database) -> None:
    making.register(database, "a", "test.lane")
    silent_for(database, "a", ALIVE_SECONDS - 2)
    assert able(database) == 1
    silent_for(database, "a", ALIVE_SECONDS + 1)
    assert able(database) == 0
    assert nodes(database) == []


def test_a_heartbeat_brings_it_back_and_says_what_it_does(database: Database) -> None:
    making.register(database, "a", "test.lane")
    silent_for(database, "a", 60)
    with database.transaction() as session:
        workers.beat(session, "a", current_unit="speech.speak x", memory_bytes=12345)
    assert able(database) == 1
    with database.transaction() as session:
        found = session.get_one(Worker, "a")
    assert (found.current_unit, found.memory_bytes) == ("speech.speak x", 12345)


def test_the_heartbeat_of_an_unknown_worker_registers_nothing(database: Database) -> None:
    with database.transaction() as session:
        workers.beat(session, "nobody", current_unit=None, memory_bytes=1)
        assert session.get(Worker, "nobody") is None


def test_a_leaving_worker_is_alive_but_gets_nothing_new(database: Database) -> None:
    making.register(database, "a", "test.lane", engines={"test-engine": "1"})
    with database.transaction() as session:
        assert workers.engines(session)["test-engine"].alive
        workers.leave(session, "a")
    assert able(database) == 0
    assert nodes(database) == ["a"]
    with database.transaction() as session:
        # What it could speak is still known, so that speech that is ready is found.
        assert workers.engines(session)["test-engine"] == EngineState("1", alive=False)


def test_a_new_life_replaces_the_former(database: Database) -> None:
    making.register(database, "a", "test.lane", engines={"test-engine": "1"})
    with database.transaction() as session:
        workers.leave(session, "a")
        workers.beat(session, "a", current_unit="something", memory_bytes=1)
    making.register(database, "a", "test.other", engines={"test-engine": "2"}, pid=2)
    with database.transaction() as session:
        found = session.get_one(Worker, "a")
    assert (found.lanes, found.engines, found.pid) == (["test.other"], {"test-engine": "2"}, 2)
    assert (found.draining, found.current_unit) == (False, None)
    assert (able(database), able(database, "test.other")) == (0, 1)


def test_the_newest_worker_s_word_on_a_revision_counts(database: Database) -> None:
    making.register(database, "z", engines={"test-engine": "1", "test-old": "9"})
    making.register(database, "a", engines={"test-engine": "2"})
    with database.transaction() as session:
        engines = workers.engines(session)
    assert (engines["test-engine"].revision, engines["test-old"].revision) == ("2", "9")


def test_dead_workers_cannot_speak(database: Database) -> None:
    making.register(database, "a", engines={"test-engine": "1"})
    silent_for(database, "a", 60)
    with database.transaction() as session:
        assert not workers.engines(session)["test-engine"].alive


def test_workers_not_heard_of_for_a_day_are_forgotten(database: Database) -> None:
    making.register(database, "old")
    making.register(database, "young")
    silent_for(database, "old", 86400 + 60)
    silent_for(database, "young", 86400 - 60)
    with database.transaction() as session:
        workers.forget_old(session)
        assert session.get(Worker, "old") is None
        assert session.get(Worker, "young") is not None


def test_a_heartbeat_says_what_the_worker_uses_and_no_more_than_that(database: Database) -> None:
    gpu = {"uuid": "GPU-1", "name": "A GPU", "memory_total_bytes": 2, "memory_used_bytes": 1, "utilization_percent": 3}
    making.register(database, "a", making.LANE)
    for cpu_percent, used in ((150.5, gpu), (0.0, None)):
        with database.transaction() as session:
            workers.beat(session, "a", current_unit=None, memory_bytes=7, cpu_percent=cpu_percent, gpu=used)
        with database.transaction() as session:
            row = session.get_one(Worker, "a")
        assert (row.memory_bytes, row.cpu_percent, row.gpu) == (7, cpu_percent, used)
