"""Every table, imported once, so that ``Base.metadata`` is whole; a new table is named here."""

from models import (
    accounts,
    audit,
    curricula,
    curriculum_assets,
    error_reports,
    idempotency,
    pronunciations,
    sessions,
    sign_ins,
    speech_clips,
    speech_pins,
    speech_renditions,
    wake_captures,
    wake_models,
    wake_trainings,
    webhooks,
    workers,
)
from models.base import Base
from models.gateway import tables as gateway
from models.jobs import tables
from models.llm import tables as llm
from models.metrics import hours
from models.transcription import tables as transcription

__all__ = [
    "Base",
    "accounts",
    "audit",
    "curricula",
    "curriculum_assets",
    "error_reports",
    "gateway",
    "hours",
    "idempotency",
    "llm",
    "pronunciations",
    "sessions",
    "sign_ins",
    "speech_clips",
    "speech_pins",
    "speech_renditions",
    "tables",
    "transcription",
    "wake_captures",
    "wake_models",
    "wake_trainings",
    "webhooks",
    "workers",
]
