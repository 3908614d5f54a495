"""What the tests of the web application share."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from sqlalchemy import func, select, update

from config.settings import Settings
from models import accounts
from models.db import Database
from models.registry import Base
from models.wake_models import WakeModel
from models.workers import Worker
from tasks import submit
from tests import backups, tuning
from tests.alexa import keep_model
from tests.conftest import CLIENT_KEY, PASSWORD
from tests.described import DescribedClient
from tests.microphone import KEY, Microphone, Open
from tests.web import Web

OPERATOR_KEY = "vw_an_operators_key_for_tests_0123456789"


@pytest.fixture(scope="module")
def lasting_database(configured: Settings) -> Iterator[Database]:
    """A database for a whole module that stores nothing: a client and an operator with keys, nobody rung or told."""
    database = Database(configured.database_url, lambda signals: None, pool_size=1)
    _wipe(database)
    with database.transaction() as session:
        for role, key in (("client", CLIENT_KEY), ("operator", OPERATOR_KEY)):
            account = accounts.create(session, username=role, password=PASSWORD, role=role)
            accounts.store_key(session, account, name="test", role=role, secret=key)
    yield database
    _wipe(database)
    database.dispose()


def _wipe(database: Database) -> None:
    with database.transaction() as session:
        for table in reversed(Base.metadata.sorted_tables):
            if table is not Worker.__table__:
                session.execute(table.delete())


@pytest.fixture(scope="module")
def lasting_client(configured: Settings, lasting_database: Database) -> Iterator[FlaskClient]:
    """A test client for a whole module; its tests clean up after themselves, or store nothing."""
    from app import create_app

    app = create_app(configured)
    yield app.test_client()
    app.extensions["voiceworks"].hub.stop()
    app.extensions["voiceworks"].database.dispose()


@pytest.fixture
def described(lasting_client: FlaskClient) -> dict[str, Any]:
    """openapi.json, which needs no credential."""
    answer = lasting_client.get("/openapi.json")
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    found: dict[str, Any] = answer.get_json()
    return found


@pytest.fixture
def operator() -> dict[str, str]:
    """Headers of an operator of ``lasting_database``."""
    return {"X-API-Key": OPERATOR_KEY}


@pytest.fixture
def filled(client: FlaskClient, admin: dict[str, str]) -> FlaskClient:
    """A test client of an installation in which something of everything is configured."""
    backups.fill(client, admin)
    return client


@pytest.fixture
def tuned(configured: Settings, clean: None, tmp_path: Path) -> Iterator[FlaskClient]:
    """A test client of an installation that has a base model."""
    from app import create_app

    app = create_app(dataclasses.replace(configured, llm_models=tuning.base(tmp_path / "bases")))
    app.test_client_class = DescribedClient
    yield app.test_client()
    app.extensions["voiceworks"].hub.stop()
    app.extensions["voiceworks"].database.dispose()


@pytest.fixture
def no_worker(worker: object, database: Database, request: pytest.FixtureRequest) -> Iterator[None]:
    """Every worker says that it is leaving."""
    with database.transaction() as session:
        nodes = list(
            session.scalars(update(Worker).where(~Worker.draining).values(draining=True).returning(Worker.node))
        )
    assert nodes
    yield
    with database.transaction() as session:
        session.execute(update(Worker).where(Worker.node.in_(nodes)).values(draining=False))
    if "web" in request.fixturenames:
        # A web process that lives on believes for a second what it read (app.context.Recent).
        time.sleep(1.2)


def row_counts(database: Database) -> dict[str, int]:
    """How many rows each table has, but for the register of workers, which change it themselves."""
    tables = [table for table in Base.metadata.sorted_tables if table is not Worker.__table__]
    with database.transaction() as session:
        return {table.name: session.scalar(select(func.count()).select_from(table)) or 0 for table in tables}


@pytest.fixture
def telling(configured: Settings, clean: None, queue: redis.Redis) -> Iterator[Database]:
    """A database whose commits are heard by the web process, as a worker's are."""
    database = submit.open_database(configured, queue, pool_size=1)
    yield database
    database.dispose()


@pytest.fixture
def model(clean: None, database: Database, configured: Settings) -> WakeModel:
    """A detector of "alexa"."""
    return keep_model(database, configured.var_dir)


@pytest.fixture
def listen(web: Web, model: WakeModel) -> Open:
    """Opens the socket of a microphone."""

    @contextmanager
    def opened(query: str = "", model_id: str = "alexa") -> Iterator[Microphone]:
        with web.socket(f"/api/test/ws/{model_id}{query}", header=KEY) as found:
            found.connection.settimeout(6)
            yield Microphone(found.connection)

    return opened
