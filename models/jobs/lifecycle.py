"""What people do with jobs: submit, cancel, pause, resume, retry. Each change is one UPDATE with its precondition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import case, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from models.errors import Conflict, NotFound
from models.events import Doorbell, Event, after_commit
from models.jobs.tables import CANCELLED, ENDED, FAILED, PAUSED, QUEUED, RUNNING, SUCCEEDED, Job, JobItem


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
            "items_total": len(new.items),
            "items_succeeded": done,
            "progress": done / len(new.items) if new.items else 0.0,
            "state": QUEUED,
        }
        job = session.scalars(_insert_statement(), columns).one_or_none()
        if job is not None:
            break
        # FOR SHARE waits for a finish in flight, after which the job no longer matches and we make our own.
        joined = session.scalars(
            select(Job)
            .where(Job.dedupe_key == new.dedupe_key, Job.state.in_((QUEUED, RUNNING)))
            .with_for_update(read=True)
        ).one_or_none()
        if joined is not None:
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


@cache
def _insert_statement() -> Any:
    # The index as it is spelled, without parameters. It holds no job without a key, so those never conflict.
    unfinished = text("dedupe_key is not null and state in ('queued', 'running')")
    return upsert(Job).on_conflict_do_nothing(index_elements=[Job.dedupe_key], index_where=unfinished).returning(Job)


def cancel(session: Session, job_id: str) -> Job:
    """The job, cancelled. What is in flight of a job with items finishes and is kept.

    Raises:
        NotFound: no such job.
        Conflict: it has ended already.
    """
    return _change(session, job_id, (QUEUED, RUNNING, PAUSED), "cancelled", state=CANCELLED, finished_at=func.now())


def pause(session: Session, job_id: str) -> Job:
    """The job, paused: nothing of it is started any more.

    Raises:
        NotFound: no such job.
        Conflict: it is paused already or has ended.
    """
    return _change(session, job_id, (QUEUED, RUNNING), "paused", state=PAUSED, token=None, dedupe_key=None)


def resume(session: Session, job_id: str, *, able_workers: int) -> Job:
    """The job, queued again after a pause.

    Raises:
        NotFound: no such job.
        Conflict: it is not paused.
    """
    job = _change(session, job_id, (PAUSED,), "resumed", state=QUEUED, run_after=func.now(), error_code=None)
    return _ring(session, job, able_workers)


def retry(session: Session, job_id: str, *, able_workers: int) -> Job:
    """The job, queued again; of one that ended with failed items, those items only.

    Raises:
        NotFound: no such job.
        Conflict: it neither failed nor was cancelled, and has no failed items.
    """
    job = _change(
        session,
        job_id,
        (FAILED, CANCELLED, SUCCEEDED),
        "retried",
        (Job.state != SUCCEEDED) | (Job.items_failed > 0),
        state=QUEUED,
        run_after=func.now(),
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
    if job.items_total and job.items_succeeded == job.items_total:
        return _finish_empty(session, job)
    return _ring(session, job, able_workers)


def delete(session: Session, job_id: str) -> None:
    """Removes an ended job with its items.

    Raises:
        NotFound: no such job.
        Conflict: it has not ended.
    """
    job = session.get(Job, job_id, with_for_update=True)
    if job is None:
        raise NotFound(f"There is no job {job_id!r}.")
    if job.state not in ENDED:
        raise Conflict(f"Job {job_id} is {job.state}; only ended jobs can be removed.", state=job.state)
    session.delete(job)


def announce(session: Session, job: Any, *, moves: bool = False) -> None:
    """Tells watchers of a job (a ``Job``, or its row) after the commit; ``moves`` when only its bar moved."""
    name = "job.finished" if job.state in ENDED else "job.progress"
    after_commit(session, Event(name, job.id, summary(job), moves=moves and job.state not in ENDED))


def summary(job: Any) -> dict[str, Any]:
    """What watchers are told of a job (a ``Job``, or its row).

    ``account_id`` and ``result`` are for the web process, which does not show them.
    """
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "progress": round(job.progress, 4),
        "phase": job.phase,
        "version": job.version,
        "items": {"total": job.items_total, "succeeded": job.items_succeeded, "failed": job.items_failed},
        "error": {"code": job.error_code, "message": job.error_message} if job.error_code else None,
        # Whoever waits for live work answers with this, and need not read the row again.
        "result": job.result if job.live else None,
        "account_id": job.account_id,
    }


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
        raise Conflict(f"Job {job_id} is {present.state} and cannot be {verb}.", state=present.state)
    announce(session, changed)
    return changed


def _finish_empty(session: Session, job: Job) -> Job:
    values = {"state": SUCCEEDED, "progress": 1.0, "finished_at": func.now()}
    return _change(session, job.id, (QUEUED,), "finished", **values)


def _ring(session: Session, job: Job, able_workers: int) -> Job:
    open_items = job.items_total - job.items_succeeded - job.items_failed
    count = min(open_items, max(1, able_workers)) if job.items_total else 1
    after_commit(session, Doorbell(job.lane, job.kind, job.id, count))
    return job
