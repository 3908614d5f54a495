"""Outside services, looked at by the clock: each for itself, and what is found is kept."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from sqlalchemy import select, update

from config.settings import Settings
from models.db import Database
from models.gateway import services
from models.gateway.tables import Service, ServiceCheck
from tasks import services as looking
from tasks.process import Process
from tests.conftest import eventually
from tests.outside.server import Answer, Asked, Outside, as_json, running


class Slow(Outside):
    """Answers when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def answer(self, asked: Asked) -> Answer:
        """Later."""
        self.go.wait(30)
        return as_json({"ok": True})


class Quick(Outside):
    """Answers at once."""

    status = 200

    def answer(self, asked: Asked) -> Answer:
        """What it says of itself."""
        return as_json({"message": "out of film"}, self.status)


@pytest.fixture
def process(configured: Settings, clean: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    """A worker's process."""
    made = Process(dataclasses.replace(configured), node="look@test")
    monkeypatch.setattr(looking, "current", lambda: made)
    yield made
    made.database.dispose()


def add(database: Database, name: str, url: str, **fields: object) -> int:
    with database.transaction() as session:
        values = {"name": name, "type": "generic_http", "url": url, "config": {}} | fields
        return services.create(session, values).id


def found(database: Database, name: str) -> Service:
    with database.reading() as session:
        return session.scalars(select(Service).where(Service.name == name)).one()


def test_one_that_hangs_delays_no_other_and_is_found_ill_itself(process: Process, database: Database) -> None:
    with ExitStack() as stack:
        slow, quick = stack.enter_context(running(Slow())), stack.enter_context(running(Quick()))
        add(database, "slow", slow.url, config={"timeout_seconds": 1.5})
        add(database, "quick", quick.url)
        began = time.monotonic()
        looking.check()
        assert time.monotonic() - began < 1
        eventually(lambda: found(database, "quick").is_healthy, within_seconds=1)
        assert found(database, "slow").is_healthy is None
        eventually(lambda: found(database, "slow").is_healthy is False, within_seconds=5)
        assert "1.5 s" in (found(database, "slow").problem or "")
        slow.go.set()


def test_a_service_is_looked_at_once_a_minute_however_often_the_clock_ticks(
    process: Process, database: Database
) -> None:
    with running(Quick()) as quick:
        add(database, "quick", quick.url)
        add(database, "off", quick.url, enabled=False)
        for _ in range(3):
            looking.check()
        eventually(lambda: found(database, "quick").is_healthy)
        assert len(quick.asked) == 1
        assert found(database, "off").is_healthy is None
        with database.transaction() as session:
            session.execute(update(Service).values(check_at=Service.created_at))
        quick.status = 500
        looking.check()
        eventually(lambda: found(database, "quick").is_healthy is False)
    with database.reading() as session:
        checks = session.scalars(select(ServiceCheck).order_by(ServiceCheck.id)).all()
    assert [check.healthy for check in checks] == [True, False]
    assert "out of film" in (checks[1].problem or "")


def test_a_look_at_what_was_moved_meanwhile_says_nothing_of_it(process: Process, database: Database) -> None:
    with running(Slow()) as slow:
        number = add(database, "moved", slow.url)
        looking.check()
        eventually(lambda: slow.asked)
        with database.transaction() as session:
            services.change(session, number, {"url": "http://127.0.0.1:9"})
        slow.go.set()
        time.sleep(0.3)
    assert found(database, "moved").is_healthy is None


def test_of_many_looks_a_day_is_kept(process: Process, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "CHECKS_KEPT", 3)
    number = add(database, "quick", "http://127.0.0.1:9")
    with database.transaction() as session:
        for took in range(6):
            services.looked(session, number, services.Look(True, took), url="http://127.0.0.1:9")
        kept = services.history(session, number, limit=10, offset=0)
    assert [check.response_time_ms for check in kept] == [5, 4, 3]


def test_a_key_of_another_secret_is_told_and_not_asked_with(process: Process, database: Database) -> None:
    with running(Quick()) as quick:
        add(database, "quick", quick.url, sealed_key=services.seal_key("sesame", "another secret key"))
        looking.check()
        eventually(lambda: found(database, "quick").is_healthy is False)
        assert "SECRET_KEY" in (found(database, "quick").problem or "")
        assert quick.asked == []
