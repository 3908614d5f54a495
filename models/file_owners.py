"""Who points to stored files; a table that comes to do so is named here, or its files are swept away."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy.orm import Session

from models import curriculum_assets, speech_renditions, wake_files
from models.llm import sessions
from models.transcription import tasks

# Speech is let go by its age; these only with their rows.
_LASTING = (curriculum_assets.known_files, wake_files.known_files, tasks.known_files, sessions.known_files)


def known(session: Session, names: Collection[str]) -> set[str]:
    """Which of these files some row points to."""
    return speech_renditions.known_files(session, names) | known_but_as_speech(session, names)


def known_but_as_speech(session: Session, names: Collection[str]) -> set[str]:
    """Which of these files some row points to that is none of speech."""
    return set().union(*(known_files(session, names) for known_files in _LASTING))
