"""What came of a training session: its adapter, the whole model made of it, and an Ollama that takes that over."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flask import Response, g
from marshmallow import Schema, fields, validate

from app import context, trained
from app.callbacks import CallbackUrl
from app.http.access import OPERATOR
from app.http.answers import Answer, Shown
from app.http.parsing import MAX_INTEGER, Text, Whole, one_of
from app.http.zips import archived
from app.surfaces import GATEWAY, SurfaceBlueprint
from models.errors import Conflict
from models.llm import sessions

blueprint = SurfaceBlueprint("training_results", surface=GATEWAY, description="Adapters, and models made of them")

DTYPES = ("float32", "bfloat16")
# As Ollama has them: ``name``, ``name:tag``, ``namespace/name:tag``.
_MODEL_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}(/[A-Za-z0-9][A-Za-z0-9._-]{0,79})?(:[A-Za-z0-9][A-Za-z0-9._-]{0,79})?"
_ZIP = Answer(media_types=("application/zip",))
_PATH = "/api/training/sessions/<session_id>"


class Merge(Schema):
    """The type of the whole model's numbers: `float32` answers as base and adapter do, `bfloat16` is half as large."""

    dtype = Text(load_default="bfloat16", maximum=20, validate=one_of(list(DTYPES)))
    callback_url = CallbackUrl()


class MergedShown(Shown):
    """The whole model; ``status`` is queued, merging, completed, failed or cancelled, of the job ``job_id``."""

    job_id = fields.String()
    status = fields.String()
    progress = fields.Float()
    dtype = fields.String()
    size_bytes = fields.Integer(allow_none=True)
    error = fields.Dict(allow_none=True)


class Handover(Schema):
    """The Ollama, by its number among the services, and what the model is to be called there."""

    service_id = Whole(1, MAX_INTEGER, required=True)
    model = Text(
        required=True,
        minimum=1,
        maximum=200,
        validate=validate.Regexp(f"^{_MODEL_NAME}$", error="is no name of a model (name, name:tag or owner/name:tag)"),
    )
    callback_url = CallbackUrl()


class HandoverShown(Shown):
    """The job that gives the model over."""

    job_id = fields.String()
    status = fields.String()


@blueprint.endpoint(f"{_PATH}/adapter", access=OPERATOR, answers={200: _ZIP}, refuses=(409,))
def adapter(session_id: str) -> Response:
    """The adapter as a zip, with its card and the curve of its training."""
    with context.current().database.reading() as session:
        found = sessions.get(session, session_id, visible_to=None)
    if not found.row.files:
        raise Conflict(f"Training session {session_id} is {found.status}; it has no adapter.", status=found.status)
    return _zip(found.row.files, found.row.ended_at or found.row.created_at, session_id)


@blueprint.endpoint(
    f"{_PATH}/merge", access=OPERATOR, methods=("POST",), answers={202: Answer(schema=MergedShown)}, refuses=(409, 503)
)
@blueprint.arguments(Merge)
def merge(body: dict[str, Any], session_id: str) -> tuple[dict[str, Any] | None, int]:
    """Makes one model of base model and adapter, which needs no adapter any more. Asked for again it is not made again.

    In another `dtype` it takes the place of the first.
    """
    return trained.merge(context.current(), g.caller, session_id, **body), 202


@blueprint.endpoint(f"{_PATH}/model", access=OPERATOR, answers={200: _ZIP}, refuses=(409,))
def model(session_id: str) -> Response:
    """The whole model as a zip: safetensors, configuration, tokenizer and card."""
    with context.current().database.reading() as session:
        files = trained.model(session, session_id)
        row = sessions.get(session, session_id, visible_to=None).row
    return _zip(files, row.ended_at or row.created_at, f"{session_id}-merged")


@blueprint.endpoint(
    f"{_PATH}/handover",
    access=OPERATOR,
    methods=("POST",),
    answers={202: Answer(schema=HandoverShown)},
    refuses=(409, 503),
)
@blueprint.arguments(Handover)
def hand_over(body: dict[str, Any], session_id: str) -> tuple[dict[str, str], int]:
    """Gives the whole model to a registered Ollama, where it takes the place of one of the same name."""
    job = trained.hand_over(
        context.current(),
        g.caller,
        session_id,
        service_id=body["service_id"],
        model_name=body["model"],
        callback_url=body["callback_url"],
    )
    return {"job_id": job.id, "status": job.state}, 202


def _zip(files: Mapping[str, Mapping[str, Any]], moment: datetime, name: str) -> Response:
    store = context.current().files
    found = {path: (store.path(each["file"]), each["size_bytes"]) for path, each in files.items()}
    headers = {"Content-Disposition": f'attachment; filename="{name}.zip"'}
    return Response(archived(found, moment), mimetype="application/zip", headers=headers)
