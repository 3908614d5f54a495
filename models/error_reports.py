"""Errors that were answered and jobs that failed, collapsed so that nobody can fill the disk with them."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Identity, Index, event, func, insert, select, text, tuple_
from sqlalchemy.orm import Mapped, Session, mapped_column

from config import logs
from models.base import Base
from models.forgetting import forget

# Of one code at one endpoint, over all processes: enough to see what differs, and no more however many come.
ROWS_A_MINUTE = 10
# Some 400 MB with their indexes. A crowd of codes at a crowd of endpoints for weeks would be more than that.
ROWS_KEPT = 1_000_000
CRITICAL, ERROR, WARNING = "critical", "error", "warning"
LEVELS = (ERROR, WARNING, CRITICAL)
MESSAGE_CHARACTERS = 500

# Searched for credentials before the rest is cut off, so that none is cut in two.
_SEARCHED_CHARACTERS = 2500
_CODE = re.compile(r"[a-z0-9_.-]{1,64}")
# A refusal names the field and shows its value, and this field's is nobody's business: nothing after it is kept.
_SECRET_FIELD = re.compile(r"(?i)(\b[\w.]*(?:password|passphrase|passwd|secret|token|ticket|api_?key)[\w.]*: ).*")

Group = tuple[datetime, str, str]


class ErrorReport(Base):
    """``count`` errors of one code at one endpoint within one minute, shown by the newest of them.

    ``endpoint`` is a route's template or a job's kind; ``minute`` is when it began, ``at`` when the newest happened.
    ``slot`` numbers the rows of a minute, of which there is a bound. ``user_ip`` is masked.
    """

    __tablename__ = "error_reports"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    minute: Mapped[datetime]
    endpoint: Mapped[str]
    code: Mapped[str]
    slot: Mapped[int]
    count: Mapped[int]
    at: Mapped[datetime]
    level: Mapped[str]
    status: Mapped[int | None]
    message: Mapped[str]
    request_id: Mapped[str | None]
    job_id: Mapped[str | None]
    user_ip: Mapped[str | None]

    __table_args__ = (
        Index("uq_error_reports_slot", "minute", "endpoint", "code", "slot", unique=True),
        Index("ix_error_reports_at_id", "at", "id"),
        Index("ix_error_reports_request_id", "request_id"),
    )


@dataclass(frozen=True)
class Report:
    """``count`` errors, shown by one of them. ``minute`` is when what they are counted in began."""

    at: datetime
    minute: datetime
    endpoint: str
    code: str
    level: str
    message: str
    # What was answered; of a socket the code it was closed with, of a job None.
    status: int | None = None
    request_id: str | None = None
    job_id: str | None = None
    user_ip: str | None = None
    count: int = 1

    @property
    def group(self) -> Group:
        """What it is collapsed with."""
        return self.minute, self.endpoint, self.code

    def plus(self, other: Report) -> Report:
        """Both, shown by the newer."""
        return replace(max(self, other, key=lambda report: report.at), count=self.count + other.count)


def report(at: datetime, endpoint: str, code: str, level: str, message: str, **fields: Any) -> Report:
    """An error; of its message only as much as may be needed."""
    minute = at.replace(second=0, microsecond=0)
    return Report(at, minute, endpoint, code, level, message[:_SEARCHED_CHARACTERS], **fields)


def level_of(status: int) -> str:
    """How bad an answer with this status is: our fault, somebody's work undone, or only refused."""
    if status == 500:
        return CRITICAL
    return WARNING if status in (401, 403, 404, 405, 429) else ERROR


# A crowd of errors mostly comes from one place.
@lru_cache(1024)
def masked(address: str) -> str | None:
    """The network of an address (IPv4: 256 addresses, IPv6: a site); None of what is no address."""
    try:
        parsed = ipaddress.ip_address(address.partition("/")[0])
    except ValueError:
        return None
    return str(ipaddress.ip_network((parsed, 24 if parsed.version == 4 else 48), strict=False).network_address)


def storable(said: str) -> str:
    """A text as it may be kept: without credentials, and without what Postgres has no character for."""
    return logs.without_credentials(said.encode("utf-8", "replace").decode().replace("\0", ""))


