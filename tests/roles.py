"""Accounts of a role, with a key, for tests of who may do what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from models import accounts
from models.base import new_id
from models.db import Database
from tests.conftest import PASSWORD

# Where a transcriber's number is asked for, it is this one.
AGENT = 7


@dataclass(frozen=True)
class Person:
    """Somebody with an account and a key."""

    role: str
    account_id: str
    key_id: str
    headers: dict[str, str]


def person(database: Database, role: str, *, expires_at: datetime | None = None) -> Person:
    """Somebody new of this role; transcribers have the number ``AGENT``."""
    secret = f"a key of {role} {new_id()}"
    with database.transaction() as session:
        account = accounts.create(session, username=new_id(), password=PASSWORD, role=role)
        key = accounts.store_key(session, account, name=role, role=role, secret=secret, expires_at=expires_at)
        key.agent_id = AGENT if role == "agent" else None
        return Person(role, account.id, key.id, {"X-API-Key": secret})


def key_of_role(database: Database, role: str, *, expires_at: datetime | None = None) -> dict[str, str]:
    """Headers of a new account of this role."""
    return person(database, role, expires_at=expires_at).headers
