"""Training sessions: made, started once with what they learn from frozen, watched, ended."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import case, delete, func, select, update
from sqlalchemy.orm import Session

from models.base import new_id, utc_now
from models.errors import Conflict, NotFound
from models.jobs import lifecycle, work
from models.jobs.folders import JobFolders
from models.jobs.tables import CANCELLED, ENDED, FAILED, PAUSED, QUEUED, RUNNING, SUCCEEDED, Job
from models.llm import curves
from models.llm.tables import TrainingSession, TrainingWorker
from models.llm.workers import LANE

KIND = "llm.finetune"
# One that has ended may be tried again for so long with what it has so far.
KEPT_SECONDS = 86400.0
# What a session is that was never started; of one that was, its job's state by these words.
PENDING = "pending"
STATUS = {
    QUEUED: "queued",
    RUNNING: "training",
    PAUSED: "paused",
    SUCCEEDED: "completed",
    FAILED: "failed",
    CANCELLED: "cancelled",
}


class Folders(JobFolders):
    """Where trainings keep what they have so far, and base models that were made ready once."""

    @property
    def bases(self) -> Path:
        """Base models, converted."""
        return self.root / "bases"

    @property
    def kept(self) -> frozenset[Path]:
        """Those that are no job's."""
        return frozenset({self.bases})


def folders(var_dir: Path) -> Folders:
    """The folders under ``var_dir``."""
    return Folders(var_dir / "llm")


@dataclass(frozen=True)
class Found:
    """A session and its job; None before its start, and once it is forgotten."""

    row: TrainingSession
    job: Job | None

    @property
    def status(self) -> str:
        """The word for how it is."""
        if self.job is not None:
            return STATUS[self.job.state]
        return self.row.outcome or PENDING

    @property
    def ended(self) -> bool:
        """Whether nothing more comes of it."""
        return self.job.state in ENDED if self.job is not None else self.row.outcome is not None


def create(session: Session, fields: Mapping[str, Any], *, account_id: str | None) -> Found:
    """A new session, which nobody started yet."""
    row = TrainingSession(id=new_id("ft_"), account_id=account_id, **fields)
    session.add(row)
    session.flush()
    session.refresh(row)
    return Found(row, None)


def get(session: Session, session_id: str, *, visible_to: str | None, lock: bool = False) -> Found:
    """The session, if the account ``visible_to`` (None: anybody) may know of it.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    # The job first: in this order a worker writes to both.
    job = session.get(Job, session_id, with_for_update=True) if lock else None
    row = session.get(TrainingSession, session_id, with_for_update=lock or None)
    if row is None or visible_to not in (None, row.account_id):
        raise NotFound(f"There is no training session {session_id!r}.", code="session_not_found")
    # Until now it may have been started.
    return Found(row, job or session.get(Job, session_id))


def page(session: Session, *, visible_to: str | None, limit: int, offset: int) -> tuple[list[Found], int]:
    """Sessions, newest first, and how many there are."""
    mine = [] if visible_to is None else [TrainingSession.account_id == visible_to]
    rows = session.execute(
        select(TrainingSession, Job)
        .outerjoin(Job, Job.id == TrainingSession.id)
        .where(*mine)
        .order_by(TrainingSession.created_at.desc(), TrainingSession.id.desc())
        .limit(limit)
        .offset(offset)
    )
    found = [Found(row, job) for row, job in rows]
    return found, session.scalar(select(func.count()).select_from(TrainingSession).where(*mine)) or 0


def begin(session: Session, session_id: str, *, worker_id: int | None, dataset: Mapping[str, Any]) -> None:
    """The session is started, once: with this dataset, on that worker or (None) any.

    Raises:
        Conflict: it was started before, or cancelled.
    """
    started = (
        update(TrainingSession)
        .where(
            TrainingSession.id == session_id, TrainingSession.started_at.is_(None), TrainingSession.outcome.is_(None)
        )
        .values(started_at=func.now(), worker_id=worker_id, dataset=dict(dataset))
        .returning(TrainingSession.id)
    )
    if session.scalar(started) is None:
        raise Conflict(f"Training session {session_id} was started or cancelled before.", code="session_not_pending")


def cancel(session: Session, session_id: str, *, visible_to: str | None) -> Found:
    """The session, cancelled.

    Raises:
        NotFound: there is none.
        Conflict: it has ended.
    """
    found = get(session, session_id, visible_to=visible_to, lock=True)
    if found.job is not None:
        return Found(found.row, lifecycle.cancel(session, session_id))
    if found.ended:
        raise Conflict(f"Training session {session_id} is {found.status}.", status=found.status)
    found.row.outcome, found.row.ended_at = STATUS[CANCELLED], utc_now()
    session.flush()
    return found


def remove(session: Session, session_id: str, *, visible_to: str | None) -> None:
    """Removes a session that has ended or was never started, with its results.

    Raises:
        NotFound: there is none.
        Conflict: it is at work.
    """
    found = get(session, session_id, visible_to=visible_to, lock=True)
    if found.job is not None:
        if not found.ended:
            raise Conflict(f"Training session {session_id} is {found.status}; cancel it first.", status=found.status)
        lifecycle.delete(session, session_id)
    merge = session.get(Job, found.row.merged["job_id"]) if found.row.merged else None
    if merge is not None and merge.state not in ENDED:
        message = f"Training session {session_id} is being merged; cancel job {merge.id} first."
        raise Conflict(message, job_id=merge.id)
    session.execute(delete(TrainingSession).where(TrainingSession.id == session_id))


def note(
    session: Session, job: Job, detail: Mapping[str, Any] | None, points: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Stores what is told of a session while it runs: all that is told of it (None: as it was), and further points.

    Raises:
        LeaseLost: it was cancelled, paused, or is somebody else's by now.
    """
    work.hold(session, job)
    if points:
        reached = (curves.last(session, job.id) or {"step": 0})["step"]
        curves.add(session, job.id, points)
        if any(point["step"] > reached for point in points):
            # Whoever gets further than before is not to blame for what its workers die of: trainings take days.
            session.execute(update(Job).where(Job.id == job.id).values(attempts=1))
    if detail is not None:
        session.execute(update(TrainingSession).where(TrainingSession.id == job.id).values(detail=dict(detail)))


