"""The way from an older database to this one; run by the ``release`` process before anything else starts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, text

if TYPE_CHECKING:
    from alembic.config import Config

_FOLDER = Path(__file__).parent
# Two releases may start at once on two machines; the second waits and finds the work done.
_LOCK = 0x566F6964


def head() -> str:
    """The newest revision; the files of ``versions`` begin with their numbers."""
    return max(path.name.split("_")[0] for path in (_FOLDER / "versions").glob("[0-9]*.py"))


def upgrade(engine: Engine) -> bool:
    """Brings the database to ``head``; False when it was there already."""
    with engine.begin() as connection:
        connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        if current(connection) == head():
            return False
        # Loaded only when needed: it costs a quarter of a second of every start.
        from alembic import command

        command.upgrade(configuration(connection), "head")
        return True


def current(connection: Connection) -> str | None:
    """The revision the database is at; None for an empty one."""
    if connection.scalar(text("select to_regclass('alembic_version')")) is None:
        return None
    revision: str | None = connection.scalar(text("select version_num from alembic_version"))
    return revision


def configuration(connection: Connection) -> Config:
    """Alembic's configuration for an open connection; there is no ini file."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.attributes["connection"] = connection
    return config
