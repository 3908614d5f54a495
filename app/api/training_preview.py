"""What a training would learn from, before one is started: the exact text, its tokens, steps and memory."""

from __future__ import annotations

from typing import Any

from flask import Response, g
from marshmallow import Schema, fields, validate

from app import at_once, context, finetuning
from app.api.training_sessions import MAX_PROMPTS, Options
from app.http.access import OPERATOR
from app.http.answers import Answer, Shown
from app.http.parsing import MAX_INTEGER, Listing, Text, Whole
from app.http.waiting import ClientGone
from app.surfaces import GATEWAY, SurfaceBlueprint
from models.errors import Conflict, Invalid, Unavailable
from models.jobs.tables import SUCCEEDED
from models.llm import prompts

blueprint = SurfaceBlueprint("training_preview", surface=GATEWAY, description="What a fine-tuning would learn from")

# Beside speech and recordings: whoever trains is busy for hours.
KIND, LANE = "llm.preview", "listen"
_NOBODY = "Nobody shows what a training learns from: no worker of lane listen (worker_io) is running."


class Preview(Schema):
    """A base model, the options of a training, and prompts (null: all)."""

    base_model = Text(required=True, minimum=1, maximum=200)
    config = Options(keys=fields.String(), load_default=dict)
    prompt_ids = Listing(
        Whole(1, MAX_INTEGER), load_default=None, allow_none=True, validate=validate.Length(min=1, max=MAX_PROMPTS)
    )


class RenderedShown(Shown):
    """A prompt as the base model reads it; ``learned`` is the end of ``text``, all that is learned of it."""

    prompt_id = fields.Integer()
    text = fields.String()
    learned = fields.String()
    tokens = fields.Integer()
    prompt_tokens = fields.Integer()
    truncated = fields.Boolean()
    held_out = fields.Boolean()


class PreviewShown(Shown):
    """The first twenty prompts, and of all of them the figures; ``data_stats`` has ``memory_estimate_bytes``."""

    prompts = fields.List(fields.Nested(RenderedShown))
    data_stats = fields.Dict()
    warnings = fields.List(fields.String())


@blueprint.endpoint(
    "/api/training/preview",
    access=OPERATOR,
    methods=("POST",),
    answers={200: Answer(schema=PreviewShown)},
    refuses=(409, 422, 503),
)
@blueprint.arguments(Preview)
def preview(body: dict[str, Any]) -> Response | dict[str, Any]:
    """What a training would learn from and how much memory it would take, without starting one."""
    finetuning.check_base(body["base_model"])
    here = context.current()
    with here.database.reading() as session:
        chosen = prompts.chosen(session, body["prompt_ids"])
    params = {
        "base_model": finetuning.base_of(here, body["base_model"]),
        "config": body["config"],
        "rows": finetuning.frozen(here, chosen),
    }
    try:
        ended = at_once.done(g.caller, KIND, lane=LANE, params=params, nobody=_NOBODY)
    except ClientGone:
        return Response(status=499)
    if ended["state"] == SUCCEEDED:
        found: dict[str, Any] = ended["result"]
        return found
    error = ended["error"] or {"code": "cancelled", "message": f"Job {ended['id']} was {ended['state']}."}
    match error["code"]:
        case "training_unavailable" | "training_died" | "out_of_memory":
            raise Unavailable(error["message"], retry_after_seconds=60, code=error["code"])
        case "base_model_unavailable" | "cancelled":
            raise Conflict(error["message"], code=error["code"])
    raise Invalid(error["message"], code=error["code"])
