"""The outbox: what is due is sent by a few at once, each once, and slow receivers are in nobody's way."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from config import logs
from config.settings import Settings
from models import webhooks
from models.db import Database
from models.jobs.tables import Job
from models.webhooks import WebhookDelivery
from tasks import outbox, process, senders
from tests import making
from tests.conftest import eventually
from tests.receiving import Receiver, Reply, receiving
from workers.clients import webhook

pytestmark = pytest.mark.usefixtures("process")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def receiver(process: object) -> Iterator[Receiver]:
    """Somebody's server; the senders are done before the database is."""
    with receiving() as running:
        yield running
        eventually(lambda: outbox.senders.at_work == 0, within_seconds=15)


def ended(database: Database, url: str) -> Job:
    """A job that has ended, of which nobody was rung to tell."""
    job = making.submit(database, callback_url=url)
    making.end_well(database, job)
    return job


def read(database: Database, job: Job) -> WebhookDelivery:
    with database.transaction() as session:
        return webhooks.of_job(session, job.id)[0]


def delivered(database: Database, *jobs: Job) -> bool:
    return all(read(database, job).state == "delivered" for job in jobs)


def make_due(database: Database) -> None:
    with database.transaction() as session:
        session.execute(update(WebhookDelivery).values(due_at=func.now()))


def test_what_is_due_is_sent_and_the_attempt_is_stored(database: Database, receiver: Receiver) -> None:
    job = ended(database, receiver.url())
    outbox.deliver()
    assert [told.message["job"]["id"] for told in receiver.told] == [job.id]
    row = read(database, job)
    assert (row.state, row.attempts) == ("delivered", 1)
    assert row.log[0]["status"] == 204
    assert row.finished_at is not None
    outbox.deliver()
    assert len(receiver.told) == 1


def test_without_anything_due_nobody_is_asked(database: Database, receiver: Receiver) -> None:
    job = ended(database, receiver.url())
    with database.transaction() as session:
        session.execute(update(WebhookDelivery).values(due_at=func.now() + func.make_interval(0, 0, 0, 0, 0, 1)))
    outbox.deliver()
    assert receiver.told == []
    assert read(database, job).attempts == 0


def test_rung_many_times_at_once_each_is_sent_once(database: Database, receiver: Receiver) -> None:
    jobs = [ended(database, receiver.url(f"/{number}")) for number in range(20)]
    making.at_once(6, lambda _: outbox.deliver())
    eventually(lambda: delivered(database, *jobs))
    assert sorted(receiver.paths()) == sorted(f"/{number}" for number in range(20))


def test_a_receiver_that_is_away_is_told_when_it_is_back(database: Database, receiver: Receiver) -> None:
    with receiving() as away:
        port = away.port
        job = ended(database, away.url())
    outbox.deliver()
    row = read(database, job)
    assert (row.state, row.attempts, row.log[0]["error"]) == ("pending", 1, "It refused the connection.")
    with receiving(port=port) as back:
        make_due(database)
        outbox.deliver()
        assert back.first().message["job"]["id"] == job.id
    assert [entry["status"] for entry in read(database, job).log] == [None, 204]


def test_slow_receivers_neither_hold_the_others_up_nor_the_one_who_rang(database: Database, receiver: Receiver) -> None:
    with receiving() as slow:
        slow.replies += [Reply(after_seconds=4.0)] * 10
        lost = [ended(database, slow.url()) for _ in range(10)]
        jobs = [ended(database, receiver.url()) for _ in range(10)]
        began = time.monotonic()
        outbox.deliver()
        assert time.monotonic() - began < senders.PATIENCE_SECONDS + 1.0
        eventually(lambda: delivered(database, *jobs), within_seconds=3)
        assert slow.busiest == len(slow.told) == outbox.SENDERS_TO_ONE
        # The rest is for the slow one, and follows without being rung for.
        with database.transaction() as session:
            others = update(WebhookDelivery).where(WebhookDelivery.attempts == 0).values(state="failed")
            assert session.execute(others.returning(WebhookDelivery.id)).all()
        eventually(lambda: sum(read(database, job).state == "delivered" for job in lost) == 2)


def test_no_more_are_sent_at_once_than_there_are_senders(database: Database, receiver: Receiver) -> None:
    receiver.replies += [Reply(after_seconds=0.3)] * 20
    # Different spellings of one machine are different receivers.
    jobs = [ended(database, receiver.url(host=f"0x{'0' * number}7f.1")) for number in range(20)]
    outbox.deliver()
    outbox.deliver()
    eventually(lambda: delivered(database, *jobs))
    assert receiver.busiest == outbox.SENDERS
    assert len(receiver.told) == 20


