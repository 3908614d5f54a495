"""What language models are trained with, and where, in backups."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from models.backup.section import Change, Record, Section, Stored
from models.llm import prompts, workers

_PROMPT = (*("name", "category", "system_prompt", "user_input", "expected_output", "tool_calls", "history", "tags"),)


class TrainingPrompts(Section):
    """Prompts; sessions that were started keep theirs, whatever becomes of these."""

    name = "training_prompts"
    key = ("name",)
    at_once = True

    def read(self, session: Session) -> list[Stored]:
        """Every record, oldest first."""
        return [
            Stored(prompt.id, {name: getattr(prompt, name) for name in _PROMPT})
            for prompt in prompts.everything(session)
        ]

    def add(self, session: Session, record: Record) -> None:
        """Stores a record that is new."""
        prompts.create(session, record)

    def add_all(self, session: Session, records: Sequence[Record]) -> None:
        """Stores some of what is new."""
        prompts.create_all(session, records)

    def change(self, session: Session, change: Change) -> None:
        """Stores a record in the place of the one that has its key."""
        prompts.change(session, change.row_id, change.fields)

    def remove(self, session: Session, stored: Stored) -> None:
        """The row is no more."""
        prompts.remove(session, stored.row_id)


class TrainingWorkers(Section):
    """Workers that train, and which of them are drained; each gets a number of its own where it is restored."""

    name = "training_workers"
    key = ("name",)

    def read(self, session: Session) -> list[Stored]:
        """Every record, oldest first."""
        return [
            Stored(known.worker.id, {"name": known.worker.node, "drained": known.worker.drained})
            for known in workers.everything(session)
        ]

    def add(self, session: Session, record: Record) -> None:
        """Stores a record that is new."""
        workers.drain(session, workers.number(session, record["name"]), drained=record["drained"])

    def change(self, session: Session, change: Change) -> None:
        """Stores a record in the place of the one that has its key."""
        workers.drain(session, change.row_id, drained=change.record["drained"])

    def remove(self, session: Session, stored: Stored) -> None:
        """The row is no more; a worker that runs keeps its number, and takes work."""
        workers.remove(session, stored.row_id)
