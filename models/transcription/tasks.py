"""Tasks: where they come from, what is known of their sound, how many there are, and what managers do with them."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from sqlalchemy import BigInteger, Text, column, func, select, update, values
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.errors import Conflict, NotFound
from models.transcription.assigning import COOLDOWN, lock
from models.transcription.tables import (
    ACCEPTED,
    ACTIVE,
    BROKEN,
    BUILT_IN,
    DONE,
    EXPIRED,
    GONE,
    LABEL_STUDIO,
    NEW,
    OPEN,
    PARKED,
    SKIPPED,
    Annotation,
    Assignment,
    Task,
)

# Everybody may try one whose text is known, and nobody twice.
GOLD_SLOTS = 30_000


@dataclass(frozen=True)
class Sound:
    """A task's sound as it was found: stored under ``file``, with the outline of its loudness (0..100)."""

    file: str
    media_type: str
    duration_seconds: float
    peaks: list[int]


@dataclass(frozen=True)
class NewTask:
    """A task to be kept here, with its sound."""

    file_name: str
    sound: Sound
    language: str | None = None
    draft: str | None = None
    gold_text: str | None = None


@dataclass(frozen=True)
class Found:
    """A task as Label Studio has it. ``labeled``: it has all the texts that it needs."""

    id: int
    file_name: str
    audio_url: str
    labeled: bool
    language: str | None = None
    draft: str | None = None


def add(session: Session, new: Sequence[NewTask], *, account_id: str | None, double_percent: int) -> list[int]:
    """The numbers of new tasks, in their order."""
    rows = [
        Task(
            source=BUILT_IN,
            state=OPEN,
            file_name=safe_name(each.file_name),
            language=each.language,
            draft=each.draft,
            gold_text=each.gold_text,
            account_id=account_id,
            **_sound_values(each.sound),
        )
        for each in new
    ]
    session.add_all(rows)
    session.flush()
    for row in rows:
        row.slots = GOLD_SLOTS if row.gold_text is not None else _slots(row.id, double_percent)
    session.flush()
    return [row.id for row in rows]


def take_over(session: Session, found: Sequence[Found], *, seen_at: datetime, double_percent: int) -> int:
    """Keeps what Label Studio has now; how many of these tasks are new.

    Those of one look have one place in the queue, ``seen_at``, and are given out in the order of their numbers.

    One that was labelled there by others is done here, unless somebody holds it: their text comes beside the other.
    """
    if not found:
        return 0
    # One that moved to the next page while pages were read is there twice: as it was, and as it is.
    found = list({each.id: each for each in found}.values())
    rows = [
        {
            "id": each.id,
            "source": LABEL_STUDIO,
            "queued_at": seen_at,
            "state": DONE if each.labeled else NEW,
            "file_name": safe_name(each.file_name),
            "audio_url": each.audio_url,
            "language": each.language,
            "draft": each.draft,
            "slots": _slots(each.id, double_percent),
        }
        for each in found
    ]
    known = set(session.scalars(select(Task.id).where(Task.id.in_([each.id for each in found]))))
    session.execute(insert(Task).values(rows).on_conflict_do_nothing(index_elements=[Task.id]))
    same = update(Task).where(Task.source == LABEL_STUDIO)
    urls = values(column("id", BigInteger), column("audio_url", Text), name="urls").data(
        [(each.id, each.audio_url) for each in found]
    )
    moved = same.where(Task.id == urls.c.id, Task.audio_url.is_distinct_from(urls.c.audio_url))
    usable = moved.where(Task.state.in_((NEW, OPEN, BROKEN)))
    session.execute(usable.values(audio_url=urls.c.audio_url, file=None, state=NEW, problem=None))
    free = same.where(Task.taken == 0)
    labeled = [each.id for each in found if each.labeled]
    session.execute(free.where(Task.id.in_(labeled), Task.state.in_((NEW, OPEN, PARKED, BROKEN))).values(state=DONE))
    # It is there again, or somebody there took a text of theirs back; ours stay.
    open_there = [each.id for each in found if not each.labeled]
    session.execute(free.where(Task.id.in_(open_there), Task.state == GONE).values(state=NEW, problem=None))
    session.execute(free.where(Task.id.in_(open_there), Task.state == DONE).values(state=NEW))
    return len(found) - len(known)


def mark_gone(session: Session, ids: Collection[int], problem: str) -> list[int]:
    """Tasks of Label Studio that are no more there are given to nobody, and are in nobody's hands; which there were."""
    gone = (
        update(Task)
        .where(Task.id.in_(list(ids)), Task.source == LABEL_STUDIO, Task.state != GONE)
        .values(state=GONE, problem=problem)
        .returning(Task.id)
    )
    there_were = list(session.scalars(gone))
    held = update(Assignment).where(Assignment.task_id.in_(there_were), Assignment.state == ACTIVE)
    ended = held.values(state=EXPIRED, ended_at=func.now(), reason=problem).returning(Assignment.task_id)
    for task_id in session.scalars(ended).all():
        session.execute(update(Task).where(Task.id == task_id).values(taken=Task.taken - 1))
    return there_were


def there(session: Session) -> set[int]:
    """The numbers of all tasks that Label Studio is known to have."""
    return set(session.scalars(select(Task.id).where(Task.source == LABEL_STUDIO, Task.state != GONE)))


def to_prepare(session: Session, *, ahead: int) -> list[Task]:
    """The next tasks whose sound is to be looked at, so that ``ahead`` can be had without waiting."""
    ready = session.scalar(
        select(func.count()).where(Task.source == LABEL_STUDIO, Task.state == OPEN, Task.taken < Task.slots)
    )
    wanted = ahead - (ready or 0)
    if wanted <= 0:
        return []
    new = select(Task).where(Task.source == LABEL_STUDIO, Task.state == NEW).order_by(Task.queued_at, Task.id)
    return list(session.scalars(new.limit(wanted)))


