"""Every table, imported once, so that ``Base.metadata`` is whole; a new table is named here."""

from models import accounts, curricula, pronunciations, speech_clips, speech_renditions, workers
from models.base import Base
from models.jobs import tables

__all__ = [
    "Base",
    "accounts",
    "curricula",
    "pronunciations",
    "speech_clips",
    "speech_renditions",
    "tables",
    "workers",
]
