"""Cleaning up: removing what nobody needs any more, now and by the clock, and what that did lately."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any

from flask import g, request
from marshmallow import Schema, fields, validate
from sqlalchemy.orm import Session
from werkzeug.exceptions import UnsupportedMediaType

from app import context
from app.callbacks import CallbackUrl
from app.http import waiting
from app.http.access import ADMIN
from app.http.answers import Answer, Shown
from app.http.parsing import Flag, Number, Text, one_of
from app.surfaces import ADMINISTRATION, SurfaceBlueprint
from models import cleanups, clock
from models.base import iso
from models.cleanups import ALL, KIND, LANE, STATUS, TARGETS
from models.errors import Invalid
from models.jobs import queries
from models.jobs.tables import ENDED, Job
from tasks import submit

blueprint = SurfaceBlueprint("cleanup", surface=ADMINISTRATION, description="Removing what nobody needs any more")

# Who asks for more than that wants something else.
MAX_AGE_HOURS = 87600.0
# How long a request waits for the end of its cleanup.
WAIT_SECONDS = 10.0

_AGE = (
    "Instead of each thing's own retention, for spoken audio (hours since it was last used) and for temporary files "
    "(hours since they were written). Nothing goes within an hour, and records have retentions of their own."
)
_TARGET = (
    "`outputs`: spoken audio; `temp`: temporary files and what imports left; `old_files`: jobs and records past their "
    "retention, files without rows, rows without files; `all`: everything"
)


class NewCleanup(Schema):
    """What is cleaned up; nothing pinned, in use or just written ever is."""

    target = Text(load_default=ALL, maximum=20, validate=one_of(list(TARGETS)), metadata={"description": _TARGET})
    max_age_hours = Number(
        0, MAX_AGE_HOURS, load_default=None, allow_none=True, metadata={"description": _AGE, "example": 24}
    )
    dry_run = Flag(load_default=False, metadata={"description": "Counts what would be removed, and removes nothing"})
    callback_url = CallbackUrl()


class Swept(Shown):
    """What one idea of what nobody needs removed."""

    files = fields.Integer()
    bytes = fields.Integer()
    rows = fields.Integer()


class CleanupShown(Shown):
    """What a cleanup removed, or (``dry_run``) would; of ``errors`` the first twenty, ``error_count`` is of all."""

    promised = frozenset({"status", "files_removed", "bytes_freed", "duration_seconds", "errors"})

    status = fields.String(validate=validate.OneOf(list(STATUS.values())))
    files_removed = fields.Integer()
    bytes_freed = fields.Integer()
    duration_seconds = fields.Float()
    errors = fields.List(fields.String())
    error_count = fields.Integer()
    rows_removed = fields.Integer()
    job_id = fields.String()
    target = fields.String(validate=validate.OneOf(list(TARGETS)))
    max_age_hours = fields.Float(allow_none=True)
    dry_run = fields.Boolean()
    sweeps = fields.Dict(keys=fields.String(), values=fields.Nested(Swept))


class CleanupOfHistory(CleanupShown):
    """One of the last cleanups."""

    promised = frozenset({"timestamp", "files_removed", "bytes_freed", "duration_seconds"})

    timestamp = fields.DateTime()


class Scheduler(Shown):
    """The clock that begins cleanups; ``next_cleanup_time`` is null when it never does."""

    running = fields.Boolean()
    cleanup_on_startup = fields.Boolean()
    cleanup_interval_hours = fields.Integer()
    last_cleanup_time = fields.DateTime(allow_none=True)
    next_cleanup_time = fields.DateTime(allow_none=True)


class CleanupStatus(Shown):
    """The clock, and the last cleanups, newest first."""

    scheduler = fields.Nested(Scheduler)
    recent_cleanups = fields.List(fields.Nested(CleanupOfHistory))


def _in_its_body(view: Callable[[], Any]) -> Callable[[], Any]:
    """The view, for requests that say in JSON what they mean: nobody's slip is to be a cleanup of everything."""

    @wraps(view)
    def careful() -> Any:
        if request.args:
            names = ", ".join(map(repr, request.args))
            raise Invalid(f"{names[:200]}: what is cleaned up is said in the JSON body, not in the query string.")
        if not request.is_json and (request.mimetype or request.get_data()):
            given = request.content_type or "not given"
            raise UnsupportedMediaType(f"The body must be JSON; Content-Type is {given!r}.")
        if not request.get_data():
            raise Invalid("target: the body is empty; name a target in it, or send {} to clean up everything.")
        return view()

    return careful


ANSWERS = {
    200: Answer(schema=CleanupShown),
    202: Answer(schema=CleanupShown, description="What it has done so far; the rest goes on as a job"),
}


@blueprint.endpoint(
    "/api/v1/cleanup", access=ADMIN, methods=("POST",), limit="cleanup", answers=ANSWERS, refuses=(415, 503)
)
@_in_its_body
@blueprint.arguments(NewCleanup)
def clean_up(body: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Removes what nobody needs any more, or counts it; 202 with what was done so far when it takes longer."""
    callback_url = body.pop("callback_url")
    here = context.current()
    with here.hub.subscribed() as subscription:
        with here.database.transaction() as session:
            job = begin(session, account_id=g.caller.account_id, callback_url=callback_url, **body)
        subscription.job_id = job.id
        # Whoever hangs up finds it among the recent ones.
        with suppress(waiting.ClientGone):
            waiting.within(waiting.Ending(job.id, subscription), WAIT_SECONDS)
    with here.database.reading() as session:
        job = queries.get(session, job.id)
    return cleanups.report(job), 200 if job.state in ENDED else 202


@blueprint.endpoint("/api/v1/cleanup/status", access=ADMIN, answers={200: Answer(schema=CleanupStatus)})
def status() -> dict[str, Any]:
    """Whether the clock goes, when it cleans up next, and what the last cleanups did."""
    here = context.current()
    with here.database.reading() as session:
        last, newest = cleanups.last_full(session), cleanups.newest(session)
    hours = here.settings.cleanup_interval_hours
    return {
        "scheduler": {
            "running": clock.goes(here.redis),
            "cleanup_on_startup": here.settings.cleanup_on_startup,
            "cleanup_interval_hours": hours,
            "last_cleanup_time": iso(last),
            "next_cleanup_time": iso(cleanups.next_due(last, interval_hours=hours)),
        },
        "recent_cleanups": [{"timestamp": iso(job.created_at), **cleanups.report(job)} for job in newest],
    }


def begin(
    session: Session,
    *,
    target: str,
    max_age_hours: float | None,
    dry_run: bool,
    account_id: str | None,
    callback_url: str | None = None,
    certain: bool = False,
) -> Job:
    """The job that cleans up; ``certain`` when the caller sees to it that it does not wait for ever.

    Raises:
        Unavailable: nobody is there to do it.
    """
    job, _ = submit.submit(
        session,
        KIND,
        lane=LANE,
        params=cleanups.params(target, max_age_hours, dry_run=dry_run),
        account_id=account_id,
        callback_url=callback_url,
        certain=certain,
    )
    return job
