"""What administrators do with accounts; the last one who can administer stays."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models import sign_ins
from models.accounts import ROLES, Account, ApiKey
from models.errors import Conflict, Invalid, NotFound


def page(session: Session, *, limit: int, offset: int) -> tuple[list[Account], int]:
    """Accounts by name, and how many there are."""
    query = select(Account).order_by(Account.username).limit(limit).offset(offset)
    return list(session.scalars(query)), session.scalar(select(func.count()).select_from(Account)) or 0


def get(session: Session, account_id: str) -> Account:
    """The account.

    Raises:
        NotFound: there is none with this id.
    """
    account = session.get(Account, account_id)
    if account is None:
        raise NotFound(f"There is no user {account_id!r}.")
    return account


def called(session: Session, name: str, email: str | None = None) -> Account | None:
    """The account of this user name, else the one that has this address (in any case of letters); None of nobody."""
    found = session.scalars(select(Account).where(Account.username == name)).one_or_none()
    if found is None and email:
        found = session.scalars(select(Account).where(func.lower(Account.email) == email.lower()).limit(1)).first()
    return found


def change(session: Session, account_id: str, fields: dict[str, Any], *, keep_sign_in: str | None = None) -> Account:
    """The account with these ``fields``: role, email, disabled, password_hash.

    A new password ends its sign-ins, but for ``keep_sign_in``, and so does disabling.

    Raises:
        NotFound: there is none with this id.
        Invalid: the role is unknown.
        Conflict: nobody would be left who can administer.
    """
    account = get(session, account_id)
    if fields.get("role", account.role) not in ROLES:
        raise Invalid(f"Role {fields['role']!r} is not one of {', '.join(ROLES)}.")
    if fields.get("disabled", account.disabled) or fields.get("role", account.role) != "admin":
        _leave_an_administrator(session, account)
    for name, value in fields.items():
        setattr(account, name, value)
    session.flush()
    if "password_hash" in fields or fields.get("disabled"):
        sign_ins.end_all(session, account_id, but=keep_sign_in)
    return account


def remove(session: Session, account_id: str) -> None:
    """The account and its keys are no more; what it made stays.

    Raises:
        NotFound: there is none with this id.
        Conflict: nobody would be left who can administer.
    """
    account = get(session, account_id)
    _leave_an_administrator(session, account)
    session.delete(account)


def keys(session: Session, account_id: str) -> list[ApiKey]:
    """The keys of an account, oldest first."""
    return list(session.scalars(select(ApiKey).where(ApiKey.account_id == account_id).order_by(ApiKey.created_at)))


def _leave_an_administrator(session: Session, account: Account) -> None:
    # All of them locked: of two who go at once, one stays.
    able = select(Account.id).where(Account.role == "admin", ~Account.disabled).order_by(Account.id).with_for_update()
    administrators = list(session.scalars(able))
    if administrators == [account.id]:
        raise Conflict(f"User {account.username} is the last one who can administer.")
