"""What speech is let go when there is too much of it, or nobody has asked for it for long."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from models.speech_clips import MAKING, READY, SpeechClip
from models.speech_pins import pinned
from models.speech_renditions import SpeechRendition, figures

# Found by the index, so that a round costs what it removes, however much is kept.
BATCH = 1000


def evict(session: Session, *, max_bytes: int, ttl_days: int) -> int:
    """How many bytes went: expired clips, then, above ``max_bytes``, the least recently used down to 80 % of it.

    Pinned clips stay; derived forms go before the clips they were made from. The files go with the next sweep.
    """
    old = SpeechClip.last_used_at < func.now() - timedelta(days=ttl_days)
    before = figures(session)[1]
    # With them what was never made, such as a text without a word.
    gone = delete(SpeechClip).where(SpeechClip.state != MAKING, ~pinned(), old).returning(SpeechClip.state)
    present = figures(session)[1] if session.scalars(gone).all() else before
    if present > max_bytes:
        goal = int(max_bytes * 0.8)
        own = SpeechRendition.is_clip()
        present -= _evict(session, present - goal, SpeechRendition, ~own)
        present -= _evict(session, present - goal, SpeechClip, own)
    return before - present


def empty(session: Session) -> tuple[int, int]:
    """How many clips and bytes went: all that is neither pinned nor being made. The files go with the next sweep."""
    before = figures(session)[1]
    gone = delete(SpeechClip).where(SpeechClip.state != MAKING, ~pinned()).returning(SpeechClip.state)
    clips = sum(state == READY for state in session.scalars(gone))
    return clips, before - figures(session)[1]


def _evict(session: Session, wanted_bytes: int, table: Any, which: Any) -> int:
    """Removes rows of ``table`` whose renditions match ``which``, least recently used first; the bytes that went."""
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
        if table is SpeechClip:
            session.execute(delete(SpeechClip).where(SpeechClip.key.in_(doomed)))
        else:
            session.execute(delete(SpeechRendition).where(SpeechRendition.clip_key.in_(doomed), which))
    return freed
