"""What was called: a row for each call of a tool, written before it and completed after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, insert, select, update
from sqlalchemy.orm import Session

from models.forgetting import forget
from models.gateway.tables import FAILED, PENDING, SUCCESS, ToolCall

# No call lasts so long: whoever made it is gone.
LONGEST = timedelta(minutes=10)
CRASHED, UNCONFIRMED = "CRASHED", "CONFIRMATION_REQUIRED"


@dataclass(frozen=True)
class NewCall:
    """A call that begins. ``user`` is the canonical name of whoever calls, None of somebody unknown."""

    tool: str
    user: str | None
    account_id: str | None
    door: str
    arguments: Mapping[str, Any]
    request_id: str | None


@dataclass(frozen=True)
class Outcome:
    """What became of a call; of one that did what it should, without an ``error_code``."""

    duration_ms: float
    error_code: str | None = None
    error: str | None = None
    service: str | None = None


def begin(session: Session, call: NewCall) -> int:
    """The number of a call that is at work now."""
    values = {**vars(call), "arguments": dict(call.arguments), "status": PENDING}
    return session.execute(insert(ToolCall).values(values).returning(ToolCall.id)).scalar_one()


def end(session: Session, call_id: int, outcome: Outcome) -> None:
    """Keeps what became of a call; once."""
    status = SUCCESS if outcome.error_code is None else FAILED
    session.execute(
        update(ToolCall)
        .where(ToolCall.id == call_id, ToolCall.status == PENDING)
        .values(status=status, **vars(outcome))
    )


def give_up(session: Session) -> int:
    """How many calls it closed whose process is gone."""
    late = update(ToolCall).where(ToolCall.status == PENDING, ToolCall.at < func.now() - LONGEST)
    said = {"status": FAILED, "error_code": CRASHED, "error": "The process that made the call ended before it did."}
    return len(session.scalars(late.values(**said).returning(ToolCall.id)).all())


def page(
    session: Session,
    *,
    tool_name: str | None,
    status: str | None,
    user: str | None,
    account_id: str | None,
    limit: int,
    offset: int,
) -> tuple[list[ToolCall], int]:
    """Calls, newest first, and how many there are; with ``account_id`` only those of that account."""
    named = {ToolCall.tool: tool_name, ToolCall.status: status, ToolCall.user: user, ToolCall.account_id: account_id}
    wanted = [column == value for column, value in named.items() if value is not None]
    found = session.scalars(
        select(ToolCall).where(*wanted).order_by(ToolCall.at.desc(), ToolCall.id.desc()).limit(limit).offset(offset)
    )
    return list(found), session.scalar(select(func.count()).select_from(ToolCall).where(*wanted)) or 0


@dataclass(frozen=True)
class Figures:
    """How often something was called, how often in vain, and how long it took (p50 and p95)."""

    name: str | None
    calls: int
    failed: int
    p50_ms: float | None
    p95_ms: float | None


def figures(session: Session, by: str, *, since: datetime, account_id: str | None) -> list[Figures]:
    """The figures for each ``tool`` or ``user``, most called first; with ``account_id`` of that account's calls."""
    key = {"tool": ToolCall.tool, "user": ToolCall.user}[by]

    def quantile(share: float) -> Any:
        return func.percentile_cont(share).within_group(ToolCall.duration_ms)

    calls = func.count()
    # Asking whether it is really meant is no failure.
    meant = ToolCall.error_code.is_distinct_from(UNCONFIRMED)
    failed = func.count().filter(ToolCall.status == FAILED, meant)
    rows = session.execute(
        select(key, calls, failed, quantile(0.5), quantile(0.95))
        .where(ToolCall.at >= since, *([] if account_id is None else [ToolCall.account_id == account_id]))
        .group_by(key)
        .order_by(calls.desc(), key)
    )
    return [
        Figures(name, count, failures, *(None if each is None else round(each, 2) for each in quantiles))
        for name, count, failures, *quantiles in rows
    ]


def forget_old(session: Session, days: int) -> int:
    """How many calls it removed: those older than ``days``."""
    return forget(session, ToolCall, _old(days))


def count_old(session: Session, days: int) -> int:
    """How many calls ``forget_old`` would remove now."""
    return session.scalar(select(func.count()).select_from(ToolCall).where(_old(days))) or 0


def _old(days: int) -> ColumnElement[bool]:
    return ToolCall.at < func.now() - timedelta(days=days)
