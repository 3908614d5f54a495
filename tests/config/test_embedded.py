"""The embedded servers: real ones, killed at every point where a kill could hurt."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from config import embedded, server_data
from config.child import StartFailed
from config.ownership import AlreadyRunning
from tests.config.conftest import ROOT, connect, eventually, processes_of, serves, valkey

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def start_without_owner(var_dir: Path) -> list[subprocess.Popen[bytes]]:
    """Servers as a killed supervisor leaves them when the kernel did not signal them either."""
    servers = []
    for child in (embedded.postgres(var_dir), embedded.valkey(var_dir, "queue"), embedded.valkey(var_dir, "stream")):
        child.prepare()
        child.log_path.parent.mkdir(exist_ok=True)
        with child.log_path.open("ab") as log:
            servers.append(subprocess.Popen(child.argv, stdout=log, stderr=log, start_new_session=True))
        assert eventually(child.probe)
    return servers


def test_three_servers_start_answer_and_leave_nothing_behind(var_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "1")
    (var_dir / "run").mkdir(mode=0o755, parents=True)
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
