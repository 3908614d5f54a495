"""Speech that nobody has asked for in a long time, and what files of it go with its rows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, tuple_
from sqlalchemy.orm import Session

from models.jobs.tables import PAUSED, QUEUED, RUNNING, Job, JobItem
from models.speech_clips import MAKING, SpeechClip
from models.speech_pins import pinned
from models.speech_renditions import SpeechRendition


@dataclass(frozen=True)
class Place:
    """Where a walk over clips has come to, the least recently used first."""

    last_used_at: datetime
    key: str


@dataclass(frozen=True)
class Gone:
    """What was, or would be, removed: how many rows, and the files that these pointed to with their bytes."""

    rows: int
    files: dict[str, int]


def expired(session: Session, *, seconds: float, after: Place | None, limit: int) -> list[Place]:
    """The next clips that were not used for so long, and that nobody holds, makes or is at work with."""
    query = select(SpeechClip.last_used_at, SpeechClip.key).where(_expired(seconds))
    if after is not None:
        query = query.where(tuple_(SpeechClip.last_used_at, SpeechClip.key) > tuple_(after.last_used_at, after.key))
    query = query.order_by(SpeechClip.last_used_at, SpeechClip.key).limit(limit)
    return [Place(*row) for row in session.execute(query)]


def look(session: Session, keys: Collection[str]) -> Gone:
    """What ``remove`` would remove of these clips, were nothing to change."""
    files = _files(session, keys)
    return Gone(len(keys) + len(files), dict(files))


def remove(session: Session, keys: Collection[str], *, seconds: float) -> Gone:
    """Removes those of these clips that are still expired, with their renditions; not the files.

    What another transaction holds at this moment stays.
    """
    held = (
        select(SpeechClip.key)
        .where(SpeechClip.key.in_(keys), _expired(seconds))
        .order_by(SpeechClip.key)
        .with_for_update(of=SpeechClip, skip_locked=True)
    )
    doomed = list(session.scalars(held))
    files = _files(session, doomed)
    session.execute(delete(SpeechClip).where(SpeechClip.key.in_(doomed)))
    return Gone(len(doomed) + len(files), dict(files))


def needed_by_others(session: Session, names: Collection[str], keys: Collection[str]) -> set[str]:
    """Those of the stored files that rows of other clips than these point to."""
    query = select(SpeechRendition.file).where(SpeechRendition.file.in_(names), SpeechRendition.clip_key.not_in(keys))
    return set(session.scalars(query))


def _files(session: Session, keys: Collection[str]) -> list[tuple[str, int]]:
    query = select(SpeechRendition.file, SpeechRendition.size_bytes).where(SpeechRendition.clip_key.in_(keys))
    return [(file, size_bytes) for file, size_bytes in session.execute(query)]


def _expired(seconds: float) -> ColumnElement[bool]:
    before: Any = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, seconds)
    # What an unfinished job has found or made is what it promises.
    at_work = (
        select(JobItem.id)
        .join(Job, Job.id == JobItem.job_id)
        .where(Job.state.in_((QUEUED, RUNNING, PAUSED)), JobItem.result["clip"].astext == SpeechClip.key)
    )
    return (SpeechClip.last_used_at < before) & (SpeechClip.state != MAKING) & ~pinned() & ~at_work.exists()
