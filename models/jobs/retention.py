"""Jobs that ended long ago and that nothing needs any more."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session, aliased

from models import cleanups, webhooks
from models.deployment_plans import KIND as DEPLOYMENT
from models.jobs.lifecycle import lock_items
from models.jobs.tables import ENDED, Job
from models.llm import sessions as llm_sessions
from models.speech_pins import SpeechPin
from models.webhooks import WebhookDelivery


@dataclass(frozen=True)
class OldJob:
    """A job that may go; ``rows`` are its own and those of its items."""

    id: str
    rows: int


def old(session: Session, *, days: int, after: str, limit: int) -> list[OldJob]:
    """The next jobs behind the id ``after`` that ended so long ago."""
    query = select(Job.id, Job.items_total + 1).where(Job.id > after, _over(days)).order_by(Job.id).limit(limit)
    return [OldJob(*row) for row in session.execute(query)]


def remove(session: Session, ids: Collection[str], *, days: int) -> int:
    """How many rows went with those of these jobs that are still to go; what somebody holds at this moment stays."""
    lock_items(session, Job.id.in_(ids))
    held = select(Job.id, Job.items_total + 1).where(Job.id.in_(ids), _over(days)).order_by(Job.id)
    found = [OldJob(*row) for row in session.execute(held.with_for_update(of=Job, skip_locked=True))]
    llm_sessions.outlive(session, [job.id for job in found])
    session.execute(delete(Job).where(Job.id.in_([job.id for job in found])))
    return sum(job.rows for job in found)


def _over(days: int) -> ColumnElement[bool]:
    """That nobody will ask for a job again.

    A deployment is a job that is used for as long as it is there, and so are its voices. An answer that is given again
    (models/idempotency.py) is a day old at most, and the least retention is a day from the job's end.
    """
    other = aliased(Job)
    shown = select(other.id).where(other.kind == cleanups.KIND)
    shown = shown.order_by(other.created_at.desc(), other.id.desc()).limit(cleanups.HISTORY)
    parts = select(other.id).where(other.parent_id == Job.id)
    pins = select(SpeechPin.job_id).where(SpeechPin.job_id == Job.id)
    untold = select(WebhookDelivery.id).where(
        WebhookDelivery.job_id == Job.id, WebhookDelivery.state == webhooks.PENDING
    )
    return (
        Job.state.in_(ENDED)
        & (Job.finished_at < func.now() - timedelta(days=days))
        & Job.parent_id.is_(None)
        & (Job.kind != DEPLOYMENT)
        & ~((Job.kind == cleanups.KIND) & Job.id.in_(shown))
        & ~parts.exists()
        & ~pins.exists()
        & ~untold.exists()
    )
