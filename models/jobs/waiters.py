"""Who waits for a job. Live work whose last waiter left is cancelled; it was for nobody else."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, cast

from sqlalchemy import Table, bindparam, delete, func, insert, null, select, update
from sqlalchemy.orm import Session

from models.base import new_id
from models.jobs.announcing import announce
from models.jobs.tables import CANCELLED, FREED, QUEUED, RUNNING, Job, JobWaiter

# A web process renews its waiters every 5 s: three missed renewals mean that it is gone.
WAITER_SECONDS = 15


def join(session: Session, job_id: str, *, lasting: bool = False) -> str:
    """The id of a new waiter; a ``lasting`` one needs no renewal and never leaves."""
    waiter_id = new_id()
    session.execute(_join_statement(lasting), {"id": waiter_id, "job_id": job_id})
    return waiter_id


@cache
def _join_statement(lasting: bool) -> Any:
    waiters = cast(Table, JobWaiter.__table__)
    return insert(waiters).values(
        id=bindparam("id"), job_id=bindparam("job_id"), expires_at=null() if lasting else _soon()
    )


def renew(session: Session, waiter_ids: Iterable[str]) -> None:
    """Says that these waiters are still there."""
    session.execute(update(JobWaiter).where(JobWaiter.id.in_(list(waiter_ids))).values(expires_at=_soon()))


def leave(session: Session, waiter_ids: Iterable[str]) -> None:
    """These waiters are gone."""
    _remove(session, JobWaiter.id.in_(list(waiter_ids)))


def dismiss(session: Session, waiter_ids: Iterable[str]) -> None:
    """These waiters got what they waited for; whoever listened has it before its worker has stored it."""
    session.execute(delete(JobWaiter).where(JobWaiter.id.in_(list(waiter_ids))))


def expire(session: Session) -> None:
    """Removes the waiters whose web process has gone without saying so."""
    _remove(session, JobWaiter.expires_at < func.now())


def _remove(session: Session, which: object) -> None:
    job_ids = set(session.scalars(delete(JobWaiter).where(which).returning(JobWaiter.job_id)))  # type: ignore[arg-type]
    if not job_ids:
        return
    # Locking the jobs first: one who joins at this moment either is seen here or finds the job cancelled.
    session.execute(select(Job.id).where(Job.id.in_(job_ids)).order_by(Job.id).with_for_update())
    abandoned = session.scalars(
        update(Job)
        .where(
            Job.id.in_(job_ids),
            Job.live,
            Job.state.in_((QUEUED, RUNNING)),
            ~select(JobWaiter.id).where(JobWaiter.job_id == Job.id).exists(),
        )
        .values(
            state=CANCELLED,
            error_code="abandoned",
            error_message="Nobody waits for it any more.",
            version=Job.version + 1,
            updated_at=func.now(),
            finished_at=func.now(),
            **FREED,
        )
        .returning(Job)
    )
    for job in abandoned:
        announce(session, job)


def _soon() -> object:
    return func.now() + func.make_interval(0, 0, 0, 0, 0, 0, WAITER_SECONDS)
