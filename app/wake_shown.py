"""How trainings and models of wake words are shown, in the words of their document."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from marshmallow import fields, validate

from app.http.answers import Shown
from app.wake_points import operating_point
from models.base import iso, utc_now
from models.jobs.tables import CANCELLED, FAILED, PAUSED, QUEUED, SUCCEEDED, Job
from models.wake_models import TYPES, WakeModel
from models.wake_trainings import STATUS, WakeTraining

_PHASES = {
    QUEUED: "Waiting for a worker",
    PAUSED: "Paused",
    SUCCEEDED: "Completed",
    FAILED: "Failed",
    CANCELLED: "Cancelled",
}
_FIGURES = ("accuracy", "f1_score", "precision", "recall")
_STATUSES = validate.OneOf(list(STATUS.values()))


class Fault(Shown):
    """What went wrong last."""

    code = fields.String()
    message = fields.String(allow_none=True)


class TrainingListed(Shown):
    """A training in a list."""

    promised = frozenset({"job_id", "wake_word", "status", "created_at"})

    job_id = fields.String()
    wake_word = fields.String()
    status = fields.String(validate=_STATUSES)
    created_at = fields.DateTime()
    progress = fields.Float()
    model_id = fields.String(allow_none=True)


class TrainingShown(TrainingListed):
    """A training: how far it is, how it goes, and which model came of it."""

    promised = frozenset(
        {"job_id", "status", "phase", "progress", "current_epoch", "total_epochs", "metrics", "data_stats"}
    ) | {"elapsed_time"}

    phase = fields.String()
    current_epoch = fields.Integer()
    total_epochs = fields.Integer()
    metrics = fields.Dict()
    data_stats = fields.Dict()
    elapsed_time = fields.String()
    history = fields.List(fields.Dict())
    warnings = fields.List(fields.String())
    model_type_requested = fields.String()
    model_type_used = fields.String()
    reason = fields.String()
    error = fields.Nested(Fault, allow_none=True)
    started_at = fields.DateTime(allow_none=True)
    finished_at = fields.DateTime(allow_none=True)


class ModelListed(Shown):
    """A model in a list."""

    promised = frozenset({"id", "wake_word", "type", "created_at", "accuracy", "f1_score", "threshold"})

    id = fields.String()
    wake_word = fields.String()
    type = fields.String(validate=validate.OneOf(list(TYPES)))
    created_at = fields.DateTime()
    accuracy = fields.Float()
    f1_score = fields.Float()
    threshold = fields.Float()
    version = fields.Integer()
    active = fields.Boolean()
    model_type = fields.String()
    size_bytes = fields.Integer()


class ModelList(Shown):
    """Models, newest first."""

    models = fields.List(fields.Nested(ModelListed))
    total = fields.Integer()


class PointShown(Shown):
    """What happens at a threshold; ``misses`` (0..1) by condition."""

    threshold = fields.Float()
    per_hour = fields.Float()
    events = fields.Integer()
    hours = fields.Float()
    bound_per_hour = fields.Float(allow_none=True)
    misses = fields.Dict()


class ModelShown(ModelListed):
    """A model, with all that is known of it but its curve."""

    promised = frozenset(
        {"id", "wake_word", "type", "created_at", "threshold", "metrics", "training_config", "trainable_params"}
    ) | {"has_onnx"}

    name = fields.String()
    metrics = fields.Dict()
    training_config = fields.Dict()
    trainable_params = fields.Integer()
    has_onnx = fields.Boolean()
    files = fields.Dict()
    model_type_requested = fields.String()
    model_type_used = fields.String()
    reason = fields.String()
    operating_point = fields.Nested(PointShown, allow_none=True)
    operating_points = fields.List(fields.Dict())
    near_words = fields.List(fields.Dict())
    data_stats = fields.Dict()
    warnings = fields.List(fields.String())
    job_id = fields.String(allow_none=True)


def listed(job: Job, training: WakeTraining) -> dict[str, Any]:
    """A training as lists show it."""
    return {
        "job_id": job.id,
        "wake_word": training.wake_word,
        "status": STATUS[job.state],
        "created_at": iso(job.created_at),
        "progress": 100.0 if job.state == SUCCEEDED else round(100 * job.progress, 1),
        "model_id": (job.result or {}).get("model_id"),
    }


def training_shown(job: Job, training: WakeTraining) -> dict[str, Any]:
    """A training."""
    detail = training.detail
    resolved = {"model_type_used": job.params["model_type"], "reason": ""} | job.resolution | (job.result or {})
    return listed(job, training) | {
        "phase": _PHASES.get(job.state) or job.phase or "Starting",
        "current_epoch": detail.get("current_epoch", 0),
        "total_epochs": detail.get("total_epochs", job.params["options"]["num_epochs"]),
        "metrics": detail.get("metrics", {}),
        "data_stats": detail.get("data_stats", {}),
        "elapsed_time": _elapsed(job),
        "history": detail.get("history", []),
        "warnings": detail.get("warnings", []),
        "model_type_requested": job.params["model_type"],
        "model_type_used": resolved["model_type_used"],
        "reason": resolved["reason"],
        "error": {"code": job.error_code, "message": job.error_message} if job.error_code else None,
        "started_at": iso(job.started_at),
        "finished_at": iso(job.finished_at),
    }


def model_listed(model: WakeModel, *, name: str | None = None) -> dict[str, Any]:
    """A model as lists show it, by the name it was asked for; without one by its word."""
    metrics = model.report.get("metrics", {})
    return {
        "id": name or model.slug,
        "wake_word": model.wake_word,
        "type": model.type,
        "created_at": iso(model.created_at),
        "accuracy": metrics.get("accuracy", 0.0),
        "f1_score": metrics.get("f1_score", 0.0),
        "threshold": model.threshold,
        "version": model.version,
        "active": model.active,
        "model_type": model.model_type,
        "size_bytes": model.size_bytes,
    }


def model_shown(model: WakeModel, *, name: str | None = None) -> dict[str, Any]:
    """A model."""
    report = model.report
    metrics = report.get("metrics", {})
    return model_listed(model, name=name) | {
        "name": model.name,
        "metrics": {figure: metrics.get(figure, 0.0) for figure in _FIGURES},
        "training_config": report.get("training_config", {}),
        "trainable_params": report.get("trainable_params", 0),
        "has_onnx": "onnx" in model.files,
        "files": {role: each["size_bytes"] for role, each in model.files.items()},
        "model_type_requested": report.get("model_type_requested", model.model_type),
        "model_type_used": report.get("model_type_used", model.model_type),
        "reason": report.get("reason", ""),
        "operating_point": operating_point(report, model.threshold),
        "operating_points": report.get("operating_points", []),
        "near_words": report.get("near_words", []),
        "data_stats": report.get("data_stats", {}),
        "warnings": report.get("warnings", []),
        "job_id": model.job_id,
    }


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """The second model's figures less the first one's, of two as they are shown."""
    found = {name: second["metrics"][name] - first["metrics"][name] for name in _FIGURES}
    found |= {name: second[name] - first[name] for name in ("threshold", "size_bytes", "trainable_params")}
    one, other = first["operating_point"], second["operating_point"]
    if one and other:
        found["per_hour"] = other["per_hour"] - one["per_hour"]
        both = one["misses"].keys() & other["misses"].keys()
        found |= {f"misses_{name}": other["misses"][name] - one["misses"][name] for name in sorted(both)}
    return {name: round(value, 5) for name, value in found.items()}


def _elapsed(job: Job) -> str:
    """How long it has been at work, or was: ``5m 23s``."""
    if job.started_at is None:
        return "0m 0s"
    took = (job.finished_at or utc_now()) - job.started_at
    minutes, seconds = divmod(max(0, took // timedelta(seconds=1)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes}m {seconds}s" if hours else f"{minutes}m {seconds}s"
