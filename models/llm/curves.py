"""The curve of a training: a point for each step, written once, thinned where it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.llm.tables import TrainingPoint

# More are for measuring, not for looking.
POINTS_SHOWN = 2000
Point = dict[str, Any]


def add(session: Session, session_id: str, points: Sequence[Mapping[str, Any]]) -> None:
    """Keeps points, each of them with its ``step``; what is told of one again counts, beside what was told before."""
    if not points:
        return
    # One statement cannot write one row twice.
    latest = {point["step"]: dict(point) for point in points}
    made = insert(TrainingPoint).values(
        [{"session_id": session_id, "step": step, "told": told} for step, told in latest.items()]
    )
    replaced = {"told": TrainingPoint.told.op("||")(made.excluded.told)}
    session.execute(made.on_conflict_do_update(index_elements=["session_id", "step"], set_=replaced))


def whole(session: Session, session_id: str) -> list[Point]:
    """The curve in order: every point of it, or evenly so many of them, with the last."""
    mine = TrainingPoint.session_id == session_id
    last = select(func.max(TrainingPoint.step)).where(mine).scalar_subquery()
    apart = func.greatest(1, (last + POINTS_SHOWN - 1) // POINTS_SHOWN)
    shown = (TrainingPoint.step % apart == 0) | (TrainingPoint.step == last)
    return list(session.scalars(select(TrainingPoint.told).where(mine, shown).order_by(TrainingPoint.step)))


def last(session: Session, session_id: str) -> Point | None:
    """What was told last; None before the first step."""
    mine = select(TrainingPoint.told).where(TrainingPoint.session_id == session_id)
    return session.scalar(mine.order_by(TrainingPoint.step.desc()).limit(1))
