"""Removing very many rows."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session

# A second or two of a slow disk: far from what a statement may take, however many rows there are.
ROWS_AT_ONCE = 20_000


def forget(session: Session, table: Any, old: ColumnElement[bool]) -> int:
    """How many rows of a table with an ``id`` it removed: those that are ``old``, in many statements if need be."""
    some = select(table.id).where(old).limit(ROWS_AT_ONCE)
    gone = delete(table).where(table.id.in_(some)).returning(table.id).cte()
    removed = 0
    while found := session.scalar(select(func.count()).select_from(gone)):
        removed += found
    return removed
