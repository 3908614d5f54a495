"""Training sessions: made, started once, watched, cancelled; their adapters."""

from __future__ import annotations

from typing import Any

from flask import g
from marshmallow import Schema, ValidationError, fields, validate

from app import context, finetuning
from app.callbacks import CallbackUrl
from app.finetuning import progress_of, shown
from app.http.access import OPERATOR
from app.http.answers import MESSAGE, Answer, Shown
from app.http.parsing import MAX_INTEGER, Listing, Paging, Text, Whole
from app.surfaces import GATEWAY, SurfaceBlueprint
from models.llm import curves, merged, sessions
from workers.llm.config import Config

blueprint = SurfaceBlueprint("training_sessions", surface=GATEWAY, description="Fine-tuning of language models")

MAX_PROMPTS = 100_000


class Options(fields.Dict):
    """What can be chosen of a training, as ``workers.llm.config`` has it."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        given: Any = super()._deserialize(value, attr, data, **kwargs)  # type: ignore[no-untyped-call]
        try:
            Config.of(given)
        except ValueError as fault:
            raise ValidationError(str(fault)) from None
        return given


class NewSession(Schema):
    """A session; nothing is trained before it is started."""

    name = Text(required=True, minimum=1, maximum=200, spoken=True)
    description = Text(load_default="", maximum=10_000)
    base_model = Text(required=True, minimum=1, maximum=200)
    config = Options(keys=fields.String(), load_default=dict)


class Start(Schema):
    """On which worker (null: any), and what is learned (null: all prompts)."""

    worker_id = Whole(1, MAX_INTEGER, load_default=None, allow_none=True)
    prompt_ids = Listing(
        Whole(1, MAX_INTEGER), load_default=None, allow_none=True, validate=validate.Length(min=1, max=MAX_PROMPTS)
    )
    callback_url = CallbackUrl()


class SessionShown(Shown):
    """A session. ``config`` has every option, also those that nobody chose."""

    id = fields.String()
    name = fields.String()
    description = fields.String()
    base_model = fields.String()
    config = fields.Dict()
    status = fields.String()
    progress = fields.Float()
    worker_id = fields.Integer(allow_none=True)
    prompt_ids = fields.List(fields.Integer(), allow_none=True)
    dataset_sha256 = fields.String(allow_none=True)
    created_at = fields.DateTime()
    started_at = fields.DateTime(allow_none=True)
    ended_at = fields.DateTime(allow_none=True)
    error = fields.Dict(allow_none=True)


class SessionWhole(SessionShown):
    """A session with all that is known of its training."""

    loss_history = fields.List(fields.Dict())
    data_stats = fields.Dict(allow_none=True)
    report = fields.Dict(allow_none=True)
    warnings = fields.List(fields.String())
    files = fields.List(fields.Dict())
    merged = fields.Dict(allow_none=True)


class StatusShown(Shown):
    """How far a session is. ``progress`` 0 to 100; epochs count from 1; ``loss`` is null before the first step."""

    promised = frozenset(
        ("session_id", "status", "progress", "current_epoch", "total_epochs", "loss", "gpu_utilization")
    )

    session_id = fields.String()
    status = fields.String()
    progress = fields.Float()
    current_epoch = fields.Integer()
    total_epochs = fields.Integer()
    loss = fields.Float(allow_none=True)
    gpu_utilization = fields.Float(allow_none=True)
    phase = fields.String(allow_none=True)
    step = fields.Integer(allow_none=True)
    max_steps = fields.Integer(allow_none=True)
    eta_seconds = fields.Integer(allow_none=True)
    queue_position = fields.Integer(allow_none=True)
    error = fields.Dict(allow_none=True)


SESSION, STATUS = Answer(schema=SessionShown), Answer(schema=StatusShown)
_PATH = "/api/training/sessions/<session_id>"


@blueprint.endpoint("/api/training/sessions", access=OPERATOR, answers={200: Answer(schema=SessionShown, many=True)})
@blueprint.arguments(Paging, location="query")
def page(query: dict[str, int]) -> list[dict[str, Any]]:
    """Sessions, newest first."""
    with context.current().database.snapshot() as session:
        found, _ = sessions.page(session, visible_to=None, **query)
        return [shown(each) for each in found]


@blueprint.endpoint("/api/training/sessions", access=OPERATOR, methods=("POST",), answers={201: SESSION})
@blueprint.arguments(NewSession)
def create(body: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """A new session."""
    finetuning.check_base(body["base_model"])
    with context.current().database.transaction() as session:
        return shown(sessions.create(session, body, account_id=g.caller.account_id)), 201


@blueprint.endpoint(_PATH, access=OPERATOR, answers={200: Answer(schema=SessionWhole)})
def get(session_id: str) -> dict[str, Any]:
    """A session with its losses, what it learned from, and what came of it."""
    with context.current().database.snapshot() as session:
        found = sessions.get(session, session_id, visible_to=None)
        detail = found.row.detail
        return shown(found) | {
            "loss_history": curves.whole(session, session_id),
            "data_stats": detail.get("data_stats"),
            "report": detail.get("report"),
            "warnings": detail.get("warnings", []),
            "files": [
                {"name": name, "size_bytes": about["size_bytes"]} for name, about in sorted(found.row.files.items())
            ],
            "merged": merged.status(session, found.row),
        }


@blueprint.endpoint(
    f"{_PATH}/start", access=OPERATOR, methods=("POST",), answers={200: STATUS}, refuses=(404, 409, 503)
)
@blueprint.arguments(Start)
def start(body: dict[str, Any], session_id: str) -> dict[str, Any]:
    """Starts a session, once; what it learns from stays as it is at this moment. A busy worker's work comes first."""
    here = context.current()
    finetuning.start(here, g.caller, session_id, **body)
    return _status(session_id)


@blueprint.endpoint(f"{_PATH}/status", access=OPERATOR, answers={200: STATUS})
def status(session_id: str) -> dict[str, Any]:
    """How far a session is."""
    return _status(session_id)


@blueprint.endpoint(f"{_PATH}/cancel", access=OPERATOR, methods=("POST",), answers={200: STATUS}, refuses=(409,))
def cancel(session_id: str) -> dict[str, Any]:
    """Cancels a session, whatever it is at; its process is gone within seconds."""
    with context.current().database.transaction() as session:
        sessions.cancel(session, session_id, visible_to=None)
    return _status(session_id)


@blueprint.endpoint(_PATH, access=OPERATOR, methods=("DELETE",), answers={200: MESSAGE}, refuses=(409,))
def remove(session_id: str) -> dict[str, str]:
    """Removes a session that is not at work, with its adapter."""
    with context.current().database.transaction() as session:
        sessions.remove(session, session_id, visible_to=None)
    return {"message": f"Training session {session_id} was removed."}


def _status(session_id: str) -> dict[str, Any]:
    with context.current().database.snapshot() as session:
        return progress_of(session, sessions.get(session, session_id, visible_to=None))
