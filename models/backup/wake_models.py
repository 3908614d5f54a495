"""Wake-word detectors in backups: what is known of them and their files, without the recordings behind them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from models import wake_models
from models.accounts import Account
from models.backup.section import Change, Record, Section, Stored
from models.base import new_id
from models.wake_models import WakeModel

_PLAIN = ("version", "active", "wake_word", "type", "model_type", "threshold", "report", "files")


class WakeModels(Section):
    """Detectors. In ``files`` each role has its stored ``file`` and ``size_bytes``; a backup has the bytes."""

    name = "wake_models"
    key = ("wake_word", "version")
    refers = {"owner": "users"}

    def count(self, session: Session) -> int:
        """How many records ``read`` gives."""
        return session.scalar(select(func.count()).select_from(WakeModel)) or 0

    def read(self, session: Session) -> list[Stored]:
        """Every record, by word."""
        query = (
            select(WakeModel, Account.username)
            .outerjoin(Account, Account.id == WakeModel.account_id)
            .order_by(WakeModel.slug, WakeModel.version)
        )
        return [
            Stored(model.name, {name: getattr(model, name) for name in _PLAIN} | {"owner": owner})
            for model, owner in session.execute(query)
        ]

    def add(self, session: Session, record: Record) -> None:
        """Stores a record that is new; its files are stored already."""
        slug = wake_models.slug_of(record["wake_word"])
        _make_room(session, slug, record)
        fields = {name: record[name] for name in _PLAIN}
        owner = _account_id(session, record["owner"])
        session.add(WakeModel(id=new_id("wake_"), slug=slug, recordings=[], account_id=owner, **fields))
        session.flush()

    def change(self, session: Session, change: Change) -> None:
        """Stores a record in the place of the one that has its key."""
        model = wake_models.find(session, change.row_id)
        _make_room(session, model.slug, change.fields)
        for name, value in change.fields.items():
            if name == "owner":
                model.account_id = _account_id(session, value)
            else:
                setattr(model, name, value)
        session.flush()

    def remove(self, session: Session, stored: Stored) -> None:
        """The row is no more."""
        wake_models.remove(session, stored.row_id)

    def key_of(self, record: Any) -> tuple[Any, ...]:
        """Which record it is."""
        return wake_models.slug_of(record["wake_word"]), record["version"], 1

    def label(self, record: Any) -> str:
        """Which record it is, for people."""
        return "@".join(map(str, self.key_of(record)[:2]))


def _make_room(session: Session, slug: str, fields: Record) -> None:
    """Of a word one version is the active one."""
    wake_models.hold(session, slug)
    if fields.get("active"):
        others = update(WakeModel).where(WakeModel.slug == slug, WakeModel.active)
        session.execute(others.values(active=False), execution_options={"synchronize_session": "fetch"})


def _account_id(session: Session, username: str | None) -> str | None:
    return None if username is None else session.scalar(select(Account.id).where(Account.username == username))