def record(session: Session, reports: Iterable[Report]) -> None:
    """Stores errors: ``ROWS_A_MINUTE`` for each group, over all processes; further ones count in the last of these.

    It waits for others who store of the same group, and holds them up until the transaction ends: call it last.
    """
    groups: defaultdict[Group, list[Report]] = defaultdict(list)
    for each in sorted(map(_clean, reports), key=lambda report: report.at):
        groups[each.group].append(each)
    if not groups:
        return
    # Whoever takes several takes them in the same order, so that no two wait for each other.
    locks = sorted({_lock(group) for group in groups})
    session.execute(text("select pg_advisory_xact_lock(key) from unnest(cast(:keys as bigint[])) key"), {"keys": locks})
    of_groups = tuple_(ErrorReport.minute, ErrorReport.endpoint, ErrorReport.code).in_(list(groups))
    columns = (ErrorReport.minute, ErrorReport.endpoint, ErrorReport.code)
    highest = select(*columns, func.max(ErrorReport.slot)).where(of_groups).group_by(*columns)
    taken = {(minute, endpoint, code): slot + 1 for minute, endpoint, code, slot in session.execute(highest)}
    rows: list[dict[str, Any]] = []
    full: dict[Group, Report] = {}
    for group, found in groups.items():
        first = taken.get(group, 0)
        kept = collapsed(found, max(1, ROWS_A_MINUTE - first))
        if first >= ROWS_A_MINUTE:
            full[group] = kept[0]
        else:
            rows += [vars(each) | {"slot": slot} for slot, each in enumerate(kept, start=first)]
    if rows:
        session.execute(insert(ErrorReport), rows)
    if full:
        _add(session, full)


def collapsed(reports: list[Report], rows: int) -> list[Report]:
    """The same errors in so many at most: the first ones by themselves, all others in the last."""
    kept = reports[:rows]
    for each in reports[rows:]:
        kept[-1] = kept[-1].plus(each)
    return kept


def forget_old(session: Session, days: int) -> int:
    """How many rows it removed: those older than ``days``, and of too many the oldest."""
    return forget(session, ErrorReport, _old(session, days))


def count_old(session: Session, days: int) -> int:
    """How many rows ``forget_old`` would remove now."""
    return session.scalar(select(func.count()).select_from(ErrorReport).where(_old(session, days))) or 0


def note_failure(session: Session, job: Any) -> None:
    """A job (a ``Job``, or its row) failed for good: counted under its kind, in the transaction that fails it."""
    code, message = job.error_code or "error", job.error_message or ""
    failed = report(job.finished_at, job.kind, code, ERROR, message, request_id=job.request_id, job_id=job.id)
    session.info.setdefault("failures", []).append(failed)


@event.listens_for(Session, "before_commit")
def _record_failures(session: Session) -> None:
    # Last of all: whoever waits here may hold rows of jobs, but nobody who is waited for here waits for those.
    failures = session.info.pop("failures", None)
    if failures:
        session.flush()
        record(session, failures)


@event.listens_for(Session, "after_rollback")
def _forget_failures(session: Session) -> None:
    session.info.pop("failures", None)


def _clean(said: Report) -> Report:
    message = _SECRET_FIELD.sub(r"\1…", storable(said.message)[:_SEARCHED_CHARACTERS])[:MESSAGE_CHARACTERS]
    code = said.code.lower()
    return replace(
        said,
        endpoint=storable(said.endpoint)[:200],
        code=code if _CODE.fullmatch(code) else "error",
        message=message,
        request_id=None if said.request_id is None else storable(said.request_id)[:100],
    )


def _lock(group: Group) -> int:
    digest = hashlib.sha256(repr(("error_reports", *group)).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _add(session: Session, more: dict[Group, Report]) -> None:
    """Adds to the last rows of groups that are full; the caller holds these groups."""
    last = tuple_(ErrorReport.minute, ErrorReport.endpoint, ErrorReport.code, ErrorReport.slot)
    wanted = select(ErrorReport).where(last.in_([(*group, ROWS_A_MINUTE - 1) for group in more]))
    for row in session.scalars(wanted, execution_options={"populate_existing": True}).all():
        newest = more[row.minute, row.endpoint, row.code]
        row.count += newest.count
        if newest.at >= row.at:
            for name in ("at", "level", "status", "message", "request_id", "job_id", "user_ip"):
                setattr(row, name, getattr(newest, name))
    session.flush()


def _old(session: Session, days: int) -> ColumnElement[bool]:
    newest = select(ErrorReport.id).order_by(ErrorReport.id.desc()).offset(ROWS_KEPT).limit(1)
    last_too_many = session.scalar(newest)
    old = ErrorReport.at < func.now() - timedelta(days=days)
    return old if last_too_many is None else old | (ErrorReport.id <= last_too_many)
