"""Messages doubled and lost, workers and brokers stopped and killed: each item is done once, and all of them are.

A real Celery worker on a real broker, held by pytest-celery, with a kind of job that only counts.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from pytest_celery import (
    CeleryBrokerCluster,
    CeleryTestBroker,
    CeleryTestSetup,
    CeleryTestWorker,
    CeleryWorkerCluster,
)
from sqlalchemy import delete, select, text

from config import embedded, settings
from config.child import Child
from config.settings import Settings
from models import migrations, workers
from models.base import new_id
from models.db import Database
from models.events import Doorbell, Signal
from models.jobs import lifecycle
from models.jobs.lifecycle import NewItem, NewJob
from models.jobs.tables import Job, JobItem
from tests.conftest import eventually
from tests.journeys.containers import ValkeyContainer, WorkerContainer
from tests.journeys.product import ROOT

KIND, LANE, NOTES = "test.count", "io", "notes"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The settings of a folder of its own."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("VAR_DIR", str(tmp_path_factory.mktemp("queue")))
        return settings.load()


@pytest.fixture(scope="module")
def postgres(site: Settings) -> Iterator[Child]:
    """Its Postgres, migrated."""
    child = embedded.postgres(site.var_dir)
    child.start()
    try:
        assert child.ready(timeout_seconds=30), child.log_tail()
        database = Database(site.database_url, lambda signals: None)
        migrations.upgrade(database.engine)
        database.dispose()
        yield child
    finally:
        child.stop()


@pytest.fixture(scope="module")
def valkey_container(site: Settings) -> Iterator[ValkeyContainer]:
    """The broker's process."""
    container = ValkeyContainer(embedded.valkey(site.var_dir, "queue"), site)
    yield container
    container.teardown()


@pytest.fixture(scope="module")
def worker_container(site: Settings, postgres: Child, valkey_container: ValkeyContainer) -> Iterator[WorkerContainer]:
    """The worker's process."""
    assert valkey_container.ready()
    child = Child(
        name="counting",
        argv=[
            *(sys.executable, "-m", "celery", "--app=tests.journeys.counting", "worker", "--pool=solo"),
            *("--hostname=counting@%h", "--queues=io,upkeep", "--without-gossip", "--without-mingle"),
        ],
        log_path=site.var_dir / "log" / "counting.log",
        env={"VAR_DIR": str(site.var_dir)},
        cwd=ROOT,
    )
    database = Database(site.database_url, lambda signals: None)

    def registered() -> bool:
        with database.transaction() as session:
            return any(worker.pid == child.pid and not worker.draining for worker in workers.alive(session))

    container = WorkerContainer(child, registered)
    yield container
    container.teardown()
    database.dispose()


# What pytest-celery builds its setup from: ours in the place of its Docker images, and no result backend.


@pytest.fixture
def celery_broker_cluster(valkey_container: ValkeyContainer) -> CeleryBrokerCluster:
    if valkey_container.status == "exited":
        valkey_container.restart()
    valkey_container.client.flushall()
    return CeleryBrokerCluster(CeleryTestBroker(valkey_container))


@pytest.fixture
def celery_backend_cluster() -> None:
    return None


@pytest.fixture
def celery_worker_cluster(
    celery_broker_cluster: CeleryBrokerCluster, worker_container: WorkerContainer, celery_setup_app: object
) -> CeleryWorkerCluster:
    if worker_container.status == "exited":
        worker_container.restart()
    return CeleryWorkerCluster(CeleryTestWorker(worker_container, celery_setup_app))


