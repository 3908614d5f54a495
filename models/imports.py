"""Imports: jobs of one kind that bring courses in; their stages, their folders, how a course is stored at the end."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from models import curricula, curricula_changes
from models.base import iso, utc_now
from models.curricula import Curriculum, NewSegment, NewTopic
from models.jobs import queries
from models.jobs.folders import JobFolders
from models.jobs.tables import CANCELLED, ENDED, FAILED, PAUSED, QUEUED, RUNNING, SUCCEEDED, Job

KIND = "imports.run"
STAGES = ("download", "validate", "extract", "enrich", "generate", "store")
STATUS = {
    QUEUED: "pending",
    RUNNING: "processing",
    PAUSED: "paused",
    SUCCEEDED: "completed",
    FAILED: "failed",
    CANCELLED: "cancelled",
}
# An import that has ended may be tried again for so long with what was sent for it.
KEPT_SECONDS = 3600.0


class Folders(JobFolders):
    """Where imports keep files: what was sent, what each job has so far, and what servers may say is unchanged."""

    @property
    def uploads(self) -> Path:
        """What was sent, by ids of its own."""
        return self.root / "uploads"

    @property
    def cache(self) -> Path:
        """What came from the web."""
        return self.root / "cache"

    @property
    def kept(self) -> frozenset[Path]:
        """Those that are no job's."""
        return frozenset({self.uploads, self.cache})


def folders(var_dir: Path) -> Folders:
    """The folders under ``var_dir``."""
    return Folders(var_dir / "imports")


def stages_complete(job: Job) -> list[str]:
    """The stages that are done; of a preview, storing is none of them."""
    if job.state == SUCCEEDED:
        return list(STAGES[:-1] if job.params["dry_run"] else STAGES)
    return list(STAGES[: STAGES.index(job.phase)]) if job.phase in STAGES else []


def current_stage(job: Job) -> str | None:
    """The stage that it is in, or was in when it failed or was stopped; None before the first and after the last."""
    # One that was taken a moment ago is about to say so.
    phase = STAGES[0] if job.state == RUNNING and job.phase is None else job.phase
    return phase if phase in STAGES and job.state != SUCCEEDED else None


def get(session: Session, import_id: str, *, visible_to: str | None) -> Job:
    """The import, if the account ``visible_to`` (None: anybody) may know of it.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    return queries.get_of(session, KIND, import_id, called="import", visible_to=visible_to)


def page(
    session: Session, *, word: str | None, visible_to: str | None, limit: int, offset: int
) -> tuple[list[Job], int]:
    """At most ``limit`` imports (of the status ``word``), newest first, and how many there are."""
    which: list[ColumnElement[bool]] = []
    if word is not None:
        which.append(Job.state == next(state for state, shown in STATUS.items() if shown == word))
    return queries.page_of(session, KIND, *which, visible_to=visible_to, limit=limit, offset=offset)


def store(session: Session, course: dict[str, Any], *, into: str | None, account_id: str | None) -> Curriculum:
    """The stored course: a new one, or that of ``into`` with its content changed and ids kept where they can be.

    Without ``into`` a course that came of the same source before, and that nobody has changed since, is brought up to
    date; one that was changed by hand is left alone. ``course`` has ``title``, ``description``, ``extra`` (with
    ``imported_from``) and ``topics``, these as ``NewTopic`` has it.

    Raises:
        NotFound: there is no course ``into``.
        Invalid: an id is used twice.
    """
    topics = [
        NewTopic(**topic | {"segments": [NewSegment(**segment) for segment in topic["segments"]]})
        for topic in course["topics"]
    ]
    told: dict[str, Any] = {name: course[name] for name in ("title", "description")}
    # That of the transaction, which is that of the row as well: so it is known later whether somebody changed it.
    origin = course["extra"]["imported_from"] | {"at": iso(session.scalar(select(func.now())))}
    extra = course["extra"] | {"imported_from": origin}
    into = into or _came_of(session, origin, account_id)
    if into is None:
        return curricula.create(session, **told, topics=topics, extra=extra, account_id=account_id)
    extra = curricula.get(session, into).extra | extra
    return curricula_changes.change(session, into, fields=told | {"extra": extra}, topics=topics)


def _came_of(session: Session, origin: dict[str, Any], account_id: str | None) -> str | None:
    """The account's newest course that came of the same source and is as the import left it."""
    # A file has no address: it is the same one if it is called the same, and so is the course in it.
    names = ("source", "url") if "url" in origin else ("source", "file", "title")
    same = {name: origin[name] for name in names if name in origin}
    # Of two imports of one source at once the second finds the course of the first.
    lock = json.dumps([account_id, same], sort_keys=True)
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(lock, 0))))
    found = session.scalars(
        select(Curriculum)
        .where(Curriculum.account_id.is_not_distinct_from(account_id))
        .where(Curriculum.extra["imported_from"].contains(same))
        .order_by(Curriculum.id.desc())
    )
    return next(
        (course.id for course in found if course.extra["imported_from"].get("at") == iso(course.updated_at)), None
    )


def over(session: Session, names: Collection[str]) -> set[str]:
    """Which of these folders nobody needs any more: those of no job, or of one that ended an hour ago.

    A name may be a job's id or that of what was sent for it.
    """
    since = utc_now() - timedelta(seconds=KEPT_SECONDS)
    upload = Job.params["asked"]["upload"].astext
    needed = select(Job.id, upload).where(
        Job.kind == KIND,
        Job.id.in_(names) | upload.in_(names),
        Job.state.not_in(ENDED) | (Job.finished_at > since),
    )
    kept = {name for row in session.execute(needed) for name in row}
    return set(names) - kept
