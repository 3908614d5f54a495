"""Webhooks: who asked to be told of a job's end is told, however long they are away, up to a day.

The delivery is a row, written in the transaction that ends the job; what is sent can be sent twice, but not lost.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base

PENDING, DELIVERED, FAILED = "pending", "delivered", "failed"


class WebhookDelivery(Base):
    """A message to one URL. ``log`` holds an entry for each attempt."""

    __tablename__ = "webhook_deliveries"

    id: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    url: Mapped[str]
    payload: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(default=PENDING)
    attempts: Mapped[int] = mapped_column(server_default=text("0"), default=0)
    # While one is being sent it lies ahead of its attempt: a sender that died is followed by another then.
    due_at: Mapped[datetime] = mapped_column(server_default=func.now())
    log: Mapped[list[Any]] = mapped_column(server_default=text("'[]'"), default=list)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]

    __table_args__ = (Index("ix_webhook_deliveries_due", "due_at", postgresql_where=text("state = 'pending'")),)
