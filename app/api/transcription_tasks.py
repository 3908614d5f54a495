"""What there is to transcribe: bringing sound in, looking at tasks, and what managers do with them."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from flask import g, request
from marshmallow import EXCLUDE, Schema, fields

from app import context
from app.callbacks import CallbackUrl
from app.http import uploads, waiting
from app.http.access import OPERATOR, OWN_NUMBER, TRANSCRIBER
from app.http.answers import Answer, Shown, page_of
from app.http.offload import offload
from app.http.parsing import Paging, Text, one_of, refuse_bad_text
from app.http.uploads import MULTIPART, FormParser
from app.speech_ended import PASSING
from app.surfaces import TRANSCRIPTION, SurfaceBlueprint
from app.transcribers import act_as, source
from models.base import iso, new_id
from models.errors import Conflict, Invalid, NotFound, Unavailable
from models.jobs import queries
from models.jobs.tables import ENDED, SUCCEEDED
from models.transcription import batches, submitting, tasks
from models.transcription.tables import (
    BROKEN,
    BUILT_IN,
    DONE,
    GONE,
    NEW,
    OPEN,
    PARKED,
    Annotation,
    Assignment,
    Task,
)
from tasks import submit

blueprint = SurfaceBlueprint("transcription_tasks", surface=TRANSCRIPTION, description="What there is to transcribe")
blueprint.ARGUMENTS_PARSER = FormParser()
blueprint.before_request(uploads.allow)

STATES = (NEW, OPEN, DONE, PARKED, BROKEN, GONE)
# How long a request waits for the end of its import.
WAIT_SECONDS = 10.0
_MANIFEST_CHARACTERS = 10_000_000
_FILES = 200


class NewBatch(Schema):
    """What is said of the sound that is sent; the files come as parts `file` of a form."""

    class Meta:
        unknown = EXCLUDE

    manifest = Text(
        load_default=None,
        maximum=_MANIFEST_CHARACTERS,
        metadata={
            "description": 'A JSON list `[{"file", "language"?, "text"?, "gold"?}]`; in a zip it may lie as '
            "`manifest.json`. `text` is shown to transcribers as a draft, unless `gold`: then it is right, and the "
            "task is for judging them"
        },
    )
    callback_url = CallbackUrl()


class NewBatchForm(NewBatch):
    """The same, with the files."""

    file = fields.List(fields.Raw(metadata={"type": "string", "format": "binary"}), required=True)


class TaskList(Paging):
    """Which tasks."""

    state = Text(load_default=None, maximum=10, validate=one_of(list(STATES)))


class BatchTaken(Shown):
    """The tasks that came of a batch, and what lies in its zips and is no sound."""

    promised = frozenset({"task_ids"})

    task_ids = fields.List(fields.Integer())
    passed_over = fields.List(fields.String())


class BatchGoesOn(Shown):
    """A batch that takes longer: a job."""

    job_id = fields.String()
    status = fields.String()
    status_url = fields.String()


class TaskShown(Shown):
    """A task; one whose text is known is `gold`, which transcribers are not told."""

    id = fields.Integer()
    state = fields.String(validate=one_of(list(STATES)))
    file_name = fields.String()
    duration = fields.Float(allow_none=True)
    language = fields.String(allow_none=True)
    slots = fields.Integer()
    taken = fields.Integer()
    gold = fields.Boolean()
    final_text = fields.String(allow_none=True)
    problem = fields.String(allow_none=True)
    created_at = fields.DateTime()
    done_at = fields.DateTime(allow_none=True)


class AssignmentShown(Shown):
    """Who had the task, and what became of it."""

    id = fields.Integer()
    agent_id = fields.Integer()
    state = fields.String()
    started_at = fields.DateTime()
    ended_at = fields.DateTime(allow_none=True)
    reason = fields.String(allow_none=True)
    annotation_id = fields.Integer(allow_none=True)
    label_studio_annotation_id = fields.Integer(allow_none=True)
    transcription = fields.String(allow_none=True)


class TaskWhole(TaskShown):
    """A task with its history."""

    assignments = fields.List(fields.Nested(AssignmentShown))


class KeptText(Shown):
    """A text that came too late."""

    id = fields.Integer()
    task_id = fields.Integer()
    agent_id = fields.Integer()
    transcription = fields.String()


@blueprint.endpoint(
    "/api/transcription/import",
    access=OPERATOR,
    methods=("POST",),
    answers={
        201: Answer(schema=BatchTaken),
        202: Answer(schema=BatchGoesOn, description="It goes on as a job, whose result has the `task_ids`"),
    },
    refuses=(409, 503),
)
@blueprint.arguments(NewBatch, location="form")
@blueprint.doc(requestBody={"required": True, "content": {MULTIPART: {"schema": NewBatchForm}}})
def import_batch(form: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Sound to be transcribed: files in any usual format, or zips of them. All of it becomes tasks, or none."""
    if source() != BUILT_IN:
        raise Conflict("Tasks come from Label Studio (LABEL_STUDIO_URL); import the sound there.")
    here = context.current()
    kept = new_id()
    names = _keep_files(batches.folders(here.settings.var_dir).uploads / kept)
    with here.hub.subscribed() as subscription:
        with here.database.transaction() as session:
            job, _ = submit.submit(
                session,
                batches.KIND,
                lane=batches.LANE,
                params={"upload": kept, "names": names, "manifest": form["manifest"]},
                account_id=g.caller.account_id,
                # It waits for whoever takes it.
                certain=True,
                callback_url=form["callback_url"],
            )
        subscription.job_id = job.id
        # Whoever hangs up finds it among the jobs.
        with suppress(waiting.ClientGone):
            waiting.within(waiting.Ending(job.id, subscription), WAIT_SECONDS)
    with here.database.reading() as session:
        job = queries.get(session, job.id)
    if job.state == SUCCEEDED:
        made = job.result or {}
        others = {"passed_over": made["passed_over"]} if made["passed_over"] else {}
        return {"task_ids": made["task_ids"], **others}, 201
    if job.state in ENDED and job.error_code in PASSING:
        raise Unavailable(str(job.error_message), retry_after_seconds=submit.RETRY_AFTER_SECONDS, code=job.error_code)
    if job.state in ENDED:
        raise Invalid(job.error_message or f"Job {job.id} was {job.state}.", code=job.error_code, job_id=job.id)
    return {"job_id": job.id, "status": job.state, "status_url": f"/api/jobs/{job.id}"}, 202


