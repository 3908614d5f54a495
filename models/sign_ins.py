"""Sign-ins: what lies between a password and the tokens that stand for it.

A sign-in begins with a password and lives on by refreshing. Each refresh token is good for one turn: one that comes a
second time was copied, and ends the sign-in for whoever holds its tokens (RFC 9700, section 4.14.2).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ForeignKey, delete, func, select, text, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.accounts import Account, ApiKey, Caller, role_now
from models.base import Base, new_id


class SignIn(Base):
    """One who signed in. ``turn`` is that of the refresh token which is good now."""

    __tablename__ = "sign_ins"

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    turn: Mapped[int] = mapped_column(server_default=text("1"), default=1)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(index=True)
    ended_at: Mapped[datetime | None]


def begin(session: Session, account_id: str, *, seconds: int) -> SignIn:
    """A new sign-in, good until it has not been refreshed for so long."""
    row = SignIn(id=new_id(), account_id=account_id, turn=1, expires_at=func.now() + _interval(seconds))
    session.add(row)
    session.flush()
    return row


def refresh(session: Session, sign_in_id: str, turn: int, *, seconds: int) -> SignIn | None:
    """The sign-in in its next turn; None when this turn is over, which ends the sign-in, or the sign-in has ended."""
    good = (SignIn.id == sign_in_id, SignIn.turn == turn, SignIn.ended_at.is_(None), SignIn.expires_at > func.now())
    turned = (
        update(SignIn).where(*good).values(turn=SignIn.turn + 1, expires_at=func.now() + _interval(seconds))
    ).returning(SignIn)
    row = session.scalars(turned, execution_options={"populate_existing": True}).one_or_none()
    if row is None:
        end(session, sign_in_id)
    return row


def end(session: Session, sign_in_id: str) -> None:
    """Its tokens open nothing any more."""
    session.execute(
        update(SignIn).where(SignIn.id == sign_in_id, SignIn.ended_at.is_(None)).values(ended_at=func.now())
    )


def end_all(session: Session, account_id: str, *, but: str | None = None) -> None:
    """The tokens of every sign-in of an account (``but`` one) open nothing any more."""
    own = (SignIn.account_id == account_id, SignIn.ended_at.is_(None), SignIn.id != (but or ""))
    session.execute(update(SignIn).where(*own).values(ended_at=func.now()))


def caller(session: Session, sign_in_id: str) -> Caller | None:
    """Who signed in; None when the sign-in has ended, or the account is gone or disabled."""
    query = (
        select(Account.id, Account.username, Account.role)
        .join(SignIn, SignIn.account_id == Account.id)
        .where(SignIn.id == sign_in_id, SignIn.ended_at.is_(None), ~Account.disabled)
    )
    row = session.execute(query).one_or_none()
    return None if row is None else Caller(row.id, row.username, row.role, sign_in_id)


def still(session: Session, known: Collection[Caller]) -> set[Caller]:
    """Those who were known a moment ago and are the same now: signed in, their key good, of the role that they had."""
    accounts = {
        row.id: row.role
        for row in session.execute(
            select(Account.id, Account.role).where(
                Account.id.in_([caller.account_id for caller in known]), ~Account.disabled
            )
        )
    }
    signed_in = set(
        session.scalars(
            select(SignIn.id).where(
                SignIn.id.in_([caller.sign_in_id for caller in known if caller.sign_in_id]), SignIn.ended_at.is_(None)
            )
        )
    )
    in_time = ApiKey.expires_at.is_(None) | (ApiKey.expires_at > func.now())
    keys = set(
        session.scalars(
            select(ApiKey.id).where(ApiKey.id.in_([caller.key_id for caller in known if caller.key_id]), in_time)
        )
    )
    return {
        caller
        for caller in known
        # Anybody, on an open surface.
        if caller.account_id is None
        or (
            caller.account_id in accounts
            and (caller.sign_in_id is None or caller.sign_in_id in signed_in)
            and (caller.key_id is None or caller.key_id in keys)
            and caller.role == _role_now(caller, accounts[caller.account_id])
        )
    }


def _role_now(caller: Caller, of_account: str) -> str:
    # A token is all that its account is; a key may be less.
    return of_account if caller.sign_in_id is not None else role_now(caller.role, of_account)


def forget_old(session: Session) -> int:
    """Removes sign-ins that can never be refreshed again; how many there were."""
    return len(session.scalars(delete(SignIn).where(SignIn.expires_at < func.now()).returning(SignIn.id)).all())


def count_old(session: Session) -> int:
    """How many ``forget_old`` would remove."""
    return session.scalar(select(func.count()).where(SignIn.expires_at < func.now())) or 0


def _interval(seconds: int) -> object:
    return func.make_interval(0, 0, 0, 0, 0, 0, seconds)
