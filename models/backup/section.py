"""A section of a backup: the records of one table, known by natural keys, and how they are written."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy.orm import Session

# JSON, secrets in clear; a secret that nobody knows is no field of it.
Record = dict[str, Any]
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Stored:
    """A record, and the row that it is of."""

    row_id: Any
    record: Record


@dataclass(frozen=True)
class Change:
    """What becomes of a row: ``fields`` are those that differ."""

    row_id: Any
    record: Record
    fields: Record


class Section(ABC):
    """One table's part of a backup.

    Attributes:
        name: As it is called in files.
        key: The fields that say which record it is; no ids.
        secrets: The fields that no file holds in clear.
        refers: Fields that hold the name (or names) of records of other sections, and of which.
        goes_with: Whether its rows go when those that they refer to do.
        grows_first: Whether nothing may go before what is new is there.
        at_once: Whether all that is new is stored in one go.
    """

    name: ClassVar[str]
    key: ClassVar[tuple[str, ...]]
    secrets: ClassVar[tuple[str, ...]] = ()
    refers: ClassVar[Mapping[str, str]] = {}
    goes_with: ClassVar[bool] = False
    grows_first: ClassVar[bool] = False
    at_once: ClassVar[bool] = False

    @abstractmethod
    def read(self, session: Session) -> list[Stored]:
        """Every record, in an order that is always the same."""

    @abstractmethod
    def add(self, session: Session, record: Record) -> None:
        """Stores a record that is new."""

    @abstractmethod
    def change(self, session: Session, change: Change) -> None:
        """Stores a record in the place of the one that has its key."""

    @abstractmethod
    def remove(self, session: Session, stored: Stored) -> None:
        """The row is no more."""

    def add_all(self, session: Session, records: Sequence[Record]) -> None:
        """Stores some of what is new."""
        for record in records:
            self.add(session, record)

    def count(self, session: Session) -> int:
        """How many records ``read`` gives."""
        return len(self.read(session))

    def prepare(self, session: Session, changes: Sequence[Change]) -> Sequence[Change]:
        """The changes in the order in which they can be made, with whatever stood in their way gone."""
        return changes

    def unusable(self, record: Record) -> str | None:
        """Why a record that is new cannot be stored; it is passed over."""
        return None

    def lacking(self, record: Record) -> str | None:
        """What somebody has to see to, of a record that is new."""
        return None

    def key_of(self, record: Mapping[str, Any]) -> Key:
        """Which record it is."""
        return *(record.get(name) for name in self.key), record.get("copy", 1)

    def label(self, record: Mapping[str, Any]) -> str:
        """Which record it is, for people."""
        return " / ".join(str(part) for part in self.key_of(record)[:-1])

    def find(self, record: Record, known: dict[Key, Stored]) -> Stored | None:
        """The row that a record is of, which is taken out of those that are known; None of a new one."""
        return known.pop(self.key_of(record), None)

    def referred(self, record: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
        """The field, the other section and the name of each record that this one refers to."""
        for field, section in self.refers.items():
            said = record.get(field)
            names = said if isinstance(said, list) else [] if said is None else [said]
            yield from ((field, section, name) for name in names)


def number_copies(section: Section, found: Iterable[Stored]) -> list[Stored]:
    """Records in the order of their keys; those that share one are told apart by a number (``copy``)."""

    def order(stored: Stored) -> tuple[str, str]:
        key = json.dumps(section.key_of(stored.record), default=str)
        return key, json.dumps(stored.record, sort_keys=True, default=str)

    numbered: list[Stored] = []
    counts: dict[Key, int] = {}
    for stored in sorted(found, key=order):
        key = section.key_of(stored.record)
        counts[key] = number = counts.get(key, 0) + 1
        copy = {"copy": number} if number > 1 else {}
        numbered.append(Stored(stored.row_id, stored.record | copy))
    return numbered


def moment(said: str | None) -> datetime | None:
    """A point in time as ``models.base.iso`` writes it."""
    return None if said is None else datetime.fromisoformat(said)
