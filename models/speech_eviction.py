"""What speech is let go when there is too much of it; what is too old: ``speech_expiry``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from models.speech_clips import MAKING, READY, SpeechClip
from models.speech_pins import pinned
from models.speech_renditions import SpeechRendition, figures

# Found by the index, so that a round costs what it removes, however much is kept.
BATCH = 1000


@dataclass(frozen=True)
class Evicted:
    """What was let go: bytes, and the files of the rows that are gone, which others may point to."""

    size_bytes: int = 0
    files: frozenset[str] = frozenset()


def evict(session: Session, *, max_bytes: int) -> Evicted:
    """What went, of a cache above ``max_bytes``: the least recently used, down to 80 % of it.

    Pinned clips stay; derived forms go before the clips they were made from. The files are the caller's to remove.
    """
    present = figures(session)[1]
    if present <= max_bytes:
        return Evicted()
    wanted = present - int(max_bytes * 0.8)
    own = SpeechRendition.is_clip()
    files: set[str] = set()
    freed = _evict(session, wanted, files, SpeechRendition, ~own)
    freed += _evict(session, wanted - freed, files, SpeechClip, own)
    return Evicted(present - figures(session)[1], frozenset(files))


def empty(session: Session) -> tuple[int, int]:
    """How many clips and bytes went: all that is neither pinned nor being made. The files go with the next cleanup."""
    before = figures(session)[1]
    gone = delete(SpeechClip).where(SpeechClip.state != MAKING, ~pinned()).returning(SpeechClip.state)
    clips = sum(state == READY for state in session.scalars(gone))
    return clips, before - figures(session)[1]


def _evict(session: Session, wanted_bytes: int, files: set[str], table: Any, which: Any) -> int:
    """Removes rows of ``table`` whose renditions match ``which``, least recently used first; the bytes that went.

    The names of their files are added to ``files``.
    """
    oldest = (
        select(SpeechRendition.clip_key, SpeechRendition.size_bytes)
        .join(SpeechClip, SpeechClip.key == SpeechRendition.clip_key)
        .where(SpeechClip.state == READY, ~pinned(), which)
        .order_by(SpeechClip.last_used_at)
        .limit(BATCH)
    )
    freed = 0
    while freed < wanted_bytes and (batch := session.execute(oldest).all()):
        doomed = []
        for key, size_bytes in batch:
            if freed >= wanted_bytes:
                break
            doomed.append(key)
            freed += size_bytes
        theirs = SpeechRendition.clip_key.in_(doomed)
        if table is SpeechClip:
            # All that there still is of them goes with them.
            files.update(session.scalars(select(SpeechRendition.file).where(theirs)))
            session.execute(delete(SpeechClip).where(SpeechClip.key.in_(doomed)))
        else:
            files.update(session.scalars(delete(SpeechRendition).where(theirs, which).returning(SpeechRendition.file)))
    return freed