@blueprint.endpoint("/api/transcription/tasks", access=OPERATOR, answers={200: page_of("tasks", TaskShown)})
@blueprint.arguments(TaskList, location="query")
def list_tasks(query: dict[str, Any]) -> dict[str, Any]:
    """Tasks in the order of their numbers."""
    return listed(context.current(), **query)


def listed(here: context.Context, *, state: str | None, limit: int, offset: int) -> dict[str, Any]:
    """A page of the tasks (of that state)."""
    with here.database.snapshot() as session:
        found, total = tasks.page(session, state=state, limit=limit, offset=offset)
        shown = [task_shown(task) for task in found]
    return {"tasks": shown, "total": total, "limit": limit, "offset": offset}


@blueprint.endpoint("/api/transcription/tasks/<int:task_id>", access=OPERATOR, answers={200: Answer(schema=TaskWhole)})
def get_task(task_id: int) -> dict[str, Any]:
    """A task, who had it, and what they wrote."""
    with context.current().database.snapshot() as session:
        task = tasks.get(session, task_id)
        history = [_assignment(*each) for each in tasks.history(session, task_id)]
        return task_shown(task) | {"assignments": history}


@blueprint.endpoint(
    "/api/transcription/tasks/<int:task_id>/unpark",
    access=OPERATOR,
    methods=("POST",),
    answers={200: Answer(schema=TaskShown)},
    refuses=(409,),
    audited=True,
)
def unpark_task(task_id: int) -> dict[str, Any]:
    """Gives out again a task that many skipped; their skips are forgiven."""
    with context.current().database.transaction() as session:
        return task_shown(tasks.unpark(session, task_id))


@blueprint.endpoint(
    "/api/transcription/kept/<int:assignment_id>",
    access=TRANSCRIBER,
    whose=OWN_NUMBER,
    answers={200: Answer(schema=KeptText)},
)
def get_kept(assignment_id: int) -> dict[str, Any]:
    """A text that came too late, to its agent and to managers."""
    with context.current().database.reading() as session:
        found = submitting.kept(session, assignment_id)
    if found is None:
        raise NotFound(f"There is no text kept of assignment {assignment_id}.")
    act_as(found.agent_id)
    return {
        "id": found.id,
        "task_id": found.task_id,
        "agent_id": found.agent_id,
        "transcription": found.kept_text,
    }


def _keep_files(folder: Path) -> list[str]:
    """The names of the files of the request, which now lie in ``folder`` by their numbers.

    Raises:
        Invalid: there are none, too many, or two of one name.
    """
    sent = request.files.getlist("file") or [uploads.sent("file")]
    if len(sent) > _FILES:
        raise Invalid(f"file: {len(sent)} files at once; at most {_FILES} are allowed, or one zip")
    names = [(each.filename or "").replace("\\", "/").rpartition("/")[2][:200] or "file" for each in sent]
    for name in names:
        refuse_bad_text(name, "file")
        if names.count(name) > 1:
            raise Invalid(f"file: {name!r} is sent twice")
    try:
        for number, each in enumerate(sent):
            offload(uploads.keep, each, folder / str(number), uploads.most_bytes(), "file")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return names


def task_shown(task: Task) -> dict[str, Any]:
    """A task as managers see it."""
    return {
        "id": task.id,
        "state": task.state,
        "file_name": task.file_name,
        "duration": None if task.duration_seconds is None else float(task.duration_seconds),
        "language": task.language,
        "slots": task.slots,
        "taken": task.taken,
        "gold": task.gold_text is not None,
        "final_text": task.final_text,
        "problem": task.problem,
        "created_at": iso(task.created_at),
        "done_at": iso(task.done_at),
    }


def _assignment(assignment: Assignment, annotation: Annotation | None) -> dict[str, Any]:
    return {
        "id": assignment.id,
        "agent_id": assignment.agent_id,
        "state": assignment.state,
        "started_at": iso(assignment.started_at),
        "ended_at": iso(assignment.ended_at),
        "reason": assignment.reason,
        "annotation_id": None if annotation is None else annotation.id,
        "label_studio_annotation_id": None if annotation is None else annotation.label_studio_annotation_id,
        "transcription": assignment.kept_text if annotation is None else annotation.text,
    }
