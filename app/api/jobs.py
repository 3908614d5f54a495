"""Jobs of every kind: list, look, results, and what may be done to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flask import g
from marshmallow import EXCLUDE, Schema, fields, validate
from sqlalchemy.orm import Session

from app import context
from app.context import Context
from app.http.access import CLIENT, OWN, OWN_LISTED, administer, visible_to
from app.http.answers import JSON, SPEECH, Answer, Shown
from app.http.parsing import MAX_PAGE, Count, Text, one_of
from app.surfaces import MANAGEMENT, SurfaceBlueprint
from models import wake_trainings
from models.accounts import Caller
from models.base import iso
from models.errors import Conflict
from models.jobs import lifecycle, queries
from models.jobs.shape import counts, shown
from models.jobs.tables import FAILED, QUEUED, RUNNING, STATES, SUCCEEDED, Job, JobItem
from tasks import kinds, submit

blueprint = SurfaceBlueprint("jobs", surface=MANAGEMENT, description="Everything that is queued, running or done")


class JobList(Schema):
    """Which jobs."""

    class Meta:
        unknown = EXCLUDE

    kind = Text(maximum=100)
    state = Text(maximum=20, validate=one_of(list(STATES)))
    # Whose parts; without it jobs that are no parts of others.
    parent = Text(maximum=100)
    limit = Count(load_default=50, minimum=1, clip=MAX_PAGE)
    cursor = Text(maximum=100)


class ItemList(Schema):
    """Which items of a job."""

    class Meta:
        unknown = EXCLUDE

    state = Text(maximum=20, validate=one_of([QUEUED, RUNNING, SUCCEEDED, FAILED]))
    limit = Count(load_default=50, minimum=1, clip=MAX_PAGE)
    cursor = Count(load_default=-1, minimum=-1)


class Counts(Shown):
    """How many items a job has, and what became of them."""

    total = fields.Integer()
    succeeded = fields.Integer()
    failed = fields.Integer()


class Fault(Shown):
    """Why it failed."""

    code = fields.String()
    message = fields.String(allow_none=True)


class JobShown(Shown):
    """A job as lists show it."""

    id = fields.String()
    kind = fields.String()
    state = fields.String(validate=validate.OneOf(list(STATES)))
    progress = fields.Float(validate=validate.Range(0, 1))
    phase = fields.String(allow_none=True)
    items = fields.Nested(Counts)
    error = fields.Nested(Fault, allow_none=True)
    eta_seconds = fields.Float(allow_none=True)
    version = fields.Integer()
    created_at = fields.DateTime()
    started_at = fields.DateTime(allow_none=True)
    finished_at = fields.DateTime(allow_none=True)


class JobDetailed(JobShown):
    """A job, with its place in the queue."""

    queue_position = fields.Integer(allow_none=True)
    attempts = fields.Integer()
    lane = fields.String()
    resolution = fields.Dict(allow_none=True)
    request_id = fields.String(allow_none=True)
    parent_id = fields.String(allow_none=True)
    updated_at = fields.DateTime()


class JobPage(Shown):
    """Jobs, and where the next ones begin."""

    jobs = fields.List(fields.Nested(JobShown))
    next_cursor = fields.String(allow_none=True)


class ItemShown(Shown):
    """One item of a job."""

    position = fields.Integer()
    state = fields.String()
    attempts = fields.Integer()
    params = fields.Dict()
    result = fields.Raw(allow_none=True)
    error = fields.Nested(Fault, allow_none=True)
    finished_at = fields.DateTime(allow_none=True)


class ItemPage(Shown):
    """Items, and where the next ones begin."""

    items = fields.List(fields.Nested(ItemShown))
    total = fields.Integer()
    next_cursor = fields.Integer(allow_none=True)


class JobResult(Shown):
    """What a job made."""

    job_id = fields.String()
    state = fields.String()
    items = fields.Nested(Counts)
    result = fields.Raw(allow_none=True)


JOB = Answer(schema=JobDetailed)
# Of a spoken text its audio.
RESULT = replace(SPEECH, media_types=(*SPEECH.media_types, *JSON.media_types), schema=JobResult)


@blueprint.endpoint("/api/jobs", access=CLIENT, whose=OWN_LISTED, answers={200: Answer(schema=JobPage)})
@blueprint.arguments(JobList, location="query")
def list_jobs(query: dict[str, Any]) -> dict[str, Any]:
    """The newest jobs first; ``next_cursor`` continues after the last one."""
    return listed(context.current(), g.caller, query)


def listed(here: Context, caller: Caller, query: Mapping[str, Any]) -> dict[str, Any]:
    """A page of the jobs that the caller may see, as ``JobList`` describes them."""
    with here.database.transaction(durable=False) as session:
        found = queries.page(
            session,
            kind=query.get("kind"),
            state=query.get("state"),
            visible_to=visible_to(caller),
            parent=query.get("parent"),
            before=query.get("cursor"),
            limit=query["limit"] + 1,
        )
    page = found[: query["limit"]]
    return {
        "jobs": [shown(job) for job in page],
        "next_cursor": page[-1].id if len(found) > len(page) else None,
    }


@blueprint.endpoint("/api/jobs/<job_id>", access=CLIENT, whose=OWN, answers={200: JOB})
def get_job(job_id: str) -> dict[str, Any]:
    """One job with its item counts, place in the queue and time to go."""
    with context.current().database.transaction(durable=False) as session:
        return detailed(session, mine(session, job_id))


@blueprint.endpoint("/api/jobs/<job_id>/items", access=CLIENT, whose=OWN, answers={200: Answer(schema=ItemPage)})
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


@blueprint.endpoint("/api/jobs/<job_id>/result", access=CLIENT, whose=OWN, answers={200: RESULT}, refuses=(409,))
def get_result(job_id: str) -> Any:
    """What a finished job made: the audio of a spoken text, else the result as JSON."""
    with context.current().database.transaction(durable=False) as session:
        job = mine(session, job_id)
    if job.state != SUCCEEDED:
        raise Conflict(f"Job {job_id} is {job.state}; only a succeeded one has a result.", state=job.state)
    if job.kind == "speech.speak":
        from app.speaking import send_result

        return send_result(job.id, job.result or {}, job.resolution, job.params["clip"]["speed"])
    return {"job_id": job.id, "state": job.state, "items": counts(job), "result": job.result}


@blueprint.endpoint(
    "/api/jobs/<job_id>/cancel", access=CLIENT, whose=OWN, methods=("POST",), answers={200: JOB}, refuses=(409,)
)
def cancel(job_id: str) -> dict[str, Any]:
    """Cancels a job; what is in flight is finished and kept."""
    with context.current().database.transaction() as session:
        return detailed(session, lifecycle.cancel(session, changeable(session, job_id).id))


@blueprint.endpoint(
    "/api/jobs/<job_id>/pause", access=CLIENT, whose=OWN, methods=("POST",), answers={200: JOB}, refuses=(409,)
)
def pause(job_id: str) -> dict[str, Any]:
    """Starts nothing more of a job until it is resumed."""
    with context.current().database.transaction() as session:
        return detailed(session, lifecycle.pause(session, changeable(session, job_id).id))


@blueprint.endpoint(
    "/api/jobs/<job_id>/resume", access=CLIENT, whose=OWN, methods=("POST",), answers={200: JOB}, refuses=(409, 503)
)
def resume(job_id: str) -> dict[str, Any]:
    """Goes on with a paused job."""
    with context.current().database.transaction() as session:
        job = changeable(session, job_id)
        return detailed(session, submit.resume(session, job.id, lane=job.lane))


@blueprint.endpoint(
    "/api/jobs/<job_id>/retry", access=CLIENT, whose=OWN, methods=("POST",), answers={200: JOB}, refuses=(409, 503)
)
def retry(job_id: str) -> dict[str, Any]:
    """Queues a failed or cancelled job again; of one that ended with failed items, those items."""
    with context.current().database.transaction() as session:
        job = changeable(session, job_id)
        # A word is trained once at a time.
        wake_trainings.hold_for(session, job)
        return detailed(session, submit.retry(session, job.id, lane=job.lane))


def mine(session: Session, job_id: str) -> Job:
    """The job, if the caller may see it.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    return queries.get(session, job_id, visible_to=visible_to(g.caller))


def changeable(session: Session, job_id: str) -> Job:
    """The job, if the caller may do something about it.

    Raises:
        NotFound: there is none, or it is somebody else's.
        Forbidden: only administrators change jobs of its kind.
    """
    job = mine(session, job_id)
    what = reserved(job)
    if what is not None:
        administer(what)
    return job


def reserved(job: Job) -> str | None:
    """What of a job only administrators do; None of one that everybody changes who may see it."""
    kind = kinds.KINDS.get(job.kind)
    return f"changing a job of kind {job.kind}" if kind is not None and kind.admin_only else None


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
