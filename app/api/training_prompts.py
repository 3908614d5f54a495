"""Prompts: what language models are trained with."""

from __future__ import annotations

from typing import Any

from flask import Response, request
from marshmallow import EXCLUDE, Schema, fields, validate

from app import context, prompt_files
from app.http.access import OPERATOR
from app.http.answers import MESSAGE, Answer, Shown
from app.http.offload import offload
from app.http.parsing import Listing, Paging, Text, one_of
from app.prompt_files import needs_an_answer
from app.surfaces import GATEWAY, SurfaceBlueprint
from models.base import iso
from models.llm import prompts
from models.llm.tables import TrainingPrompt
from workers.llm.formats import FORMATS

blueprint = SurfaceBlueprint("training_prompts", surface=GATEWAY, description="What language models are trained with")

_NAME: dict[str, Any] = {"minimum": 1, "maximum": 200, "spoken": True}
_TEXT: dict[str, Any] = {"maximum": 100_000}
_TYPES = {"jsonl": "application/x-ndjson", "sharegpt": "application/json", "alpaca": "application/json"}


class ToolCall(Schema):
    """A tool that the answer is to call."""

    name = Text(required=True, minimum=1, maximum=200)
    arguments = fields.Dict(keys=fields.String(), load_default=dict)


def _listed(field: Any, **kwargs: Any) -> Listing:
    return Listing(field, validate=validate.Length(max=100), **kwargs)


class Said(Schema):
    """A message of a conversation, as models read it."""

    role = Text(required=True, maximum=20, validate=one_of(["user", "assistant", "system", "tool"]))
    content = Text(load_default="", **_TEXT)
    tool_calls = _listed(fields.Nested(ToolCall))


class NewPrompt(Schema):
    """A prompt: an answer needs words or tools that it calls. ``history`` is what was said before ``user_input``."""

    name = Text(required=True, **_NAME)
    category = Text(load_default="", maximum=200)
    system_prompt = Text(load_default="", **_TEXT)
    user_input = Text(required=True, minimum=1, **_TEXT)
    expected_output = Text(load_default="", **_TEXT)
    tool_calls = _listed(fields.Nested(ToolCall), load_default=list)
    history = _listed(fields.Nested(Said), load_default=list)
    tags = _listed(Text(minimum=1, maximum=100), load_default=list)


class ChangedPrompt(Schema):
    """What changes of a prompt; what is not named stays."""

    name = Text(**_NAME)
    category = Text(maximum=200)
    system_prompt = Text(**_TEXT)
    user_input = Text(minimum=1, **_TEXT)
    expected_output = Text(**_TEXT)
    tool_calls = _listed(fields.Nested(ToolCall))
    history = _listed(fields.Nested(Said))
    tags = _listed(Text(minimum=1, maximum=100))


class Which(Paging):
    """Which prompts."""

    category = Text(load_default=None, maximum=200)
    tag = Text(load_default=None, maximum=100)


class Form(Schema):
    """How they are written: our own lines of JSON, ShareGPT, or Alpaca."""

    class Meta:
        unknown = EXCLUDE

    format = Text(load_default="jsonl", maximum=20, validate=one_of(list(FORMATS)))


class PromptShown(Shown):
    """A prompt."""

    id = fields.Integer()
    name = fields.String()
    category = fields.String()
    system_prompt = fields.String()
    user_input = fields.String()
    expected_output = fields.String()
    tool_calls = fields.List(fields.Dict())
    history = fields.List(fields.Dict())
    tags = fields.List(fields.String())
    created_at = fields.DateTime()
    updated_at = fields.DateTime()


class Imported(Shown):
    """The numbers of the prompts that were made."""

    prompt_ids = fields.List(fields.Integer())


PROMPT = Answer(schema=PromptShown)
_PATH = "/api/training/prompts/<int:prompt_id>"


