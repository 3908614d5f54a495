"""Clips: what an engine said, once; the files they are sent as are renditions (``speech_renditions``).

A clip's key is the SHA-256 of what decides how it sounds; no user is in it. **Single flight is the claim of the
clip**: whoever comes to make it first (a live request, a prefetch, a deployment) holds it; the others wait for it.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, cast
from uuid import uuid4

from sqlalchemy import ColumnElement, Double, Index, Table, Text, bindparam, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from config.versions import TEXT_RULES
from models.base import Base
from models.errors import LeaseLost

ABSENT, MAKING, READY = "absent", "making", "ready"


class SpeechClip(Base):
    """What an engine said. While ``making``, ``token`` names the one who makes it."""

    __tablename__ = "speech_clips"

    key: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    spec: Mapped[dict[str, Any]]
    token: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    lease_node: Mapped[str | None]
    # Somebody parked a unit until the clip is ready, so its maker has to ring.
    awaited: Mapped[bool] = mapped_column(server_default=text("false"), default=False)
    duration_seconds: Mapped[float | None] = mapped_column(Double)
    sample_rate_hz: Mapped[int | None]
    # When each piece of the text is heard: [{"text", "start", "end", "words": [[word, start, end]]}].
    timing: Mapped[list[Any] | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_used_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        Index("ix_speech_clips_making", "lease_until", postgresql_where=text("state = 'making'")),
        Index("ix_speech_clips_last_used_at", "last_used_at"),
    )


_CLIPS = cast(Table, SpeechClip.__table__)


@dataclass(frozen=True)
class ClipSpec:
    """What decides how a clip sounds."""

    text: str
    engine: str
    voice: str
    voice_revision: str
    speed: float = 1.0
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The clip's name: equal for all requests that would sound the same."""
        canonical = {
            **asdict(self),
            # Line ends stay: a paragraph is heard.
            "text": re.sub(r"[^\S\n]+", " ", unicodedata.normalize("NFC", self.text)).strip(),
            "speed": f"{self.speed:.2f}",
            "text_rules": TEXT_RULES,
        }
        return hashlib.sha256(json.dumps(canonical, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def ready_keys(session: Session, keys: Sequence[str]) -> dict[str, float]:
    """Which of these clips are ready, with the seconds each lasts."""
    query = select(SpeechClip.key, SpeechClip.duration_seconds).where(_among(keys), SpeechClip.state == READY)
    return {key: seconds or 0.0 for key, seconds in session.execute(query)}


def _among(keys: Iterable[str]) -> ColumnElement[bool]:
    # As one array: of single parameters a statement takes 65,535, and a course may have more segments.
    return SpeechClip.key == func.any(bindparam("keys", list(keys), type_=ARRAY(Text)))


def ready(session: Session, key: str) -> SpeechClip | None:
    """The clip, if it is there."""
    clip = session.get(SpeechClip, key)
    return clip if clip is not None and clip.state == READY else None


def all_ready(session: Session, keys: Iterable[str]) -> list[SpeechClip]:
    """Those of the clips that are there."""
    return list(session.scalars(select(SpeechClip).where(_among(keys), SpeechClip.state == READY)))


def claim(session: Session, spec: ClipSpec, *, node: str, lease_seconds: float) -> str | None:
    """The token under which the caller makes the clip; None when it is ready or another makes it."""
    values = {"key": spec.key, "spec": asdict(spec), "holder": uuid4().hex, "node": node, "seconds": lease_seconds}
    return session.execute(_claim_statement(), values).scalar()


@cache
def _claim_statement() -> Any:
    held = {
        "state": MAKING,
        "token": bindparam("holder"),
        "lease_node": bindparam("node"),
        "lease_until": _in_seconds(bindparam("seconds")),
        "awaited": False,
    }
    return (
        insert(_CLIPS)
        .values(key=bindparam("key"), spec=bindparam("spec"), **held)
        .on_conflict_do_update(index_elements=[_CLIPS.c.key], set_=held, where=_CLIPS.c.state == ABSENT)
        .returning(_CLIPS.c.token)
    )


def await_maker(session: Session, key: str) -> bool:
    """Whether somebody is making the clip; if so, that one will ring (``made`` and ``abandon`` say so) when it is done.

    Holds the clip's row until the caller's commit, so the maker finishes after the caller has parked.
    """
    statement = update(SpeechClip).where(SpeechClip.key == key, SpeechClip.state == MAKING).values(awaited=True)
    return session.scalar(statement.returning(SpeechClip.key)) is not None


def renew(session: Session, tokens: Iterable[str], *, lease_seconds: float) -> set[str]:
    """The tokens that still hold a clip, their leases renewed."""
    statement = (
        update(SpeechClip)
        .where(SpeechClip.token.in_(list(tokens)), SpeechClip.state == MAKING)
        .values(lease_until=_in_seconds(lease_seconds))
        .returning(SpeechClip.token)
    )
    return {token for token in session.scalars(statement) if token}


def made(
    session: Session,
    key: str,
    token: str,
    *,
    duration_seconds: float,
    sample_rate_hz: int,
    timing: Sequence[Mapping[str, Any]] = (),
) -> bool:
    """The clip is ready (its files are stored and added in the same transaction); true when somebody waits for it.

    ``timing`` says when each piece of the text is heard, for captions.

    Raises:
        LeaseLost: somebody else makes it by now; nothing was written.
    """
    values = {"clip": key, "holder": token, "seconds": duration_seconds, "rate": sample_rate_hz, "when": list(timing)}
    awaited = session.execute(_made_statement(), values).scalar()
    if awaited is None:
        raise LeaseLost(f"Clip {key} is not made under {token} any more.")
    return bool(awaited)


@cache
def _made_statement() -> Any:
    held = (_CLIPS.c.key == bindparam("clip"), _CLIPS.c.token == bindparam("holder"), _CLIPS.c.state == MAKING)
    values: dict[str, Any] = {
        "state": READY,
        "token": None,
        "lease_until": None,
        "lease_node": None,
        "duration_seconds": bindparam("seconds"),
        "sample_rate_hz": bindparam("rate"),
        "timing": bindparam("when"),
        "last_used_at": func.now(),
    }
    return update(_CLIPS).where(*held).values(**values).returning(_CLIPS.c.awaited)


def abandon(session: Session, key: str, token: str) -> bool:
    """The caller does not make the clip after all, the next one may; true when somebody waits for it."""
    freed = {"state": ABSENT, "token": None, "lease_until": None, "lease_node": None}
    held = (SpeechClip.key == key, SpeechClip.token == token, SpeechClip.state == MAKING)
    return bool(session.scalar(update(SpeechClip).where(*held).values(**freed).returning(SpeechClip.awaited)))


def return_lapsed(session: Session, *, node: str | None = None) -> list[str]:
    """The keys of clips taken back from makers that are gone (or that the dead process ``node`` held)."""
    lapsed = SpeechClip.lease_node == node if node is not None else SpeechClip.lease_until < func.now()
    statement = (
        update(SpeechClip)
        .where(SpeechClip.state == MAKING, lapsed)
        .values(state=ABSENT, token=None, lease_node=None, lease_until=None)
        .returning(SpeechClip.key)
    )
    return list(session.scalars(statement))


def touch(session: Session, keys: Iterable[str]) -> None:
    """These clips were used just now; the least recently used go first."""
    session.execute(update(SpeechClip).where(SpeechClip.key.in_(list(keys))).values(last_used_at=func.now()))


def forget_file(session: Session, key: str) -> None:
    """The clip's file is gone from the store (somebody removed it); it has to be made again."""
    session.execute(delete(SpeechClip).where(SpeechClip.key == key, SpeechClip.state == READY))


def _in_seconds(seconds: Any) -> Any:
    return func.now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)
