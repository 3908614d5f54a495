"""What workers do with units of work: claim, renew, report, finish, fail, give back; fenced by a token."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import uuid4

from sqlalchemy import case, func, select, update
from sqlalchemy.orm import Session

from models.errors import LeaseLost
from models.events import Doorbell, after_commit
from models.jobs.lifecycle import announce
from models.jobs.tables import FAILED, PAUSED, QUEUED, RUNNING, SUCCEEDED, Job, JobItem

Unit = Job | JobItem
UNITS: tuple[type[Job], type[JobItem]] = (Job, JobItem)


def claim_job(session: Session, job_id: str, *, node: str, lease_seconds: float) -> Job | None:
    """The job, held by the caller; None when there is nothing to do (a doubled message, a paused or ended job)."""
    claimed = _claim(session, Job, Job.id == job_id, limit=1, node=node, lease_seconds=lease_seconds)
    for job in claimed:
        announce(session, job)
        return job
    return None


def claim_items(session: Session, job_id: str, *, limit: int, node: str, lease_seconds: float) -> list[JobItem]:
    """At most ``limit`` open items of a job, held by the caller, in order; none of a paused or ended job."""
    mine = (JobItem.job_id == job_id) & select(Job.id).where(
        Job.id == job_id, Job.state.in_((QUEUED, RUNNING))
    ).exists()
    items = _claim(session, JobItem, mine, limit=limit, node=node, lease_seconds=lease_seconds)
    if items:
        started = session.scalars(
            update(Job)
            .where(Job.id == job_id, Job.state == QUEUED)
            .values(state=RUNNING, version=Job.version + 1, updated_at=func.now(), started_at=_first(Job.started_at))
            .returning(Job)
        ).one_or_none()
        if started is not None:
            announce(session, started)
    return sorted(items, key=lambda item: item.position)


def _claim(session: Session, table: Any, which: Any, *, limit: int, node: str, lease_seconds: float) -> list[Any]:
    ready = (
        select(table.id)
        .where(table.state == QUEUED, table.run_after <= func.now(), which)
        .order_by(table.position if table is JobItem else table.id)
        .limit(limit)
        .with_for_update(of=table, skip_locked=True)
        .correlate(None)
    )
    values: dict[str, Any] = {
        "state": RUNNING,
        "token": uuid4().hex,
        "lease_node": node,
        "lease_until": _in_seconds(lease_seconds),
        "attempts": table.attempts + 1,
        "waits_on": None,
        "started_at": _first(table.started_at),
    }
    if table is Job:
        values |= {"version": Job.version + 1, "updated_at": func.now()}
    # As an array: the planner might run a bare sub-select once for every row, and claim more than the limit.
    statement = update(table).where(table.id == func.any(func.array(ready.scalar_subquery()))).values(**values)
    return list(session.scalars(statement.returning(table), execution_options={"populate_existing": True}))


def renew(session: Session, table: Any, tokens: Iterable[str], *, lease_seconds: float) -> set[str]:
    """The tokens that still hold something, their leases renewed; work under any other is to be thrown away."""
    statement = (
        update(table)
        .where(table.token.in_(list(tokens)), table.state == RUNNING)
        .values(lease_until=_in_seconds(lease_seconds))
        .returning(table.token)
    )
    return {token for token in session.scalars(statement) if token}


def report(session: Session, job: Job, *, progress: float, phase: str | None) -> None:
    """Stores how far a job without items has come.

    Raises:
        LeaseLost: it was cancelled, paused, or is somebody else's by now.
    """
    values = {"progress": min(max(progress, 0.0), 1.0), "phase": phase}
    announce(session, _write_job(session, job, values), moves=True)


def finish(session: Session, unit: Unit, result: Mapping[str, Any]) -> None:
    """The unit is done; the last item of a job finishes the job.

    Raises:
        LeaseLost: the unit is not the caller's any more; nothing was written.
    """
    ended = {"state": SUCCEEDED, "result": dict(result), "finished_at": func.now(), **_FREED, **_NO_ERROR}
    if isinstance(unit, JobItem):
        _write(session, JobItem, unit, ended)
        _count(session, unit.job_id, succeeded=1)
    else:
        announce(session, _write_job(session, unit, {**ended, "progress": 1.0}))


def fail(session: Session, unit: Unit, *, code: str, message: str, retry_in_seconds: float | None = None) -> None:
    """The unit failed: for good, or (``retry_in_seconds``) until it is tried again.

    Raises:
        LeaseLost: the unit is not the caller's any more; nothing was written.
    """
    error = {"error_code": code, "error_message": message, **_FREED}
    if retry_in_seconds is not None:
        values = {**error, "state": QUEUED, "run_after": _in_seconds(retry_in_seconds)}
    else:
        values = {**error, "state": FAILED, "finished_at": func.now()}
    if isinstance(unit, Job):
        announce(session, _write_job(session, unit, values))
        return
    _write(session, JobItem, unit, values)
    if retry_in_seconds is None:
        _count(session, unit.job_id, failed=1, error=(code, message))


def release(session: Session, unit: Unit, *, waits_on: str | None = None, for_seconds: float = 0.0) -> None:
    """Gives an unfinished unit back without counting an attempt; ``waits_on`` parks it until ``wake`` or the time.

    Raises:
        LeaseLost: the unit is not the caller's any more; nothing was written.
    """
    table = type(unit)
    values = {
        "state": QUEUED,
        "waits_on": waits_on,
        "run_after": _in_seconds(for_seconds),
        "attempts": table.attempts - 1,
        **_FREED,
    }
    if isinstance(unit, Job):
        _write_job(session, unit, values)
    else:
        _write(session, JobItem, unit, values)


def wake(session: Session, waits_on: str) -> None:
    """Rings every unit that was parked for ``waits_on``."""
    for table in UNITS:
        woken = (
            update(table)
            .where(table.waits_on == waits_on, table.state == QUEUED)
            .values(waits_on=None, run_after=func.now())
            .returning(Job.id if table is Job else JobItem.job_id)
        )
        for job_id in set(session.scalars(woken)):
            _ring_once(session, job_id)


def return_lapsed(session: Session, attempts_allowed: Mapping[str, int], *, node: str | None = None) -> int:
    """How many units were taken back: those whose lease ran out, or (``node``) all that a dead process held.

    One that was tried as often as its kind allows (``attempts_allowed``) fails with ``worker_lost`` instead.
    """
    returned = 0
    for table in UNITS:
        lapsed = table.lease_node == node if node is not None else table.lease_until < func.now()
        held = select(table).where(table.state == RUNNING, lapsed).with_for_update(skip_locked=True)
        rows: list[Unit] = list(session.scalars(held))
        for unit in rows:
            if isinstance(unit, Job) and unit.items_total:
                continue
            _return_one(session, unit, attempts_allowed)
            returned += 1
    return returned


def _return_one(session: Session, unit: Unit, attempts_allowed: Mapping[str, int]) -> None:
    job = unit if isinstance(unit, Job) else session.get_one(Job, unit.job_id)
    allowed = attempts_allowed.get(job.kind, 3)
    if unit.attempts >= allowed:
        message = f"Its worker was lost {unit.attempts} times (last: {unit.lease_node})."
        fail(session, unit, code="worker_lost", message=message)
        return
    fail(session, unit, code="worker_lost", message=f"Its worker {unit.lease_node} was lost.", retry_in_seconds=0.0)
    after_commit(session, Doorbell(job.lane, job.kind, job.id))


_FREED: dict[str, Any] = {"token": None, "lease_until": None, "lease_node": None}
_NO_ERROR: dict[str, Any] = {"error_code": None, "error_message": None}


def _write(session: Session, table: Any, unit: Unit, values: Mapping[str, Any]) -> Any:
    """Changes a unit that the caller holds; the only door for writes by workers."""
    changed = session.scalars(
        update(table)
        .where(table.id == unit.id, table.token == unit.token, table.state == RUNNING)
        .values(**values)
        .returning(table),
        execution_options={"populate_existing": True, "synchronize_session": False},
    ).one_or_none()
    if changed is None:
        raise LeaseLost(f"Unit {unit.id} is not held under {unit.token} any more.")
    return changed


def _write_job(session: Session, job: Job, values: Mapping[str, Any]) -> Job:
    changed: Job = _write(session, Job, job, {**values, "version": Job.version + 1, "updated_at": func.now()})
    return changed


def _count(
    session: Session, job_id: str, *, succeeded: int = 0, failed: int = 0, error: tuple[str, str] | None = None
) -> None:
    done = Job.items_succeeded + Job.items_failed + succeeded + failed
    # A paused job whose last items were in flight is done too.
    last = (done >= Job.items_total) & Job.state.in_((QUEUED, RUNNING, PAUSED))
    outcome = case((Job.items_succeeded + succeeded > 0, SUCCEEDED), else_=FAILED)
    values: dict[str, Any] = {
        "items_succeeded": Job.items_succeeded + succeeded,
        "items_failed": Job.items_failed + failed,
        "progress": done * 1.0 / Job.items_total,
        "state": case((last, outcome), else_=Job.state),
        "finished_at": case((last, func.now()), else_=Job.finished_at),
        "version": Job.version + 1,
        "updated_at": func.now(),
    }
    if error is not None:
        values |= {"error_code": error[0], "error_message": error[1]}
    job = session.scalars(
        update(Job).where(Job.id == job_id).values(**values).returning(Job),
        execution_options={"populate_existing": True, "synchronize_session": False},
    ).one()
    announce(session, job, moves=True)


def _ring_once(session: Session, job_id: str) -> None:
    job = session.get(Job, job_id)
    if job is not None:
        after_commit(session, Doorbell(job.lane, job.kind, job.id))


def _in_seconds(seconds: float) -> Any:
    return func.now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)


def _first(column: Any) -> Any:
    return func.coalesce(column, func.now())
