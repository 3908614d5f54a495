"""What went wrong lately, for those who run this."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from marshmallow import EXCLUDE, Schema, fields

from app import context
from app.http.access import ADMIN
from app.http.answers import Answer, Shown
from app.http.parsing import MAX_INTEGER, QueryWhole, Text, one_of
from app.surfaces import ADMINISTRATION, SurfaceBlueprint
from models import error_figures
from models.base import iso, utc_now
from models.error_reports import LEVELS, ErrorReport
from models.metrics import reading

blueprint = SurfaceBlueprint("errors", surface=ADMINISTRATION, description="What went wrong lately")

# Errors are kept for so long unless ERROR_RETENTION_DAYS says otherwise.
MAX_HOURS = 30 * 24
MAX_ERRORS = 500


class Period(Schema):
    """Which errors are summed up, and what is shown beside the documented sums."""

    class Meta:
        unknown = EXCLUDE

    hours = QueryWhole(1, MAX_HOURS, load_default=24)
    group_by = Text(load_default=None, maximum=20, validate=one_of(["type", "endpoint", "time"]))


class Filter(Schema):
    """Which errors, and which page of them."""

    class Meta:
        unknown = EXCLUDE

    limit = QueryWhole(1, MAX_ERRORS, load_default=50)
    page = QueryWhole(1, MAX_INTEGER, load_default=1)
    level = Text(load_default=None, maximum=20, validate=one_of(list(LEVELS)))
    endpoint = Text(load_default=None, maximum=300)
    request_id = Text(load_default=None, maximum=100)


class Trends(Shown):
    """How errors are spread over the period."""

    increasing = fields.Boolean()
    peak_hour = fields.Integer(allow_none=True)


class SummaryShown(Shown):
    """The errors of a period."""

    promised = frozenset({"period_hours", "total_errors", "error_rate_percent", "by_type", "by_endpoint", "trends"})

    period_hours = fields.Integer()
    total_errors = fields.Integer()
    error_rate_percent = fields.Float()
    by_type = fields.Dict(keys=fields.String(), values=fields.Integer())
    by_endpoint = fields.Dict(keys=fields.String(), values=fields.Integer())
    by_time = fields.Dict(keys=fields.String(), values=fields.Integer())
    trends = fields.Nested(Trends)


class ErrorShown(Shown):
    """An error, or ``count`` alike of one minute, of which the newest is shown."""

    timestamp = fields.DateTime()
    level = fields.String()
    endpoint = fields.String()
    error_code = fields.String()
    message = fields.String()
    request_id = fields.String()
    user_ip = fields.String()
    status = fields.Integer(allow_none=True)
    job_id = fields.String(allow_none=True)
    count = fields.Integer()


class PageNumbers(Shown):
    """Which page it is, of how many entries in all."""

    total = fields.Integer()
    page = fields.Integer()
    page_size = fields.Integer()


class RecentShown(Shown):
    """A page of errors, newest first."""

    errors = fields.List(fields.Nested(ErrorShown))
    pagination = fields.Nested(PageNumbers)


@blueprint.endpoint("/api/v1/errors/summary", access=ADMIN, answers={200: Answer(schema=SummaryShown)})
@blueprint.arguments(Period, location="query")
def summary(query: dict[str, Any]) -> dict[str, Any]:
    """How many errors there were in the last hours, of what kind, and where.

    Every 4xx and 5xx answer counts, every socket that was refused, and every job that failed, under its kind. `by_type`
    and `by_endpoint` each add up to `total_errors`; `group_by=time` adds `by_time`, by hours in UTC. The rate is that
    of answers among all requests of the period. `trends.increasing`: the second half of it had more errors than the
    first; `trends.peak_hour`: the hour of the day, UTC, with most of them.
    """
    here, now = context.current(), utc_now()
    since = now - timedelta(hours=query["hours"])
    with here.database.snapshot() as session:
        requests = reading.requests_since(session, here.redis, since)
        found = error_figures.summary(session, since=since, now=now, requests=requests)
    if query["group_by"] != "time":
        del found["by_time"]
    return {"period_hours": query["hours"], **found}


@blueprint.endpoint("/api/v1/errors/recent", access=ADMIN, answers={200: Answer(schema=RecentShown)})
@blueprint.arguments(Filter, location="query")
def recent(query: dict[str, Any]) -> dict[str, Any]:
    """Errors, newest first. Of one code at one endpoint ten are kept of a minute; the last of them counts the rest."""
    with context.current().database.snapshot() as session:
        found, total = error_figures.recent(session, **query)
    return {"errors": [_shown(report) for report in found], "pagination": page_numbers(query, total)}


def page_numbers(query: dict[str, Any], total: int) -> dict[str, int]:
    """Which page of a list was asked for."""
    return {"total": total, "page": query["page"], "page_size": query["limit"]}


def _shown(report: ErrorReport) -> dict[str, Any]:
    return {
        "timestamp": iso(report.at),
        "level": report.level,
        "endpoint": report.endpoint,
        "error_code": report.code.upper(),
        "message": report.message,
        # Texts, as the document shows them, also of a job that nobody's request made.
        "request_id": report.request_id or "",
        "user_ip": report.user_ip or "",
        "status": report.status,
        "job_id": report.job_id,
        "count": report.count,
    }
