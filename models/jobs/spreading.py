"""A job that spreads: its body plans, and what is to be done is done by children, each on a lane of its own.

The job itself is leased only while its body plans. From then on it has no lease and no items: every item of a child
counts in the job too (``work.finish``), and the last one ends both. What stops the job stops its children
(``lifecycle.pause``, ``cancel``); what brings it back calls its body again, which brings them back or plans anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from models.events import Doorbell, after_commit
from models.jobs import lifecycle, work
from models.jobs.announcing import announce
from models.jobs.lifecycle import NewJob
from models.jobs.tables import CANCELLED, FAILED, PAUSED, QUEUED, SUCCEEDED, Job, JobItem

# How many live workers consume a lane.
Able = Callable[[str], int]


def spread(
    session: Session, job: Job, children: Sequence[NewJob], *, able: Able, notes: Mapping[str, Any] | None = None
) -> None:
    """The job, held by the caller, is these children from now on; those that it had are gone.

    ``notes`` are added to its params.

    Raises:
        LeaseLost: the job is not the caller's any more; nothing may be committed.
    """
    _forget(session, job.id)
    total = succeeded = 0
    # A lane is asked once: a course has one for each voice at most.
    known: dict[str, int] = {}
    for new in children:
        if new.lane not in known:
            known[new.lane] = able(new.lane)
        left = sum(item.result is None for item in new.items)
        stored, _ = lifecycle.submit(session, new, doorbells=min(left, known[new.lane]))
        total += stored.items_total
        succeeded += stored.items_succeeded
    # The job's own row last, so that its lease can be renewed while thousands of items are written.
    work.spread(session, job, total=total, succeeded=succeeded, failed=0, notes=notes or {})


def go_on(session: Session, job: Job, *, able: Able) -> None:
    """The job, held by the caller, goes on with the children that it has: paused ones, else those that did not succeed.

    Raises:
        LeaseLost: the job is not the caller's any more; nothing may be committed.
    """
    ids = lifecycle.lock_children(session, job.id)
    found = select(Job).where(Job.id.in_(ids)).order_by(Job.id)
    children = list(session.scalars(found, execution_options={"populate_existing": True}))
    paused = [child for child in children if child.state == PAUSED]
    for child in paused:
        _queue(session, child, able)
    if not paused:
        for child in children:
            if child.state in (FAILED, CANCELLED) or (child.state == SUCCEEDED and child.items_failed):
                _queue(session, child, able, failed_again=True)
    # Each row is as it was changed above.
    work.spread(
        session,
        job,
        total=sum(child.items_total for child in children),
        succeeded=sum(child.items_succeeded for child in children),
        failed=sum(child.items_failed for child in children),
        notes={},
    )


def _queue(session: Session, child: Job, able: Able, *, failed_again: bool = False) -> None:
    failed = 0 if failed_again else child.items_failed
    if failed_again:
        again = {"state": QUEUED, "attempts": 0, "run_after": func.now(), "error_code": None, "error_message": None}
        session.execute(update(JobItem).where(JobItem.job_id == child.id, JobItem.state == FAILED).values(**again))
    left = child.items_total - child.items_succeeded - failed
    values: dict[str, Any] = {"state": QUEUED if left else SUCCEEDED, "items_failed": failed}
    if left:
        values["finished_at"] = None
    if not failed:
        values |= {"error_code": None, "error_message": None}
    if child.items_total:
        values["progress"] = (child.items_succeeded + failed) / child.items_total
    changed = session.scalars(
        update(Job)
        .where(Job.id == child.id)
        .values(**values, version=Job.version + 1, updated_at=func.now())
        .returning(Job),
        execution_options={"populate_existing": True},
    ).one()
    if left:
        after_commit(session, Doorbell(child.lane, child.kind, child.id, max(1, min(left, able(child.lane)))))
    announce(session, changed)


def _forget(session: Session, job_id: str) -> None:
    """Removes the children of a job; what is in flight of them is thrown away, but for what it made for all."""
    if session.scalar(select(Job.id).where(Job.parent_id == job_id).limit(1)) is None:
        return
    lifecycle.lock_items(session, Job.parent_id == job_id)
    lifecycle.lock_children(session, job_id)
    session.execute(delete(Job).where(Job.parent_id == job_id))