def test_a_receiver_does_not_become_another_by_a_query_or_by_capitals(database: Database, receiver: Receiver) -> None:
    receiver.replies += [Reply(after_seconds=0.3)] * 8
    plain = receiver.url(host="localhost").removesuffix("/told")
    urls = [f"{plain}?{number}" for number in range(4)] + [plain.replace("localhost", "LocalHost")] * 4
    jobs = [ended(database, url) for url in urls]
    outbox.deliver()
    eventually(lambda: delivered(database, *jobs))
    assert receiver.busiest == outbox.SENDERS_TO_ONE


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_sender_that_fails_as_nobody_foresaw_is_not_missing_afterwards(
    database: Database, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("nobody foresaw it")

    with monkeypatch.context() as patched:
        patched.setattr(webhook, "send", fail)
        lost = [ended(database, receiver.url(host=f"0x{'0' * number}7f.1")) for number in range(outbox.SENDERS + 1)]
        for _ in lost:
            outbox.deliver()
        eventually(lambda: outbox.senders.at_work == 0)
    assert receiver.told == []
    make_due(database)
    outbox.deliver()
    eventually(lambda: delivered(database, *lost))


def test_private_addresses_are_not_reached_unless_allowed(
    database: Database, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, configured: Settings
) -> None:
    strict = dataclasses.replace(configured, webhook_allow_private=False)
    monkeypatch.setattr(process.current(), "settings", strict)
    jobs = [ended(database, receiver.url(host=host)) for host in ("127.0.0.1", "localhost", "0x7f.1")]
    outbox.deliver()
    assert receiver.told == []
    for job in jobs:
        row = read(database, job)
        assert row.state == "pending"
        assert "private" in row.log[0]["error"]


def test_while_postgres_refuses_nothing_is_sent_and_nothing_breaks(
    database: Database, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ended(database, receiver.url())
    away = Database("postgresql+psycopg://nobody@127.0.0.1:1/nothing?connect_timeout=1", lambda signals: None)
    with monkeypatch.context() as patched:
        patched.setattr(process.current(), "database", away)
        outbox.deliver()
    assert receiver.told == []
    outbox.deliver()
    assert delivered(database, job)


KILLED = "from tasks import outbox; outbox.deliver(); import time; time.sleep(60)"


def test_a_sender_that_is_killed_while_it_sends_is_followed_by_another(database: Database, receiver: Receiver) -> None:
    receiver.replies.append(Reply(after_seconds=3.0))
    job = ended(database, receiver.url())
    sender = subprocess.Popen([sys.executable, "-c", KILLED], cwd=ROOT, env=dict(os.environ))
    try:
        receiver.first(within_seconds=30)
    finally:
        sender.send_signal(signal.SIGKILL)
        sender.wait()
    row = read(database, job)
    assert (row.state, row.attempts, row.log) == ("pending", 1, [])
    outbox.deliver()
    # Its lease is not over yet.
    assert len(receiver.told) == 1
    make_due(database)
    outbox.deliver()
    assert delivered(database, job)
    first, second = receiver.told
    # The receiver can tell that it is the same.
    assert first.headers["X-Voiceworks-Delivery"] == second.headers["X-Voiceworks-Delivery"] == row.id
    with database.transaction() as session:
        assert session.scalar(select(func.count()).select_from(WebhookDelivery)) == 1


def test_what_is_said_of_a_delivery_names_the_job_and_its_request(database: Database, receiver: Receiver) -> None:
    receiver.replies.append(Reply(status=500))
    said: list[tuple[str | None, str | None]] = []
    told = logging.Handler()
    told.emit = lambda record: said.append((logs.request_id.get(), logs.job_id.get()))  # type: ignore[method-assign]
    job = making.submit(database, callback_url=receiver.url("/told"), request_id="req_told")
    making.end_well(database, job)
    outbox.log.addHandler(told)
    level = outbox.log.level
    outbox.log.setLevel(logging.INFO)
    try:
        outbox.deliver()
        eventually(lambda: said, within_seconds=10)
    finally:
        outbox.log.removeHandler(told)
        outbox.log.setLevel(level)
    assert said == [("req_told", job.id)]
