"""Body of ``transcription.draft``: what a recogniser hears in a task's sound, for whoever writes it down to correct."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from config.settings import Settings
from models.transcription import drafts
from tasks import submit
from tasks.run import Done, Work
from workers.transcripts import recogniser, sound


def plan(session: Session, settings: Settings, task_ids: Sequence[int], *, account_id: str | None) -> None:
    """Has drafts made for those of the tasks that have none, where drafts are wanted at all."""
    if not settings.transcription_drafts:
        return
    items = drafts.wanted(session, task_ids)
    if items:
        # It waits for whoever listens: a task without a draft is a task.
        submit.submit(
            session, drafts.KIND, lane=drafts.LANE, params={}, items=items, account_id=account_id, certain=True
        )


def draft(work: Work) -> Done:
    """The draft of one task (``params``: ``task_id``, ``file``, ``language``)."""
    task_id, language = work.params["task_id"], work.params["language"]
    if not recogniser.understands(language):
        return Done({"task_id": task_id, "draft": None, "reason": f"The recogniser knows no {language!r}."})
    text = recogniser.recognise(
        work.process.files.path(work.params["file"]),
        lambda seconds: work.report(0.0, f"{seconds:.0f} s heard"),
        longest_seconds=sound.LONGEST_SECONDS,
    )
    return Done(
        {"task_id": task_id, "draft": text or None},
        store=lambda session: drafts.keep(session, task_id, text) if text else None,
    )
