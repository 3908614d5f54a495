"""Pins: clips that are neither evicted nor expired, because a deployment promised them."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, ForeignKey, delete, exists, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base
from models.speech_clips import SpeechClip


class SpeechPin(Base):
    """A clip, which may not be made yet, and the job that holds it."""

    __tablename__ = "speech_pins"

    clip_key: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, index=True)


def pin(session: Session, job_id: str, keys: Iterable[str]) -> None:
    """The clips stay as long as the job does, or until ``unpin``; again changes nothing."""
    rows = [{"clip_key": key, "job_id": job_id} for key in sorted(set(keys))]
    if rows:
        session.execute(insert(SpeechPin).on_conflict_do_nothing(), rows)


def unpin(session: Session, job_id: str) -> None:
    """The job holds nothing any more."""
    session.execute(delete(SpeechPin).where(SpeechPin.job_id == job_id))


def holds(session: Session, job_id: str) -> bool:
    """Whether the job holds anything."""
    return session.scalar(select(SpeechPin.clip_key).where(SpeechPin.job_id == job_id).limit(1)) is not None


def pinned() -> ColumnElement[bool]:
    """That some job holds the clip; for queries over clips."""
    return exists().where(SpeechPin.clip_key == SpeechClip.key)
