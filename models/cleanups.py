"""Cleanups: jobs of one kind that remove what nobody needs any more; when the next is due, and what the last did."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from models.base import utc_now
from models.errors import LeaseLost
from models.jobs.tables import CANCELLED, FAILED, PAUSED, QUEUED, RUNNING, SUCCEEDED, Job

KIND, LANE = "upkeep.cleanup", "io"
OUTPUTS, TEMP, OLD_FILES, ALL = "outputs", "temp", "old_files", "all"
TARGETS = (ALL, OUTPUTS, TEMP, OLD_FILES)
STATUS = {
    QUEUED: "queued",
    RUNNING: "running",
    PAUSED: "paused",
    SUCCEEDED: "completed",
    FAILED: "failed",
    CANCELLED: "cancelled",
}
# So many are shown, and kept however old they are.
HISTORY = 20
# Several clocks that start together, or one that starts again and again, clean up once.
START_GAP = timedelta(minutes=10)

# Taken by whoever looks whether one is due: two clocks that look at once begin one.
_LOOKING = "upkeep.cleanup is due"


def params(target: str, max_age_hours: float | None, *, dry_run: bool) -> dict[str, Any]:
    """What a cleanup is told; ``max_age_hours`` None is each thing's own retention."""
    return {"target": target, "max_age_hours": max_age_hours, "dry_run": dry_run}


def newest(session: Session) -> list[Job]:
    """The last cleanups of every kind, newest first."""
    query = select(Job).where(Job.kind == KIND).order_by(Job.created_at.desc(), Job.id.desc())
    return list(session.scalars(query.limit(HISTORY)))


def last_full(session: Session) -> datetime | None:
    """When the last one was asked for that removes everything, whatever came of it."""
    whole = Job.params.contains({"target": ALL, "max_age_hours": None, "dry_run": False})
    return session.scalar(select(func.max(Job.created_at)).where(Job.kind == KIND, whole))


def next_due(last: datetime | None, *, interval_hours: int) -> datetime | None:
    """When the clock begins the next one; None when it never does."""
    if not interval_hours:
        return None
    return utc_now() if last is None else last + timedelta(hours=interval_hours)


def is_due(session: Session, *, interval_hours: int, starting: bool) -> bool:
    """Whether the caller is to begin one; nobody else is told so before the caller's commit.

    ``starting``: a clock has just been started, and is to begin one unless one was begun a moment ago.
    """
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(_LOOKING, 0))))
    last = last_full(session)
    if starting and (last is None or last < utc_now() - START_GAP):
        return True
    due = next_due(last, interval_hours=interval_hours)
    return due is not None and due <= utc_now()


def note(session: Session, job: Job, so_far: Mapping[str, Any]) -> None:
    """Stores what a running cleanup has done so far, for those who look and for whoever takes it over.

    Raises:
        LeaseLost: it was cancelled, paused, or is somebody else's by now.
    """
    mine = (Job.id == job.id, Job.token == job.token, Job.state == RUNNING)
    noted = session.scalar(update(Job).where(*mine).values(result=dict(so_far)).returning(Job.id))
    if noted is None:
        raise LeaseLost(f"Cleanup {job.id} is not held under {job.token} any more.")


def report(job: Any) -> dict[str, Any]:
    """A cleanup (a ``Job``, or its row) as it is shown: what was removed, or would be (``dry_run``), and how long."""
    result = job.result or {}
    errors = list(result.get("errors", ()))
    if job.error_message and job.state in (QUEUED, FAILED):
        errors.append(job.error_message)
    return {
        "status": STATUS[job.state],
        "files_removed": result.get("files_removed", 0),
        "bytes_freed": result.get("bytes_freed", 0),
        "duration_seconds": result.get("duration_seconds", 0.0),
        "errors": errors,
        "error_count": result.get("error_count", 0) + len(errors) - len(result.get("errors", ())),
        "rows_removed": result.get("rows_removed", 0),
        "job_id": job.id,
        "target": job.params["target"],
        "max_age_hours": job.params["max_age_hours"],
        "dry_run": job.params["dry_run"],
        "sweeps": result.get("sweeps", {}),
    }
