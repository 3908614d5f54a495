"""Taking a text: an annotation, a line in the ledger and the agent's totals, in one transaction; each text once."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal
from uuid import uuid4

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.events import Doorbell, after_commit
from models.transcription import agents, ledger
from models.transcription.assigning import NotAssigned, latest, lock
from models.transcription.tables import (
    ACCEPTED,
    ACTIVE,
    DONE,
    EXPIRED,
    GONE,
    KEPT,
    LABEL_STUDIO,
    OPEN,
    PARKED,
    PENDING,
    VOID,
    Annotation,
    Assignment,
    Task,
)

# What wakes whoever judges texts and writes them to Label Studio (tasks/annotations.py).
LANE, DELIVER = "io", "transcription.deliver"

Why = Literal["held", "done", "skipped", "gone"]


@dataclass(frozen=True)
class Late:
    """A text that cannot be taken, and why; it is kept with the assignment."""

    assignment_id: int
    why: Why


def submit(session: Session, task_id: int, agent_id: int, text: str, *, rate_per_second: Decimal) -> Annotation | Late:
    """What the agent's text became; the same again however often they send one.

    An agent whose time ran out is not late as long as nobody else has the task.

    Raises:
        NotFound: there is no such task.
        NotAssigned: the agent never had it.
    """
    agents.present(session, agent_id)
    task = lock(session, task_id)
    mine = latest(session, task_id, agent_id)
    if mine is None:
        raise NotAssigned
    if mine.state == ACCEPTED or mine.state == VOID:
        return session.scalars(select(Annotation).where(Annotation.assignment_id == mine.id)).one()
    why = _refusal(session, task, mine)
    if why is not None:
        mine.kept_text = text
        session.flush()
        return Late(mine.id, why)
    return _accept(session, task, mine, text, rate_per_second)


def kept(session: Session, assignment_id: int) -> Assignment | None:
    """The assignment whose text came too late; None where there is no such text."""
    found = session.get(Assignment, assignment_id)
    return found if found is not None and found.kept_text is not None else None


def _refusal(session: Session, task: Task, mine: Assignment) -> Why | None:
    """Why the text cannot be taken; None where it can, and the assignment has a slot then."""
    if task.state == GONE:
        return "gone"
    if mine.state == ACTIVE:
        return None
    if mine.state != EXPIRED:
        return "skipped"
    if task.state in (OPEN, PARKED) and task.taken < task.slots:
        mine.slot = _free_slot(session, task)
        task.taken += 1
        return None
    return "done" if task.state == DONE else "held"


def _free_slot(session: Session, task: Task) -> int:
    in_use = select(Assignment.slot).where(Assignment.task_id == task.id, Assignment.state.in_((ACTIVE, ACCEPTED)))
    return min(set(range(1, task.slots + 1)) - set(session.scalars(in_use)))


def _accept(session: Session, task: Task, mine: Assignment, text: str, rate_per_second: Decimal) -> Annotation:
    mine.state, mine.ended_at = ACCEPTED, func.now()
    goes_on = task.source == LABEL_STUDIO and task.gold_text is None
    annotation = Annotation(
        assignment_id=mine.id,
        task_id=task.id,
        agent_id=mine.agent_id,
        text=text,
        worked_seconds=func.extract("epoch", func.now() - mine.started_at),
        state=PENDING if goes_on else KEPT,
        # Chosen before the first attempt to write it, so that every attempt is about the same one.
        unique_id=str(uuid4()),
    )
    session.add(annotation)
    session.flush()
    accepted = select(func.count()).where(Assignment.task_id == task.id, Assignment.state == ACCEPTED)
    if (session.scalar(accepted) or 0) >= task.slots:
        task.state, task.done_at = DONE, func.now()
    ledger.earn(session, annotation, task, rate_per_second)
    session.flush()
    after_commit(session, Doorbell(LANE, DELIVER, str(annotation.id)))
    return annotation
