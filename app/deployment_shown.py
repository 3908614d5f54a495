"""How a deployment is shown: its state, and how far each of its voices is."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, validate

from app import context
from app.http.answers import Shown
from models import deployments
from models.base import iso
from models.deployment_plans import VoiceConfig
from models.deployments import VoiceFigures
from models.errors import Invalid
from models.jobs.tables import Job


class VoiceAskedFor(Shown):
    """A voice as it was asked for."""

    voice_id = fields.String()
    provider = fields.String(allow_none=True)
    speed = fields.Float()
    format = fields.String()


class DeployedVoice(VoiceAskedFor):
    """A voice, who speaks it, and how far it is; what is cached is known once it is planned."""

    engine = fields.String(allow_none=True)
    fallback = fields.String(allow_none=True)
    status = fields.String()
    total = fields.Integer()
    cached = fields.Integer(allow_none=True)
    generated = fields.Integer()
    failed = fields.Integer()
    bytes = fields.Integer()
    duration_seconds = fields.Float()
    eta_seconds = fields.Float(allow_none=True)


class ErrorShown(Shown):
    """What went wrong last."""

    code = fields.String()
    message = fields.String(allow_none=True)


class DeploymentShown(Shown):
    """A deployment."""

    id = fields.String()
    curriculum_id = fields.String()
    title = fields.String(allow_none=True)
    status = fields.String(validate=validate.OneOf(deployments.STATUSES))
    progress = fields.Float()
    phase = fields.String(allow_none=True)
    scheduled_time = fields.DateTime(allow_none=True)
    voice_configs = fields.List(fields.Nested(VoiceAskedFor))
    voices = fields.List(fields.Nested(DeployedVoice))
    total_segments = fields.Integer()
    error = fields.Nested(ErrorShown, allow_none=True)
    created_at = fields.DateTime()
    started_at = fields.DateTime(allow_none=True)
    finished_at = fields.DateTime(allow_none=True)


def shown(job: Job, figures: list[VoiceFigures]) -> dict[str, Any]:
    """A deployment as it is shown; ``figures`` are those of its voices."""
    configs = job.params["voice_configs"]
    return {
        "id": job.id,
        "curriculum_id": job.params["curriculum_id"],
        "title": job.params["title"],
        "status": deployments.status(job),
        "progress": round(job.progress, 4),
        "phase": job.phase,
        "scheduled_time": job.params["scheduled_time"],
        "voice_configs": configs,
        "voices": [_figures(job, config, each) for config, each in zip(configs, figures, strict=True)],
        "total_segments": sum(each.total for each in figures),
        "error": {"code": job.error_code, "message": job.error_message} if job.error_code else None,
        "created_at": iso(job.created_at),
        "started_at": iso(job.started_at),
        "finished_at": iso(job.finished_at),
    }


def _figures(job: Job, config: dict[str, Any], figures: VoiceFigures) -> dict[str, Any]:
    return config | {
        **(_speaker(VoiceConfig(**config)) if figures.job is None else _planned_speaker(figures.job)),
        "status": deployments.status(figures.job or job),
        "total": figures.total,
        "cached": figures.cached,
        "generated": figures.generated,
        "failed": figures.job.items_failed if figures.job else 0,
        "bytes": figures.size_bytes,
        "duration_seconds": round(figures.duration_seconds, 3),
        "eta_seconds": figures.eta_seconds,
    }


def _speaker(config: VoiceConfig) -> dict[str, Any]:
    """Who would speak it now; nobody, where the voice has gone from the catalogue since."""
    try:
        resolution = config.resolve(context.current().engines(None))
    except Invalid:
        return {"engine": None, "fallback": None}
    return {"engine": resolution.engine, "fallback": resolution.fallback}


def _planned_speaker(job: Job) -> dict[str, Any]:
    return {name: job.resolution.get(name) for name in ("engine", "fallback")}
