"""What workers do with units of work: claim, renew, report, finish, fail, give back; fenced by a token.

The statements are built once: a worker runs a dozen of them for every sentence it speaks, and putting one together
costs more than running it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, cast
from uuid import uuid4

from sqlalchemy import Integer, Table, bindparam, case, func, select, update
from sqlalchemy.orm import Session

from models.errors import LeaseLost
from models.events import Doorbell, after_commit
from models.jobs.announcing import announce
from models.jobs.tables import FAILED, FREED, PAUSED, QUEUED, RUNNING, SUCCEEDED, Job, JobItem

Unit = Job | JobItem
UNITS: tuple[type[Job], type[JobItem]] = (Job, JobItem)

_NO_ERROR: dict[str, Any] = {"error_code": None, "error_message": None}
_ERROR: dict[str, Any] = {"error_code": bindparam("code"), "error_message": bindparam("message")}


def _in_seconds(seconds: Any) -> Any:
    return func.now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)


# What a worker may do to a unit that it holds: the only writes to a running unit.
_CHANGES: dict[str, dict[str, Any]] = {
    "report": {"progress": bindparam("share"), "phase": bindparam("phase")},
    "finish": {
        "state": SUCCEEDED,
        "result": bindparam("made", type_=Job.result.type),
        "finished_at": func.now(),
        **FREED,
        **_NO_ERROR,
    },
    "fail": {"state": FAILED, "finished_at": func.now(), **_ERROR, **FREED},
    # What is left to do is its children's (models/jobs/spreading.py), and nobody's lease.
    "spread": {
        "state": bindparam("outcome"),
        "params": Job.params.op("||")(bindparam("notes", type_=Job.params.type)),
        **{name: bindparam(f"of_{name}", type_=Integer) for name in ("items_total", "items_succeeded", "items_failed")},
        "progress": bindparam("share"),
        "phase": None,
        "attempts": 0,
        **FREED,
        **_NO_ERROR,
    },
    "retry": {"state": QUEUED, "run_after": _in_seconds(bindparam("pause")), **_ERROR, **FREED},
    "release": {
        "state": QUEUED,
        "run_after": _in_seconds(bindparam("pause")),
        "waits_on": bindparam("wanted"),
        **FREED,
    },
}


def claim_job(session: Session, job_id: str, *, node: str, lease_seconds: float) -> Job | None:
    """The job, held by the caller; None when there is nothing to do (a doubled message, a paused or ended job)."""
    claimed = _claim(session, Job, job_id, limit=1, node=node, lease_seconds=lease_seconds)
    for job in claimed:
        announce(session, job)
        return job
    return None


def hold(session: Session, job: Job) -> None:
    """Keeps the job the caller's until its transaction ends.

    What a worker stores of a clip is of use to whoever has its job by then; a course or a batch of tasks would be there
    twice, or though its job was cancelled.

    Raises:
        LeaseLost: it is not the caller's any more.
    """
    mine = select(Job.id).where(Job.id == job.id, Job.token == job.token, Job.state == RUNNING)
    if session.scalar(mine.with_for_update()) is None:
        raise LeaseLost(f"{job.kind} {job.id} is not held under {job.token} any more.")


def claim_items(session: Session, job_id: str, *, limit: int, node: str, lease_seconds: float) -> list[JobItem]:
    """At most ``limit`` open items of a job, held by the caller, in order; none of a paused or ended job."""
    items = _claim(session, JobItem, job_id, limit=limit, node=node, lease_seconds=lease_seconds)
    if items and session.get_one(Job, job_id).state == QUEUED:
        started = session.scalars(
            update(Job)
            .where(Job.id == job_id, Job.state == QUEUED)
            .values(state=RUNNING, version=Job.version + 1, updated_at=func.now(), started_at=_first(Job.started_at))
            .returning(Job),
            execution_options={"populate_existing": True},
        ).one_or_none()
        if started is not None:
            announce(session, started)
    return sorted(items, key=lambda item: item.position)


def _claim(session: Session, table: Any, job_id: str, *, limit: int, node: str, lease_seconds: float) -> list[Any]:
    values = {"job": job_id, "most": limit, "holder": uuid4().hex, "node": node, "seconds": lease_seconds}
    return list(session.scalars(_claim_statement(table), values, execution_options={"populate_existing": True}))


@cache
def _claim_statement(table: Any) -> Any:
    ready = select(table.id).where(table.state == QUEUED, table.run_after <= func.now())
    if table is Job:
        ready = ready.where(Job.id == bindparam("job"))
    else:
        open_job = select(Job.id).where(Job.id == bindparam("job"), Job.state.in_((QUEUED, RUNNING)))
        ready = ready.where(JobItem.job_id == bindparam("job"), open_job.exists()).order_by(JobItem.position)
    # Of items, another's are passed over. The one job is waited for: whoever joins it holds its row for a moment, and
    # a claim that passed it over would leave it to the reclaimer, seconds later. No key changes, so that a new waiter's
    # foreign key is in nobody's way.
    ready = ready.limit(bindparam("most")).with_for_update(of=table, skip_locked=table is JobItem, key_share=True)
    ready = ready.correlate(None)
    values: dict[str, Any] = {
        "state": RUNNING,
        "token": bindparam("holder"),
        "lease_node": bindparam("node"),
        "lease_until": _in_seconds(bindparam("seconds")),
        "attempts": table.attempts + 1,
        "waits_on": None,
        "started_at": _first(table.started_at),
    }
    if table is Job:
        values |= {"version": Job.version + 1, "updated_at": func.now()}
    # As an array: the planner might run a bare sub-select once for every row, and claim more than the limit.
    chosen = func.any(func.array(ready.scalar_subquery()))
    return update(table).where(table.id == chosen).values(**values).returning(table)


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
    row = _write(session, job, "report", share=min(max(progress, 0.0), 1.0), phase=phase)
    announce(session, row, moves=True)


def finish(session: Session, unit: Unit, result: Mapping[str, Any]) -> None:
    """The unit is done; the last item of a job finishes the job.

    Raises:
        LeaseLost: the unit is not the caller's any more; nothing was written.
    """
    _settle(session, unit, "finish", succeeded=1, made=dict(result))


def fail(session: Session, unit: Unit, *, code: str, message: str, retry_in_seconds: float | None = None) -> None:
    """The unit failed: for good, or (``retry_in_seconds``) until it is tried again.

    Raises:
        LeaseLost: the unit is not the caller's any more; nothing was written.
    """
    if retry_in_seconds is None:
        _settle(session, unit, "fail", failed=1, code=code, message=message)
    else:
        _settle(session, unit, "retry", code=code, message=message, pause=retry_in_seconds)


def spread(session: Session, job: Job, *, total: int, succeeded: int, failed: int, notes: Mapping[str, Any]) -> None:
    """The job consists of its children's items from now on; ``notes`` are added to its params.

    One of which nothing is left to do has ended.

    Raises:
        LeaseLost: the job is not the caller's any more; nothing was written.
    """
    done = succeeded + failed
    outcome = RUNNING if done < total else SUCCEEDED if succeeded or not total else FAILED
    counts = {"of_items_total": total, "of_items_succeeded": succeeded, "of_items_failed": failed}
    share = done / total if total else 1.0
    row = _write(session, job, "spread", outcome=outcome, share=share, notes=dict(notes), **counts)
    announce(session, row)


def release(session: Session, unit: Unit, *, waits_on: str | None = None, for_seconds: float = 0.0) -> None:
    """Gives an unfinished unit back without counting an attempt; ``waits_on`` parks it until ``wake`` or the time.

    Raises:
        LeaseLost: the unit is not the caller's any more; nothing was written.
    """
    row = _write(session, unit, "release", wanted=waits_on, pause=for_seconds)
    if isinstance(unit, Job):
        announce(session, row)


def _settle(session: Session, unit: Unit, change: str, succeeded: int = 0, failed: int = 0, **values: Any) -> None:
    row = _write(session, unit, change, **values)
    if isinstance(unit, Job):
        announce(session, row)
    elif succeeded or failed:
        counts = {"job": unit.job_id, "succeeded": succeeded, "failed": failed, "code": None, "message": None}
        counts |= {name: values.get(name) for name in ("code", "message")}
        counted = session.execute(_count_statement(), counts).one()
        announce(session, counted, moves=True)
        if counted.parent_id is not None:
            # What is done of a part is done of the whole.
            whole = session.execute(_count_statement(), counts | {"job": counted.parent_id}).one()
            announce(session, whole, moves=True)


def _write(session: Session, unit: Unit, change: str, **values: Any) -> Any:
    """Changes a unit that the caller holds, and gives its row; the only door for writes by workers."""
    held = {"unit": unit.id, "holder": unit.token}
    row = session.execute(_change_statement(type(unit), change), held | values).one_or_none()
    if row is None:
        raise LeaseLost(f"Unit {unit.id} is not held under {unit.token} any more.")
    return row


@cache
def _change_statement(model: type[Unit], change: str) -> Any:
    table = _table(model)
    values = dict(_CHANGES[change])
    if change == "release":
        values["attempts"] = table.c.attempts - 1
    if model is Job:
        values |= {"version": table.c.version + 1, "updated_at": func.now()}
        if change == "finish":
            values["progress"] = 1.0
        if change == "spread":
            ended = bindparam("outcome").in_((SUCCEEDED, FAILED))
            values["finished_at"] = case((ended, func.now()), else_=None)
    held = (table.c.id == bindparam("unit"), table.c.token == bindparam("holder"), table.c.state == RUNNING)
    statement = update(table).where(*held).values(**values)
    # Of an item nobody is told, so its row need not travel.
    return statement.returning(*table.c) if model is Job else statement.returning(table.c.id)


@cache
def _count_statement() -> Any:
    jobs = _table(Job)
    succeeded, failed = (bindparam(name, type_=Integer) for name in ("succeeded", "failed"))
    done = jobs.c.items_succeeded + jobs.c.items_failed + succeeded + failed
    # A paused job whose last items were in flight is done too; one whose body is at work says itself what is left.
    last = (done >= jobs.c.items_total) & jobs.c.state.in_((QUEUED, RUNNING, PAUSED)) & jobs.c.token.is_(None)
    outcome = case((jobs.c.items_succeeded + succeeded > 0, SUCCEEDED), else_=FAILED)
    values: dict[str, Any] = {
        "items_succeeded": jobs.c.items_succeeded + succeeded,
        "items_failed": jobs.c.items_failed + failed,
        "progress": done * 1.0 / jobs.c.items_total,
        "state": case((last, outcome), else_=jobs.c.state),
        "finished_at": case((last, func.now()), else_=jobs.c.finished_at),
        "version": jobs.c.version + 1,
        "updated_at": func.now(),
        # The last failure is the job's, until all is well.
        "error_code": func.coalesce(bindparam("code"), jobs.c.error_code),
        "error_message": func.coalesce(bindparam("message"), jobs.c.error_message),
    }
    return update(jobs).where(jobs.c.id == bindparam("job")).values(**values).returning(*jobs.c)


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
            job = session.get(Job, job_id)
            if job is not None:
                after_commit(session, Doorbell(job.lane, job.kind, job.id))


def _table(model: type[Unit]) -> Table:
    return cast(Table, model.__table__)


def _first(column: Any) -> Any:
    return func.coalesce(column, func.now())
