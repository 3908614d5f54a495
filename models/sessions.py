"""Sessions: somebody listens to a course, and goes on where they were."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Double, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


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
