"""Sections that files have a place for already, of what is not there yet."""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy.orm import Session

from models.backup.section import Change, Record, Section, Stored
from models.errors import Invalid


class Awaited(Section):
    """A section without records, until what it is of is there and has a section of its own in its place."""

    key = ("name",)

    def read(self, session: Session) -> list[Stored]:
        """Nothing."""
        return []

    def add(self, session: Session, record: Record) -> None:
        """Stores nothing.

        Raises:
            Invalid: there is no place for it.
        """
        raise Invalid(f"{self.name}: this installation has none, and no place for them")

    def change(self, session: Session, change: Change) -> None:
        """There is nothing to change."""

    def remove(self, session: Session, stored: Stored) -> None:
        """There is nothing to remove."""


class TrainingPrompts(Awaited):
    """What language models are trained with."""

    name: ClassVar[str] = "training_prompts"


class TrainingWorkers(Awaited):
    """Where language models are trained."""

    name: ClassVar[str] = "training_workers"
