"""Every table, imported once, so that ``Base.metadata`` is whole; a new table is named here."""

from models import accounts, curricula, speech_clips, workers
from models.base import Base
from models.jobs import tables

__all__ = ["Base", "accounts", "curricula", "speech_clips", "tables", "workers"]