@blueprint.endpoint("/api/training/prompts", access=OPERATOR, answers={200: Answer(schema=PromptShown, many=True)})
@blueprint.arguments(Which, location="query")
def page(query: dict[str, Any]) -> Response | list[dict[str, Any]]:
    """Prompts in the order of their numbers."""
    with context.current().database.snapshot() as session:
        found, _ = prompts.page(session, **query)
    return [shown(prompt) for prompt in found]


@blueprint.endpoint("/api/training/prompts", access=OPERATOR, methods=("POST",), answers={201: PROMPT}, refuses=(409,))
@blueprint.arguments(NewPrompt)
def create(body: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """A new prompt."""
    needs_an_answer(body["expected_output"], body["tool_calls"])
    with context.current().database.transaction() as session:
        return shown(prompts.create(session, body)), 201


@blueprint.endpoint(
    "/api/training/prompts/import",
    access=OPERATOR,
    methods=("POST",),
    answers={201: Answer(schema=Imported)},
    refuses=(409, 413, 422),
)
@blueprint.arguments(Form, location="query")
def take_in(query: dict[str, str]) -> tuple[dict[str, Any], int]:
    """Prompts from a file, which is the body as it is: all of them or, where one cannot be used, none."""
    rows = offload(prompt_files.read, request.get_data(), query["format"], NewPrompt())
    with context.current().database.transaction() as session:
        return {"prompt_ids": prompts.create_all(session, rows)}, 201


@blueprint.endpoint(
    "/api/training/prompts/export",
    access=OPERATOR,
    answers={200: Answer(media_types=tuple(sorted({*_TYPES.values()})))},
)
@blueprint.arguments(Form, location="query")
def give_out(query: dict[str, str]) -> Response:
    """All prompts as a file."""
    with context.current().database.reading() as session:
        found = [prompt_files.kept(each) for each in prompts.everything(session)]
    content = offload(prompt_files.write, found, query["format"])
    ending = "jsonl" if query["format"] == "jsonl" else "json"
    headers = {"Content-Disposition": f'attachment; filename="prompts-{query["format"]}.{ending}"'}
    return Response(content, mimetype=_TYPES[query["format"]], headers=headers)


@blueprint.endpoint(_PATH, access=OPERATOR, answers={200: PROMPT})
def get(prompt_id: int) -> dict[str, Any]:
    """A prompt."""
    with context.current().database.reading() as session:
        return shown(prompts.get(session, prompt_id))


@blueprint.endpoint(_PATH, access=OPERATOR, methods=("PUT",), answers={200: PROMPT}, refuses=(409,))
@blueprint.arguments(ChangedPrompt)
def change(body: dict[str, Any], prompt_id: int) -> dict[str, Any]:
    """Changes a prompt; sessions that were started keep it as it was."""
    with context.current().database.transaction() as session:
        known = prompts.get(session, prompt_id)
        needs_an_answer(body.get("expected_output", known.expected_output), body.get("tool_calls", known.tool_calls))
        return shown(prompts.change(session, prompt_id, body))


@blueprint.endpoint(_PATH, access=OPERATOR, methods=("DELETE",), answers={200: MESSAGE})
def remove(prompt_id: int) -> dict[str, str]:
    """Removes a prompt; sessions that were started keep it."""
    with context.current().database.transaction() as session:
        prompts.remove(session, prompt_id)
    return {"message": f"Prompt {prompt_id} was removed."}


def shown(prompt: TrainingPrompt) -> dict[str, Any]:
    """A prompt as every answer shows one."""
    return {
        "id": prompt.id,
        "name": prompt.name,
        "category": prompt.category,
        "system_prompt": prompt.system_prompt,
        "user_input": prompt.user_input,
        "expected_output": prompt.expected_output,
        "tool_calls": prompt.tool_calls,
        "history": prompt.history,
        "tags": prompt.tags,
        "created_at": iso(prompt.created_at),
        "updated_at": iso(prompt.updated_at),
    }
