"""Real servers for every test: one Postgres and one Valkey a run, one real speech worker for those who ask for it."""

from __future__ import annotations

import atexit
import os
import random
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest

# Before anything of ours is imported: the Celery app reads its settings at import.
_FOLDER = Path(tempfile.mkdtemp(prefix="vw-test-"))
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)
_OURS = ("DATABASE_URL", "REDIS_URL", "STREAM_REDIS_URL", "OPEN_SURFACES", "SECRET_KEY", "PORTS", "REMOTE_TTS_URL")
for _name in _OURS:
    os.environ.pop(_name, None)
# Tests ask more often than clients may, and have their webhooks on this machine; those of the limits set them.
os.environ |= {"VAR_DIR": str(_FOLDER), "LOG_LEVEL": "WARNING", "RATE_LIMITS": "off", "WEBHOOK_ALLOW_PRIVATE": "1"}


def _free_port() -> int:
    """A port that stays free: of those that nobody is given who asks for any."""
    while True:
        port = random.randrange(20_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


# numba's compiled functions (librosa's): two processes that fill one cache at once crash on what they find there.
os.environ["NUMBA_CACHE_DIR"] = str(_FOLDER / "numba")

# Where the tests of imports have their own stand-in for MIT's server, which the worker has to know from the start.
OCW_PORT = _free_port()
os.environ |= {"MIT_OCW_URL": f"http://127.0.0.1:{OCW_PORT}", "IMPORT_ALLOW_PRIVATE": "1", "IMPORT_PAUSE_SECONDS": "0"}

import redis  # noqa: E402
from argon2 import PasswordHasher  # noqa: E402
from sqlalchemy import text  # noqa: E402

from config import embedded, settings  # noqa: E402
from config.child import Child  # noqa: E402
from config.embedded import Servers  # noqa: E402
from config.settings import Settings  # noqa: E402
from models import accounts, migrations, workers  # noqa: E402
from models.db import Database  # noqa: E402
from models.events import Signal  # noqa: E402
from models.metrics import counting  # noqa: E402
from models.registry import Base  # noqa: E402
from tests.described import DescribedClient  # noqa: E402
from tests.web import Web, serving  # noqa: E402

API_KEY = "vw_a_key_for_tests_0123456789"
CLIENT_KEY = "vw_a_client_key_for_tests_0123456789"
PASSWORD = "a password for tests"
Value = TypeVar("Value")
# A password costs 0.2 s of two cores to hash, on purpose; here it would be paid several times in every test.
accounts._passwords = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
# How properties that are durations begin, so that they are shown at the end of the run.
MEASURED = "measured: "
JOURNEYS = "journeys"
# Its servers have the port that a document names.
ONE_AT_A_TIME = ("test_transcription_clients.py",)
NODE = f"test@{socket.gethostname()}"


def eventually(probe: Callable[[], Value], *, within_seconds: float = 10.0) -> Value:
    """What ``probe`` gives as soon as it is true; fails when it never is."""
    ends = time.monotonic() + within_seconds
    while not (value := probe()):
        assert time.monotonic() < ends, f"not within {within_seconds} s: {value!r}"
        time.sleep(0.02)
    return value


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Journeys come first: they take longest, and in one process."""
    items.sort(key=lambda item: item.path.parent.name != JOURNEYS)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Of tests that run in several processes at once those stay together that share what there is once.

    All journeys do: a whole product.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByJourney(LoadScopeScheduling):
        # Not by marks (``--dist loadgroup``), which are lost on their way to where tests are handed out.
        def _split_scope(self, nodeid: str) -> str:
            file = Path(nodeid.partition("::")[0])
            if file.parent.name == JOURNEYS:
                return JOURNEYS
            return file.name if file.name in ONE_AT_A_TIME else nodeid

    return ByJourney(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Shows what was measured, in whichever process."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    lines = [
        f"{report.location[2]}: {name.removeprefix(MEASURED)} {value:.1f} s"
        for report in reports
        for name, value in report.user_properties
        if name.startswith(MEASURED)
    ]
    if lines:
        terminalreporter.section("measured")
        for line in lines:
            terminalreporter.line(line)


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Half of a surrogate pair, which tests log on purpose, cannot be told to the process that collects reports."""
    return _sendable((yield))


def _sendable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_sendable(name): _sendable(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_sendable, value))
    return value


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """The run's own Postgres and Valkeys, migrated."""
    with embedded.running(_FOLDER) as running:
        database = Database(running.database_url, lambda signals: None)
        migrations.upgrade(database.engine)
        yield running
        database.dispose()


