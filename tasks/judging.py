"""Texts beside what is right and beside each other: how far they differ is kept, for whoever decides and pays."""

from __future__ import annotations

from sqlalchemy.orm import Session

from models.db import Database
from models.transcription import quality

# Each takes a millisecond or so.
_AT_ONCE = 100


def judge(database: Database) -> None:
    """Looks at what came since the last time."""
    with database.reading() as session:
        known, pairs = quality.to_grade(session, _AT_ONCE), quality.to_compare(session, _AT_ONCE)
    if not known and not pairs:
        return
    # Loaded only where somebody asks for it.
    from workers.transcripts import agreement

    graded = {each.annotation_id: agreement.word_error_rate(each.right, each.heard) for each in known}
    compared = {each.task_id: agreement.difference(each.one, each.other) for each in pairs}

    def store(session: Session) -> None:
        for annotation_id, rate in graded.items():
            quality.graded(session, annotation_id, rate)
        for task_id, found in compared.items():
            quality.compared(session, task_id, words=found.words, characters=found.characters)

    database.persist(store)
