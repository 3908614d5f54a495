"""What came of it all: each task that is done with its text, in the order of the numbers."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.transcription.tables import DONE, Annotation, Task

_AT_ONCE = 500


@dataclass(frozen=True)
class Result:
    """A task and its text; ``annotations`` are all that were handed in for it, oldest first."""

    task: Task
    text: str
    annotations: list[Annotation]

    @property
    def speaker(self) -> str:
        """Who is taken for the speaker, where a format wants one: nobody knows, so each sound is somebody's own."""
        return f"task{self.task.id:09d}"


def decided(session: Session, *, after: int) -> tuple[list[Result], int | None]:
    """Some of the tasks that are done and have one text, and after which to go on; None after the last.

    One text: a single one, two that say the same, or what a manager decided.
    """
    tasks = session.scalars(
        select(Task)
        .where(Task.state == DONE, Task.gold_text.is_(None), Task.id > after)
        .order_by(Task.id)
        .limit(_AT_ONCE)
    ).all()
    if not tasks:
        return [], None
    texts: dict[int, list[Annotation]] = {}
    for each in session.scalars(
        select(Annotation).where(Annotation.task_id.in_([task.id for task in tasks])).order_by(Annotation.id)
    ):
        texts.setdefault(each.task_id, []).append(each)
    rows = ((task, _text(task, texts.get(task.id, []))) for task in tasks)
    return [Result(task, text, texts[task.id]) for task, text in rows if text is not None], tasks[-1].id


def _text(task: Task, annotations: list[Annotation]) -> str | None:
    # None of a task that somebody else labelled in Label Studio.
    if not annotations:
        return None
    if task.final_text is not None:
        return task.final_text
    if task.slots > 1 and task.word_difference != 0:
        return None
    return annotations[0].text
