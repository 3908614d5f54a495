"""Accounts and API keys: who may do what."""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, cast

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy import BigInteger, ForeignKey, Table, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base, new_id
from models.errors import Conflict, Invalid, NotFound

ROLES = ("admin", "operator", "agent", "client")
# What the keys of an account may be: never more than it is.
GIVES = {"admin": ROLES, "operator": ("operator", "client"), "agent": ("agent",), "client": ("client",)}
_PREFIX = "vw_"
# Control characters and the ends of lines and paragraphs, by Unicode's names for them.
_CONTROL = ("Cc", "Zl", "Zp")

# argon2 is for what people choose; a key of 256 random bits needs no stretching.
_passwords = PasswordHasher()


@cache
def _nobody() -> str:
    """Checked when there is no such user, so that the time of an answer does not tell who exists."""
    return _passwords.hash("nobody")


class Account(Base):
    """Somebody who can sign in."""

    __tablename__ = "accounts"

    id: Mapped[str] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]
    role: Mapped[str]
    email: Mapped[str | None]
    disabled: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ApiKey(Base):
    """A credential of a program; only the SHA-256 of the secret is kept."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    role: Mapped[str]
    digest: Mapped[str] = mapped_column(unique=True)
    agent_id: Mapped[int | None] = mapped_column(BigInteger)
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


@dataclass(frozen=True)
class Caller:
    """Who asks: the account behind the credential, the role that counts, and the sign-in or the key it came by.

    ``agent_id`` is the transcriber whose key it is.
    """

    account_id: str | None
    username: str
    role: str
    sign_in_id: str | None = None
    key_id: str | None = None
    agent_id: int | None = None


def create(session: Session, *, username: str, password: str, role: str, email: str | None = None) -> Account:
    """The new account.

    Raises:
        Invalid: the role is unknown or the password too short.
        Conflict: the name is taken.
    """
    return store(session, username=username, password_hash=hash_password(password), role=role, email=email)


def hash_password(password: str) -> str:
    """What is kept of a password. About 50 ms of CPU: keep off the event loop.

    Raises:
        Invalid: it is too short.
    """
    if len(password) < 8:
        raise Invalid(f"The password has {len(password)} characters; at least 8 are needed.")
    return _passwords.hash(password)


def store(session: Session, *, username: str, password_hash: str, role: str, email: str | None = None) -> Account:
    """The new account, its password hashed already.

    Raises:
        Invalid: the role is unknown, or the name holds control characters.
        Conflict: the name is taken.
    """
    if role not in ROLES:
        raise Invalid(f"Role {role!r} is not one of {', '.join(ROLES)}.")
    if any(unicodedata.category(each) in _CONTROL for each in username):
        raise Invalid(f"username: {username[:200]!r} holds a line break or another control character")
    values = {"id": new_id(), "username": username, "password_hash": password_hash}
    account = session.scalars(
        insert(Account)
        .values(**values, role=role, email=email, disabled=False)
        .on_conflict_do_nothing(index_elements=[Account.username])
        .returning(Account)
    ).one_or_none()
    if account is None:
        raise Conflict(f"There is a user {username!r} already.")
    return account


def find(session: Session, username: str) -> Account | None:
    """The account with this name."""
    return session.scalar(select(Account).where(Account.username == username))


def password_fits(account: Account | None, password: str) -> bool:
    """Whether the password is right; takes as long without an account. About 50 ms of CPU: keep off the event loop."""
    try:
        _passwords.verify(_nobody() if account is None else account.password_hash, password)
    except (VerifyMismatchError, InvalidHashError):
        return False
    return account is not None and not account.disabled


def lock_unchanged(session: Session, account: Account) -> bool:
    """Whether it still has the password that it was read with, and may sign in; if so it stays so until the commit."""
    same = (Account.id == account.id, Account.password_hash == account.password_hash, ~Account.disabled)
    return session.scalar(select(Account.id).where(*same).with_for_update(read=True)) is not None


def create_key(
    session: Session,
    account: Account,
    *,
    name: str,
    role: str | None = None,
    expires_at: datetime | None = None,
    agent_id: int | None = None,
) -> tuple[ApiKey, str]:
    """The stored key and its secret, which is shown this once; ``agent_id`` is the transcriber who holds it.

    Raises:
        Invalid: the role is unknown.
    """
    secret = _PREFIX + secrets.token_urlsafe(32)
    key = store_key(session, account, name=name, role=role or account.role, secret=secret, expires_at=expires_at)
    key.agent_id = agent_id
    session.flush()
    return key, secret


def store_key(
    session: Session, account: Account, *, name: str, role: str, secret: str, expires_at: datetime | None = None
) -> ApiKey:
    """The stored key for a secret that exists already (one from the environment)."""
    if role not in ROLES:
        raise Invalid(f"Role {role!r} is not one of {', '.join(ROLES)}.")
    key = ApiKey(
        id=new_id(), account_id=account.id, name=name, role=role, digest=_digest(secret), expires_at=expires_at
    )
    session.add(key)
    session.flush()
    return key


def keys(session: Session) -> list[tuple[ApiKey, str]]:
    """Every key with the name of its user, oldest first."""
    query = select(ApiKey, Account.username).join(Account, Account.id == ApiKey.account_id).order_by(ApiKey.created_at)
    return [(key, username) for key, username in session.execute(query)]


def revoke_key(session: Session, key_id: str) -> None:
    """The key opens nothing any more.

    Raises:
        NotFound: there is no such key.
    """
    key = session.get(ApiKey, key_id)
    if key is None:
        raise NotFound(f"There is no API key {key_id!r}.")
    session.delete(key)


def role_now(given: str, of_account: str) -> str:
    """The role that counts: a key made by somebody who was allowed more does no more than they may now."""
    return given if given in GIVES[of_account] else of_account


def caller_of_key(session: Session, secret: str) -> Caller | None:
    """Who holds this API key; None when it is unknown, expired, or its account is disabled."""
    if not secret:
        return None
    row = session.execute(_holder_statement(), {"secret": _digest(secret)}).one_or_none()
    if row is None:
        return None
    return Caller(row.id, row.username, role_now(row.key_role, row.role), key_id=row.key_id, agent_id=row.agent_id)


@cache
def _holder_statement() -> Any:
    """Asked with every request, so it is built once and reads no more than it needs."""
    holders, held = cast(Table, Account.__table__), cast(Table, ApiKey.__table__)
    in_time = held.c.expires_at.is_(None) | (held.c.expires_at > func.now())
    return (
        select(
            holders.c.id,
            holders.c.username,
            holders.c.role,
            held.c.role.label("key_role"),
            held.c.id.label("key_id"),
            held.c.agent_id,
        )
        .join_from(holders, held, held.c.account_id == holders.c.id)
        .where(held.c.digest == bindparam("secret"), in_time, ~holders.c.disabled)
    )


def keys_used(session: Session, secrets_used: Iterable[str]) -> None:
    """Notes that these keys were used just now."""
    digests = [_digest(secret) for secret in secrets_used]
    session.execute(update(ApiKey).where(ApiKey.digest.in_(digests)).values(last_used_at=func.now()))


def ensure_admin(session: Session, *, password: str | None, api_key: str | None) -> str | None:
    """Makes the first admin; the password when one was made up, to be shown this once.

    ``api_key`` becomes a working admin key in any case, so that a changed environment is obeyed.
    """
    # Two releases at once (two machines) must not make two.
    session.execute(select(func.pg_advisory_xact_lock(0x566F6963)))
    shown = None
    admin = session.scalar(select(Account).where(Account.role == "admin").order_by(Account.created_at).limit(1))
    if admin is None:
        shown = None if password else secrets.token_urlsafe(12)
        admin = create(session, username="admin", password=password or shown or "", role="admin")
    if api_key and session.scalar(select(ApiKey.id).where(ApiKey.digest == _digest(api_key))) is None:
        store_key(session, admin, name="VOICEWORKS_API_KEY", role="admin", secret=api_key)
    return shown


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
