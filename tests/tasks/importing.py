"""What the tests of imports share: how one is started, sent, taken, and dies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from models import curricula, imports
from models.base import new_id
from models.curricula import Curriculum
from models.db import Database
from models.imports import KIND
from models.jobs import lifecycle
from models.jobs.tables import Job
from tasks import imports as bodies
from tasks import run, submit
from tests import making
from tests.standing_in import LECTURES

OCW = {"course_id": "6.001"}
TEXTS = [[text] for _, text in LECTURES.values()]
MARKDOWN = (
    "# A course\n\nThis text is in the public domain.\n\n## One\n\nThe first thing is this.\n\n"
    "## Two\n\nThe second thing is that.\n"
)


class Death(BaseException):
    """The worker is gone: nothing of it runs any more."""


def start(
    database: Database,
    source: str = "mit_ocw",
    asked: dict[str, str] = OCW,
    *,
    account_id: str | None = None,
    **params: Any,
) -> Job:
    """An import that nobody has taken yet."""
    told = {"title": None, "curriculum_id": None, "accept_license": False, "dry_run": False} | params
    with database.transaction() as session:
        params = {"source": source, "asked": asked, **told}
        wanted = submit.submit(session, KIND, lane=making.LANE, params=params, account_id=account_id, certain=True)
        return wanted[0]


def send(folders: imports.Folders, content: str | bytes, name: str = "course.md") -> dict[str, str]:
    """A file that was sent, as the import is told of it."""
    folders.uploads.mkdir(parents=True, exist_ok=True)
    upload = new_id()
    (folders.uploads / upload).write_bytes(content.encode() if isinstance(content, str) else content)
    return {"upload": upload, "name": name, "media_type": ""}


def taken(database: Database, job: Job) -> Job:
    """The job after a worker had it."""
    run.run_slice(KIND, job.id)
    return making.read(database, job)


def courses(database: Database) -> list[Curriculum]:
    """Every course that is stored, the oldest first."""
    with database.transaction() as session:
        return list(session.scalars(select(Curriculum).order_by(Curriculum.created_at)))


def texts(database: Database, curriculum_id: str) -> list[list[str]]:
    """What a course says, by its topics."""
    with database.transaction() as session:
        return [[part.text for part in parts] for _, parts in curricula.outline(session, curriculum_id)]


def cancel(database: Database, job: Job) -> None:
    """Somebody cancels it."""
    with database.transaction() as session:
        lifecycle.cancel(session, job.id)


def left(folders: imports.Folders) -> set[str]:
    """What imports have left, but for what came from the web."""
    return {path.name for path in folders.root.glob("*")} - {"cache", "uploads"} | {
        path.name for path in folders.uploads.glob("*")
    }


def around(monkeypatch: pytest.MonkeyPatch, stage: str, *, before: Any = None, after: Any = None) -> None:
    """Has something happen just before, or just after, a stage's result is written."""
    real = bodies.write_whole

    def write(target: Path, text: str) -> None:
        if before is not None and target.stem == stage:
            before()
        real(target, text)
        if after is not None and target.stem == stage:
            after()

    monkeypatch.setattr(bodies, "write_whole", write)


def die() -> None:
    raise Death
