"""Answers that are given again: a client that did not hear the first one asks once more with the same key.

A request claims its key before it does anything, in a transaction of its own, and keeps its answer after it is done.
A process that dies in between leaves a claim, which another request takes over once nobody can be at work under it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import LargeBinary, delete, func, null, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base
from models.errors import Busy, Conflict, Invalid

KEPT_SECONDS = 24 * 3600


class IdempotentAnswer(Base):
    """What a request with an ``Idempotency-Key`` was answered; ``status`` None while it is being answered.

    ``digest`` is of the method, the path and the body. An answer without ``body`` is made anew (a file of audio, which
    is in the cache by then).
    """

    __tablename__ = "idempotent_answers"

    # Empty where no account is behind the request.
    account_id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str]
    status: Mapped[int | None]
    media_type: Mapped[str | None]
    location: Mapped[str | None]
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


class StillAnswering(Conflict, Busy):
    """The first request with the key has not been answered yet."""

    code = "conflict"


@dataclass(frozen=True)
class Claim:
    """A key that is the caller's to answer under; ``since`` fences what is stored."""

    account_id: str
    key: str
    since: datetime


def claim(
    session: Session, *, account_id: str, key: str, digest: str, dead_after_seconds: float
) -> Claim | IdempotentAnswer:
    """The key, now the caller's; or the answer that was given under it.

    A claim without an answer is taken over when it is older than ``dead_after_seconds``, which is longer than any
    request can take.

    Raises:
        Invalid: the key was used for another request.
        StillAnswering: the first request has not been answered yet.
    """
    fresh = {
        "digest": digest,
        "status": null(),
        "media_type": null(),
        "location": null(),
        "body": null(),
        "created_at": func.now(),
    }
    row = IdempotentAnswer
    dead = row.status.is_(None) & (row.digest == digest) & (row.created_at < _ago(dead_after_seconds))
    since = session.scalar(
        insert(row)
        .values(account_id=account_id, key=key, **fresh)
        .on_conflict_do_update(
            index_elements=[row.account_id, row.key],
            set_=fresh,
            where=dead | (row.created_at < _ago(KEPT_SECONDS)),
        )
        .returning(row.created_at)
    )
    if since is not None:
        return Claim(account_id, key, since)
    known = session.scalar(select(row).where(row.account_id == account_id, row.key == key))
    if known is not None and known.digest != digest:
        raise Invalid(f"Idempotency-Key {key!r} was used for another request; take a new one.", idempotency_key=key)
    # None: it was refused at this very moment, and the next try is the first.
    if known is None or known.status is None:
        raise StillAnswering(
            f"The first request with Idempotency-Key {key!r} is still being answered.",
            retry_after_seconds=1,
            idempotency_key=key,
        )
    return known


def keep(
    session: Session, claimed: Claim, *, status: int, media_type: str | None, location: str | None, body: bytes | None
) -> None:
    """Stores the answer; without effect when the claim was taken over."""
    session.execute(
        update(IdempotentAnswer)
        .where(*_own(claimed))
        .values(status=status, media_type=media_type, location=location, body=body)
    )


def drop(session: Session, claimed: Claim) -> None:
    """The request stored nothing: the next one with the key is the first; without effect when it was taken over."""
    session.execute(delete(IdempotentAnswer).where(*_own(claimed)))


def forget_old(session: Session) -> int:
    """Removes answers that are not given again; how many there were."""
    gone = delete(IdempotentAnswer).where(IdempotentAnswer.created_at < _ago(KEPT_SECONDS))
    return len(session.scalars(gone.returning(IdempotentAnswer.key)).all())


def count_old(session: Session) -> int:
    """How many ``forget_old`` would remove."""
    old = select(func.count()).where(IdempotentAnswer.created_at < _ago(KEPT_SECONDS))
    return session.scalar(old) or 0


def _own(claimed: Claim) -> tuple[Any, ...]:
    row = IdempotentAnswer
    return row.account_id == claimed.account_id, row.key == claimed.key, row.created_at == claimed.since


def _ago(seconds: float) -> object:
    return func.now() - func.make_interval(0, 0, 0, 0, 0, 0, seconds)
