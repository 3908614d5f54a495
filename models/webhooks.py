"""Webhooks: who asked to be told of a job's end is told, however long they are away, up to a day.

The delivery is a row, written in the transaction that ends the job; what is sent can be sent twice, but not lost.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, ForeignKey, Index, delete, func, select, text, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base, iso, new_id, utc_now
from models.errors import Conflict, Invalid, NotFound
from models.events import Doorbell, after_commit
from models.jobs.shape import shown
from models.jobs.tables import CANCELLED, SUCCEEDED, Job
from models.jobs.tables import FAILED as JOB_FAILED

PENDING, DELIVERED, FAILED = "pending", "delivered", "failed"

EVENTS = {SUCCEEDED: "job.finished", JOB_FAILED: "job.failed", CANCELLED: "job.cancelled"}
# What wakes a sender (tasks/outbox.py), on the lane of outside services.
LANE, KIND = "io", "outbox.deliver"

# An attempt ends within 10 s, after its name was looked up, which takes a resolver half a minute at worst.
LEASE_SECONDS = 60
# The clock behind the doorbell ticks every 5 s: with the first pause that is within ten. The last one is repeated.
PAUSES_SECONDS = (4, 30, 120, 600, 1800, 3600, 7200, 14400)
GIVES_UP_SECONDS = 24 * 3600
# What a receiver may ask for: a word of tomorrow would be a way to be told no more.
LONGEST_ASKED_SECONDS = 3600
LOGGED_ATTEMPTS = 50
# Who is told; both Postgres and Python read it. A path is not needed before a query.
_RECEIVER = "://([^/?#]*)"
# A job that many requests join is told to so many places at most.
MAX_URLS = 20


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


@dataclass(frozen=True)
class Claimed:
    """A delivery that the caller is to send now. ``attempt`` fences what becomes of it."""

    id: str
    url: str
    payload: dict[str, Any]
    attempt: int
    account_id: str | None
    job_id: str
    # Of the request that the job came of.
    request_id: str | None


@dataclass(frozen=True)
class Outcome:
    """What came of one attempt: the receiver's ``status``, or the ``error`` that kept it from answering."""

    status: int | None
    error: str | None
    took_ms: int
    retry_after_seconds: float | None = None

    @property
    def taken(self) -> bool:
        """Whether the receiver has it."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def unwanted(self) -> bool:
        """Whether the receiver wants no more of it, ever (410 Gone)."""
        return self.status == 410


def signing_key(secret_key: str, chosen: str | None, account_id: str | None) -> str:
    """What signs messages about an account's jobs: the one ``chosen`` for all, else the account's own."""
    if chosen:
        return chosen
    return hmac.new(secret_key.encode(), f"webhook:{account_id or ''}".encode(), hashlib.sha256).hexdigest()


def add_url(job: Job, url: str) -> None:
    """One more place that is told of the job's end; once, however often it is named.

    Raises:
        Invalid: there are as many as there may be.
    """
    known = job.callback_urls or []
    if url in known:
        return
    if len(known) >= MAX_URLS:
        raise Invalid(f"callback_url: job {job.id} is told to {MAX_URLS} other places already", callback_url=url)
    job.callback_urls = [*known, url]


def write(session: Session, job: Any) -> None:
    """The deliveries of a job (a ``Job``, or its row) that has just ended; senders are woken after the commit."""
    payload = {"event": EVENTS[job.state], "job": shown(job)}
    for url in job.callback_urls:
        session.add(WebhookDelivery(id=new_id(), job_id=job.id, url=url, payload=payload))
    session.flush()
    ring(session, job.id)


def ring(session: Session, job_id: str = "") -> None:
    """Wakes a sender after the commit."""
    after_commit(session, Doorbell(LANE, KIND, job_id))


def receiver(url: str) -> str:
    """Who is told at a URL: its host and port, as they are written there but for capitals."""
    found = re.search(_RECEIVER, url)
    return found[1].lower() if found else ""


def claim(session: Session, *, but_to: Sequence[str] = ()) -> Claimed | None:
    """The delivery that has been due for longest, which nobody else gets before its lease ends; None when none is.

    ``but_to`` names receivers (``receiver``) that are not to get any now.
    """
    due = (
        select(WebhookDelivery, Job.account_id, Job.request_id)
        .join(Job, Job.id == WebhookDelivery.job_id)
        .where(WebhookDelivery.state == PENDING, WebhookDelivery.due_at <= func.now())
        .where(func.lower(func.substring(WebhookDelivery.url, _RECEIVER)).not_in(but_to))
        .order_by(WebhookDelivery.due_at, WebhookDelivery.id)
        .limit(1)
        .with_for_update(of=WebhookDelivery, skip_locked=True)
    )
    found = session.execute(due).one_or_none()
    if found is None:
        return None
    row, account_id, request_id = found
    row.attempts += 1
    row.due_at = utc_now() + timedelta(seconds=LEASE_SECONDS)
    return Claimed(row.id, row.url, row.payload, row.attempts, account_id, row.job_id, request_id)


def settle(session: Session, claimed: Claimed, outcome: Outcome, *, now: datetime | None = None) -> None:
    """Stores an attempt, and what follows from it: delivered, another attempt later, or given up.

    Without effect when the delivery was claimed anew or has ended: the sender was too slow.
    """
    own = (WebhookDelivery.id == claimed.id, WebhookDelivery.attempts == claimed.attempt)
    row = session.scalars(
        select(WebhookDelivery).where(*own, WebhookDelivery.state == PENDING).with_for_update()
    ).one_or_none()
    if row is None:
        return
    now = now or utc_now()
    entry = {"at": iso(now), "status": outcome.status, "error": outcome.error, "took_ms": outcome.took_ms}
    row.log = [*row.log, entry][-LOGGED_ATTEMPTS:]
    gives_up = row.created_at + timedelta(seconds=GIVES_UP_SECONDS)
    if outcome.taken or outcome.unwanted or now >= gives_up:
        row.state = DELIVERED if outcome.taken else FAILED
        row.finished_at = now
    else:
        pause = PAUSES_SECONDS[min(row.attempts, len(PAUSES_SECONDS)) - 1]
        asked = min(outcome.retry_after_seconds or 0.0, LONGEST_ASKED_SECONDS)
        # The last attempt is at the very end of the day.
        row.due_at = min(now + timedelta(seconds=max(pause, asked)), gives_up)


def forget_old(session: Session, days: int) -> int:
    """Removes deliveries that ended so long ago, of jobs that are kept longer; how many there were."""
    return len(session.scalars(delete(WebhookDelivery).where(_old(days)).returning(WebhookDelivery.id)).all())


def count_old(session: Session, days: int) -> int:
    """How many ``forget_old`` would remove."""
    return session.scalar(select(func.count()).where(_old(days))) or 0


def _old(days: int) -> ColumnElement[bool]:
    return (WebhookDelivery.state != PENDING) & (WebhookDelivery.finished_at < func.now() - timedelta(days=days))


def of_job(session: Session, job_id: str) -> list[WebhookDelivery]:
    """The deliveries of a job, oldest first."""
    query = select(WebhookDelivery).where(WebhookDelivery.job_id == job_id)
    return list(session.scalars(query.order_by(WebhookDelivery.created_at, WebhookDelivery.id)))


def retry(session: Session, job_id: str, delivery_id: str) -> WebhookDelivery:
    """A delivery that was given up, sent once more; within its first day it goes on after that.

    Raises:
        NotFound: the job has no such delivery.
        Conflict: it was not given up.
    """
    again = (
        update(WebhookDelivery)
        .where(WebhookDelivery.id == delivery_id, WebhookDelivery.job_id == job_id, WebhookDelivery.state == FAILED)
        .values(state=PENDING, due_at=func.now(), finished_at=None)
        .returning(WebhookDelivery)
    )
    row = session.scalars(again, execution_options={"populate_existing": True}).one_or_none()
    if row is None:
        present = session.get(WebhookDelivery, delivery_id)
        if present is None or present.job_id != job_id:
            raise NotFound(f"Job {job_id} has no delivery {delivery_id!r}.")
        raise Conflict(f"Delivery {delivery_id} is {present.state} and cannot be retried.", state=present.state)
    ring(session, job_id)
    return row