def complete(session: Session, job: Job, *, detail: Mapping[str, Any], files: Mapping[str, Any]) -> None:
    """Keeps what came of a session.

    Raises:
        LeaseLost: it was cancelled, or is somebody else's by now.
    """
    work.hold(session, job)
    values = {"detail": dict(detail), "files": dict(files), "outcome": STATUS[SUCCEEDED], "ended_at": func.now()}
    session.execute(update(TrainingSession).where(TrainingSession.id == job.id).values(**values))


def outlive(session: Session, job_ids: Collection[str]) -> None:
    """Keeps what became of sessions whose jobs are about to be forgotten."""
    word = case(STATUS, value=Job.state)
    why = func.jsonb_build_object("code", Job.error_code, "message", Job.error_message)
    kept = update(TrainingSession).where(TrainingSession.id == Job.id, Job.id.in_(job_ids))
    error = case((Job.error_code.is_not(None), why))
    session.execute(kept.values(outcome=word, ended_at=Job.finished_at, error=error))


def over(session: Session, names: Collection[str]) -> set[str]:
    """Which of these ids of sessions nobody needs a folder for: those of no job, or of one that ended a day ago."""
    since = utc_now() - timedelta(seconds=KEPT_SECONDS)
    needed = Job.id.in_(names) & (Job.state.not_in(ENDED) | (Job.finished_at > since))
    return set(names) - set(session.scalars(select(Job.id).where(needed)))


def position(session: Session, job: Job) -> int | None:
    """How many trainings come before this one, which waits; None where it does not."""
    if job.state != QUEUED:
        return None
    before = (Job.lane == job.lane) & (Job.state == QUEUED) & (Job.created_at < job.created_at)
    own = select(TrainingWorker.node).where(func.concat(f"{LANE}.", TrainingWorker.id) == job.lane)
    # Whatever keeps the worker that it waits for; of one that waits for any, other sessions.
    busy = Job.lane.startswith(LANE, autoescape=True) if job.lane == LANE else Job.lease_node.in_(own)
    ahead = before | ((Job.state == RUNNING) & busy)
    return session.scalar(select(func.count()).select_from(Job).where(ahead)) or 0


def known_files(session: Session, names: Collection[str]) -> set[str]:
    """Which of these stored files are a session's."""
    wanted = set(names)
    rows = session.execute(select(TrainingSession.dataset, TrainingSession.files, TrainingSession.merged))
    return {
        file
        for dataset, files, merged in rows
        for file in [(dataset or {}).get("file"), *stored(files), *stored((merged or {}).get("files"))]
        if file in wanted
    }


def stored(files: Mapping[str, Mapping[str, Any]] | None) -> list[str]:
    """The stored files that results consist of."""
    return [each["file"] for each in (files or {}).values()]
