"""Real servers out of wheels, for whoever gives us no DATABASE_URL or REDIS_URL: PostgreSQL and two Valkeys.

They listen on sockets in a folder that only their owner can enter, and on nothing else. All lies under VAR_DIR:
``postgres/``, ``queue/`` and ``stream/`` hold the data, ``run/`` the sockets, ``log/`` what they say.
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from config import server_data
from config.child import Child, StartFailed
from config.ownership import Ownership

ValkeyName = Literal["queue", "stream"]

DATABASE = "voiceworks"
_PORT = 5432  # of no network: it names the socket
_POSTGRES_SOCKET = f".s.PGSQL.{_PORT}"
# The kernel takes 107 bytes on Linux and 103 on macOS.
_SOCKET_PATH_BYTES = 100
# A server that is up answers within a millisecond or two; one that does not is asked again.
_PROBE_SECONDS = 0.3
# Recovery after a kill took about 2 s; a disk ten times slower still fits.
_START_SECONDS = 30.0
# A fast stop takes 0.1 s, and the final checkpoint of 128 MB of buffers seconds on a slow disk.
_STOP_SECONDS = 20.0


def socket_dir(var_dir: Path) -> Path:
    """The folder of the sockets: ``run`` in VAR_DIR, or where that path is too long or odd, a short one in /tmp."""
    folder = var_dir.resolve() / "run"
    longest = max(len(os.fsencode(folder / name)) for name in (_POSTGRES_SOCKET, "stream.sock"))
    # libpq reads a comma in a socket's path as several hosts, and not every client decodes what a URL must encode.
    if longest < _SOCKET_PATH_BYTES and re.fullmatch(r"[\w./-]+", str(folder), re.ASCII):
        return folder
    # Not tempfile.gettempdir(): TMPDIR differs between shells, and every process must find the same place.
    key = hashlib.sha256(os.fsencode(folder) + b"\0%d" % os.getuid()).hexdigest()[:16]
    return Path("/tmp") / f"voiceworks-{key}"  # noqa: S108 - made 0700, and refused where another owns it


def postgres_url(var_dir: Path) -> str:
    """The SQLAlchemy URL of the embedded database."""
    # The port is the default, but PGPORT in somebody's shell would override a default.
    return f"postgresql+psycopg://postgres@/{DATABASE}?host={quote(str(socket_dir(var_dir)))}&port={_PORT}"


def valkey_url(var_dir: Path, name: ValkeyName) -> str:
    """The redis-py URL of the embedded Valkey of that name."""
    return f"unix://{quote(str(_valkey_socket(var_dir, name)))}?db=0"


def postgres_ready(var_dir: Path) -> bool:
    """Whether the embedded database takes connections."""
    # Postgres keeps its state in the last line of this file. Asked any earlier, it logs a refusal each time.
    try:
        if not (_data(var_dir, "postgres") / "postmaster.pid").read_text().rstrip().endswith("\nready"):
            return False
    except OSError:
        return False
    # The first message of a connection, written by hand: importing psycopg takes longer than starting the server.
    body = struct.pack("!i", 196608) + f"user\0postgres\0database\0{DATABASE}\0\0".encode()
    start_and_goodbye = struct.pack("!i", len(body) + 4) + body + b"X\0\0\0\4"
    return _answer(socket_dir(var_dir) / _POSTGRES_SOCKET, start_and_goodbye).startswith(b"R")


def valkey_ready(var_dir: Path, name: ValkeyName) -> bool:
    """Whether the embedded Valkey of that name has read its data and answers."""
    return _answer(_valkey_socket(var_dir, name), b"PING\r\n").startswith(b"+PONG")


def postgres(var_dir: Path, *, durable: bool = True) -> Child:
    """The embedded database as a child that is ready to be started.

    Args:
        durable: False trades the safety of the data for speed: only for tests.
    """
    data = _data(var_dir, "postgres")
    account = server_data.postgres_account(data)
    settings = {
        "listen_addresses": "",
        "unix_socket_permissions": "0700",
        "shared_buffers": "128MB",
        # Web processes and workers hold a few each, and an idle one costs little: room for a machine of many GPUs.
        "max_connections": "200",
        # Enough log for a burst of jobs without a checkpoint in its middle, and little disk when quiet.
        "max_wal_size": "512MB",
        "min_wal_size": "64MB",
        "checkpoint_timeout": "15min",
        # A queue rewrites the same few rows all day, and every claim steps over the dead ones: clear them often.
        "autovacuum_naptime": "10s",
        # The default is a rotating disk's; these tables are in memory.
        "random_page_cost": "1.1",
        # Without it a statement goes on, with its locks, after the worker that sent it was killed.
        "client_connection_check_interval": "5s",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_checkpoints": "off",
    }
    if not durable:
        settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    # fmt: off
    argv = [
        *account.prefix, str(server_data.postgres_program("postgres")),
        "-D", str(data), "-k", str(socket_dir(var_dir)), "-p", str(_PORT), *options,
    ]
    # fmt: on
    return Child(
        name="postgres",
        argv=argv,
        log_path=var_dir / "log" / "postgres.log",
        pid_path=var_dir / "run" / "postgres.pid",
        cwd=var_dir,
        user=account.user,
        # "Fast": SIGTERM would wait for every client to leave.
        stop_signal=signal.SIGINT,
        death_signal=signal.SIGINT,
        grace_seconds=_STOP_SECONDS,
        probe=partial(postgres_ready, var_dir),
        prepare=partial(prepare_postgres, var_dir, durable=durable),
    )


def valkey(var_dir: Path, name: ValkeyName) -> Child:
    """One embedded Valkey as a child that is ready to be started: the queue, or the streams of audio being spoken."""
    options = {
        "port": "0",
        "unixsocket": str(_valkey_socket(var_dir, name)),
        "unixsocketperm": "700",
        "dir": str(_data(var_dir, name)),
        "daemonize": "no",
        "save": "",
        # Neither may drop a key by itself: a lost doorbell or a hole in speech is worse than a refused write.
        "maxmemory-policy": "noeviction",
    }
    if name == "queue":
        options |= {"appendonly": "yes", "appendfsync": "everysec"}
    else:
        # 32 streams of the longest kind (16 MiB) at once; they expire by themselves, and nobody misses them at a start.
        options |= {"appendonly": "no", "maxmemory": "512mb"}
    words = [word for key, value in options.items() for word in (f"--{key}", value)]
    return Child(
        name=name,
        argv=[str(server_data.valkey_program()), *words],
        log_path=var_dir / "log" / f"{name}.log",
        pid_path=var_dir / "run" / f"{name}.pid",
        grace_seconds=_STOP_SECONDS,
        probe=partial(valkey_ready, var_dir, name),
        prepare=partial(prepare_valkey, var_dir, name),
    )


def prepare_postgres(var_dir: Path, *, durable: bool = True) -> None:
    """Makes the database where there is none, and clears away what a killed server left: itself, or its lock files.

    Raises:
        StartFailed: where the database cannot be made.
    """
    data = _data(var_dir, "postgres")
    account = server_data.postgres_account(data)
    server_data.make_private(socket_dir(var_dir), account)
    server_data.end_former_servers(data, "postgres", signal.SIGINT)
    if not data.exists():
        server_data.make_database(data, DATABASE, account, durable=durable)
    server_data.give_to(data, account)
    # No server lives on this data, so these files are stale. Postgres itself would look only whether the number in
    # them is some process of ours, find one that got it since, and refuse to start for ever.
    for stale in (data / "postmaster.pid", socket_dir(var_dir) / f"{_POSTGRES_SOCKET}.lock"):
        stale.unlink(missing_ok=True)


def prepare_valkey(var_dir: Path, name: ValkeyName) -> None:
    """Makes the folders of a Valkey, and ends the one that a killed owner left on them."""
    server_data.make_private(socket_dir(var_dir), server_data.postgres_account(_data(var_dir, "postgres")))
    data = _data(var_dir, name)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    server_data.end_former_servers(data, "valkey-server", signal.SIGTERM)


@dataclass(frozen=True)
class Servers:
    """Running servers: their URLs, and the children themselves for tests that kill and start them."""

    database_url: str
    redis_url: str
    stream_redis_url: str
    postgres: Child
    queue: Child
    stream: Child


@contextmanager
def running(var_dir: Path, *, durable: bool = False) -> Iterator[Servers]:
    """All three servers for as long as the block runs, for tests; the thread that enters must outlive the block.

    Raises:
        AlreadyRunning: where another process owns that folder.
        StartFailed: where a server does not start, with its last words.
    """
    children = [valkey(var_dir, "queue"), valkey(var_dir, "stream"), postgres(var_dir, durable=durable)]
    queue, stream, database = children
    with Ownership(var_dir / "supervisor.lock"):
        try:
            for child in children:
                child.start()
            for child in children:
                if not child.ready(_START_SECONDS):
                    raise StartFailed(f"{child.name} did not start. {child.log_path} ends:\n{child.log_tail()}")
            urls = postgres_url(var_dir), valkey_url(var_dir, "queue"), valkey_url(var_dir, "stream")
            yield Servers(*urls, postgres=database, queue=queue, stream=stream)
        finally:
            for child in children:
                child.ask_to_stop()
            for child in children:
                child.finish()


def _data(var_dir: Path, name: str) -> Path:
    return var_dir.resolve() / name


def _valkey_socket(var_dir: Path, name: ValkeyName) -> Path:
    return socket_dir(var_dir) / f"{name}.sock"


def _answer(socket_path: Path, request: bytes) -> bytes:
    """The first bytes that a server answers, none where there is no server or it is not listening yet."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_PROBE_SECONDS)
        try:
            connection.connect(str(socket_path))
            connection.sendall(request)
            return connection.recv(4096)  # all of it: Postgres logs a client that leaves before it has read
        except OSError:
            return b""
