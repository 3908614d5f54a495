"""What is taken back from workers that are gone."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.events import Doorbell, after_commit
from models.jobs.tables import RUNNING, Job
from models.jobs.work import UNITS, Unit, fail


def return_lapsed(session: Session, attempts_allowed: Mapping[str, int], *, node: str | None = None) -> int:
    """How many units were taken back: those whose lease ran out, or (``node``) all that a dead process held.

    One that was tried as often as its kind allows (``attempts_allowed``) fails with ``worker_lost`` instead.
    """
    returned = 0
    for table in UNITS:
        lapsed = table.lease_node == node if node is not None else table.lease_until < func.now()
        held = select(table).where(table.state == RUNNING, table.token.is_not(None), lapsed)
        rows: list[Unit] = list(session.scalars(held.with_for_update(skip_locked=True)))
        for unit in rows:
            return_unit(session, unit, attempts_allowed)
        returned += len(rows)
    return returned


def return_unit(session: Session, unit: Unit, attempts_allowed: Mapping[str, int]) -> None:
    """Gives the unit to whoever comes next, or fails it where it was tried as often as its kind allows.

    Raises:
        LeaseLost: it is not held as the caller knows it any more; nothing was written.
    """
    job = unit if isinstance(unit, Job) else session.get_one(Job, unit.job_id)
    if unit.attempts >= attempts_allowed.get(job.kind, 3):
        message = f"Its worker was lost {unit.attempts} times (last: {unit.lease_node})."
        fail(session, unit, code="worker_lost", message=message)
        return
    fail(session, unit, code="worker_lost", message=f"Its worker {unit.lease_node} was lost.", retry_in_seconds=0.0)
    after_commit(session, Doorbell(job.lane, job.kind, job.id))
