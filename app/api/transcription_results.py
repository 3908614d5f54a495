"""What came of it: where two texts differ it is decided what is right, and all of it is taken away."""

from __future__ import annotations

from typing import Any

from flask import Response
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validates_schema

from app import context
from app.api.transcribing import MAX_TRANSCRIPTION
from app.api.transcription_tasks import TaskShown, task_shown
from app.http.access import OPERATOR
from app.http.answers import Answer, Shown, page_of
from app.http.parsing import MAX_EXACT_INTEGER, Paging, Text, Whole, one_of
from app.surfaces import TRANSCRIPTION, SurfaceBlueprint
from app.transcript_exports import FORMATS
from models.transcription import quality

blueprint = SurfaceBlueprint("transcription_results", surface=TRANSCRIPTION, description="Finished transcripts")


class Decision(Schema):
    """What is right: a text, or that of one of the annotations."""

    transcription = Text(load_default=None, allow_none=True, maximum=MAX_TRANSCRIPTION, spoken=True)
    annotation_id = Whole(1, MAX_EXACT_INTEGER, load_default=None, allow_none=True)

    @validates_schema
    def one_of_both(self, data: dict[str, Any], **_: Any) -> None:
        """Exactly one is given."""
        if (data["transcription"] is None) == (data["annotation_id"] is None):
            raise ValidationError("give either transcription or annotation_id", "transcription")


class Export(Schema):
    """In which format."""

    class Meta:
        unknown = EXCLUDE

    format = Text(load_default="json", maximum=20, validate=one_of(list(FORMATS)))


class TextOfTask(Shown):
    """One of a task's texts."""

    annotation_id = fields.Integer()
    agent_id = fields.Integer()
    transcription = fields.String()


class ToReview(TaskShown):
    """A task whose two texts differ: by these shares of words and of characters."""

    word_difference = fields.Float()
    character_difference = fields.Float()
    annotations = fields.List(fields.Nested(TextOfTask))


@blueprint.endpoint(
    "/api/transcription/review", access=OPERATOR, answers={200: page_of("tasks", ToReview, "ToReviewPage")}
)
@blueprint.arguments(Paging, location="query")
def list_review(query: dict[str, Any]) -> dict[str, Any]:
    """Tasks whose two texts differ, those that differ most first; `…/tasks/{id}/decide` says what is right."""
    with context.current().database.snapshot() as session:
        found, total = quality.to_review(session, **query)
        rows = [
            task_shown(task)
            | {"word_difference": task.word_difference, "character_difference": task.character_difference}
            | {
                "annotations": [
                    {"annotation_id": each.id, "agent_id": each.agent_id, "transcription": each.text} for each in texts
                ]
            }
            for task, texts in found
        ]
    return {"tasks": rows, "total": total, **query}


@blueprint.endpoint(
    "/api/transcription/tasks/<int:task_id>/decide",
    access=OPERATOR,
    methods=("POST",),
    answers={200: Answer(schema=TaskShown)},
    refuses=(409,),
    audited=True,
)
@blueprint.arguments(Decision)
def decide_task(body: dict[str, Any], task_id: int) -> dict[str, Any]:
    """Says what is right where two texts differ, or where one is wrong; what was earned stays."""
    with context.current().database.transaction() as session:
        task = quality.decide(session, task_id, text=body["transcription"], annotation_id=body["annotation_id"])
        return task_shown(task)


@blueprint.endpoint(
    "/api/transcription/export",
    access=OPERATOR,
    answers={
        200: Answer(media_types=("application/json", "application/zip", "text/csv"), description="The transcripts")
    },
)
@blueprint.arguments(Export, location="query")
def export(query: dict[str, Any]) -> Response:
    """Every task that is done and decided: `json`, `csv`, a `kaldi` folder, Hugging Face's `audiofolder`, `webvtt`."""
    here, chosen = context.current(), FORMATS[query["format"]]
    response = Response(chosen.write(here.database, here.files), mimetype=chosen.media_type)
    response.headers["Content-Disposition"] = f"attachment; filename={chosen.file_name}"
    return response
