"""Outside services in backups; their keys are secrets."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from sqlalchemy.orm import Session

from models.backup.section import Change, Record, Section, Stored
from models.gateway import services
from models.gateway.tables import Service
from models.gateway.vault import Unreadable


class Services(Section):
    """How outside services are reached."""

    name = "services"
    key = ("name",)
    secrets = ("api_key",)

    def __init__(self, secret_key: str) -> None:
        self._secret_key = secret_key

    def read(self, session: Session) -> list[Stored]:
        """Every record, oldest first."""
        return [Stored(service.id, self._record(service)) for service in services.everything(session)]

    def add(self, session: Session, record: Record) -> None:
        """Stores a record that is new."""
        services.create(session, self._row(record))

    def change(self, session: Session, change: Change) -> None:
        """Stores a record in the place of the one that has its key."""
        services.change(session, change.row_id, self._row(change.fields))

    def remove(self, session: Session, stored: Stored) -> None:
        """The row is no more."""
        services.remove(session, stored.row_id)

    def lacking(self, record: Record) -> str | None:
        """That its key is not in the file."""
        if "api_key" in record:
            return None
        return f"services: {record['name']!r} came without a key; if it takes one, enter it (PUT /api/services/…)."

    def _record(self, service: Service) -> Record:
        record = {name: getattr(service, name) for name in ("name", "type", "url", "enabled", "config")}
        # What was stored under another SECRET_KEY nobody knows any more.
        with suppress(Unreadable):
            record["api_key"] = services.key_of(service, self._secret_key)
        return record

    def _row(self, record: Record) -> dict[str, Any]:
        row = dict(record)
        if "api_key" in row:
            key = row.pop("api_key")
            row["sealed_key"] = services.seal_key(key, self._secret_key) if key else None
        return row
