"""Names that there may be once."""

from __future__ import annotations

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models.errors import Conflict

_UNIQUE_VIOLATION = "23505"


def flush(session: Session, taken: str) -> None:
    """Writes what is waiting.

    Raises:
        Conflict: a name in it is somebody else's; ``taken`` says so.
    """
    try:
        session.flush()
    except IntegrityError as fault:
        if getattr(fault.orig, "sqlstate", None) != _UNIQUE_VIOLATION:
            raise
        raise Conflict(taken) from None
