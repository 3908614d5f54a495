"""People, and what they are called elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import ColumnElement, delete, func, or_, select
from sqlalchemy.orm import Session

from models import unique
from models.accounts import Account
from models.errors import NotFound
from models.gateway.tables import UserMapping


def everybody(session: Session) -> list[UserMapping]:
    """All of them, by name."""
    return list(session.scalars(select(UserMapping).order_by(UserMapping.canonical_name)))


def get(session: Session, mapping_id: int) -> UserMapping:
    """The person.

    Raises:
        NotFound: there is none.
    """
    mapping = session.get(UserMapping, mapping_id)
    if mapping is None:
        raise NotFound(f"There is no user mapping {mapping_id}.", code="mapping_not_found", mapping_id=mapping_id)
    return mapping


def create(session: Session, fields: Mapping[str, Any]) -> UserMapping:
    """Somebody new.

    Raises:
        Conflict: the name or the address is somebody else's.
    """
    mapping = UserMapping(**fields)
    session.add(mapping)
    unique.flush(session, _taken(fields))
    session.refresh(mapping)
    return mapping


def change(session: Session, mapping_id: int, fields: Mapping[str, Any]) -> UserMapping:
    """The person with these ``fields``.

    Raises:
        NotFound: there is none.
        Conflict: the name or the address is somebody else's.
    """
    mapping = get(session, mapping_id)
    for name, value in fields.items():
        setattr(mapping, name, value)
    unique.flush(session, _taken(fields))
    return mapping


def remove(session: Session, mapping_id: int) -> None:
    """Removes the person, from every group too.

    Raises:
        NotFound: there is none.
    """
    get(session, mapping_id)
    session.execute(delete(UserMapping).where(UserMapping.id == mapping_id))


def named(session: Session, names: Collection[str]) -> dict[str, int]:
    """The numbers of those of these names that there are."""
    rows = session.execute(
        select(UserMapping.canonical_name, UserMapping.id).where(UserMapping.canonical_name.in_(list(names)))
    )
    return {row.canonical_name: row.id for row in rows}


def behind(session: Session, account_id: str | None) -> UserMapping | None:
    """Who an account is: the mapping of its user name, else that of its address; None of an unknown one."""
    if account_id is None:
        return None
    by_name = UserMapping.canonical_name == Account.username
    fits = by_name | (func.lower(UserMapping.email) == func.lower(Account.email))
    # Who is called so comes before whoever has the address.
    found = select(UserMapping).join(Account, fits).where(Account.id == account_id).order_by(by_name.desc())
    return session.scalars(found.limit(1)).first()


def called(session: Session, name: str, email: str | None = None) -> UserMapping | None:
    """The mapping of this name, else that of this address (in any case of letters); None where there is neither."""
    fits: list[ColumnElement[bool]] = [UserMapping.canonical_name == name]
    if email:
        fits.append(func.lower(UserMapping.email) == email.lower())
    by_name = (UserMapping.canonical_name == name).desc()
    return session.scalars(select(UserMapping).where(or_(*fits)).order_by(by_name, UserMapping.id).limit(1)).first()


def _taken(fields: Mapping[str, Any]) -> str:
    email = f", or with the address {fields['email']!r}" if fields.get("email") else ""
    return f"There is somebody called {fields.get('canonical_name')!r}{email} already."
