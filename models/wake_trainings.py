"""Trainings of wake words: jobs of one kind; what each was given, how far it is, and where it keeps what it has."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import ForeignKey, func, select, text, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from models import wake_models
from models.base import Base, utc_now
from models.errors import Conflict, NotFound
from models.jobs import lifecycle, queries, work
from models.jobs.folders import JobFolders
from models.jobs.tables import CANCELLED, ENDED, FAILED, PAUSED, QUEUED, RUNNING, SUCCEEDED, Job

KIND, LANE = "wakeword.train", "wakeword"
NEGATIVES, LISTEN = "wakeword.negatives", "wakeword.listen"
STATUS = {
    QUEUED: "pending",
    RUNNING: "training",
    PAUSED: "paused",
    SUCCEEDED: "completed",
    FAILED: "failed",
    CANCELLED: "cancelled",
}
# A training that has ended may be tried again for so long with what it has made so far.
KEPT_SECONDS = 86400.0


class WakeTraining(Base):
    """What belongs to a training beside its job.

    ``clips`` are the stored files that it was given, by what they are for (``recordings``, ``false_alarms``,
    ``misses``): ``[{"file", "name", "size_bytes", "duration_seconds"}]``. ``detail`` is what is told of it while it
    runs and after: ``current_epoch``, ``total_epochs``, ``metrics``, ``data_stats``, ``history``, ``warnings``.
    """

    __tablename__ = "wake_trainings"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    slug: Mapped[str] = mapped_column(index=True)
    wake_word: Mapped[str]
    clips: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    detail: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))


class Folders(JobFolders):
    """Where wake words keep files: what each training has so far, what was sent, and the negatives all share."""

    @property
    def uploads(self) -> Path:
        """What was sent and is not stored."""
        return self.root / "uploads"

    @property
    def negatives(self) -> Path:
        """The cache of real sound without the word."""
        return self.root / "negatives"

    @property
    def packages(self) -> Path:
        """What was fetched to build them from."""
        return self.root / "packages"

    @property
    def kept(self) -> frozenset[Path]:
        """Those that are no job's."""
        return frozenset({self.uploads, self.negatives, self.packages})


def folders(var_dir: Path) -> Folders:
    """The folders under ``var_dir``."""
    return Folders(var_dir / "wakeword")


def hold(session: Session, slug: str) -> None:
    """Makes sure that a training of the word may be started; until the transaction ends nobody else may.

    Raises:
        Conflict: one is unfinished.
    """
    wake_models.hold(session, slug)
    unfinished = session.scalars(
        select(Job)
        .join(WakeTraining, WakeTraining.job_id == Job.id)
        .where(WakeTraining.slug == slug, Job.state.not_in(ENDED))
        .limit(1)
    ).one_or_none()
    if unfinished is not None:
        word, status = slug.replace("-", " "), STATUS[unfinished.state]
        message = f"{word!r} is being trained already, by job {unfinished.id} ({status})."
        raise Conflict(message, job_id=unfinished.id, status=status)


def hold_for(session: Session, job: Job) -> None:
    """The same for a training that has ended and is to be tried again; of any other job nothing.

    Raises:
        Conflict: another training of its word is unfinished.
    """
    training = session.get(WakeTraining, job.id) if job.kind == KIND and job.state in ENDED else None
    if training is not None:
        hold(session, training.slug)


def add(
    session: Session,
    job: Job,
    *,
    wake_word: str,
    clips: Mapping[str, Sequence[Mapping[str, Any]]],
    warnings: Sequence[str] = (),
) -> WakeTraining:
    """What belongs to a new training, of which nothing is done yet."""
    made = WakeTraining(
        job_id=job.id,
        slug=wake_models.slug_of(wake_word),
        wake_word=wake_word,
        clips={use: [dict(clip) for clip in each] for use, each in clips.items()},
        detail={"warnings": list(warnings)} if warnings else {},
    )
    session.add(made)
    session.flush()
    return made


def get(session: Session, job_id: str, *, visible_to: str | None) -> tuple[Job, WakeTraining]:
    """The training, if the account ``visible_to`` (None: anybody) may know of it.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    job = queries.get_of(session, KIND, job_id, called="training job", visible_to=visible_to)
    training = session.get(WakeTraining, job.id)
    if training is None:
        raise NotFound(f"There is no training job {job_id!r}.")
    return job, training


def listed(session: Session, *, visible_to: str | None, limit: int) -> list[tuple[Job, WakeTraining]]:
    """The newest trainings first."""
    query = select(Job, WakeTraining).join(WakeTraining, WakeTraining.job_id == Job.id)
    if visible_to is not None:
        query = query.where(Job.account_id == visible_to)
    rows = session.execute(query.order_by(Job.created_at.desc(), Job.id.desc()).limit(limit))
    return [(job, training) for job, training in rows]


def note(session: Session, job: Job, detail: Mapping[str, Any]) -> None:
    """Stores what is told of a training.

    Raises:
        LeaseLost: it was cancelled, paused, or is somebody else's by now.
    """
    work.hold(session, job)
    session.execute(update(WakeTraining).where(WakeTraining.job_id == job.id).values(detail=dict(detail)))


def remove(session: Session, job_id: str, *, visible_to: str | None) -> None:
    """Removes a training that has ended; the model that it made stays.

    Raises:
        NotFound: there is none, or it is somebody else's.
        Conflict: it has not ended.
    """
    job, _ = get(session, job_id, visible_to=visible_to)
    if job.state not in ENDED:
        raise Conflict(
            f"Training job {job_id} is {STATUS[job.state]}; only ended jobs can be deleted.", status=STATUS[job.state]
        )
    lifecycle.delete(session, job.id)


def hold_negatives(session: Session) -> None:
    """Keeps others from beginning anything that builds, reads or empties the shared negatives, until the end."""
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("wake negatives", 0))))


def negatives_in_use(session: Session, *, building: bool = False) -> Job | None:
    """An unfinished job that builds the shared negatives, or (unless ``building``) one that reads them."""
    uses = Job.kind == NEGATIVES
    if not building:
        reads = Job.params["options"]["use_real_negatives"].as_boolean()
        uses |= (Job.kind == KIND) & reads
    query = select(Job).where(uses, Job.state.not_in(ENDED)).order_by(Job.created_at)
    return session.scalars(query.limit(1)).one_or_none()


def over(session: Session, names: Collection[str]) -> set[str]:
    """Which of these names nobody needs any more: those of no job, or of one that ended a day ago.

    A name may be a job's id or that of what was sent for it.
    """
    since = utc_now() - timedelta(seconds=KEPT_SECONDS)
    upload = Job.params["upload"].astext
    sent = (Job.kind == LISTEN) & Job.state.not_in(ENDED) & upload.in_(names)
    mine = Job.id.in_(names) & (Job.state.not_in(ENDED) | (Job.finished_at > since))
    needed = select(Job.id, upload).where(mine | sent)
    return set(names) - {name for row in session.execute(needed) for name in row}
