"""The tables of jobs: the job, its items, and who waits for it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Double, ForeignKey, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base

QUEUED, RUNNING, PAUSED = "queued", "running", "paused"
SUCCEEDED, FAILED, CANCELLED = "succeeded", "failed", "cancelled"
STATES = (QUEUED, RUNNING, PAUSED, SUCCEEDED, FAILED, CANCELLED)
ENDED = (SUCCEEDED, FAILED, CANCELLED)
# What a unit says that nobody holds.
FREED: dict[str, Any] = {"token": None, "lease_until": None, "lease_node": None}


class Leased:
    """What a worker can hold: a job without items, or one item of a job with items.

    While ``state`` is ``running``, ``token`` names the one claim that may write; every such write carries it in its
    WHERE, so a worker that lost its lease changes nothing. ``waits_on`` names what a queued unit waits for
    (``clip:<key>``); until that is ready or ``run_after`` has passed it is not rung.
    """

    state: Mapped[str] = mapped_column(default=QUEUED)
    token: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    lease_node: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(default=0)
    run_after: Mapped[datetime] = mapped_column(server_default=text("now()"))
    waits_on: Mapped[str | None]
    params: Mapped[dict[str, Any]]
    result: Mapped[dict[str, Any] | None]
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


def _leased_indexes(table: str) -> tuple[Index, Index]:
    return (
        # The reclaimer looks for lapsed leases, a new worker for those of its former life.
        Index(f"ix_{table}_leased", "lease_until", postgresql_where=text("state = 'running'")),
        Index(f"ix_{table}_waits_on", "waits_on", postgresql_where=text("waits_on is not null")),
    )


class Job(Leased, Base):
    """One piece of work that somebody asked for.

    ``version`` rises with every change that a watcher should see. ``items_total`` is 0 for a job that is leased
    itself. ``resolution`` is what ``params`` was taken to mean at submit (which engine, which fallback).
    """

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    lane: Mapped[str]
    live: Mapped[bool] = mapped_column(default=False)
    account_id: Mapped[str | None]
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    request_id: Mapped[str | None]
    dedupe_key: Mapped[str | None]
    resolution: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    progress: Mapped[float] = mapped_column(Double, server_default=text("0"), default=0.0)
    phase: Mapped[str | None]
    # Who is told of its end (``models/webhooks.py``).
    callback_urls: Mapped[list[Any] | None]
    version: Mapped[int] = mapped_column(BigInteger, server_default=text("1"), default=1)
    items_total: Mapped[int] = mapped_column(server_default=text("0"), default=0)
    items_succeeded: Mapped[int] = mapped_column(server_default=text("0"), default=0)
    items_failed: Mapped[int] = mapped_column(server_default=text("0"), default=0)
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    updated_at: Mapped[datetime] = mapped_column(server_default=text("now()"))

    __table_args__ = (
        *_leased_indexes("jobs"),
        # Joining: one unfinished job per key.
        Index(
            "uq_jobs_dedupe_key",
            "dedupe_key",
            unique=True,
            postgresql_where=text("dedupe_key is not null and state in ('queued', 'running')"),
        ),
        # The unfinished ones are few however many are kept.
        Index("ix_jobs_open", "lane", "created_at", postgresql_where=text("state in ('queued', 'running')")),
        Index("ix_jobs_created_at_id", "created_at", "id"),
        Index("ix_jobs_account_id_created_at", "account_id", "created_at"),
        Index("ix_jobs_parent_id", "parent_id"),
        # A few among all jobs; the clock asks for the newest every minute.
        Index("ix_jobs_cleanups", "created_at", postgresql_where=text("kind = 'upkeep.cleanup'")),
    )


class JobItem(Leased, Base):
    """One unit of a job with items: a segment, a file, a sentence."""

    __tablename__ = "job_items"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    position: Mapped[int]

    __table_args__ = (
        *_leased_indexes("job_items"),
        Index("uq_job_items_job_id_position", "job_id", "position", unique=True),
        Index("ix_job_items_queued", "job_id", "position", postgresql_where=text("state = 'queued'")),
    )


class JobWaiter(Base):
    """Somebody who waits for a job: an open connection (renewed by its web process) or a lasting interest."""

    __tablename__ = "job_waiters"

    id: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    # None: waits for ever (an asynchronous request that will come back for its result).
    expires_at: Mapped[datetime | None] = mapped_column(index=True)
