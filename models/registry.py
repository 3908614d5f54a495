"""Every table, imported once, so that ``Base.metadata`` is whole; a new table is named here."""

from models import (
    accounts,
    curricula,
    idempotency,
    pronunciations,
    sessions,
    sign_ins,
    speech_clips,
    speech_pins,
    speech_renditions,
    webhooks,
    workers,
)
from models.base import Base
from models.jobs import tables

__all__ = [
    "Base",
    "accounts",
    "curricula",
    "idempotency",
    "pronunciations",
    "sessions",
    "sign_ins",
    "speech_clips",
    "speech_pins",
    "speech_renditions",
    "tables",
    "webhooks",
    "workers",
]
