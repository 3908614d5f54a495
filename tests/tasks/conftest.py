"""A worker process within the test's own, kinds that do what a test says, and a lane that only tests ring."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from kombu import Queue
from sqlalchemy import delete

from config.settings import Settings
from models import imports
from models.files import FileStore
from models.workers import Worker
from tasks import lapses, run
from tasks import process as processes
from tasks.celery_app import app
from tasks.kinds import KINDS, Kind
from tasks.process import Process
from tasks.run import Done, Work
from tests import making
from tests.standing_in import Site, ocw_pages, standing_in
from tests.tasks import bodies
from tests.tasks.cleaning import OLD, write

SINGLE, PARTS, LIVE = "test.single", "test.parts", "test.live"
_BODY = "tests.tasks.bodies:perform"
Act = Callable[[Work], Done]


@pytest.fixture
def process(configured: Settings, empty: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    """This process as a worker; its commits ring the real queue and tell the real listeners."""
    monkeypatch.setattr(processes, "_node", "tests@here")
    processes.current.cache_clear()
    this = processes.current()
    yield this
    this.database.dispose()
    processes.current.cache_clear()
    with this.database.transaction() as session:
        session.execute(delete(Worker).where(Worker.host == "here"))
    this.database.dispose()


@pytest.fixture(autouse=True)
def lane() -> Iterator[str]:
    """A lane that no worker consumes."""
    app.amqp.queues.add(Queue(making.LANE))
    yield making.LANE
    app.amqp.queues.pop(making.LANE)


@pytest.fixture(autouse=True)
def kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """One kind without items, one with items, one that somebody waits for; each unit is tried three times."""
    for kind in (
        Kind(SINGLE, _BODY, lease_seconds=60),
        Kind(PARTS, _BODY, sliced=True, id_prefix="parts_", lease_seconds=60),
        Kind(LIVE, _BODY, live=True, lease_seconds=10),
    ):
        monkeypatch.setitem(KINDS, kind.name, kind)
        monkeypatch.setitem(lapses.ATTEMPTS, kind.name, kind.attempts)
    monkeypatch.setattr(run, "_pace", {})


@pytest.fixture
def acts(monkeypatch: pytest.MonkeyPatch) -> Callable[[Act], list[Work]]:
    """Sets what the bodies do, and gives the list of the works they are called with."""

    def set_act(act: Act) -> list[Work]:
        works: list[Work] = []

        def noting(work: Work) -> Done:
            works.append(work)
            return act(work)

        monkeypatch.setattr(bodies, "act", noting)
        return works

    return set_act


@pytest.fixture
def rung(queue: redis.Redis) -> Callable[[], list[str]]:
    """The ids of the jobs whose doorbells lie in the tests' lane, the next first."""

    def read() -> list[str]:
        messages = [json.loads(raw) for raw in reversed(queue.lrange(making.LANE, 0, -1))]
        return [json.loads(base64.b64decode(message["body"]))[0][0] for message in messages]

    return read


@pytest.fixture
def site() -> Iterator[Site]:
    """MIT's server, and everybody else's."""
    with standing_in() as running:
        running.pages |= ocw_pages()
        yield running


@pytest.fixture
def outside(process: Process, site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """This worker, with a folder of its own, reaches that server and need not be polite."""
    changed = {"mit_ocw_url": site.url, "import_allow_private": True, "import_pause_seconds": 0.0, "var_dir": tmp_path}
    monkeypatch.setattr(process, "settings", dataclasses.replace(process.settings, **changed))


@pytest.fixture
def folders(process: Process, outside: None) -> imports.Folders:
    """Where imports keep files."""
    return imports.folders(process.settings.var_dir)


@pytest.fixture
def root(process: Process, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of everything that this worker keeps."""
    monkeypatch.setattr(process, "settings", dataclasses.replace(process.settings, var_dir=tmp_path))
    monkeypatch.setattr(process, "files", FileStore(tmp_path / "files"))
    return tmp_path


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is none of ours, with an old file in it."""
    folder = tmp_path_factory.mktemp("outside")
    write(folder / "precious", OLD)
    return folder
