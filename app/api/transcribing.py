"""What a transcriber does: take a task, keep it, hand in its text or skip it."""

from __future__ import annotations

import random
from typing import Any
from urllib.parse import quote

from flask import request
from marshmallow import EXCLUDE, Schema, fields

from app import context
from app.context import Context
from app.http import errors, signed
from app.http.access import OWN_NUMBER, TRANSCRIBER, Forbidden
from app.http.answers import Answer, Shown
from app.http.parsing import MAX_EXACT_INTEGER, Count, Text, Whole
from app.surfaces import TRANSCRIPTION, SurfaceBlueprint
from app.transcribers import NOT_ASSIGNED, act_as, choice, source, source_of
from models.base import iso
from models.errors import Invalid
from models.transcription import assigning, submitting, tasks
from models.transcription.assigning import Held, NotAssigned
from models.transcription.submitting import Late
from models.transcription.tables import Annotation

blueprint = SurfaceBlueprint("transcribing", surface=TRANSCRIPTION, description="Tasks in transcribers' hands")

MAX_TRANSCRIPTION = 100_000
MAX_REASON = 1_000


class OfAgent(Schema):
    """Who does it."""

    class Meta:
        # As the servers that these clients were written for.
        unknown = EXCLUDE

    agent_id = Whole(0, MAX_EXACT_INTEGER, required=True)


class Submission(OfAgent):
    """What they wrote."""

    transcription = Text(required=True, maximum=MAX_TRANSCRIPTION, spoken=True)


class Skip(OfAgent):
    """Why they do not."""

    reason = Text(load_default=None, allow_none=True, maximum=MAX_REASON)


class ForAgent(Schema):
    """For whom it is counted."""

    class Meta:
        unknown = EXCLUDE

    agent_id = Count(load_default=None, clip=MAX_EXACT_INTEGER)


class TaskGiven(Shown):
    """A task, or (``task_id`` null) a message that there is none.

    ``audio_url`` takes the credential in a header; ``signed_audio_url`` opens itself for an hour, for ``<audio>``.
    """

    promised = frozenset({"task_id"})

    task_id = fields.Integer(allow_none=True)
    audio_url = fields.String()
    duration = fields.Float()
    file_name = fields.String()
    message = fields.String()
    signed_audio_url = fields.String()
    lease_until = fields.DateTime()
    language = fields.String(allow_none=True)
    draft = fields.String(allow_none=True)


class Lease(Shown):
    """Until when the task is the agent's, unless they are heard of again."""

    task_id = fields.Integer()
    lease_until = fields.DateTime()


class Submitted(Shown):
    """The text was taken; ``label_studio_annotation_id`` is there once it is written there."""

    promised = frozenset({"status", "annotation_id"})

    status = fields.String()
    annotation_id = fields.Integer()
    label_studio_annotation_id = fields.Integer()


class Done(Shown):
    """What was done."""

    status = fields.String()
    message = fields.String()


class Available(Shown):
    """How much there is to do; counted anew every half a minute."""

    available = fields.Integer()
    total_unlabeled = fields.Integer()
    total_locked = fields.Integer()


@blueprint.endpoint(
    "/api/tasks/request",
    access=TRANSCRIBER,
    whose=OWN_NUMBER,
    methods=("POST",),
    answers={200: Answer(schema=TaskGiven)},
)
@blueprint.arguments(OfAgent)
def request_task(body: dict[str, Any]) -> dict[str, Any]:
    """The next task for an agent, theirs for 15 minutes; the same one again until they hand it in or skip it."""
    agent_id = act_as(body["agent_id"])
    with context.current().database.transaction() as session:
        held = assigning.request(session, agent_id, choice(), draw=random.random())
        if held is None:
            return {"task_id": None, "message": "No tasks available"}
        return _given(held)


@blueprint.endpoint(
    "/api/tasks/<int:task_id>/heartbeat",
    access=TRANSCRIBER,
    whose=OWN_NUMBER,
    methods=("POST",),
    answers={200: Answer(schema=Lease)},
)
@blueprint.arguments(OfAgent)
def heartbeat(body: dict[str, Any], task_id: int) -> dict[str, Any]:
    """Keeps a task for another 15 minutes, up to an hour in all; playing its audio does the same."""
    agent_id = act_as(body["agent_id"])
    with context.current().database.transaction(durable=False) as session:
        try:
            held = assigning.renew(session, task_id, agent_id)
        except NotAssigned:
            raise Forbidden(NOT_ASSIGNED) from None
        return {"task_id": task_id, "lease_until": iso(held.assignment.lease_until)}


