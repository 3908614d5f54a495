"""Texts on their way to Label Studio: each is written once, however often it is tried, and for as long as it takes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Update, func, select, update
from sqlalchemy.orm import Session

from models.base import utc_now
from models.transcription import agents, ledger
from models.transcription.tables import (
    GONE,
    PENDING,
    REFUSED,
    VOID,
    WRITTEN,
    Annotation,
    Assignment,
    Task,
)

# Longer than one attempt takes with all its requests: a sender that died is followed by another then.
LEASE_SECONDS = 90
# Label Studio is away for a restart, or for a night; the last pause is repeated until it is back.
PAUSES_SECONDS = (2, 5, 15, 60, 300)


@dataclass(frozen=True)
class Claimed:
    """A text that the caller is to write now. ``attempt`` fences what becomes of it."""

    id: int
    task_id: int
    agent_id: int
    text: str
    unique_id: str
    worked_seconds: float
    attempt: int


def claim(session: Session) -> Claimed | None:
    """The text that has been due for longest, which nobody else gets before its lease ends; None when none is."""
    due = (
        select(Annotation)
        .where(Annotation.state == PENDING, Annotation.due_at <= func.now())
        .order_by(Annotation.due_at, Annotation.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = session.scalars(due).one_or_none()
    if row is None:
        return None
    row.attempts += 1
    row.due_at = utc_now() + timedelta(seconds=LEASE_SECONDS)
    return Claimed(row.id, row.task_id, row.agent_id, row.text, row.unique_id, float(row.worked_seconds), row.attempts)


def written(session: Session, claimed: Claimed, label_studio_id: int) -> None:
    """The text is there, as annotation ``label_studio_id``."""
    session.execute(
        _of(claimed).values(
            state=WRITTEN, label_studio_annotation_id=label_studio_id, written_at=func.now(), problem=None
        )
    )


def put_off(session: Session, claimed: Claimed, problem: str) -> None:
    """The text could not be written now; it is tried again."""
    pause = PAUSES_SECONDS[min(claimed.attempt, len(PAUSES_SECONDS)) - 1]
    session.execute(_of(claimed).values(due_at=utc_now() + timedelta(seconds=pause), problem=problem[:500]))


def task_is_gone(session: Session, claimed: Claimed, problem: str) -> None:
    """The text cannot be written, as its task was removed there: it earns nothing, and everybody can see why."""
    agents.lock(session, claimed.agent_id)
    task = session.scalars(select(Task).where(Task.id == claimed.task_id).with_for_update()).one()
    row = session.scalars(select(Annotation).where(Annotation.id == claimed.id).with_for_update()).one()
    if row.state != PENDING or row.attempts != claimed.attempt:
        return
    task.state, task.problem, task.taken = GONE, problem, task.taken - 1
    row.state, row.problem = REFUSED, problem
    session.execute(update(Assignment).where(Assignment.id == row.assignment_id).values(state=VOID, reason=problem))
    session.flush()
    ledger.reverse(session, row, problem)


def is_ours(session: Session, unique_ids: Collection[str]) -> bool:
    """Whether one of these names at Label Studio is that of a text from here."""
    return session.scalar(select(Annotation.id).where(Annotation.unique_id.in_(list(unique_ids))).limit(1)) is not None


def _of(claimed: Claimed) -> Update:
    return update(Annotation).where(
        Annotation.id == claimed.id, Annotation.state == PENDING, Annotation.attempts == claimed.attempt
    )
