"""Deployments: jobs of one kind, each with a job for every voice; what is made of them is asked here."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import BigInteger, Boolean, ColumnElement, Double, func, select
from sqlalchemy.orm import Session

from models.base import utc_now
from models.curricula import Segment
from models.deployment_plans import KIND
from models.jobs import queries
from models.jobs.tables import CANCELLED, FAILED, PAUSED, QUEUED, RUNNING, SUCCEEDED, Job, JobItem

STATUS = {
    QUEUED: "scheduled",
    RUNNING: "generating",
    PAUSED: "paused",
    SUCCEEDED: "completed",
    FAILED: "failed",
    CANCELLED: "cancelled",
}
WITH_ERRORS = "completed_with_errors"
# So many rows take a few milliseconds to be read, between which a cooperative process sees to others.
_AT_ONCE = 500
STATUSES = (*STATUS.values(), WITH_ERRORS)


@dataclass(frozen=True)
class VoiceFigures:
    """How far one voice is. ``job`` is None, and ``cached`` unknown, until it is planned."""

    total: int
    job: Job | None = None
    cached: int | None = None
    size_bytes: int = 0
    duration_seconds: float = 0.0

    @property
    def generated(self) -> int:
        """How many segments were made for this deployment."""
        return 0 if self.job is None else self.job.items_succeeded - (self.cached or 0)

    @property
    def eta_seconds(self) -> float | None:
        """How long the rest takes at the pace so far; None before there is a pace."""
        if self.job is None or self.job.state != RUNNING or self.job.started_at is None or self.generated <= 0:
            return None
        left = self.total - self.job.items_succeeded - self.job.items_failed
        elapsed = (utc_now() - self.job.started_at) / timedelta(seconds=1)
        return round(elapsed * left / self.generated, 1)


@dataclass(frozen=True)
class Made:
    """What became of one segment in one voice; ``result`` is None where it failed."""

    place: dict[str, Any]
    result: dict[str, Any] | None
    error: dict[str, Any] | None = field(default=None)


def status(job: Job) -> str:
    """The word for a deployment's, or one of its voices', state."""
    return WITH_ERRORS if job.state == SUCCEEDED and job.items_failed else STATUS[job.state]


def get(session: Session, deployment_id: str, *, visible_to: str | None) -> Job:
    """The deployment, if the account ``visible_to`` (None: anybody) may know of it.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    return queries.get_of(session, KIND, deployment_id, called="deployment", visible_to=visible_to)


def page(
    session: Session, *, word: str | None, visible_to: str | None, limit: int, offset: int
) -> tuple[list[Job], int]:
    """At most ``limit`` deployments (of the status ``word``), newest first, and how many there are."""
    which: list[ColumnElement[bool]] = []
    if word is not None:
        stored = {shown: state for state, shown in STATUS.items()} | {WITH_ERRORS: SUCCEEDED}
        which.append(Job.state == stored[word])
        if stored[word] == SUCCEEDED:
            which.append(Job.items_failed > 0 if word == WITH_ERRORS else Job.items_failed == 0)
    return queries.page_of(session, KIND, *which, visible_to=visible_to, limit=limit, offset=offset)


def voices(session: Session, jobs: Sequence[Job]) -> dict[str, list[VoiceFigures]]:
    """How far each voice of these deployments is, by their ids, in the order they were asked for; three queries."""
    children = _children(session, [job.id for job in jobs])
    figures = _made(session, [child.id for each in children.values() for child in each])
    unplanned = {job.params["curriculum_id"] for job in jobs if job.id not in children}
    present = _segments(session, unplanned) if unplanned else {}
    found = {}
    for job in jobs:
        if job.id in children:
            found[job.id] = [
                VoiceFigures(child.items_total, child, *figures.get(child.id, (0, 0, 0.0)))
                for child in children[job.id]
            ]
        else:
            total = present.get(job.params["curriculum_id"], 0)
            found[job.id] = [VoiceFigures(total) for _ in job.params["voice_configs"]]
    return found


def children(session: Session, deployment_id: str) -> list[Job]:
    """The job of each voice in the order they were asked for; none before it is planned."""
    return _children(session, [deployment_id]).get(deployment_id, [])


def made(session: Session, voice_job_id: str, *, topic_id: str | None = None) -> Iterator[list[Made]]:
    """What became of each segment of a voice (of one topic), in reading order, some at a time."""
    # Without the text and all else that decides how it sounds, which would be most of it.
    place = JobItem.params.op("-")("clip").op("-")("form")
    query = select(JobItem.position, place, JobItem.result, JobItem.error_code, JobItem.error_message)
    query = query.where(JobItem.job_id == voice_job_id).order_by(JobItem.position).limit(_AT_ONCE)
    if topic_id is not None:
        query = query.where(JobItem.params["topic_id"].astext == topic_id)
    last = -1
    while rows := session.execute(query.where(JobItem.position > last)).all():
        yield [
            Made(where, result, None if result else {"code": code, "message": message})
            for _, where, result, code, message in rows
        ]
        last = rows[-1].position


def _children(session: Session, ids: Collection[str]) -> dict[str, list[Job]]:
    found: dict[str, list[Job]] = {}
    for child in session.scalars(select(Job).where(Job.parent_id.in_(ids))):
        found.setdefault(child.parent_id or "", []).append(child)
    for each in found.values():
        each.sort(key=lambda child: int(child.params["number"]))
    return found


def _made(session: Session, ids: Collection[str]) -> dict[str, tuple[int, int, float]]:
    """Of each job: how many of its items were there, the bytes of all that succeeded, and their seconds."""
    result = JobItem.result
    query = (
        select(
            JobItem.job_id,
            func.count().filter(result["cached"].astext.cast(Boolean)),
            func.coalesce(func.sum(result["size_bytes"].astext.cast(BigInteger)), 0),
            func.coalesce(func.sum(result["duration_seconds"].astext.cast(Double)), 0.0),
        )
        .where(JobItem.job_id.in_(ids), JobItem.state == SUCCEEDED)
        .group_by(JobItem.job_id)
    )
    return {job_id: (cached, int(size), seconds) for job_id, cached, size, seconds in session.execute(query)}


def _segments(session: Session, curriculum_ids: Collection[str]) -> dict[str, int]:
    """How many segments of each course will be spoken: those with a word, as far as Postgres can tell."""
    with_a_word = Segment.text.op("~")(r"[[:alnum:]]|[^\x01-\x7f]")
    query = select(Segment.curriculum_id, func.count()).where(Segment.curriculum_id.in_(curriculum_ids), with_a_word)
    return {row[0]: row[1] for row in session.execute(query.group_by(Segment.curriculum_id))}
