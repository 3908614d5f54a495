"""Jobs of every kind: list, look, results, and what may be done to them."""

from __future__ import annotations

from typing import Any

from flask import g
from marshmallow import EXCLUDE, Schema
from sqlalchemy.orm import Session

from app import context
from app.http.access import CLIENT, visible_to
from app.http.parsing import MAX_PAGE, Count, Text, one_of
from app.surfaces import MANAGEMENT, SurfaceBlueprint
from models.base import iso
from models.errors import Conflict
from models.jobs import lifecycle, queries
from models.jobs.tables import FAILED, QUEUED, RUNNING, STATES, SUCCEEDED, Job, JobItem
from tasks import submit

blueprint = SurfaceBlueprint("jobs", surface=MANAGEMENT, description="Everything that is queued, running or done")


class JobList(Schema):
    """Which jobs."""

    class Meta:
        unknown = EXCLUDE

    kind = Text(maximum=100)
    state = Text(maximum=20, validate=one_of(list(STATES)))
    limit = Count(load_default=50, minimum=1, clip=MAX_PAGE)
    cursor = Text(maximum=100)


class ItemList(Schema):
    """Which items of a job."""

    class Meta:
        unknown = EXCLUDE

    state = Text(maximum=20, validate=one_of([QUEUED, RUNNING, SUCCEEDED, FAILED]))
    limit = Count(load_default=50, minimum=1, clip=MAX_PAGE)
    cursor = Count(load_default=-1, minimum=-1)


@blueprint.endpoint("/api/jobs", access=CLIENT)
@blueprint.arguments(JobList, location="query")
def list_jobs(query: dict[str, Any]) -> dict[str, Any]:
    """The newest jobs first; ``next_cursor`` continues after the last one."""
    with context.current().database.transaction(durable=False) as session:
        found = queries.page(
            session,
            kind=query.get("kind"),
            state=query.get("state"),
            visible_to=visible_to(g.caller),
            before=query.get("cursor"),
            limit=query["limit"] + 1,
        )
    page = found[: query["limit"]]
    return {
        "jobs": [shown(job) for job in page],
        "next_cursor": page[-1].id if len(found) > len(page) else None,
    }


@blueprint.endpoint("/api/jobs/<job_id>", access=CLIENT)
def get_job(job_id: str) -> dict[str, Any]:
    """One job with its item counts, place in the queue and time to go."""
    with context.current().database.transaction(durable=False) as session:
        return detailed(session, mine(session, job_id))


@blueprint.endpoint("/api/jobs/<job_id>/items", access=CLIENT)
@blueprint.arguments(ItemList, location="query")
def list_items(query: dict[str, Any], job_id: str) -> dict[str, Any]:
    """The items of a job in order."""
    with context.current().database.transaction(durable=False) as session:
        job = mine(session, job_id)
        found = queries.items(
            session, job.id, state=query.get("state"), after=query["cursor"], limit=query["limit"] + 1
        )
    page = found[: query["limit"]]
    return {
        "items": [_item(item) for item in page],
        "total": job.items_total,
        "next_cursor": page[-1].position if len(found) > len(page) else None,
    }


@blueprint.endpoint("/api/jobs/<job_id>/result", access=CLIENT)
def get_result(job_id: str) -> Any:
    """What a finished job made: the audio of a spoken text, else the result as JSON."""
    with context.current().database.transaction(durable=False) as session:
        job = mine(session, job_id)
    if job.state != SUCCEEDED:
        raise Conflict(f"Job {job_id} is {job.state}; only a succeeded one has a result.", state=job.state)
    if job.kind == "speech.speak":
        from app.speaking import send_result

        return send_result(job.id, job.result or {}, job.resolution, job.params["clip"]["speed"])
    return {"job_id": job.id, "state": job.state, "items": _counts(job), "result": job.result}


@blueprint.endpoint("/api/jobs/<job_id>/cancel", access=CLIENT, methods=("POST",))
def cancel(job_id: str) -> dict[str, Any]:
    """Cancels a job; what is in flight is finished and kept."""
    with context.current().database.transaction() as session:
        return detailed(session, lifecycle.cancel(session, mine(session, job_id).id))


@blueprint.endpoint("/api/jobs/<job_id>/pause", access=CLIENT, methods=("POST",))
def pause(job_id: str) -> dict[str, Any]:
    """Starts nothing more of a job until it is resumed."""
    with context.current().database.transaction() as session:
        return detailed(session, lifecycle.pause(session, mine(session, job_id).id))


@blueprint.endpoint("/api/jobs/<job_id>/resume", access=CLIENT, methods=("POST",))
def resume(job_id: str) -> dict[str, Any]:
    """Goes on with a paused job."""
    with context.current().database.transaction() as session:
        job = mine(session, job_id)
        return detailed(session, submit.resume(session, job.id, lane=job.lane))


@blueprint.endpoint("/api/jobs/<job_id>/retry", access=CLIENT, methods=("POST",))
def retry(job_id: str) -> dict[str, Any]:
    """Queues a failed or cancelled job again; of one that ended with failed items, those items."""
    with context.current().database.transaction() as session:
        job = mine(session, job_id)
        return detailed(session, submit.retry(session, job.id, lane=job.lane))


def mine(session: Session, job_id: str) -> Job:
    """The job, if the caller may see it.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    return queries.get(session, job_id, visible_to=visible_to(g.caller))


def shown(job: Job) -> dict[str, Any]:
    """A job as lists show it."""
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "progress": round(job.progress, 4),
        "phase": job.phase,
        "items": _counts(job),
        "error": {"code": job.error_code, "message": job.error_message} if job.error_code else None,
        "eta_seconds": queries.eta_seconds(job),
        "version": job.version,
        "created_at": iso(job.created_at),
        "started_at": iso(job.started_at),
        "finished_at": iso(job.finished_at),
    }


def detailed(session: Session, job: Job) -> dict[str, Any]:
    """A job with what costs a query."""
    return shown(job) | {
        "queue_position": queries.queue_position(session, job),
        "attempts": job.attempts,
        "lane": job.lane,
        "resolution": job.resolution,
        "request_id": job.request_id,
        "parent_id": job.parent_id,
        "updated_at": iso(job.updated_at),
    }


def _counts(job: Job) -> dict[str, int]:
    return {"total": job.items_total, "succeeded": job.items_succeeded, "failed": job.items_failed}


def _item(item: JobItem) -> dict[str, Any]:
    return {
        "position": item.position,
        "state": item.state,
        "attempts": item.attempts,
        "params": {name: value for name, value in item.params.items() if name != "clip"},
        "result": item.result,
        "error": {"code": item.error_code, "message": item.error_message} if item.error_code else None,
        "finished_at": iso(item.finished_at),
    }