@dataclass
class Counting:
    """The queue with its worker, and a way to give it work and to see what became of it."""

    setup: CeleryTestSetup
    database: Database
    notes: Path

    def submit(self, *seconds: float, ring: int = 1) -> str:
        """The id of a job that counts, one item for each duration; ``ring`` says how many messages are sent."""
        items = [NewItem({"number": number, "seconds": pause}) for number, pause in enumerate(seconds)]
        job_id = new_id("count_")
        new = NewJob(job_id, KIND, LANE, params={}, resolution={}, items=items, sliced=True)
        with self.database.transaction() as session:
            lifecycle.submit(session, new, doorbells=ring)
        return job_id

    def reclaim(self) -> None:
        """Sends what beat sends every five seconds."""
        self.setup.app.send_task("upkeep.reclaim", queue="upkeep")

    def job(self, job_id: str) -> Job:
        """The job's row."""
        with self.database.transaction() as session:
            return session.get_one(Job, job_id)

    def items(self, job_id: str) -> Sequence[JobItem]:
        """Its items in order."""
        with self.database.transaction() as session:
            return session.scalars(select(JobItem).where(JobItem.job_id == job_id).order_by(JobItem.position)).all()

    def states(self, job_id: str) -> str:
        """The first letters of its items' states, in order."""
        return "".join(item.state[0] for item in self.items(job_id))

    def until(self, job_id: str, states: str) -> None:
        """Waits until its items are in these states."""
        eventually(lambda: self.states(job_id) == states, within_seconds=20)

    def until_begun(self, number: int) -> None:
        """Waits until the worker is in that item; a few behind it may be claimed with it."""
        eventually(lambda: self.noted()[f"begun {number}"], within_seconds=20)

    def until_done(self, job_id: str, *, reclaiming: bool = False) -> None:
        """Waits until the job has succeeded, with the reclaimer at work or without."""
        reclaimed_at = 0.0

        def done() -> bool:
            nonlocal reclaimed_at
            if reclaiming and time.monotonic() - reclaimed_at > 1:
                reclaimed_at = time.monotonic()
                self.reclaim()
            return self.job(job_id).state == "succeeded"

        eventually(done, within_seconds=30)

    def noted(self) -> Counter[str]:
        """How often each thing was done."""
        return Counter(self.notes.read_text().splitlines() if self.notes.exists() else [])

    def check_each_once(
        self, job_id: str, *, claimed_twice: Sequence[int] = (), begun_twice: Sequence[int] = ()
    ) -> None:
        """Every item was done once, and begun once but for what a kill cut off."""
        items = self.items(job_id)
        expected = Counter({f"done {item.position}": 1 for item in items})
        expected |= Counter({f"begun {item.position}": 1 + (item.position in begun_twice) for item in items})
        assert self.noted() == expected
        assert [item.attempts for item in items] == [1 + (item.position in claimed_twice) for item in items]
        assert [item.result for item in items] == [{"number": item.position} for item in items]
        assert {(item.state, item.token, item.lease_node) for item in items} == {("succeeded", None, None)}
        job = self.job(job_id)
        assert (job.state, job.items_succeeded, job.items_failed) == ("succeeded", len(items), 0)


@pytest.fixture
def counting(celery_setup: CeleryTestSetup, site: Settings) -> Iterator[Counting]:
    """The queue with its worker, idle and ready."""
    assert celery_setup.ready()
    notes = site.var_dir / NOTES
    notes.unlink(missing_ok=True)

    def deliver(signals: list[Signal]) -> None:
        for bell in signals:
            if isinstance(bell, Doorbell):
                for _ in range(bell.count):
                    celery_setup.app.send_task(bell.kind, args=[bell.job_id], queue=bell.lane)

    database = Database(site.database_url, deliver)
    with database.transaction() as session:
        session.execute(delete(Job))
    yield Counting(celery_setup, database, notes)
    database.dispose()


def test_a_job_goes_through_the_queue_and_each_item_is_done_once(counting: Counting) -> None:
    job_id = counting.submit(*[0.02] * 30)
    counting.until_done(job_id)
    counting.check_each_once(job_id)
    eventually(lambda: counting.setup.broker.container.client.llen(LANE) == 0)


def test_messages_that_come_twice_do_nothing_twice(counting: Counting) -> None:
    job_id = counting.submit(*[0.05] * 8, ring=7)
    counting.until_done(job_id)
    counting.setup.app.send_task(KIND, args=[job_id], queue=LANE)
    follower = counting.submit(0.0)
    counting.until_done(follower)
    assert counting.noted()["begun 0"] == 2, "one of each job"
    assert {item.attempts for item in counting.items(job_id)} == {1}
    assert counting.noted()["done 7"] == 1


def test_a_message_that_was_lost_is_rung_again_by_the_reclaimer(counting: Counting) -> None:
    job_id = counting.submit(*[0.05] * 8, ring=0)
    behind = counting.submit(0.0)
    counting.until_done(behind)
    assert counting.states(job_id) == "q" * 8
    counting.notes.unlink()
    counting.reclaim()
    counting.until_done(job_id)
    counting.check_each_once(job_id)


def test_a_worker_that_is_told_to_stop_finishes_what_it_does_and_leaves_the_rest(counting: Counting) -> None:
    job_id = counting.submit(0.0, 1.5, 0.05, 0.05)
    counting.until_begun(1)
    counting.setup.worker.kill("SIGTERM")
    # Nothing new is meant for it from now on.
    eventually(lambda: _able(counting) == 0, within_seconds=1.2)
    assert counting.noted()["done 1"] == 0
    assert counting.setup.worker.container.ended() == 0
    assert counting.states(job_id) == "ssqq"
    counting.setup.worker.restart()
    counting.until_done(job_id, reclaiming=True)
    counting.check_each_once(job_id)


