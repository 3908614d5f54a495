"""Sessions: somebody listens to a course, and goes on where they were."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Double, ForeignKey, Index, func, select, text, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from models import curricula
from models.base import Base, new_id
from models.errors import Conflict, Invalid, NotFound

# What somebody listens to now is touched every few seconds; a client that was closed without a word is not active.
ACTIVE_MINUTES = 30


class PlaybackSession(Base):
    """One listener's place in a course, and the voice they hear it in.

    ``user_id`` is the client's own word for the listener; the session belongs to ``account_id``. ``topic_id`` None is
    the whole course. ``playback_position`` is in seconds since the first segment began, ``offset_ms`` since the one at
    ``segment_index`` did.
    """

    __tablename__ = "sessions"

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str | None]
    user_id: Mapped[str | None]
    curriculum_id: Mapped[str | None] = mapped_column(ForeignKey("curricula.id", ondelete="SET NULL"), index=True)
    topic_id: Mapped[str | None]
    voice_id: Mapped[str | None]
    provider: Mapped[str | None]
    speed: Mapped[float] = mapped_column(Double, server_default=text("1"), default=1.0)
    segment_index: Mapped[int] = mapped_column(server_default=text("0"), default=0)
    offset_ms: Mapped[int] = mapped_column(server_default=text("0"), default=0)
    playback_position: Mapped[float] = mapped_column(Double, server_default=text("0"), default=0.0)
    is_playing: Mapped[bool] = mapped_column(server_default=text("false"), default=False)
    config: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"), default=dict)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_sessions_created_at_id", "created_at", "id"),
        Index("ix_sessions_account_id_created_at", "account_id", "created_at"),
        Index("ix_sessions_open", "updated_at", postgresql_where=text("ended_at is null")),
    )


def create(session: Session, *, account_id: str | None, **fields: Any) -> PlaybackSession:
    """The new session.

    Raises:
        NotFound: the course is not there, or has no such topic.
        Invalid: a topic without a course.
    """
    _refuse_unknown_place(session, fields.get("curriculum_id"), fields.get("topic_id"))
    row = PlaybackSession(id=new_id(), account_id=account_id, **fields)
    session.add(row)
    session.flush()
    return row


def get(session: Session, session_id: str, *, visible_to: str | None = None) -> PlaybackSession:
    """The session, if the account ``visible_to`` (None: anybody) may know of it.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    row = session.get(PlaybackSession, session_id)
    if row is None or (visible_to is not None and row.account_id != visible_to):
        raise NotFound(f"There is no session {session_id!r}.")
    return row


def page(
    session: Session, *, visible_to: str | None, user_id: str | None, ended: bool | None, limit: int, offset: int
) -> tuple[list[PlaybackSession], int]:
    """The newest sessions first, and how many there are; ``ended`` None is both those that have and have not."""
    query = select(PlaybackSession)
    if visible_to is not None:
        query = query.where(PlaybackSession.account_id == visible_to)
    if user_id is not None:
        query = query.where(PlaybackSession.user_id == user_id)
    if ended is not None:
        query = query.where(PlaybackSession.ended_at.is_not(None) if ended else PlaybackSession.ended_at.is_(None))
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    newest = query.order_by(PlaybackSession.created_at.desc(), PlaybackSession.id.desc())
    return list(session.scalars(newest.limit(limit).offset(offset))), total


def change(session: Session, session_id: str, fields: dict[str, Any]) -> PlaybackSession:
    """The session with these ``fields``; in another course it is in none of the former one's topics.

    Raises:
        NotFound: it is not there, or the course or topic is not.
        Invalid: a topic without a course.
        Conflict: it has ended.
    """
    if {"curriculum_id", "topic_id"} & fields.keys():
        # Locked: of two changes at once, the later one's topic is looked for in the earlier one's course.
        row = session.get(PlaybackSession, session_id, with_for_update=True) or get(session, session_id)
        moved = fields.get("curriculum_id", row.curriculum_id) != row.curriculum_id
        fields = ({"topic_id": None} if moved else {}) | fields
        place = {"curriculum_id": row.curriculum_id, "topic_id": row.topic_id} | fields
        _refuse_unknown_place(session, place["curriculum_id"], place["topic_id"])
    changed = session.scalars(
        update(PlaybackSession)
        .where(PlaybackSession.id == session_id, PlaybackSession.ended_at.is_(None))
        .values(**fields, updated_at=func.now())
        .returning(PlaybackSession),
        execution_options={"populate_existing": True},
    ).one_or_none()
    if changed is None:
        get(session, session_id)
        raise Conflict(f"Session {session_id} has ended.", status="ended")
    return changed


def end(session: Session, session_id: str) -> PlaybackSession:
    """The session, which nobody listens in any more; again changes nothing.

    Raises:
        NotFound: it is not there.
    """
    row = get(session, session_id)
    if row.ended_at is None:
        return change(session, session_id, {"is_playing": False, "ended_at": func.now()})
    return row


def of_curriculum(session: Session, curriculum_id: str) -> list[str]:
    """The sessions that have not ended and are in this course."""
    query = select(PlaybackSession.id).where(
        PlaybackSession.curriculum_id == curriculum_id, PlaybackSession.ended_at.is_(None)
    )
    return list(session.scalars(query))


def active(session: Session) -> int:
    """In how many sessions somebody has listened lately."""
    lately = PlaybackSession.updated_at > func.now() - func.make_interval(0, 0, 0, 0, 0, ACTIVE_MINUTES)
    return session.scalar(select(func.count()).where(PlaybackSession.ended_at.is_(None), lately)) or 0


def _refuse_unknown_place(session: Session, curriculum_id: str | None, topic_id: str | None) -> None:
    if curriculum_id is not None:
        curricula.get(session, curriculum_id)
        if topic_id is not None:
            curricula.topic(session, curriculum_id, topic_id)
    elif topic_id is not None:
        raise Invalid("topic_id: a topic needs its curriculum_id", topic_id=topic_id)
