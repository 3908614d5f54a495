"""The sound of a task, to whoever has the task: the whole of it, or any part."""

from __future__ import annotations

from typing import Any

from flask import Response
from marshmallow import fields

from app import context
from app.http.access import OWN_NUMBER, TRANSCRIBER, Forbidden
from app.http.answers import Answer, Shown
from app.http.ranges import send_stored
from app.surfaces import TRANSCRIPTION, SurfaceBlueprint
from app.transcribers import NOT_ASSIGNED, act_as
from models.errors import NotFound
from models.transcription import assigning
from models.transcription.assigning import NotAssigned
from models.transcription.tables import Task

blueprint = SurfaceBlueprint("transcription_audio", surface=TRANSCRIPTION, description="The sound of tasks")

AUDIO = Answer(media_types=("audio/flac", "audio/mpeg", "audio/mp4", "audio/ogg", "audio/wav"), description="The sound")
PART = Answer(media_types=AUDIO.media_types, description="The part that was asked for")


class Outline(Shown):
    """How loud each of so many equal parts of the sound is, 0 to 100."""

    peaks = fields.List(fields.Integer())
    duration = fields.Float()


@blueprint.endpoint(
    "/api/audio/stream/<int:task_id>/<int:agent_id>",
    access=TRANSCRIBER,
    whose=OWN_NUMBER,
    answers={200: AUDIO, 206: PART},
    refuses=(412, 416),
)
def stream(task_id: int, agent_id: int) -> Response:
    """The sound, or the range asked for; it takes a credential, or the signature of a `signed_audio_url`."""
    task = _in_hands(task_id, agent_id)
    try:
        assert task.file is not None
        assert task.media_type is not None
        path = context.current().files.path(task.file)
        return send_stored(path, name=task.file_name, media_type=task.media_type, etag=task.file)
    except FileNotFoundError:
        raise NotFound("Audio file not found", task_id=task_id) from None


@blueprint.endpoint(
    "/api/audio/peaks/<int:task_id>/<int:agent_id>",
    access=TRANSCRIBER,
    whose=OWN_NUMBER,
    answers={200: Answer(schema=Outline)},
)
def peaks(task_id: int, agent_id: int) -> dict[str, Any]:
    """The outline of the sound, to draw it before it is here."""
    task = _in_hands(task_id, agent_id)
    return {"peaks": task.peaks or [], "duration": float(task.duration_seconds or 0)}


def _in_hands(task_id: int, agent_id: int) -> Task:
    """The task, whose lease is renewed by this.

    Raises:
        Forbidden: it is not in the agent's hands.
        NotFound: there is no such task, or no sound of it.
    """
    act_as(agent_id)
    database = context.current().database
    try:
        with database.reading() as session:
            held = assigning.held(session, task_id, agent_id)
        if held.renewal_due:
            with database.transaction(durable=False) as session:
                assigning.renew(session, task_id, agent_id)
    except NotAssigned:
        raise Forbidden(NOT_ASSIGNED) from None
    if held.task.file is None:
        raise NotFound("Audio file not found", task_id=task_id)
    return held.task
