"""Answers that are given again: a client that did not hear the first one asks once more with the same key."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import LargeBinary, func
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class IdempotentAnswer(Base):
    """What a request with an ``Idempotency-Key`` was answered; ``status`` None while it is being answered.

    ``digest`` is of the method, the path and the body. An answer without ``body`` is made anew (a file of audio, which
    is in the cache by then).
    """

    __tablename__ = "idempotent_answers"

    # Empty where no account is behind the request.
    account_id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str]
    status: Mapped[int | None]
    media_type: Mapped[str | None]
    location: Mapped[str | None]
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
