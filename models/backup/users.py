"""Accounts and API keys in backups; hashes of passwords and digests of keys are secrets."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import accounts, unique, users
from models.accounts import Account, ApiKey
from models.backup.section import Change, Key, Record, Section, Stored, moment, number_copies
from models.base import iso, new_id

# No hash of anything: nobody signs in until there is a password.
_NO_PASSWORD = "!"


class Users(Section):
    """Who may sign in. Whoever imports stays signed in by ``keep_sign_in``."""

    name = "users"
    key = ("username",)
    secrets = ("password_hash",)
    grows_first = True

    def __init__(self, keep_sign_in: str | None) -> None:
        self._keep_sign_in = keep_sign_in

    def read(self, session: Session) -> list[Stored]:
        """Every record, by name."""
        return [
            Stored(
                account.id,
                {
                    "username": account.username,
                    "role": account.role,
                    "email": account.email,
                    "disabled": account.disabled,
                    "password_hash": None if account.password_hash == _NO_PASSWORD else account.password_hash,
                },
            )
            for account in session.scalars(select(Account).order_by(Account.username))
        ]

    def add(self, session: Session, record: Record) -> None:
        """Stores a record that is new."""
        fields = dict(record)
        disabled, known = fields.pop("disabled"), fields.pop("password_hash", None)
        account = accounts.store(session, password_hash=known or _NO_PASSWORD, **fields)
        account.disabled = disabled
        session.flush()

    def prepare(self, session: Session, changes: Sequence[Change]) -> Sequence[Change]:
        """The changes; first of those who can administer after them, so that there is always somebody who can."""
        return sorted(changes, key=lambda change: change.record["role"] != "admin" or change.record["disabled"])

    def change(self, session: Session, change: Change) -> None:
        """Stores a record in the place of the one that has its key."""
        fields = dict(change.fields)
        if "password_hash" in fields:
            fields["password_hash"] = fields["password_hash"] or _NO_PASSWORD
        users.change(session, change.row_id, fields, keep_sign_in=self._keep_sign_in)

    def remove(self, session: Session, stored: Stored) -> None:
        """The row is no more, nor are the keys."""
        users.remove(session, stored.row_id)
        session.flush()

    def lacking(self, record: Record) -> str | None:
        """Whoever has no password cannot sign in."""
        if record.get("password_hash"):
            return None
        return f"User {record['username']!r} has no password: nobody signs in by that name until one is set."


class ApiKeys(Section):
    """Credentials of programs. What is known of one opens nothing; its digest recognises it."""

    name = "api_keys"
    key = ("user", "name", "created_at")
    secrets = ("digest",)
    refers = {"user": "users"}
    goes_with = True

    def read(self, session: Session) -> list[Stored]:
        """Every record, by its user."""
        return number_copies(
            self,
            [
                Stored(
                    key.id,
                    {
                        "user": username,
                        "name": key.name,
                        "role": key.role,
                        "agent_id": key.agent_id,
                        "created_at": iso(key.created_at),
                        "expires_at": iso(key.expires_at),
                        "digest": key.digest,
                    },
                )
                for key, username in accounts.keys(session)
            ],
        )

    def add(self, session: Session, record: Record) -> None:
        """Stores a record that is new."""
        holder = accounts.find(session, record["user"])
        assert holder is not None
        session.add(
            ApiKey(
                id=new_id(),
                account_id=holder.id,
                name=record["name"],
                role=record["role"],
                agent_id=record["agent_id"],
                digest=record["digest"],
                created_at=moment(record["created_at"]),
                expires_at=moment(record["expires_at"]),
            )
        )
        unique.flush(session, "There is a key with this secret already.")

    def change(self, session: Session, change: Change) -> None:
        """Stores a record in the place of the one that has its key."""
        key = session.get_one(ApiKey, change.row_id)
        for name, value in change.fields.items():
            if name != "copy":
                setattr(key, name, moment(value) if name in ("created_at", "expires_at") else value)
        unique.flush(session, "There is a key with this secret already.")

    def remove(self, session: Session, stored: Stored) -> None:
        """The row is no more."""
        accounts.revoke_key(session, stored.row_id)
        session.flush()

    def find(self, record: Record, known: dict[Key, Stored]) -> Stored | None:
        """The row that a record is of: by its name, else by what opens both, as of a key from the environment."""
        found = super().find(record, known)
        if found is None and "digest" in record:
            same = (record["user"], record["digest"])
            twins = [key for key, each in known.items() if (each.record["user"], each.record["digest"]) == same]
            return known.pop(twins[0]) if twins else None
        return found

    def unusable(self, record: Record) -> str | None:
        """Without its digest nobody could recognise it."""
        if record.get("digest"):
            return None
        return f"API key {self.label(record)!r} was passed over: the file does not have its secret."
