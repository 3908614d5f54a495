"""People and groups in backups."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import update
from sqlalchemy.orm import Session

from models.backup.section import Change, Record, Section, Stored
from models.gateway import groups, people
from models.gateway.tables import UserMapping


class UserMappings(Section):
    """People, and what they are called elsewhere."""

    name = "user_mappings"
    key = ("canonical_name",)

    def read(self, session: Session) -> list[Stored]:
        """Every record, by name."""
        names = ("canonical_name", "email", "service_mappings")
        return [
            Stored(person.id, {name: getattr(person, name) for name in names}) for person in people.everybody(session)
        ]

    def add(self, session: Session, record: Record) -> None:
        """Stores a record that is new."""
        people.create(session, record)

    def prepare(self, session: Session, changes: Sequence[Change]) -> Sequence[Change]:
        """The changes, once every address that changes is free: two people may have exchanged theirs."""
        moving = [change.row_id for change in changes if "email" in change.fields]
        session.execute(update(UserMapping).where(UserMapping.id.in_(moving)).values(email=None))
        return changes

    def change(self, session: Session, change: Change) -> None:
        """Stores a record in the place of the one that has its key."""
        people.change(session, change.row_id, change.fields)

    def remove(self, session: Session, stored: Stored) -> None:
        """The row is no more."""
        people.remove(session, stored.row_id)


class Groups(Section):
    """Who may call which tools."""

    name = "groups"
    key = ("name",)
    refers = {"members": "user_mappings"}
    goes_with = True

    def read(self, session: Session) -> list[Stored]:
        """Every record, by name."""
        names = ("name", "description", "tool_permissions")
        return [
            Stored(found.group.id, {name: getattr(found.group, name) for name in names} | {"members": found.members})
            for found in groups.everything(session)
        ]

    def add(self, session: Session, record: Record) -> None:
        """Stores a record that is new."""
        fields = dict(record)
        groups.create(session, fields, fields.pop("members"))

    def change(self, session: Session, change: Change) -> None:
        """Stores a record in the place of the one that has its key."""
        fields = dict(change.fields)
        members = fields.pop("members", None)
        if fields:
            groups.change(session, change.row_id, fields)
        if members is not None:
            groups.set_members(session, change.row_id, members)

    def remove(self, session: Session, stored: Stored) -> None:
        """The row is no more."""
        groups.remove(session, stored.row_id)
