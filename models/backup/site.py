"""Settings of the site in backups: those that somebody chose."""

from __future__ import annotations

from sqlalchemy.orm import Session

from models.backup.section import Change, Record, Section, Stored
from models.gateway import site


class SiteConfig(Section):
    """What administrators chose for the whole site."""

    name = "site_config"
    key = ("name",)

    def read(self, session: Session) -> list[Stored]:
        """Every record, by name."""
        return [Stored(name, {"name": name, "value": value}) for name, value in site.chosen(session).items()]

    def add(self, session: Session, record: Record) -> None:
        """Stores a record that is new."""
        site.choose(session, {record["name"]: record["value"]})

    def change(self, session: Session, change: Change) -> None:
        """Stores a record in the place of the one that has its key."""
        self.add(session, change.record)

    def remove(self, session: Session, stored: Stored) -> None:
        """The default counts again."""
        site.forget(session, stored.row_id)
