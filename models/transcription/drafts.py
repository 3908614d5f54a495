"""Drafts: what a recogniser heard, for transcribers to correct. A job for each batch of tasks, an item for each."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from models.jobs.lifecycle import NewItem
from models.transcription.tables import OPEN, Task

KIND = "transcription.draft"
# Where sound is listened to.
LANE = "listen"


def wanted(session: Session, task_ids: Sequence[int]) -> list[NewItem]:
    """Items for those of the tasks that have no draft and whose text nobody knows."""
    found = session.scalars(
        select(Task).where(Task.id.in_(task_ids), Task.draft.is_(None), Task.gold_text.is_(None), Task.state == OPEN)
    )
    return [
        NewItem(params={"task_id": task.id, "file": task.file, "language": task.language})
        for task in sorted(found, key=lambda task: task.id)
    ]


def keep(session: Session, task_id: int, text: str) -> None:
    """The task's draft, unless it has another one."""
    session.execute(update(Task).where(Task.id == task_id, Task.draft.is_(None)).values(draft=text))