def test_a_worker_that_is_told_to_stop_while_postgres_is_away_still_stores_what_it_does(
    counting: Counting, postgres: Child
) -> None:
    job_id = counting.submit(0.0, 1.5, 0.05)
    counting.until_begun(1)
    written = len(counting.setup.worker.logs())
    with counting.database.transaction() as session:
        # A claim may be lost with Postgres' last half second, and is then done again; here it is not.
        session.execute(text("checkpoint"))
    postgres.kill()
    eventually(lambda: not postgres.alive)
    counting.setup.worker.kill("SIGTERM")
    eventually(lambda: counting.noted()["done 1"])
    postgres.start()
    assert counting.setup.worker.container.ended() == 0
    assert postgres.ready(timeout_seconds=20)
    assert counting.states(job_id) == "ssq"
    assert counting.setup.worker.logs()[written:].count("Heartbeat of") < 4
    counting.setup.worker.restart()
    counting.until_done(job_id, reclaiming=True)
    counting.check_each_once(job_id)


def _able(counting: Counting) -> int:
    with counting.database.transaction() as session:
        return workers.able(session, LANE)


def test_what_a_killed_worker_held_is_done_by_its_next_life(counting: Counting) -> None:
    job_id = counting.submit(0.0, 1.5, 0.05, 0.05)
    counting.until_begun(1)
    counting.setup.worker.kill()
    held = [item.position for item in counting.items(job_id) if item.state == "running"]
    assert held[0] == 1
    # Its message is gone with it (Redis keeps it for hours): the new life takes back what the former held, and rings.
    counting.setup.worker.restart()
    counting.until_done(job_id)
    counting.check_each_once(job_id, claimed_twice=held, begun_twice=[1])


def test_a_broker_that_is_killed_and_comes_back_loses_no_work(counting: Counting) -> None:
    job_id = counting.submit(*[0.3] * 8)
    counting.until_begun(2)
    counting.setup.broker.kill()
    # What is in hand is finished without it.
    counting.until(job_id, "sssqqqqq")
    counting.setup.broker.restart()
    counting.until_done(job_id, reclaiming=True)
    counting.check_each_once(job_id)


def test_a_broker_that_lost_everything_loses_no_work(counting: Counting) -> None:
    job_id = counting.submit(*[0.3] * 6)
    counting.until_begun(1)
    waiting = [counting.submit(0.0) for _ in range(3)]
    counting.setup.broker.container.client.flushall()
    for each in (job_id, *waiting):
        counting.until_done(each, reclaiming=True)
    assert counting.noted() == Counter(
        {f"{what} {number}": 4 if number == 0 else 1 for what in ("begun", "done") for number in range(6)}
    )


def test_a_paused_job_begins_nothing_and_goes_on_when_resumed(counting: Counting) -> None:
    job_id = counting.submit(*[0.3] * 5)
    counting.until_begun(1)
    with counting.database.transaction() as session:
        lifecycle.pause(session, job_id)
    counting.until(job_id, "ssqqq")
    # A job that comes later is done meanwhile, so the worker was free.
    follower = counting.submit(0.0, 0.0)
    counting.until_done(follower)
    # Nor do a late message or the reclaimer begin it.
    counting.setup.app.send_task(KIND, args=[job_id], queue=LANE)
    counting.reclaim()
    counting.until_done(counting.submit(0.0))
    assert (counting.states(job_id), counting.job(job_id).state) == ("ssqqq", "paused")
    counting.notes.unlink()
    with counting.database.transaction() as session:
        lifecycle.resume(session, job_id, able_workers=1)
    counting.until_done(job_id)
    assert counting.noted() == Counter(f"{what} {number}" for what in ("begun", "done") for number in (2, 3, 4))
    assert {item.attempts for item in counting.items(job_id)} == {1}


def test_a_pause_finds_nothing_claimed_behind_an_item_that_takes_longer_than_those_before(counting: Counting) -> None:
    # After twenty of a hundredth of a second several are claimed together, and with them some of the long ones.
    job_id = counting.submit(*[0.01] * 20, *[0.4] * 5)
    counting.until_begun(20)
    with counting.database.transaction() as session:
        lifecycle.pause(session, job_id)
    counting.until(job_id, "s" * 21 + "q" * 4)
    with counting.database.transaction() as session:
        lifecycle.resume(session, job_id, able_workers=1)
    counting.until_done(job_id)
    counting.check_each_once(job_id)


def test_a_cancelled_job_stops_keeps_what_is_done_and_can_be_tried_again(counting: Counting) -> None:
    job_id = counting.submit(*[0.3] * 4)
    counting.until_begun(1)
    with counting.database.transaction() as session:
        lifecycle.cancel(session, job_id)
    counting.until(job_id, "ssqq")
    counting.reclaim()
    counting.until_done(counting.submit(0.0))
    assert (counting.states(job_id), counting.job(job_id).state) == ("ssqq", "cancelled")
    with counting.database.transaction() as session:
        lifecycle.retry(session, job_id, able_workers=1)
    counting.until_done(job_id)
    assert {item.attempts for item in counting.items(job_id)} == {1}
    assert counting.noted() - Counter({"begun 0": 1, "done 0": 1}) == Counter(
        f"{what} {number}" for what in ("begun", "done") for number in range(4)
    )
