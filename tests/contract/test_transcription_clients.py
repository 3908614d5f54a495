"""The clients that transcription.md prints, run as printed against a server on the document's port."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from sqlalchemy import select, update

from config.settings import Settings
from models import accounts
from models.db import Database
from models.files import FileStore
from models.transcription.tables import Annotation, Assignment, Task
from tests import transcribing
from tests.contract.transcription_headings import TRANSCRIPTION, TRANSCRIPTION_URL, documented
from tests.web import serving

AGENT = 123


@pytest.fixture
def served(
    configured: Settings, clean: None, database: Database, tmp_path: Path
) -> Iterator[Callable[[int], list[int]]]:
    """A web process at the document's port that takes its keys; gives tasks."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", 8010), timeout=1):
        pytest.skip("another program uses port 8010")
    with database.transaction() as session:
        account = accounts.create(session, username="system", password="a password", role="operator")
        accounts.store_key(session, account, name="the document's", role="operator", secret="your_key")
    store = FileStore(configured.var_dir / "files")

    def tasks(count: int) -> list[int]:
        return transcribing.add(database, store, count=count)

    with serving(tmp_path / "web.log", PORTS="8010", TZ_SYSTEM_API_KEY="your_api_key"):
        yield tasks


def texts(database: Database) -> dict[int, str]:
    """What was handed in, by tasks."""
    with database.transaction() as session:
        return {row.task_id: row.text for row in session.scalars(select(Annotation))}


def run(argv: list[str], folder: Path) -> str:
    """What a program printed that ended well."""
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@documented("Python")
def test_the_python_client(served: Callable[[int], list[int]], database: Database, tmp_path: Path) -> None:
    (task,) = served(1)
    (code,) = TRANSCRIPTION["Python"].code
    program = tmp_path / "client.py"
    program.write_text(code + "\nprint(audio_response.status_code, len(audio_response.content))\n")
    printed = run([sys.executable, str(program)], tmp_path)
    assert printed.split() == ["200", str(len(transcribing.tone(2.0)))]
    assert texts(database) == {task: "The transcribed text"}
    # And where there is nothing to do, it ends as quietly.
    program.write_text(code)
    assert run([sys.executable, str(program)], tmp_path) == ""


@documented("JavaScript/Fetch")
def test_the_javascript_client(served: Callable[[int], list[int]], database: Database, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node")
    (task,) = served(1)
    (code,) = TRANSCRIPTION["JavaScript/Fetch"].code
    program = tmp_path / "client.mjs"
    program.write_text(code)
    run([node, str(program)], tmp_path)
    assert texts(database) == {task: "The transcribed text"}


def commands(database: Database, task: int) -> list[str]:
    """The commands, and the one task there is is now the one that they speak of."""
    with database.transaction() as session:
        session.execute(update(Task).where(Task.id == task).values(id=456))
    (code,) = TRANSCRIPTION["cURL"].code
    return [block for block in code.split("\n\n") if "curl" in block]


@documented("cURL")
def test_the_curl_commands(served: Callable[[int], list[int]], database: Database, tmp_path: Path) -> None:
    ask, download, submit, _ = commands(database, *served(1))
    assert json.loads(run(["bash", "-ec", ask], tmp_path))["task_id"] == 456
    run(["bash", "-ec", download], tmp_path)
    assert (tmp_path / "audio.wav").read_bytes() == transcribing.tone(2.0)
    assert json.loads(run(["bash", "-ec", submit], tmp_path))["status"] == "success"
    assert texts(database) == {456: "The text"}


@documented("cURL")
def test_the_curl_command_that_skips(served: Callable[[int], list[int]], database: Database, tmp_path: Path) -> None:
    ask, _, _, skip = commands(database, *served(1))
    run(["bash", "-ec", ask], tmp_path)
    assert json.loads(run(["bash", "-ec", skip], tmp_path))["status"] == "success"
    with database.transaction() as session:
        skipped = session.scalars(select(Assignment).where(Assignment.task_id == 456)).one()
        assert (skipped.state, skipped.reason) == ("skipped", "Poor audio quality")


@documented("Stream Audio")
def test_the_command_that_downloads_audio(
    served: Callable[[int], list[int]], database: Database, tmp_path: Path
) -> None:
    (task,) = served(1)
    assert transcribing.task_of(database, AGENT) == task
    (command,) = TRANSCRIPTION["Stream Audio"].code
    run(["bash", "-ec", command.replace("/456/", f"/{task}/")], tmp_path)
    assert (tmp_path / "audio.wav").read_bytes() == transcribing.tone(2.0)


@documented("Authentication")
def test_the_command_that_asks_for_health(served: Callable[[int], list[int]], tmp_path: Path) -> None:
    (command,) = TRANSCRIPTION["Authentication"].code
    assert '"healthy"' in run(["bash", "-ec", command.replace("your_api_key_here", "your_key")], tmp_path)
    assert requests.get(f"{TRANSCRIPTION_URL}/api/health", timeout=10).status_code == 401
