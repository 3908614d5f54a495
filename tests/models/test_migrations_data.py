"""A database with something in every table, from the first revision on: what an upgrade must not lose."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, Engine, MetaData, Table, create_engine, make_url, select, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from config.settings import Settings
from models import migrations
from models.registry import Base

Rows = dict[str, list[dict[str, Any]]]
# What went on purpose, by the revision that took it: clips have been pinned by rows of their own since.
DROPPED = {"0004": {("speech_clips", "pins")}}
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def scratch(configured: Settings) -> Iterator[Engine]:
    """An empty database of its own."""
    server = create_engine(configured.database_url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with server.connect() as connection:
        connection.execute(text("create database scratch_data"))
    engine = create_engine(make_url(configured.database_url).set(database="scratch_data"), poolclass=NullPool)
    yield engine
    with server.connect() as connection:
        connection.execute(text("drop database scratch_data with (force)"))


def revisions(connection: Connection) -> list[str]:
    """All of them, the first one first."""
    found = ScriptDirectory.from_config(migrations.configuration(connection)).walk_revisions()
    return [each.revision for each in found][::-1]


def tables_of(connection: Connection) -> list[Table]:
    """The tables as they are in the database, those that others point to first."""
    found = MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name != "alembic_version"]


def value(column: Column[Any], number: int, parents: dict[str, dict[str, Any]]) -> Any:
    """Something for a column; the same number never gives the same twice in one column."""
    for key in column.foreign_keys:
        # Of a row that points to another of its own table, as of a first one, there is none yet.
        parent = parents.get(key.column.table.name)
        return parent[key.column.name] if parent else None
    kind = column.type.python_type
    if kind is bool:
        return number % 2 == 0
    if kind is datetime:
        return _BEGAN + timedelta(hours=number, microseconds=number)
    if kind is object:  # JSON
        return {"of": f"{column.table.name}.{column.name}", "number": number, "ä": [None, 0.1, True]}
    if kind is list:
        return [f"{column.name} {number}", "ä"]
    if kind is bytes:
        return bytes([number % 256, 0, 255])
    if kind in (int, float, Decimal):
        return kind(number)
    assert kind is str, (column, kind)
    return f"{column.name} {number} ä\t'%s' \\"


def fill(connection: Connection, number: int) -> None:
    """Two rows in every table: one with all that it can hold, one with no more than it needs."""
    for sparse in (False, True):
        made: dict[str, dict[str, Any]] = {}
        for table in tables_of(connection):
            wanted = [
                column
                for column in table.columns
                if column.identity is None
                and column.computed is None
                and not (sparse and (column.nullable or column.server_default is not None))
            ]
            values = {column.name: value(column, 2 * number + sparse, made) for column in wanted}
            inserted = connection.execute(table.insert().values(values).returning(*table.columns))
            made[table.name] = dict(inserted.mappings().one())


def stored(connection: Connection) -> Rows:
    """All rows of all tables."""
    return {
        table.name: [dict(row) for row in connection.execute(select(table)).mappings()]
        for table in tables_of(connection)
    }


def lost(before: Rows, after: Rows, dropped: set[tuple[str, str]]) -> dict[str, Any]:
    """By table the rows that were there before and are not any more, but for columns that went on purpose."""
    found = {}
    for name, rows in before.items():
        kept = sorted({column for row in rows for column in row if (name, column) not in dropped})
        now = Counter(as_text(row, kept) for row in after.get(name, []))
        if gone := Counter(as_text(row, kept) for row in rows) - now:
            found[name] = list(gone)
    return found


def as_text(row: dict[str, Any], columns: list[str]) -> str:
    return json.dumps([repr(row.get(column, "no such column")) for column in columns], ensure_ascii=False)


def test_nothing_that_was_stored_at_any_revision_is_lost_on_the_way_to_the_newest(scratch: Engine) -> None:
    with scratch.connect() as connection:
        steps = revisions(connection)
    assert steps[0] == "0001"
    assert steps[-1] == migrations.head()
    before: Rows = {}
    for number, revision in enumerate(steps, start=1):
        with scratch.begin() as connection:
            command.upgrade(migrations.configuration(connection), revision)
        with scratch.begin() as connection:
            after = stored(connection)
            assert lost(before, after, DROPPED.get(revision, set())) == {}, revision
            assert {name: len(rows) for name, rows in after.items() if name in before} == {
                name: len(rows) for name, rows in before.items()
            }, revision
            fill(connection, number)
            before = stored(connection)
    # Two rows of each revision that the table has seen: of the oldest all.
    assert {len(before["jobs"]), len(before["accounts"])} == {2 * len(steps)}
    assert all(len(rows) >= 2 for rows in before.values())
    with scratch.connect() as connection:
        # What has grown is what a new one is, and this version reads every row of it.
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    with Session(scratch) as session:
        for mapper in Base.registry.mappers:
            table = mapper.local_table
            assert len(session.scalars(select(mapper.class_)).all()) == len(before[table.name]), table.name


@pytest.mark.parametrize(
    ("after", "told"),
    [
        ({"t": [{"a": 1, "b": 2}]}, {}),
        ({"t": [{"a": 1, "b": 2, "c": 3}]}, {}),
        ({"t": [{"a": 1, "b": None}]}, {"t": ['["1", "2"]']}),
        ({"t": [{"a": 1}]}, {"t": ['["1", "2"]']}),
        ({"t": []}, {"t": ['["1", "2"]']}),
        ({}, {"t": ['["1", "2"]']}),
    ],
    ids=["the same", "more", "another value", "no column", "no row", "no table"],
)
def test_what_is_lost_would_be_seen(after: Rows, told: dict[str, Any]) -> None:
    assert lost({"t": [{"a": 1, "b": 2}]}, after, set()) == told
