"""Rows whose file is gone from the store: they are removed, so that what they stand for is made again, or missed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, select, tuple_
from sqlalchemy.orm import Session

from models.curricula import Curriculum
from models.curriculum_assets import CurriculumAsset
from models.speech_clips import READY, SpeechClip
from models.speech_renditions import SpeechRendition
from models.wake_captures import WakeCapture

Exists = Callable[[str], bool]


@dataclass(frozen=True)
class Image:
    """An image of a course."""

    curriculum_id: str
    path: str
    file_name: str


@dataclass(frozen=True)
class Capture:
    """A clip captured for a wake word."""

    id: str
    file: str


def clips(session: Session, *, after: str, limit: int) -> list[str]:
    """The keys of the next ready clips behind ``after``."""
    query = select(SpeechClip.key).where(SpeechClip.state == READY, SpeechClip.key > after)
    return list(session.scalars(query.order_by(SpeechClip.key).limit(limit)))


def lost_renditions(session: Session, keys: Collection[str], exists: Exists, *, older_than_seconds: float) -> list[Any]:
    """Those renditions of the clips, older than so, whose file is not there."""
    query = select(SpeechRendition, SpeechRendition.is_clip()).where(
        SpeechRendition.clip_key.in_(keys), SpeechRendition.created_at < _ago(older_than_seconds)
    )
    return [(row, own) for row, own in session.execute(query) if not exists(row.file)]


def remove_lost_renditions(
    session: Session, keys: Collection[str], exists: Exists, *, older_than_seconds: float
) -> int:
    """How many rows went of these clips, whose files are looked for once more.

    A clip without the file that its renditions are made from goes whole; its pins stay, and so does the promise.
    """
    held = select(SpeechClip.key).where(SpeechClip.key.in_(keys), SpeechClip.state == READY).order_by(SpeechClip.key)
    mine = list(session.scalars(held.with_for_update(skip_locked=True)))
    lost = lost_renditions(session, mine, exists, older_than_seconds=older_than_seconds)
    whole = {row.clip_key for row, own in lost if own}
    gone = rows_of(session, whole)
    session.execute(delete(SpeechClip).where(SpeechClip.key.in_(whole)))
    for row, _ in lost:
        if row.clip_key not in whole:
            session.delete(row)
            gone += 1
    session.flush()
    return gone


def rows_of(session: Session, keys: Collection[str]) -> int:
    """How many rows these clips are, with their renditions."""
    count = select(func.count()).select_from(SpeechRendition).where(SpeechRendition.clip_key.in_(keys))
    return len(keys) + (session.scalar(count) or 0)


def images(session: Session, *, after: Image | None, older_than_seconds: float, limit: int) -> list[Image]:
    """The next images of courses that were not changed for so long."""
    place = tuple_(CurriculumAsset.curriculum_id, CurriculumAsset.path)
    query = (
        select(CurriculumAsset.curriculum_id, CurriculumAsset.path, CurriculumAsset.file_name)
        .join(Curriculum, Curriculum.id == CurriculumAsset.curriculum_id)
        .where(Curriculum.updated_at < _ago(older_than_seconds))
        .order_by(CurriculumAsset.curriculum_id, CurriculumAsset.path)
        .limit(limit)
    )
    if after is not None:
        query = query.where(place > tuple_(after.curriculum_id, after.path))
    return [Image(*row) for row in session.execute(query)]


def remove_images(session: Session, lost: Iterable[Image]) -> int:
    """How many of these rows went; one that names another file by now stays."""
    same = tuple_(CurriculumAsset.curriculum_id, CurriculumAsset.path, CurriculumAsset.file_name)
    wanted = [(image.curriculum_id, image.path, image.file_name) for image in lost]
    gone = delete(CurriculumAsset).where(same.in_(wanted)).returning(CurriculumAsset.path)
    return len(session.scalars(gone).all())


def captures(session: Session, *, after: str, older_than_seconds: float, limit: int) -> list[Capture]:
    """The next clips captured for wake words behind the id ``after``, of those that old."""
    query = select(WakeCapture.id, WakeCapture.file).where(WakeCapture.id > after)
    query = query.where(WakeCapture.created_at < _ago(older_than_seconds))
    return [Capture(*row) for row in session.execute(query.order_by(WakeCapture.id).limit(limit))]


def remove_captures(session: Session, ids: Collection[str]) -> int:
    """How many of these rows went."""
    gone = delete(WakeCapture).where(WakeCapture.id.in_(ids)).returning(WakeCapture.id)
    return len(session.scalars(gone).all())


def _ago(seconds: float) -> Any:
    return func.now() - func.make_interval(0, 0, 0, 0, 0, 0, seconds)
