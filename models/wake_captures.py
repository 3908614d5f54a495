"""Clips that people captured when a detector was wrong; the next training of the word is given them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Double, Index, delete, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base, new_id

FALSE_ALARM, MISS = "false_alarm", "miss"
KINDS = (FALSE_ALARM, MISS)
# A training takes the newest of each kind; more would only make it slower.
GIVEN = 200


class WakeCapture(Base):
    """A clip on which a detector of the word fired though it was not said (``false_alarm``), or did not (``miss``)."""

    __tablename__ = "wake_captures"

    id: Mapped[str] = mapped_column(primary_key=True)
    slug: Mapped[str]
    kind: Mapped[str]
    # The store's name of it.
    file: Mapped[str] = mapped_column(index=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    duration_seconds: Mapped[float] = mapped_column(Double)
    account_id: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("ix_wake_captures_slug_created_at", "slug", "created_at"),)


def add(
    session: Session,
    *,
    slug: str,
    kind: str,
    file: str,
    size_bytes: int,
    duration_seconds: float,
    account_id: str | None,
) -> WakeCapture:
    """The new capture, its file being stored already; one that is there already is not there twice."""
    same = select(WakeCapture).where(WakeCapture.slug == slug, WakeCapture.kind == kind, WakeCapture.file == file)
    found = session.scalars(same.limit(1)).one_or_none()
    if found is not None:
        return found
    made = WakeCapture(
        id=new_id("capture_"),
        slug=slug,
        kind=kind,
        file=file,
        size_bytes=size_bytes,
        duration_seconds=duration_seconds,
        account_id=account_id,
    )
    session.add(made)
    session.flush()
    return made


def newest(session: Session, slug: str, kind: str, *, limit: int = GIVEN) -> list[WakeCapture]:
    """The newest captures of a word, of one kind."""
    query = select(WakeCapture).where(WakeCapture.slug == slug, WakeCapture.kind == kind)
    return list(session.scalars(query.order_by(WakeCapture.created_at.desc(), WakeCapture.id.desc()).limit(limit)))


def remove_all(session: Session, slug: str) -> None:
    """Removes every capture of a word: nobody's voice is kept for a word that has no detector any more."""
    session.execute(delete(WakeCapture).where(WakeCapture.slug == slug))
