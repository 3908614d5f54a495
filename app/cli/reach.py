"""What a command needs of the running services; looked for before the command is loaded, so that it fails at once."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from app.cli.output import Failed
from config import embedded, settings
from config.settings import Settings

if TYPE_CHECKING:
    from flask import Flask

    from app.context import Context
    from models.db import Database

# A server that is there accepts within milliseconds, across a network within a few dozen.
CONNECT_SECONDS = 1.0
_POSTGRES_PORT, _REDIS_PORT = 5432, 6379


def load() -> Settings:
    """The settings of this process's environment.

    Raises:
        Failed: naming every value that cannot be used.
    """
    try:
        return settings.load()
    except settings.SettingsError as fault:
        raise Failed(str(fault)) from None


def require(*, queue: bool) -> None:
    """Returns where the database, and with ``queue`` the queue's Redis, take connections.

    Raises:
        Failed: naming the one that does not, and the mend.
    """
    configured = load()
    if not database_answers(configured):
        raise _away("database", None if configured.embedded_postgres else configured.database_url, configured)
    if queue and not queue_answers(configured):
        raise _away("queue", None if configured.embedded_redis else configured.redis_url, configured)


def database_answers(configured: Settings) -> bool:
    """Whether the database takes connections."""
    if configured.embedded_postgres:
        return embedded.postgres_ready(configured.var_dir)
    return _listens(configured.database_url, _POSTGRES_PORT)


def queue_answers(configured: Settings) -> bool:
    """Whether the queue's Redis takes connections."""
    if configured.embedded_redis:
        return embedded.valkey_ready(configured.var_dir, "queue")
    return _listens(configured.redis_url, _REDIS_PORT)


def place(url: str) -> str:
    """Where a server is, without the password that its URL may hold."""
    parts = urlsplit(url)
    folder = parse_qs(parts.query).get("host")
    if folder or not parts.hostname:
        return folder[0] if folder else unquote(parts.path)
    return f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname


def local(host: str) -> str:
    """The address under which this machine reaches a server of ours that listens on ``host``."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - looked for, not listened on


@contextmanager
def database() -> Iterator[Database]:
    """The database alone, for commands that ring no worker.

    Raises:
        Failed: it refuses what the block asks of it.
    """
    from models.db import Database

    opened = Database(load().database_url, lambda signals: None, pool_size=1)
    try:
        with _in_sentences():
            yield opened
    finally:
        opened.dispose()


@contextmanager
def application() -> Iterator[Context]:
    """The whole application, within its context.

    Raises:
        Failed: it refuses what the block asks of it.
    """
    with inside(load()) as here, _in_sentences():
        yield here


@contextmanager
def inside(configured: Settings) -> Iterator[Context]:
    """The context of this process's own application; once a process, since its hub starts only once."""
    from app import context

    with build(configured).app_context():
        here = context.current()
        try:
            yield here
        finally:
            here.hub.stop()
            here.database.dispose()


@cache
def build(configured: Settings) -> Flask:
    """This process's own application, which writes no log lines between what a command shows."""
    from app import create_app

    try:
        return create_app(replace(configured, log_level="CRITICAL"))
    except OSError as fault:
        raise Failed(f"{fault.filename} cannot be used: {fault.strerror}.") from fault


def _away(what: Literal["database", "queue"], url: str | None, configured: Settings) -> Failed:
    """What to say of a server that does not answer; without a URL it would be one of ours."""
    if url is None:
        return Failed(f"Voiceworks is not running on {configured.var_dir}; `make run` starts it.")
    variable = "DATABASE_URL" if what == "database" else "REDIS_URL"
    return Failed(f"The {what} does not answer at {place(url)}; start it, or correct {variable}.")


def _listens(url: str, default_port: int) -> bool:
    parts = urlsplit(url)
    folder = parse_qs(parts.query).get("host")
    try:
        if folder or not parts.hostname:
            path = f"{folder[0]}/.s.PGSQL.{parts.port or default_port}" if folder else unquote(parts.path)
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(CONNECT_SECONDS)
                connection.connect(path)
        else:
            address = parts.hostname, parts.port or default_port
            socket.create_connection(address, timeout=CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


@contextmanager
def _in_sentences() -> Iterator[None]:
    """Turns what the block is refused into one sentence."""
    from redis import RedisError
    from sqlalchemy.exc import DBAPIError

    from models.errors import ModelError, Unavailable

    try:
        yield
    except Unavailable as fault:
        raise Failed(f"{fault.message} `python -m app doctor` says what is wrong.") from None
    except ModelError as fault:
        raise Failed(fault.message) from None
    except DBAPIError as fault:
        if type(fault.orig).__name__ in ("UndefinedTable", "UndefinedColumn"):
            raise Failed("The database is of another version; `python -m app migrate` brings it to this one.") from None
        raise Failed(f"The database refused: {str(fault.orig).splitlines()[0]}") from fault
    except RedisError as fault:
        raise Failed(f"The queue refused: {fault}") from fault