def prepared(session: Session, task_id: int, sound: Sound) -> None:
    """The task can be had."""
    ready = update(Task).where(Task.id == task_id, Task.state.in_((NEW, BROKEN)))
    session.execute(ready.values(state=OPEN, problem=None, **_sound_values(sound)))


def broken(session: Session, task_id: int, problem: str) -> None:
    """The task's sound cannot be used: it is given to nobody until it is another."""
    session.execute(update(Task).where(Task.id == task_id, Task.state == NEW).values(state=BROKEN, problem=problem))


def put_off(session: Session, task_id: int) -> None:
    """The task's sound could not be fetched now: others come first."""
    session.execute(update(Task).where(Task.id == task_id, Task.state == NEW).values(queued_at=func.clock_timestamp()))


def released(session: Session, *, limit: int = 500) -> int:
    """How many of Label Studio's tasks that ended had a file here still, which Label Studio has, too."""
    held = select(Assignment.task_id).where(Assignment.state == ACTIVE)
    ended = (
        select(Task.id)
        .where(Task.source == LABEL_STUDIO, Task.state.in_((DONE, GONE)), Task.file.is_not(None), Task.id.not_in(held))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    gone = update(Task).where(Task.id.in_(ended)).values(file=None, media_type=None).returning(Task.id)
    return len(session.scalars(gone).all())


def known_files(session: Session, names: Collection[str]) -> set[str]:
    """Which of these stored files are some task's sound."""
    return set(session.scalars(select(Task.file).where(Task.file.in_(list(names)))))


@dataclass(frozen=True)
class Counts:
    """``available`` can be had now or as soon as their sound is here; ``locked`` are in somebody's hands."""

    available: int
    locked: int

    @property
    def unlabeled(self) -> int:
        """Both."""
        return self.available + self.locked


def counts(session: Session, source: str) -> Counts:
    """How much there is to do of the tasks of ``source``; all that is in somebody's hands."""
    free = (Task.state == NEW) | ((Task.state == OPEN) & (Task.taken < Task.slots))
    available = session.scalar(select(func.count()).where(Task.source == source, free, Task.gold_text.is_(None)))
    # Gold tasks among them, or the one who holds one could tell it by the number.
    locked = session.scalar(select(func.count()).where(Assignment.state == ACTIVE, Assignment.lease_until > func.now()))
    return Counts(available or 0, locked or 0)


def not_for(session: Session, agent_id: int, source: str) -> int:
    """How many of the tasks that can be had are not for this agent now: skipped lately, or transcribed by them."""
    lately = (Assignment.state == SKIPPED) & (Assignment.ended_at > func.now() - COOLDOWN)
    theirs = select(Assignment.task_id).where(
        Assignment.agent_id == agent_id, lately | Assignment.state.in_((ACTIVE, ACCEPTED))
    )
    free = (Task.source == source, Task.state == OPEN, Task.taken < Task.slots, Task.gold_text.is_(None))
    return session.scalar(select(func.count()).where(*free, Task.id.in_(theirs))) or 0


def get(session: Session, task_id: int) -> Task:
    """The task.

    Raises:
        NotFound: there is none.
    """
    task = session.get(Task, task_id)
    if task is None:
        raise NotFound("Task not found", task_id=task_id)
    return task


def page(session: Session, *, state: str | None, limit: int, offset: int) -> tuple[list[Task], int]:
    """Tasks in the order of their numbers, and how many there are."""
    wanted = [] if state is None else [Task.state == state]
    found = session.scalars(select(Task).where(*wanted).order_by(Task.id).limit(limit).offset(offset))
    return list(found), session.scalar(select(func.count()).select_from(Task).where(*wanted)) or 0


def history(session: Session, task_id: int) -> list[tuple[Assignment, Annotation | None]]:
    """Who had the task, oldest first, and what they wrote."""
    rows = session.execute(
        select(Assignment, Annotation)
        .outerjoin(Annotation, Annotation.assignment_id == Assignment.id)
        .where(Assignment.task_id == task_id)
        .order_by(Assignment.id)
    )
    return [(assignment, annotation) for assignment, annotation in rows]


def unpark(session: Session, task_id: int) -> Task:
    """The task, which can be had again; the skips it had are forgiven.

    Raises:
        NotFound: there is none.
        Conflict: it is not put aside.
    """
    task = lock(session, task_id)
    if task.state != PARKED:
        raise Conflict(f"Task {task_id} is {task.state}, not parked.", state=task.state)
    task.state, task.skips_count_from = OPEN, func.now()
    session.flush()
    return task


def safe_name(name: str) -> str:
    """A file's name as it can be told in a header and kept on a disk: nothing that nobody sees, no folders."""
    plain = "".join("_" if unicodedata.category(each)[0] == "C" or each in "/\\" else each for each in name)
    return plain.strip()[:200] or "audio"


def _slots(task_id: int, double_percent: int) -> int:
    # The same however often it is asked, and evenly spread over neighbours: 37 and 100 have no common divisor.
    return 2 if task_id * 37 % 100 < double_percent else 1


def _sound_values(sound: Sound) -> Mapping[str, Any]:
    duration = Decimal(str(sound.duration_seconds)).quantize(Decimal("0.01"), ROUND_HALF_UP)
    return {
        "file": sound.file,
        "media_type": sound.media_type,
        "duration_seconds": duration,
        "peaks": list(sound.peaks),
    }
