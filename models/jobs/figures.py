"""How much there is to do: jobs by kind and state, and what waits in each lane."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.jobs.tables import QUEUED, RUNNING, Job, JobItem


@dataclass(frozen=True)
class Depth:
    """What waits in a lane: how many units could start now, and for how long the first of them could have."""

    units: int
    oldest_seconds: float


def by_kind_and_state(session: Session) -> dict[tuple[str, str], int]:
    """How many jobs there are; parts of jobs do not count."""
    rows = select(Job.kind, Job.state, func.count()).where(Job.parent_id.is_(None)).group_by(Job.kind, Job.state)
    return {(kind, state): count for kind, state, count in session.execute(rows)}


def depths(session: Session) -> dict[str, Depth]:
    """What waits, by lanes; those where nothing does are not there."""
    singles = (
        select(Job.lane, func.count(), func.min(func.greatest(Job.created_at, Job.run_after)))
        .where(Job.state == QUEUED, Job.items_total == 0, Job.run_after <= func.now())
        .group_by(Job.lane)
    )
    items = (
        select(Job.lane, func.count(), func.min(func.greatest(Job.created_at, JobItem.run_after)))
        .join(JobItem, JobItem.job_id == Job.id)
        .where(Job.state.in_((QUEUED, RUNNING)), JobItem.state == QUEUED, JobItem.run_after <= func.now())
        .group_by(Job.lane)
    )
    now = session.scalar(select(func.now()))
    found: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    for query in (singles, items):
        for lane, count, since in session.execute(query):
            found[lane].append((count, (now - since).total_seconds()))
    return {lane: Depth(sum(n for n, _ in each), max(age for _, age in each)) for lane, each in found.items()}
