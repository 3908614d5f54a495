"""The workers that train language models: each keeps a number, and a lane of its own beside the one for all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.errors import Conflict, NotFound
from models.jobs import work
from models.jobs.tables import QUEUED, RUNNING, Job
from models.llm.tables import TrainingWorker
from models.workers import ALIVE_SECONDS, Worker

LANE = "llm"
# What sessions wait for that a drained worker gave back.
UNDRAINED = "worker:llm"


def lane_of(worker_id: int) -> str:
    """The lane of one worker."""
    return f"{LANE}.{worker_id}"


@dataclass(frozen=True)
class Known:
    """A worker, and what the register says of it now (None of one that was not heard of for a day)."""

    worker: TrainingWorker
    state: Worker | None
    online: bool
    # The session that it is at, and how many wait for it alone.
    session_id: str | None
    waiting: int


def number(session: Session, node: str) -> int:
    """The number of the worker of this name, which it has for good."""
    made = insert(TrainingWorker).values(node=node).on_conflict_do_nothing(index_elements=[TrainingWorker.node])
    session.execute(made)
    return session.scalars(select(TrainingWorker.id).where(TrainingWorker.node == node)).one()


def everything(session: Session) -> list[Known]:
    """All workers by number."""
    fresh = Worker.heartbeat_at > func.now() - timedelta(seconds=ALIVE_SECONDS)
    rows = session.execute(
        select(TrainingWorker, Worker, fresh & ~Worker.draining)
        .outerjoin(Worker, Worker.node == TrainingWorker.node)
        .order_by(TrainingWorker.id)
    ).all()
    # A merge is a session's, too.
    whose = func.coalesce(Job.params["session_id"].astext, Job.id).label("session_id")
    running = select(Job.lease_node, whose).where(Job.state == RUNNING, Job.lane.startswith(LANE, autoescape=True))
    at_work = {row.lease_node: row.session_id for row in session.execute(running)}
    queued = select(Job.lane, func.count().label("sessions")).where(
        Job.state == QUEUED, Job.lane.startswith(f"{LANE}.")
    )
    waiting = {row.lane: row.sessions for row in session.execute(queued.group_by(Job.lane))}
    return [
        Known(worker, state, bool(online), at_work.get(worker.node), waiting.get(lane_of(worker.id), 0))
        for worker, state, online in rows
    ]


def get(session: Session, worker_id: int) -> Known:
    """The worker.

    Raises:
        NotFound: there is none.
    """
    found = next((known for known in everything(session) if known.worker.id == worker_id), None)
    if found is None:
        raise NotFound(f"There is no training worker {worker_id}.", code="worker_not_found", worker_id=worker_id)
    return found


def usable(session: Session, worker_id: int) -> Known:
    """The worker, if it can be given work.

    Raises:
        NotFound: there is none.
        Conflict: it does not run, or is drained.
    """
    known = get(session, worker_id)
    if known.worker.drained:
        raise Conflict(f"Training worker {worker_id} is drained.", code="worker_drained")
    if not known.online:
        raise Conflict(f"Training worker {worker_id} ({known.worker.node}) is offline.", code="worker_offline")
    return known


def anybody(session: Session) -> bool:
    """Whether some worker can be given work."""
    return any(known.online and not known.worker.drained for known in everything(session))


def drained(session: Session, node: str) -> bool:
    """Whether the worker of this name is to be given nothing more."""
    return bool(session.scalar(select(TrainingWorker.drained).where(TrainingWorker.node == node)))


def drain(session: Session, worker_id: int, *, drained: bool) -> Known:
    """The worker, which is given nothing more; or, not ``drained``, work again.

    Raises:
        NotFound: there is none.
    """
    get(session, worker_id).worker.drained = drained
    session.flush()
    if not drained:
        work.wake(session, UNDRAINED)
    return get(session, worker_id)


def remove(session: Session, worker_id: int) -> None:
    """Forgets the worker; one that is online is known by its number as long as it lives, and is not drained.

    Raises:
        NotFound: there is none.
    """
    if get(session, worker_id).online:
        drain(session, worker_id, drained=False)
    else:
        session.execute(delete(TrainingWorker).where(TrainingWorker.id == worker_id))
