"""Which stored files wake words need, and how many bytes they are."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import BigInteger, cast, func, literal_column, select
from sqlalchemy.orm import Session

from models.wake_captures import WakeCapture
from models.wake_models import WakeModel
from models.wake_trainings import WakeTraining

# Where rows name files, as paths into their columns. There are few rows: all of them are read in a millisecond.
_NAMED = (
    (WakeModel.files, "'$.*.file'"),
    (WakeModel.recordings, "'$[*].file'"),
    (WakeTraining.clips, "'$.*[*].file'"),
)


def known_files(session: Session, names: Collection[str]) -> set[str]:
    """Those of the stored files that a model, a training or a capture needs."""
    known = set(session.scalars(select(WakeCapture.file).where(WakeCapture.file.in_(names))))
    for column, path in _NAMED:
        each = _each(column, path)
        known |= set(session.scalars(select(each.c.value).where(each.c.value.in_(names))))
    return known


def size_bytes(session: Session) -> int:
    """How many bytes the files of models and captures hold (a file that two share counts twice)."""
    total = session.scalar(select(func.sum(WakeCapture.size_bytes))) or 0
    for column, path in ((WakeModel.files, "'$.*.size_bytes'"), (WakeModel.recordings, "'$[*].size_bytes'")):
        each = _each(column, path)
        total += session.scalar(select(func.sum(cast(each.c.value, BigInteger)))) or 0
    return int(total)


def _each(column: Any, path: str) -> Any:
    """Every value at a path of a column, as text."""
    found = func.jsonb_path_query(column, literal_column(path)).op("#>>")(literal_column("'{}'"))
    return select(found.label("value")).subquery()
