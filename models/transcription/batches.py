"""Batches of sound on their way to be tasks: jobs of one kind, and the folders of what was sent for them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.base import utc_now
from models.jobs.folders import JobFolders
from models.jobs.tables import ENDED, Job

KIND = "transcription.import"
# Where files are read that nobody waits for.
LANE = "imports"
# One that has ended may be tried again for so long with what was sent for it.
KEPT_SECONDS = 3600.0


class Folders(JobFolders):
    """Where batches keep files: what was sent, in a folder for each, and what each job unpacks."""

    @property
    def uploads(self) -> Path:
        """What was sent, by ids of its own; in each folder the files by their numbers."""
        return self.root / "uploads"

    @property
    def kept(self) -> frozenset[Path]:
        """Those that are no job's."""
        return frozenset({self.uploads})


def folders(var_dir: Path) -> Folders:
    """The folders under ``var_dir``."""
    return Folders(var_dir / "transcription")


def over(session: Session, names: Collection[str]) -> set[str]:
    """Which of these folders nobody needs any more: those of no job, or of one that ended an hour ago.

    A name may be a job's id or that of what was sent for it.
    """
    since = utc_now() - timedelta(seconds=KEPT_SECONDS)
    upload = Job.params["upload"].astext
    needed = select(Job.id, upload).where(
        Job.kind == KIND,
        Job.id.in_(names) | upload.in_(names),
        Job.state.not_in(ENDED) | (Job.finished_at > since),
    )
    return set(names) - {name for row in session.execute(needed) for name in row}
