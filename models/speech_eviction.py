"""What speech is let go when there is too much of it, or nobody has asked for it for long."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from config.versions import CLIP_FORMAT
from models.speech_clips import MAKING, READY, SpeechClip, SpeechRendition, size


def evict(session: Session, *, max_bytes: int, ttl_days: int) -> int:
    """How many bytes went: expired clips, then, above ``max_bytes``, the least recently used down to 80 % of it.

    Pinned clips stay; derived formats go before the clips they were made from. The files go with the next sweep.
    """
    old = SpeechClip.last_used_at < func.now() - timedelta(days=ttl_days)
    before = size(session)[1]
    # With them what was never made, such as a text without a word.
    session.execute(delete(SpeechClip).where(SpeechClip.state != MAKING, SpeechClip.pins == 0, old))
    if size(session)[1] > max_bytes:
        goal = int(max_bytes * 0.8)
        derived = SpeechRendition.format != CLIP_FORMAT.name
        _evict(session, size(session)[1] - goal, SpeechRendition, derived)
        _evict(session, size(session)[1] - goal, SpeechClip, SpeechRendition.format == CLIP_FORMAT.name)
    return before - size(session)[1]


def _evict(session: Session, wanted_bytes: int, table: Any, which: Any) -> None:
    """Removes rows of ``table`` whose renditions match ``which``, least recently used first, worth ``wanted_bytes``."""
    oldest = (
        select(SpeechRendition.clip_key, SpeechRendition.size_bytes)
        .join(SpeechClip, SpeechClip.key == SpeechRendition.clip_key)
        .where(SpeechClip.state == READY, SpeechClip.pins == 0, which)
        .order_by(SpeechClip.last_used_at)
    )
    doomed, freed = [], 0
    for key, size_bytes in session.execute(oldest):
        if freed >= wanted_bytes:
            break
        doomed.append(key)
        freed += size_bytes
    if table is SpeechClip:
        session.execute(delete(SpeechClip).where(SpeechClip.key.in_(doomed)))
    else:
        session.execute(delete(SpeechRendition).where(SpeechRendition.clip_key.in_(doomed), which))
