"""The way from an older database to this one, and back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine, inspect, make_url, text
from sqlalchemy.pool import NullPool

from config.settings import Settings
from models import migrations
from models.registry import Base
from tests import making


@pytest.fixture
def scratch(configured: Settings) -> Iterator[Engine]:
    """An empty database of its own."""
    server = create_engine(configured.database_url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with server.connect() as connection:
        connection.execute(text("create database scratch"))
    engine = create_engine(make_url(configured.database_url).set(database="scratch"), poolclass=NullPool)
    yield engine
    with server.connect() as connection:
        connection.execute(text("drop database scratch with (force)"))


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names()) - {"alembic_version"}


def revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return migrations.current(connection)


def test_an_empty_database_has_no_revision(scratch: Engine) -> None:
    assert revision(scratch) is None


def test_an_empty_database_becomes_what_the_code_declares(scratch: Engine) -> None:
    assert migrations.upgrade(scratch)
    assert revision(scratch) == migrations.head()
    assert tables(scratch) == set(Base.metadata.tables)
    with scratch.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_a_second_upgrade_does_nothing(scratch: Engine) -> None:
    assert migrations.upgrade(scratch) is True
    with scratch.begin() as connection:
        connection.execute(text("insert into curricula (id, title) values ('kept', 'Kept')"))
    assert migrations.upgrade(scratch) is False
    with scratch.connect() as connection:
        assert connection.scalar(text("select title from curricula")) == "Kept"


def test_two_releases_at_once_upgrade_once(scratch: Engine) -> None:
    assert sorted(making.at_once(3, lambda _: migrations.upgrade(scratch))) == [False, False, True]


def test_every_step_can_be_taken_back_and_again(scratch: Engine) -> None:
    migrations.upgrade(scratch)
    with scratch.begin() as connection:
        command.downgrade(migrations.configuration(connection), "base")
    assert tables(scratch) == set()
    assert revision(scratch) is None
    assert migrations.upgrade(scratch) is True
    assert tables(scratch) == set(Base.metadata.tables)


def test_an_upgrade_that_fails_leaves_nothing_half_done(scratch: Engine) -> None:
    with scratch.begin() as connection:
        # In the way of a table that the first migration makes late.
        connection.execute(text("create table segments (id text)"))
    with pytest.raises(Exception, match="already exists"):
        migrations.upgrade(scratch)
    assert tables(scratch) == {"segments"}
    assert revision(scratch) is None


def test_the_database_of_the_tests_is_at_the_newest_revision(configured: Settings) -> None:
    engine = create_engine(configured.database_url, poolclass=NullPool)
    assert revision(engine) == migrations.head()
