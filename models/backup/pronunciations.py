"""How words are said in every text, in backups; those of a course are in the course's record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from models import pronunciations
from models.backup.section import Change, Key, Record, Section, Stored


class Pronunciations(Section):
    """Words, and how they are said in every text."""

    name = "pronunciations"
    key = ("written",)
    at_once = True

    def read(self, session: Session) -> list[Stored]:
        """Every record, by written form."""
        found, _ = pronunciations.page(session, None)
        return [Stored(entry.id, {"written": entry.written, "spoken": entry.spoken}) for entry in found]

    def add(self, session: Session, record: Record) -> None:
        """Stores a record that is new."""
        self.add_all(session, [record])

    def add_all(self, session: Session, records: Sequence[Record]) -> None:
        """Stores some of what is new."""
        if records:
            pronunciations.put(session, None, {record["written"]: record["spoken"] for record in records})

    def change(self, session: Session, change: Change) -> None:
        """Stores a record in the place of the one that has its key."""
        self.add(session, change.record)

    def remove(self, session: Session, stored: Stored) -> None:
        """The entry counts no more."""
        pronunciations.remove(session, stored.row_id)

    def key_of(self, record: Mapping[str, Any]) -> Key:
        """Which record it is, in any case of letters."""
        return str(record["written"]).lower(), 1
