"""What people do with jobs: submit, cancel, pause, resume, retry. Each change is one UPDATE with its precondition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import case, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from models import speech_pins, webhooks
from models.errors import Conflict, NotFound
from models.events import Doorbell, after_commit
from models.jobs.announcing import announce
from models.jobs.tables import CANCELLED, ENDED, FAILED, FREED, PAUSED, QUEUED, RUNNING, SUCCEEDED, Job, JobItem


@dataclass(frozen=True)
class NewItem:
    """An item of a job to be submitted; one with a ``result`` is already done."""

    params: dict[str, Any]
    result: dict[str, Any] | None = None


@dataclass(frozen=True)
class NewJob:
    """A job to be submitted; ``items`` empty means that the job itself is the unit of work."""

    id: str
    kind: str
    lane: str
    params: dict[str, Any]
    resolution: dict[str, Any]
    live: bool = False
    account_id: str | None = None
    request_id: str | None = None
    dedupe_key: str | None = None
    parent_id: str | None = None
    items: Sequence[NewItem] = ()
    sliced: bool = False
    callback_url: str | None = None
    # Not to be begun before; None: at once.
    run_after: datetime | None = None


def submit(session: Session, new: NewJob, *, doorbells: int) -> tuple[Job, bool]:
    """The stored job, and whether it is new; an unfinished one with the same ``dedupe_key`` is joined instead."""
    done = sum(item.result is not None for item in new.items)
    while True:
        columns = {
            "id": new.id,
            "kind": new.kind,
            "lane": new.lane,
            "params": new.params,
            "resolution": new.resolution,
            "live": new.live,
            "account_id": new.account_id,
            "request_id": new.request_id,
            "dedupe_key": new.dedupe_key,
            "parent_id": new.parent_id,
            "callback_urls": [new.callback_url] if new.callback_url else None,
            "items_total": len(new.items),
            "items_succeeded": done,
            "progress": done / len(new.items) if new.items else 0.0,
            "state": QUEUED,
        } | ({} if new.run_after is None else {"run_after": new.run_after})
        job = session.scalars(_insert_statement(), columns).one_or_none()
        if job is not None:
            break
        # FOR SHARE waits for a finish in flight, after which the job no longer matches and we make our own. Two who
        # would then both write could wait for each other, so whoever brings a URL has the row alone.
        joined = session.scalars(
            select(Job)
            .where(Job.dedupe_key == new.dedupe_key, Job.state.in_((QUEUED, RUNNING)))
            .with_for_update(read=new.callback_url is None, key_share=new.callback_url is not None)
        ).one_or_none()
        if joined is not None:
            if new.callback_url:
                webhooks.add_url(joined, new.callback_url)
            return joined, False
    if new.items:
        rows = [
            {
                "job_id": job.id,
                "position": position,
                "params": item.params,
                "result": item.result,
                "state": QUEUED if item.result is None else SUCCEEDED,
            }
            for position, item in enumerate(new.items)
        ]
        session.execute(insert(JobItem), rows)
    if new.sliced and job.items_succeeded == job.items_total:
        return _finish_empty(session, job), True
    if doorbells:
        after_commit(session, Doorbell(job.lane, job.kind, job.id, doorbells))
    announce(session, job)
    return job, True


# A part of a job does what that job does.
_WHOLE = Job.parent_id.is_(None)


@cache
def _insert_statement() -> Any:
    # The index as it is spelled, without parameters. It holds no job without a key, so those never conflict.
    unfinished = text("dedupe_key is not null and state in ('queued', 'running')")
    return upsert(Job).on_conflict_do_nothing(index_elements=[Job.dedupe_key], index_where=unfinished).returning(Job)


def cancel(session: Session, job_id: str) -> Job:
    """The job, cancelled, and its children with it. What is in flight of a job with items finishes and is kept.

    Raises:
        NotFound: no such job.
        Conflict: it has ended already, or is a part of another.
    """
    children = lock_children(session, job_id)
    # Its token stays: by that whoever had it sees that what lies in its folder is nobody else's (tasks/folders.py).
    values = {"state": CANCELLED, "finished_at": func.now(), "lease_until": None, "lease_node": None}
    job = _change(session, job_id, (QUEUED, RUNNING, PAUSED), "cancelled", _WHOLE, **values)
    _stop(session, children, (QUEUED, RUNNING, PAUSED), **values)
    # What it promised to keep, it needs no more.
    speech_pins.unpin(session, job_id)
    return job


def pause(session: Session, job_id: str) -> Job:
    """The job, paused, and its children with it: nothing of it is started any more.

    Raises:
        NotFound: no such job.
        Conflict: it is paused already, has ended, or is a part of another.
    """
    children = lock_children(session, job_id)
    values = {"state": PAUSED, "dedupe_key": None, **FREED}
    job = _change(session, job_id, (QUEUED, RUNNING), "paused", _WHOLE, **values)
    _stop(session, children, (QUEUED, RUNNING), **values)
    return job


def resume(session: Session, job_id: str, *, able_workers: int) -> Job:
    """The job, queued again after a pause; one that was to be begun later is so still.

    Of one with children its body brings them back (``spreading.go_on``).

    Raises:
        NotFound: no such job.
        Conflict: it is not paused, or is a part of another.
    """
    job = _change(session, job_id, (PAUSED,), "resumed", _WHOLE, state=QUEUED, run_after=_as_planned(), error_code=None)
    return _ring(session, job, able_workers)


def hasten(session: Session, job_id: str) -> Job:
    """The queued job, to be begun now, whatever time it was meant for.

    Raises:
        NotFound: no such job.
        Conflict: it is not queued, or is a part of another.
    """
    job = _change(session, job_id, (QUEUED,), "started", _WHOLE, run_after=func.now())
    return _ring(session, job, 1)


def retry(session: Session, job_id: str, *, able_workers: int) -> Job:
    """The job, queued again; of one that ended with failed items, those items only.

    Of one with children its body brings them back (``spreading.go_on``).

    Raises:
        NotFound: no such job.
        Conflict: it neither failed nor was cancelled, and has no failed items; or it is a part of another.
    """
    children = lock_children(session, job_id)
    job = _change(
        session,
        job_id,
        (FAILED, CANCELLED, SUCCEEDED),
        "retried",
        (Job.state != SUCCEEDED) | (Job.items_failed > 0),
        _WHOLE,
        state=QUEUED,
        run_after=_as_planned(),
        attempts=0,
        items_failed=0,
        progress=case((Job.items_total > 0, Job.items_succeeded * 1.0 / Job.items_total), else_=0.0),
        phase=None,
        error_code=None,
        error_message=None,
        dedupe_key=None,
        started_at=None,
        finished_at=None,
        token=None,
    )
    session.execute(
        update(JobItem)
        .where(JobItem.job_id == job_id, JobItem.state == FAILED)
        .values(state=QUEUED, attempts=0, run_after=func.now(), error_code=None, error_message=None)
    )
    # What children made may be gone, since the job was cancelled and held it no more: its body looks.
    if not children and job.items_total and job.items_succeeded == job.items_total:
        return _finish_empty(session, job)
    return _ring(session, job, able_workers)


def delete(session: Session, job_id: str) -> None:
    """Removes an ended job with its items and children.

    Raises:
        NotFound: no such job.
        Conflict: it has not ended, or is a part of another.
    """
    lock_items(session, (Job.id == job_id) | (Job.parent_id == job_id))
    lock_children(session, job_id)
    job = session.get(Job, job_id, with_for_update=True)
    if job is None:
        raise NotFound(f"There is no job {job_id!r}.")
    if job.parent_id is not None:
        raise _part(job, "removed")
    if job.state not in ENDED:
        raise Conflict(f"Job {job_id} is {job.state}; only ended jobs can be removed.", state=job.state)
    session.delete(job)


def lock_children(session: Session, job_id: str) -> list[str]:
    """The ids of a job's children, their rows held.

    Whoever changes a family holds its items first, then its children by their ids, then the job: in that order a
    worker writes that finishes an item, and in no other may anybody.
    """
    children = select(Job.id).where(Job.parent_id == job_id).order_by(Job.id)
    return list(session.scalars(children.with_for_update()))


def lock_items(session: Session, which: Any) -> None:
    """Holds the items of the jobs that match, before these jobs are held to be removed."""
    jobs = select(Job.id).where(which)
    session.execute(select(JobItem.id).where(JobItem.job_id.in_(jobs)).order_by(JobItem.id).with_for_update())


def _change(session: Session, job_id: str, allowed: tuple[str, ...], verb: str, *also: Any, **values: Any) -> Job:
    changed = session.scalars(
        update(Job)
        .where(Job.id == job_id, Job.state.in_(allowed), *also)
        .values(**values, version=Job.version + 1, updated_at=func.now())
        .returning(Job),
        execution_options={"populate_existing": True},
    ).one_or_none()
    if changed is None:
        present = session.get(Job, job_id, populate_existing=True)
        if present is None:
            raise NotFound(f"There is no job {job_id!r}.")
        if present.parent_id is not None:
            raise _part(present, verb)
        raise Conflict(f"Job {job_id} is {present.state} and cannot be {verb}.", state=present.state)
    announce(session, changed)
    return changed


def _stop(session: Session, children: list[str], allowed: tuple[str, ...], **values: Any) -> None:
    if not children:
        return
    stopped = (
        update(Job)
        .where(Job.id.in_(children), Job.state.in_(allowed))
        .values(**values, version=Job.version + 1, updated_at=func.now())
        .returning(Job)
    )
    for child in session.scalars(stopped, execution_options={"populate_existing": True}):
        announce(session, child)


def _as_planned() -> Any:
    """When a job that goes on is begun: one that waited because it failed, now; any other when it was to be."""
    return case((Job.error_code.is_(None), func.greatest(Job.run_after, func.now())), else_=func.now())


def _part(job: Job, verb: str) -> Conflict:
    message = f"Job {job.id} is a part of job {job.parent_id} and cannot be {verb} by itself."
    return Conflict(message, state=job.state, parent_id=job.parent_id)


def _finish_empty(session: Session, job: Job) -> Job:
    values = {"state": SUCCEEDED, "progress": 1.0, "finished_at": func.now()}
    return _change(session, job.id, (QUEUED,), "finished", **values)


def _ring(session: Session, job: Job, able_workers: int) -> Job:
    open_items = job.items_total - job.items_succeeded - job.items_failed
    count = min(open_items, max(1, able_workers)) if job.items_total else 1
    after_commit(session, Doorbell(job.lane, job.kind, job.id, count))
    return job
