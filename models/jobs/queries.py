"""What can be asked about jobs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, bindparam, distinct, func, select
from sqlalchemy.orm import Session

from models.base import utc_now
from models.errors import Invalid, NotFound
from models.jobs.tables import ENDED, QUEUED, RUNNING, Job, JobItem


@dataclass(frozen=True)
class Waiting:
    """An unfinished job with ``units`` that could start now and ``at_work`` workers already in it."""

    job_id: str
    kind: str
    lane: str
    units: int
    at_work: int
    sliced: bool


def get(session: Session, job_id: str, *, visible_to: str | None = None) -> Job:
    """The job, if the account ``visible_to`` (None: anybody) may know of it.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    job = session.get(Job, job_id) if job_id.isprintable() else None
    if job is None or (visible_to is not None and job.account_id != visible_to):
        raise NotFound(f"There is no job {job_id!r}.")
    return job


def get_of(session: Session, kind: str, job_id: str, *, called: str, visible_to: str | None) -> Job:
    """The job of a kind that has endpoints of its own, where it is ``called`` otherwise (a deployment).

    Raises:
        NotFound: there is none, or it is of another kind, or somebody else's.
    """
    try:
        job = get(session, job_id, visible_to=visible_to)
    except NotFound:
        job = None
    if job is None or job.kind != kind:
        raise NotFound(f"There is no {called} {job_id!r}.")
    return job


def page_of(
    session: Session, kind: str, *which: ColumnElement[bool], visible_to: str | None, limit: int, offset: int
) -> tuple[list[Job], int]:
    """At most ``limit`` jobs of a kind (of those, ``which``), newest first, and how many there are."""
    wanted = [Job.kind == kind, *which]
    if visible_to is not None:
        wanted.append(Job.account_id == visible_to)
    total = session.scalar(select(func.count()).select_from(Job).where(*wanted)) or 0
    newest = select(Job).where(*wanted).order_by(Job.created_at.desc(), Job.id.desc()).limit(limit).offset(offset)
    return list(session.scalars(newest)), total


def page(
    session: Session,
    *,
    kind: str | None = None,
    state: str | None = None,
    visible_to: str | None = None,
    parent: str | None = None,
    before: str | None = None,
    limit: int,
) -> list[Job]:
    """The newest jobs first, at most ``limit``; ``before`` is the id of the last one already seen.

    Parts of a job are listed by its id only (``parent``).

    Raises:
        Invalid: the account ``visible_to`` may know of no such job to continue after.
    """
    query = select(Job).order_by(Job.created_at.desc(), Job.id.desc()).limit(limit)
    query = query.where(Job.parent_id.is_not_distinct_from(parent))
    for column, value in ((Job.kind, kind), (Job.state, state), (Job.account_id, visible_to)):
        if value is not None:
            query = query.where(column == value)
    if before is not None:
        seen = session.get(Job, before)
        if seen is None or (visible_to is not None and seen.account_id != visible_to):
            raise Invalid(f"cursor: there is no job {before!r} to continue after.", cursor=before)
        query = query.where(
            (Job.created_at < seen.created_at) | ((Job.created_at == seen.created_at) & (Job.id < seen.id))
        )
    return list(session.scalars(query))


def items(session: Session, job_id: str, *, state: str | None, after: int, limit: int) -> list[JobItem]:
    """Items of a job in order, those behind position ``after``."""
    query = select(JobItem).where(JobItem.job_id == job_id, JobItem.position > after)
    if state is not None:
        query = query.where(JobItem.state == state)
    return list(session.scalars(query.order_by(JobItem.position).limit(limit)))


def queue_position(session: Session, job: Job) -> int | None:
    """How many jobs of its lane were there before a queued one; None once it has started."""
    if job.state != QUEUED:
        return None
    ahead = select(func.count()).where(
        Job.lane == job.lane, Job.state.in_((QUEUED, RUNNING)), Job.created_at < job.created_at
    )
    return session.scalar(ahead)


def eta_seconds(job: Job) -> float | None:
    """How long the rest takes at the pace so far; None before there is a pace."""
    if job.state != RUNNING or job.started_at is None or not 0 < job.progress < 1:
        return None
    elapsed = (utc_now() - job.started_at) / timedelta(seconds=1)
    return round(elapsed * (1 - job.progress) / job.progress, 1)


def versions(session: Session, job_ids: Iterable[str]) -> dict[str, int]:
    """The present version of each job, in one query; for watchers who may have missed an event."""
    rows = session.execute(select(Job.id, Job.version).where(Job.id.in_(list(job_ids))))
    return {row.id: row.version for row in rows}


def changed_within(session: Session, seconds: float) -> list[Job]:
    """Every job that changed in the last ``seconds``, the oldest change first; reads the whole table."""
    since = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, seconds)
    return list(session.scalars(select(Job).where(Job.updated_at >= since).order_by(Job.updated_at)))


def live_waiting(session: Session, account_id: str | None) -> tuple[int, int]:
    """How many live jobs have not started: in all, and of one account."""
    total, of_account = session.execute(_live_statement(), {"account": account_id}).one()
    return total, of_account


@cache
def _live_statement() -> Any:
    own = func.count().filter(Job.account_id == bindparam("account"))
    return select(func.count(), own).where(Job.live, Job.state == QUEUED)


def open_by_lane(session: Session, prefix: str) -> int:
    """How many units of the lanes that begin with ``prefix`` are waiting or in work."""
    single = select(func.count()).where(
        Job.lane.startswith(prefix), Job.state.in_((QUEUED, RUNNING)), Job.items_total == 0
    )
    sliced = select(func.coalesce(func.sum(Job.items_total - Job.items_succeeded - Job.items_failed), 0)).where(
        Job.lane.startswith(prefix), Job.state.in_((QUEUED, RUNNING)), Job.items_total > 0
    )
    return int((session.scalar(single) or 0) + (session.scalar(sliced) or 0))


def waiting(session: Session) -> list[Waiting]:
    """Every unfinished job that has something to start, oldest first; what the reclaimer rings for."""
    # With them one whose items are its children's: its body is to bring these back.
    none_of_its_own = (Job.items_total == 0) | ~select(JobItem.id).where(JobItem.job_id == Job.id).exists()
    singles = select(Job.id, Job.kind, Job.lane).where(
        Job.state == QUEUED, none_of_its_own, Job.run_after <= func.now()
    )
    found = [
        Waiting(job_id, kind, lane, units=1, at_work=0, sliced=False)
        for job_id, kind, lane in session.execute(singles.order_by(Job.created_at))
    ]
    ready = func.count().filter(JobItem.state == QUEUED, JobItem.run_after <= func.now())
    at_work = func.count(distinct(JobItem.lease_node)).filter(JobItem.state == RUNNING)
    sliced = (
        select(Job.id, Job.kind, Job.lane, ready, at_work)
        .join(JobItem, JobItem.job_id == Job.id)
        .where(Job.state.in_((QUEUED, RUNNING)), JobItem.state.in_((QUEUED, RUNNING)))
        .group_by(Job.id)
        .order_by(Job.created_at)
    )
    found += [
        Waiting(job_id, kind, lane, units, workers, sliced=True)
        for job_id, kind, lane, units, workers in session.execute(sliced)
        if units
    ]
    return found


def ended(job: Job) -> bool:
    """Whether nothing more will happen to the job by itself."""
    return job.state in ENDED
