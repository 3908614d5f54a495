"""What the errors of a period come to: how many, of what kind, where and when; and the errors one by one."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.base import iso
from models.error_reports import ErrorReport

_HOUR = timedelta(hours=1)


def summary(session: Session, *, since: datetime, now: datetime, requests: int) -> dict[str, Any]:
    """The errors from ``since`` to ``now``: ``total_errors``, ``error_rate_percent``, and how they spread.

    ``session`` is a snapshot, so that every part adds up to the total. The rate is that of answers with an error among
    all ``requests`` of the period: jobs that failed and sockets that were closed are in the total, but not in it.
    ``increasing`` is whether the second half of the period had more errors than the first. ``peak_hour`` is the hour of
    the day, UTC, with most errors over all days, the earlier of two alike; None without errors. ``by_time`` has every
    hour that the period touches, its first one only from ``since`` on.
    """
    within = (ErrorReport.at >= since, ErrorReport.at <= now)
    count = func.sum(ErrorReport.count)
    answered = func.coalesce(count.filter(ErrorReport.status.between(400, 599)), 0)
    late = func.coalesce(count.filter(ErrorReport.at >= since + (now - since) / 2), 0)
    by_type: Counter[str] = Counter()
    by_endpoint: Counter[str] = Counter()
    answered_errors = later = 0
    groups = select(ErrorReport.code, ErrorReport.endpoint, count, answered, late).where(*within)
    for code, endpoint, number, number_answered, number_late in session.execute(
        groups.group_by(ErrorReport.code, ErrorReport.endpoint)
    ):
        by_type[code] += int(number)
        by_endpoint[endpoint] += int(number)
        answered_errors += int(number_answered)
        later += int(number_late)
    # Sessions of ours are in UTC, so that hours are.
    hour = func.date_trunc("hour", ErrorReport.at)
    found = {at: int(number) for at, number in session.execute(select(hour, count).where(*within).group_by(hour))}
    total = by_type.total()
    return {
        "total_errors": total,
        "error_rate_percent": round(100 * answered_errors / requests, 2) if requests else 0.0,
        "by_type": dict(by_type.most_common()),
        "by_endpoint": dict(by_endpoint.most_common()),
        "by_time": {iso(at): found.get(at, 0) for at in _hours(since, now)},
        "trends": {"increasing": later > total - later, "peak_hour": _peak(found)},
    }


def recent(
    session: Session,
    *,
    level: str | None = None,
    endpoint: str | None = None,
    request_id: str | None = None,
    page: int,
    limit: int,
) -> tuple[list[ErrorReport], int]:
    """A page of what is kept, newest first (pages are numbered from 1), and how many rows fit in all."""
    wanted = {ErrorReport.level: level, ErrorReport.endpoint: endpoint, ErrorReport.request_id: request_id}
    fits = [column == value for column, value in wanted.items() if value is not None]
    query = select(ErrorReport).where(*fits).order_by(ErrorReport.at.desc(), ErrorReport.id.desc())
    rows = session.scalars(query.limit(limit).offset((page - 1) * limit))
    return list(rows), session.scalar(select(func.count()).select_from(ErrorReport).where(*fits)) or 0


def _hours(since: datetime, now: datetime) -> list[datetime]:
    first = since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return [first + number * _HOUR for number in range((now - first) // _HOUR + 1)]


def _peak(by_hour: dict[datetime, int]) -> int | None:
    of_day: Counter[int] = Counter()
    for at, number in by_hour.items():
        of_day[at.astimezone(UTC).hour] += number
    return min(of_day, key=lambda hour: (-of_day[hour], hour), default=None)
