"""Transactions, and writes that outlive an absent Postgres."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.orm import Session

from config.embedded import Servers
from config.settings import Settings
from models import accounts, db
from models.accounts import Account
from models.db import Database
from models.events import Ended, Event
from models.jobs import work
from models.jobs.tables import Job
from tests import making
from tests.conftest import Signals

NOWHERE = "postgresql+psycopg://nobody@/nothing?host=/nowhere"


@pytest.fixture
def nowhere() -> Iterator[Database]:
    database = Database(NOWHERE, lambda signals: None)
    yield database
    database.dispose()


def setting(database: Database, name: str, *, durable: bool = True) -> str:
    with database.transaction(durable=durable) as session:
        return str(session.scalar(text(f"show {name}")))


def kill(configured: Settings, backend: int) -> None:
    other = Database(configured.database_url, lambda signals: None, pool_size=1)
    with other.transaction() as session:
        # Waits until it is gone.
        session.execute(text("select pg_terminate_backend(:backend, 5000)"), {"backend": backend})
    other.dispose()


def backend_of(session: Session) -> int:
    backend = session.scalar(text("select pg_backend_pid()"))
    assert isinstance(backend, int)
    return backend


# --- One transaction -------------------------------------------------------------------------------------------------


def test_what_matters_waits_for_the_disk_and_the_rest_does_not(database: Database) -> None:
    """The servers of tests run without fsync, so that only the connections that ask for it differ."""
    with database.transaction() as session:
        durable = session.scalar(text("select reset_val || source from pg_settings where name = 'synchronous_commit'"))
    assert setting(database, "synchronous_commit", durable=False) == "off"
    with database.transaction(durable=False) as session:
        relaxed = session.scalar(text("select reset_val || source from pg_settings where name = 'synchronous_commit'"))
    assert relaxed == "offclient"
    assert durable is not None
    assert not durable.endswith("client")


@pytest.mark.parametrize("durable", [True, False])
def test_no_statement_and_no_idle_transaction_holds_locks_for_ever(database: Database, durable: bool) -> None:
    assert setting(database, "statement_timeout", durable=durable) == "30s"
    assert setting(database, "idle_in_transaction_session_timeout", durable=durable) == "1min"
    assert setting(database, "TimeZone", durable=durable) == "UTC"


def test_an_error_takes_everything_back(database: Database) -> None:
    def create_and_fail() -> None:
        with database.transaction() as session:
            accounts.create(session, username="ada", password="a long password", role="client")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        create_and_fail()
    with database.transaction() as session:
        assert accounts.find(session, "ada") is None


def test_rows_can_be_read_after_their_transaction(database: Database) -> None:
    with database.transaction() as session:
        account = accounts.create(session, username="ada", password="a long password", role="client")
    assert account.username == "ada"
    assert account.created_at is not None


def test_a_killed_connection_in_the_pool_is_replaced_unseen(database: Database, configured: Settings) -> None:
    with database.transaction() as session:
        backend = backend_of(session)
    kill(configured, backend)
    with database.transaction() as session:
        assert backend_of(session) != backend


# --- Persisting ------------------------------------------------------------------------------------------------------


def test_a_write_whose_backend_is_killed_is_made_again_once(database: Database, configured: Settings) -> None:
    tried: list[int] = []

    def write(session: Session) -> str:
        backend = backend_of(session)
        tried.append(backend)
        if len(tried) == 1:
            kill(configured, backend)
        accounts.create(session, username="ada", password="a long password", role="client")
        return "written"

    assert database.persist(write) == "written"
    assert len(tried) == 2
    with database.transaction() as session:
        assert session.query(Account).count() == 1


def test_a_write_that_was_repeated_sends_its_signals_once(
    database: Database, configured: Settings, signals: Signals
) -> None:
    job = making.claim(database, making.submit(database))
    signals.clear()
    killed: list[int] = []

    def write(session: Session) -> None:
        work.finish(session, job, {"file": "x"})
        if not killed:
            killed.append(backend_of(session))
            kill(configured, killed[0])

    database.persist(write)
    assert [type(signal) for signal in signals] == [Ended, Event]
    assert making.read(database, job).state == "succeeded"


def test_a_write_outlasts_a_restart_of_postgres(servers: Servers, database: Database) -> None:
    job = making.claim(database, making.submit(database))
    servers.postgres.stop()
    try:
        with ThreadPoolExecutor(1) as thread:
            writing = thread.submit(database.persist, lambda session: work.finish(session, job, {"file": "x"}))
            # The write has been refused by now.
            time.sleep(0.1)
            assert not writing.done()
            servers.postgres.start()
            assert servers.postgres.ready(20), servers.postgres.log_tail()
            writing.result(20)
    finally:
        if not servers.postgres.alive:
            servers.postgres.start()
            servers.postgres.ready(20)
    assert making.read(database, job).state == "succeeded"


def test_a_write_that_lost_a_deadlock_is_made_again(database: Database) -> None:
    jobs = [making.submit(database) for _ in range(2)]
    gate = threading.Barrier(2)
    tried: list[int] = []

    def act(number: int) -> None:
        mine, theirs = jobs[number], jobs[1 - number]

        def write(session: Session) -> None:
            tried.append(number)
            session.execute(text("set local deadlock_timeout = '20ms'"))
            session.get_one(Job, mine.id, with_for_update=True)
            if len(tried) <= 2:
                gate.wait(10)
            session.get_one(Job, theirs.id, with_for_update=True).phase = f"written by {number}"

        database.persist(write)

    making.at_once(2, act)
    assert len(tried) == 3
    assert [making.read(database, job).phase for job in jobs] == ["written by 1", "written by 0"]


def test_a_write_gives_up_when_postgres_stays_away(nowhere: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "PERSIST_SECONDS", 0.12)
    started = time.monotonic()
    with pytest.raises(OperationalError):
        nowhere.persist(lambda session: session.execute(text("select 1")))
    assert 0.12 < time.monotonic() - started < 5


def test_a_statement_that_is_refused_is_not_repeated(database: Database) -> None:
    tried: list[int] = []

    def write(session: Session) -> None:
        tried.append(1)
        for _ in range(2):
            session.add(Account(id="same", username="ada", password_hash="x", role="client"))
            session.flush()
            session.expunge_all()

    with pytest.raises(IntegrityError):
        database.persist(write)
    assert len(tried) == 1


def test_an_error_of_the_caller_is_not_repeated(database: Database) -> None:
    tried: list[int] = []

    def write(session: Session) -> None:
        tried.append(1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        database.persist(write)
    assert len(tried) == 1


# --- Telling away from refused ---------------------------------------------------------------------------------------


def fault_of(run: object) -> DBAPIError:
    with pytest.raises(DBAPIError) as caught:
        run()  # type: ignore[operator]
    return caught.value


def test_an_absent_postgres_is_told_from_a_refusal(nowhere: Database, database: Database) -> None:
    def ask(where: Database, statement: str) -> None:
        with where.transaction() as session:
            session.execute(text(statement))

    assert db.is_disconnect(fault_of(lambda: ask(nowhere, "select 1")))
    assert not db.is_disconnect(fault_of(lambda: ask(database, "select 1 / 0")))
    assert not db.is_disconnect(fault_of(lambda: ask(database, "select nothing")))
    assert not db.is_disconnect(fault_of(lambda: ask(database, "set statement_timeout = 1; select pg_sleep(1)")))
    # As it says so itself; room may be made, as it may come back.
    full = "do $$ begin raise exception 'no space left on device' using errcode = 'disk_full'; end $$"
    assert db.is_disconnect(fault_of(lambda: ask(database, full)))


def test_a_backend_killed_in_mid_statement_counts_as_absent(database: Database, configured: Settings) -> None:
    def write() -> None:
        with database.transaction() as session:
            kill(configured, backend_of(session))
            session.execute(text("select 1"))

    fault = fault_of(write)
    assert isinstance(fault.orig, psycopg.OperationalError)
    assert db.is_disconnect(fault)


@pytest.mark.parametrize(("said", "expected"), [("", "10000"), ("tcp_user_timeout=77", "77")])
def test_a_host_that_vanishes_is_noticed_unless_the_url_says_otherwise(
    configured: Settings, said: str, expected: str
) -> None:
    url = configured.database_url
    database = Database(f"{url}{'&' if '?' in url else '?'}{said}", lambda signals: None, pool_size=1)
    with database.engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        assert driver.info.get_parameters()["tcp_user_timeout"] == expected
    database.dispose()
