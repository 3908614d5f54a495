"""A clock that jumps, as all that is kept sees it: every stored time moves the other way.

The machine's own clock is everybody's, and stays. What a jump ahead does to Voiceworks is that all its stored times are
so much longer ago: times in Postgres (leases, pauses, due times, ages), the time that Redis keys have left, the ages of
files. What processes measure by the monotonic clock does not jump on a real machine either.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import redis
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from bench.faults.place import Place
from config.embedded import ValkeyName

# Not those by which a row is found: an hour's figures belong to that hour.
_COLUMNS = text("""
    SELECT c.table_name, c.column_name FROM information_schema.columns c
    WHERE c.table_schema = 'public' AND c.data_type = 'timestamp with time zone' AND NOT EXISTS (
        SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
        WHERE i.indisunique AND i.indrelid = format('%I', c.table_name)::regclass AND a.attname = c.column_name
    ) ORDER BY 1, 2
""")
_SERVERS_OWN = ("postgres", "queue", "stream", "log", "run")
_TRIES = 6


def jump(place: Place, seconds: float) -> None:
    """The clock is so many seconds ahead of what it was, or back where that is negative.

    Raises:
        DBAPIError: Postgres is away, or others write the same rows over and over; nothing has jumped.
    """
    for left in reversed(range(_TRIES)):
        try:
            _move_rows(place, seconds)
            break
        except OperationalError:
            # Who waited with others for each other gives way: us.
            if not left:
                raise
            time.sleep(0.1)
    names: tuple[ValkeyName, ...] = ("queue", "stream")
    for name in names:
        with suppress(redis.RedisError):
            _move_keys(place.queue_socket(name), round(seconds * 1000))
    _move_files(place.var_dir, seconds)


def _move_rows(place: Place, seconds: float) -> None:
    with place.silent.transaction() as session:
        # Postgres ends the one that looks first: us, and not a worker.
        session.execute(text("SET LOCAL deadlock_timeout = '20ms'"))
        session.execute(text("SET LOCAL statement_timeout = '8s'"))
        columns: dict[str, list[str]] = {}
        for table, column in session.execute(_COLUMNS):
            columns.setdefault(table, []).append(column)
        for table, names in columns.items():
            moved = ", ".join(f'"{name}" = "{name}" - make_interval(secs => :seconds)' for name in names)
            session.execute(text(f'UPDATE "{table}" SET {moved}'), {"seconds": seconds})


def _move_keys(url: str, milliseconds: int) -> None:
    with redis.Redis.from_url(url, socket_timeout=5) as client:
        for key in client.scan_iter():
            left = int(client.pttl(key))
            if left <= 0:
                continue
            if left > milliseconds:
                client.pexpire(key, left - milliseconds)
            else:
                client.delete(key)


def _move_files(var_dir: Path, seconds: float) -> None:
    for place, folders, files in os.walk(var_dir):
        if Path(place) == var_dir:
            folders[:] = [name for name in folders if name not in _SERVERS_OWN]
        for name in (*files, *folders):
            path = Path(place, name)
            # Gone by now, or somebody's lock.
            with suppress(OSError):
                status = path.lstat()
                os.utime(path, (status.st_atime - seconds, status.st_mtime - seconds), follow_symlinks=False)
