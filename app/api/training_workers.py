"""The workers that train language models, and the base models that they find here."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from app import context, finetuning
from app.http.access import OPERATOR
from app.http.answers import Answer, Shown
from app.http.offload import offload
from app.http.parsing import Flag
from app.surfaces import GATEWAY, SurfaceBlueprint
from models.base import iso
from models.llm import workers
from models.llm.workers import LANE, Known, lane_of
from tasks import submit
from workers.llm import bases

blueprint = SurfaceBlueprint("training_workers", surface=GATEWAY, description="Who trains language models, and which")


class Drain(Schema):
    """Whether it is given nothing more; what it does it finishes."""

    drained = Flag(load_default=True)


class WorkerShown(Shown):
    """A worker. ``waiting`` counts the sessions that wait for it alone."""

    id = fields.Integer()
    name = fields.String()
    host = fields.String(allow_none=True)
    status = fields.String()
    device = fields.String(allow_none=True)
    gpu = fields.Dict(allow_none=True)
    memory_bytes = fields.Integer(allow_none=True)
    current_session = fields.String(allow_none=True)
    waiting = fields.Integer()
    last_heartbeat = fields.DateTime(allow_none=True)


class BaseShown(Shown):
    """A base model that is at hand."""

    id = fields.String()
    name = fields.String()
    format = fields.String()
    parameters = fields.Integer()
    size_bytes = fields.Integer()
    context_tokens = fields.Integer()
    licence = fields.String(allow_none=True)
    quantized = fields.String(allow_none=True)


@blueprint.endpoint("/api/training/workers", access=OPERATOR, answers={200: Answer(schema=WorkerShown, many=True)})
def everything() -> list[dict[str, Any]]:
    """All workers by number; one that was lost keeps its number for when it comes back."""
    with context.current().database.snapshot() as session:
        return [_shown(known) for known in workers.everything(session)]


@blueprint.endpoint(
    "/api/training/workers/<int:worker_id>/drain",
    access=OPERATOR,
    methods=("POST",),
    answers={200: Answer(schema=WorkerShown)},
)
@blueprint.arguments(Drain)
def drain(body: dict[str, bool], worker_id: int) -> dict[str, Any]:
    """Gives a worker nothing more, or (`drained` false) work again; it stays so over restarts."""
    with context.current().database.transaction() as session:
        known = workers.drain(session, worker_id, drained=body["drained"])
    submit.consume(known.worker.node, (lane_of(worker_id), LANE), wanted=not body["drained"])
    return _shown(known)


@blueprint.endpoint("/api/training/base-models", access=OPERATOR, answers={200: Answer(schema=BaseShown, many=True)})
def base_models() -> list[dict[str, Any]]:
    """The base models that are here."""
    found = offload(bases.at_hand, finetuning.folder_of_bases(context.current()))
    shown = ("id", "name", "format", "parameters", "size_bytes", "context_tokens", "licence", "quantized")
    return [{name: getattr(base, name) for name in shown} for base in found]


def _shown(known: Known) -> dict[str, Any]:
    state = known.state
    status = (
        "drained" if known.worker.drained else "offline" if not known.online else "busy" if known.session_id else "idle"
    )
    return {
        "id": known.worker.id,
        "name": known.worker.node,
        "host": state.host if state else None,
        "status": status,
        "device": state.device if state else None,
        "gpu": state.gpu if state else None,
        "memory_bytes": state.memory_bytes if state else None,
        "current_session": known.session_id,
        "waiting": known.waiting,
        "last_heartbeat": iso(state.heartbeat_at) if state else None,
    }