@blueprint.endpoint(
    "/api/tasks/<int:task_id>/submit",
    access=TRANSCRIBER,
    whose=OWN_NUMBER,
    methods=("POST",),
    answers={200: Answer(schema=Submitted)},
    refuses=(409,),
)
@blueprint.arguments(Submission)
def submit_task(body: dict[str, Any], task_id: int) -> Any:
    """Hands in a text, which is paid at once; the same answer again however often it is sent.

    A text that comes too late (409, or 400 while another agent has the task) is kept; the error says where.
    """
    agent_id = act_as(body["agent_id"])
    here = context.current()
    rate = here.settings.transcription_rate_per_second
    with here.database.transaction() as session:
        try:
            outcome = submitting.submit(session, task_id, agent_id, body["transcription"], rate_per_second=rate)
        except NotAssigned:
            raise Invalid(NOT_ASSIGNED) from None
        if isinstance(outcome, Annotation):
            return _submitted(outcome)
    # After the commit, which keeps the text.
    return _too_late(outcome)


@blueprint.endpoint(
    "/api/tasks/<int:task_id>/skip",
    access=TRANSCRIBER,
    whose=OWN_NUMBER,
    methods=("POST",),
    answers={200: Answer(schema=Done)},
)
@blueprint.arguments(Skip)
def skip_task(body: dict[str, Any], task_id: int) -> dict[str, str]:
    """Gives a task back; the agent is not offered it for 30 minutes, others are."""
    agent_id = act_as(body["agent_id"])
    with context.current().database.transaction() as session:
        try:
            assigning.skip(session, task_id, agent_id, body["reason"], choice())
        except NotAssigned:
            raise Forbidden(NOT_ASSIGNED) from None
    return {"status": "success", "message": "Task skipped and released"}


@blueprint.endpoint(
    "/api/tasks/available/count", access=TRANSCRIBER, whose=OWN_NUMBER, answers={200: Answer(schema=Available)}
)
@blueprint.arguments(ForAgent, location="query")
def count_available(query: dict[str, Any]) -> dict[str, int]:
    """How many tasks there are to do; for an agent, without those that are not for them now."""
    here = context.current()
    found = counted(here)
    if query["agent_id"] is not None:
        agent_id = act_as(query["agent_id"])
        with here.database.reading() as session:
            found["available"] = max(0, found["available"] - tasks.not_for(session, agent_id, source()))
    return found


def counted(here: Context) -> dict[str, int]:
    """How many tasks there are to do, as counted lately."""
    found, _ = here.transcription(source_of(here.settings))
    return {"available": found.available, "total_unlabeled": found.unlabeled, "total_locked": found.locked}


def _given(held: Held) -> dict[str, Any]:
    task, agent_id = held.task, held.assignment.agent_id
    path = f"/api/audio/stream/{task.id}/{agent_id}"
    url = f"{request.host_url.rstrip('/')}{path}"
    signature = signed.signature(context.current().settings.secret_key, path, agent_id=agent_id)
    return {
        "task_id": task.id,
        "audio_url": url,
        "duration": float(task.duration_seconds or 0),
        "file_name": task.file_name,
        "signed_audio_url": f"{url}?signature={quote(signature)}",
        "lease_until": iso(held.assignment.lease_until),
        "language": task.language,
        "draft": task.draft,
    }


def _submitted(annotation: Annotation) -> dict[str, Any]:
    known = annotation.label_studio_annotation_id
    return {
        "status": "success",
        "annotation_id": annotation.id,
        **({} if known is None else {"label_studio_annotation_id": known}),
    }


def _too_late(late: Late) -> Any:
    where = f"The text is kept: GET /api/transcription/kept/{late.assignment_id}"
    if late.why == "gone":
        return errors.answer(404, "not_found", f"Task not found: it was removed. {where}")
    if late.why == "done":
        return errors.answer(409, "conflict", f"Another agent has transcribed this task. {where}")
    said = "it was skipped" if late.why == "skipped" else "another agent has it now"
    return errors.answer(400, "validation_error", f"{NOT_ASSIGNED}: {said}. {where}")
