"""Who administered what: a row for each call that only an administrator may make, or that changes a credential."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, ColumnElement, Identity, Index, func, insert, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.accounts import Account
from models.base import Base
from models.forgetting import forget


class AuditEntry(Base):
    """One call. ``endpoint`` is the route's template, ``path`` what was really asked; ``user_ip`` is masked."""

    __tablename__ = "audit_entries"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime]
    account_id: Mapped[str | None]
    method: Mapped[str]
    endpoint: Mapped[str]
    path: Mapped[str]
    status: Mapped[int]
    request_id: Mapped[str | None]
    user_ip: Mapped[str | None]

    __table_args__ = (Index("ix_audit_entries_at_id", "at", "id"),)


@dataclass(frozen=True)
class Call:
    """One call that has yet to be written."""

    at: datetime
    # None where the surface is open to everybody.
    account_id: str | None
    method: str
    endpoint: str
    # Without its query string.
    path: str
    status: int
    request_id: str | None
    user_ip: str | None


def write(session: Session, calls: Iterable[Call]) -> None:
    """Stores calls."""
    rows = [asdict(call) for call in calls]
    if rows:
        session.execute(insert(AuditEntry), rows)


def entries(session: Session, *, page: int, limit: int) -> tuple[list[tuple[AuditEntry, str | None]], int]:
    """A page of calls, newest first (pages are numbered from 1), each with its account's name now; and how many."""
    query = (
        select(AuditEntry, Account.username)
        .outerjoin(Account, Account.id == AuditEntry.account_id)
        .order_by(AuditEntry.at.desc(), AuditEntry.id.desc())
    )
    rows = session.execute(query.limit(limit).offset((page - 1) * limit))
    found: list[tuple[AuditEntry, str | None]] = [(entry, name) for entry, name in rows]
    return found, session.scalar(select(func.count()).select_from(AuditEntry)) or 0


def forget_old(session: Session, days: int) -> int:
    """How many calls it removed: those older than ``days``. Never for their number: nobody can push others out."""
    return forget(session, AuditEntry, _old(days))


def count_old(session: Session, days: int) -> int:
    """How many calls ``forget_old`` would remove now."""
    return session.scalar(select(func.count()).select_from(AuditEntry).where(_old(days))) or 0


def _old(days: int) -> ColumnElement[bool]:
    return AuditEntry.at < func.now() - timedelta(days=days)
