"""How an import is shown: its state, its stages, and what came of it."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, validate

from app.http.answers import Shown
from models import imports
from models.base import iso
from models.jobs.tables import Job


class LicenceShown(Shown):
    """A licence, the words that say so, and what that allows."""

    name = fields.String()
    words = fields.String()
    verdict = fields.String()
    url = fields.String(allow_none=True)


class TopicPreviewed(Shown):
    """A topic of a preview."""

    title = fields.String()
    segment_count = fields.Integer()
    reading_seconds = fields.Float()
    language = fields.String(allow_none=True)
    objectives = fields.List(fields.String())
    begins = fields.String()


class ImportedCourse(Shown):
    """What came of an import."""

    title = fields.String()
    language = fields.String(allow_none=True)
    licence = fields.Nested(LicenceShown, allow_none=True)
    attribution = fields.String()
    authors = fields.List(fields.String())
    topic_count = fields.Integer()
    segment_count = fields.Integer()
    asset_count = fields.Integer()
    image_count = fields.Integer()
    reading_seconds = fields.Float()
    notes = fields.List(fields.String())


class ImportFault(Shown):
    """What went wrong last."""

    code = fields.String()
    message = fields.String(allow_none=True)


class ImportShown(Shown):
    """An import; ``outline`` is of a preview, shown alone."""

    promised = frozenset({"id", "status", "progress", "stages_complete", "current_stage"})

    id = fields.String()
    source = fields.String()
    parameters = fields.Dict()
    status = fields.String(validate=validate.OneOf(list(imports.STATUS.values())))
    progress = fields.Float()
    stages_complete = fields.List(fields.String())
    current_stage = fields.String(allow_none=True)
    dry_run = fields.Boolean()
    curriculum_id = fields.String(allow_none=True)
    course = fields.Nested(ImportedCourse, allow_none=True)
    outline = fields.List(fields.Nested(TopicPreviewed), allow_none=True)
    error = fields.Nested(ImportFault, allow_none=True)
    created_at = fields.DateTime()
    started_at = fields.DateTime(allow_none=True)
    finished_at = fields.DateTime(allow_none=True)


class ParameterShown(Shown):
    """What a source is asked with."""

    name = fields.String()
    type = fields.String()
    description = fields.String()
    required = fields.Boolean()
    example = fields.String(allow_none=True)


class SourceShown(Shown):
    """A source."""

    name = fields.String()
    title = fields.String()
    description = fields.String()
    parameters = fields.List(fields.Nested(ParameterShown))


class FormatShown(Shown):
    """A format, found by what is in a file, whatever it is called."""

    name = fields.String()
    title = fields.String()
    endings = fields.List(fields.String())


class SourceList(Shown):
    """What can be imported from, and in which formats."""

    sources = fields.List(fields.Nested(SourceShown))
    formats = fields.List(fields.Nested(FormatShown))


def shown(job: Job, *, whole: bool = False) -> dict[str, Any]:
    """An import as it is shown; a ``whole`` preview with its outline."""
    result = job.result
    # An import of earlier versions kept no images, and does not say so.
    course = {"image_count": 0} | (result or {})
    asked = {name: value for name, value in job.params["asked"].items() if name not in ("upload", "media_type")}
    if "upload" in job.params["asked"]:
        asked["file"] = asked.pop("name")
    return {
        "id": job.id,
        "source": job.params["source"],
        "parameters": asked,
        "status": imports.STATUS[job.state],
        "progress": round(job.progress, 4),
        "stages_complete": imports.stages_complete(job),
        "current_stage": imports.current_stage(job),
        "dry_run": job.params["dry_run"],
        # Into which one it goes, and in the end which one it made.
        "curriculum_id": (result or {}).get("curriculum_id") or job.params["curriculum_id"],
        "course": None if result is None else {name: course[name] for name in ImportedCourse().fields},
        "outline": result.get("outline") if whole and result is not None else None,
        "error": {"code": job.error_code, "message": job.error_message} if job.error_code else None,
        "created_at": iso(job.created_at),
        "started_at": iso(job.started_at),
        "finished_at": iso(job.finished_at),
    }