@pytest.fixture(scope="session")
def configured(servers: Servers) -> Settings:
    """The settings that this process and the worker share."""
    return settings.load()


class Signals(list[Signal]):
    """What was sent after commits."""


@pytest.fixture
def signals() -> Signals:
    """What the ``database`` fixture sent after its commits, in order."""
    return Signals()


@pytest.fixture
def database(configured: Settings, empty: None, signals: Signals) -> Iterator[Database]:
    """A database without accounts, whose signals are kept in ``signals`` instead of ringing anybody."""
    database = Database(configured.database_url, signals.extend)
    yield database
    database.dispose()


@pytest.fixture
def queue(configured: Settings) -> redis.Redis:
    """The queue's Redis."""
    return redis.Redis.from_url(configured.redis_url)


@pytest.fixture
def empty(configured: Settings, queue: redis.Redis) -> Iterator[None]:
    """Empty tables (but for the register of workers) and an empty queue, before and after."""
    database = Database(configured.database_url, lambda signals: None, pool_size=1)
    # Tables of a test hold a few rows: deleting them takes a millisecond, truncating fifteen.
    tables = [table for table in reversed(Base.metadata.sorted_tables) if table.name != workers.Worker.__tablename__]
    wipe = text("; ".join(f"delete from {table.name}" for table in tables))

    def clear() -> None:
        queue.flushdb()
        counting.begin_anew()
        # A worker may still be at something that the test before it left.
        database.persist(lambda session: session.execute(wipe))

    clear()
    yield
    clear()
    database.dispose()


@pytest.fixture
def clean(configured: Settings, empty: None) -> None:
    """Nothing but an administrator and a client, each with a key."""
    database = Database(configured.database_url, lambda signals: None, pool_size=1)
    with database.transaction() as session:
        accounts.ensure_admin(session, password=PASSWORD, api_key=API_KEY)
        client = accounts.create(session, username="client", password=PASSWORD, role="client")
        accounts.store_key(session, client, name="test", role="client", secret=CLIENT_KEY)
    database.dispose()


@pytest.fixture(scope="session")
def worker(configured: Settings) -> Iterator[Child]:
    """A real Celery worker with the real engine on every lane, as its own process."""
    argv = [
        *(sys.executable, "-m", "celery", "--app=tasks.worker", "worker", "--pool=solo"),
        *(f"--hostname={NODE}", "--queues=tts.live.neural,tts.background.neural,upkeep,io,listen,imports"),
        *("--without-gossip", "--without-mingle"),
    ]
    child = Child(
        name="worker",
        argv=argv,
        log_path=_FOLDER / "log" / "worker.log",
        env={"WORKER_ENGINES": "hibari", "WORKER_THREADS": "1"},
        cwd=Path(__file__).parents[1],
    )
    child.start()
    database = Database(configured.database_url, lambda signals: None)

    def registered() -> bool:
        assert child.alive, child.log_tail()
        with database.transaction() as session:
            return workers.able(session, "tts.live.neural") > 0

    eventually(registered, within_seconds=60)
    yield child
    child.stop()
    database.dispose()


@pytest.fixture
def client(configured: Settings, clean: None) -> Iterator[object]:
    """A Flask test client of the whole application, without credentials."""
    from app import create_app

    app = create_app(configured)
    # Every answer of every test is as it is described, or the test fails.
    app.test_client_class = DescribedClient
    yield app.test_client()
    app.extensions["voiceworks"].hub.stop()
    app.extensions["voiceworks"].database.dispose()


@pytest.fixture
def admin() -> dict[str, str]:
    """Headers of an administrator."""
    return {"X-API-Key": API_KEY}


@pytest.fixture
def customer() -> dict[str, str]:
    """Headers of an ordinary client."""
    return {"X-API-Key": CLIENT_KEY}


@pytest.fixture(scope="session")
def web(configured: Settings) -> Iterator[Web]:
    """A real web process, as production has it."""
    with serving(_FOLDER / "log" / "web.log") as running:
        yield running
