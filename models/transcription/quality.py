"""How well people hear: texts beside what is right, and beside each other; what they do not agree in is decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from models.errors import Conflict, NotFound
from models.transcription.assigning import lock
from models.transcription.tables import DONE, Agent, Annotation, Task

# An agent's accuracy is that of so many of the last known tasks.
ROLLING = 20


@dataclass(frozen=True)
class Known:
    """A text of a task that is known."""

    annotation_id: int
    right: str
    heard: str


@dataclass(frozen=True)
class Pair:
    """Two texts of one task."""

    task_id: int
    one: str
    other: str


def to_grade(session: Session, limit: int) -> list[Known]:
    """Texts of known tasks that nobody has looked at."""
    rows = session.execute(
        select(Annotation.id, Task.gold_text, Annotation.text)
        .join(Task, Task.id == Annotation.task_id)
        .where(Task.gold_text.is_not(None), Annotation.word_error_rate.is_(None))
        .limit(limit)
    )
    return [Known(annotation_id, right or "", heard) for annotation_id, right, heard in rows]


def graded(session: Session, annotation_id: int, word_error_rate: float) -> None:
    """Keeps how far a text is from what is right."""
    session.execute(update(Annotation).where(Annotation.id == annotation_id).values(word_error_rate=word_error_rate))


def to_compare(session: Session, limit: int) -> list[Pair]:
    """Tasks that two people have transcribed, and nobody has compared."""
    tasks = select(Task.id).where(
        Task.state == DONE, Task.slots == 2, Task.gold_text.is_(None), Task.word_difference.is_(None)
    )
    pairs = []
    for task_id in session.scalars(tasks.order_by(Task.id).limit(limit)).all():
        texts = session.scalars(
            select(Annotation.text).where(Annotation.task_id == task_id).order_by(Annotation.id).limit(2)
        ).all()
        if len(texts) == 2:
            pairs.append(Pair(task_id, texts[0], texts[1]))
    return pairs


def compared(session: Session, task_id: int, *, words: float, characters: float) -> None:
    """Keeps how much a task's two texts differ."""
    session.execute(
        update(Task).where(Task.id == task_id).values(word_difference=words, character_difference=characters)
    )


def to_review(session: Session, *, limit: int, offset: int) -> tuple[list[tuple[Task, list[Annotation]]], int]:
    """Tasks whose two texts differ and that nobody has decided, those that differ most first; how many there are."""
    open_ones = (Task.word_difference > 0, Task.final_text.is_(None))
    found = session.scalars(
        select(Task).where(*open_ones).order_by(Task.word_difference.desc(), Task.id).limit(limit).offset(offset)
    ).all()
    total = session.scalar(select(func.count()).select_from(Task).where(*open_ones)) or 0
    texts = session.scalars(
        select(Annotation).where(Annotation.task_id.in_([task.id for task in found])).order_by(Annotation.id)
    ).all()
    return [(task, [each for each in texts if each.task_id == task.id]) for task in found], total


def decide(session: Session, task_id: int, *, text: str | None, annotation_id: int | None) -> Task:
    """The task with its final text: ``text``, or that of one of its annotations.

    Raises:
        NotFound: there is no such task, or no such annotation of it.
        Conflict: it is not transcribed yet.
    """
    task = lock(session, task_id)
    if task.state != DONE:
        raise Conflict(f"Task {task_id} is {task.state}, not done.", state=task.state)
    if text is None:
        found = session.get(Annotation, annotation_id)
        if found is None or found.task_id != task_id:
            raise NotFound(f"Task {task_id} has no annotation {annotation_id}.")
        text = found.text
    task.final_text = text
    session.flush()
    return task


@dataclass(frozen=True)
class Figures:
    """How an agent works: ``accuracy`` is 1 less the word error rate of known tasks, 0 at least; None without any.

    ``real_time_factor``: seconds of work for a second of sound.
    """

    known_tasks: int
    accuracy: float | None
    real_time_factor: float | None


def figures(session: Session, agent: Agent) -> Figures:
    """How an agent works, lately."""
    own = Annotation.agent_id == agent.id
    rates: Sequence[float | None] = session.scalars(
        select(Annotation.word_error_rate)
        .where(own, Annotation.word_error_rate.is_not(None))
        .order_by(Annotation.created_at.desc())
        .limit(ROLLING)
    ).all()
    graded = [max(0.0, 1.0 - rate) for rate in rates if rate is not None]
    worked = session.scalar(select(func.sum(Annotation.worked_seconds)).where(own))
    heard = float(agent.duration_seconds)
    return Figures(
        known_tasks=len(graded),
        accuracy=sum(graded) / len(graded) if graded else None,
        real_time_factor=float(worked) / heard if worked is not None and heard > 0 else None,
    )
