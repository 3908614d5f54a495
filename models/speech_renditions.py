"""Renditions: the files of a clip that are sent, one for each form somebody asked for."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from typing import Any, cast

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Double,
    ForeignKey,
    Index,
    Table,
    Text,
    and_,
    bindparam,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from config.versions import CLIP_FORMAT
from models.base import Base
from models.speech_clips import READY, SpeechClip


class SpeechRendition(Base):
    """A clip as a file of one form; a rate or loudness of 0 stands for the engine's own."""

    __tablename__ = "speech_renditions"

    clip_key: Mapped[str] = mapped_column(ForeignKey("speech_clips.key", ondelete="CASCADE"), primary_key=True)
    format: Mapped[str] = mapped_column(primary_key=True)
    sample_rate_hz: Mapped[int] = mapped_column(primary_key=True, default=0)
    channels: Mapped[int] = mapped_column(primary_key=True, default=1, server_default=text("1"))
    loudness_lufs: Mapped[float] = mapped_column(Double, primary_key=True, default=0.0)
    file: Mapped[str] = mapped_column(index=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    # What the figures of the cache are read from.
    __table_args__ = (
        Index("ix_speech_renditions_figures", "format", "sample_rate_hz", "channels", "loudness_lufs", "size_bytes"),
    )

    @classmethod
    def is_clip(cls) -> ColumnElement[bool]:
        """That it is the form a clip is kept in, from which all others are made."""
        own = (cls.format == CLIP_FORMAT.name, cls.sample_rate_hz == 0, cls.channels == 1, cls.loudness_lufs == 0.0)
        return and_(*own)


_CLIPS = cast(Table, SpeechClip.__table__)
_RENDITIONS = cast(Table, SpeechRendition.__table__)


@dataclass(frozen=True)
class Form:
    """The form of a file: format, rate, channels, loudness; 0 is the engine's own rate, or its loudness."""

    format: str
    sample_rate_hz: int = 0
    channels: int = 1
    loudness_lufs: float = 0.0


@dataclass(frozen=True)
class MadeFile:
    """A rendition as it was stored; ``rate_hz`` is the rate in the file."""

    form: Form
    file: str
    size_bytes: int


@dataclass(frozen=True)
class Found:
    """A rendition that is ready to be sent; ``sample_rate_hz`` is the clip's own rate."""

    clip_key: str
    form: Form
    file: str
    size_bytes: int
    duration_seconds: float
    sample_rate_hz: int

    def as_result(self, *, cached: bool) -> dict[str, Any]:
        """For the row of the unit that made or found it."""
        return {
            "clip": self.clip_key,
            "form": asdict(self.form),
            "file": self.file,
            "size_bytes": self.size_bytes,
            "duration_seconds": round(self.duration_seconds, 3),
            "sample_rate_hz": self.sample_rate_hz,
            "cached": cached,
        }


def find(session: Session, key: str, form: Form) -> Found | None:
    """The rendition of a ready clip, in one query; None when it has to be made."""
    row = session.execute(_find_statement(), {"clip": key} | asdict(form)).one_or_none()
    if row is None:
        return None
    return Found(key, form, row.file, row.size_bytes, row.duration_seconds or 0.0, row.clip_rate or 0)


def find_all(session: Session, keys: Collection[str], form: Form) -> dict[str, Found]:
    """Those of these clips that are there in this form, by their keys."""
    rows = session.execute(_find_all_statement(), {"clips": list(keys)} | asdict(form))
    return {
        row.key: Found(row.key, form, row.file, row.size_bytes, row.duration_seconds or 0.0, row.clip_rate or 0)
        for row in rows
    }


@cache
def _find_all_statement() -> Any:
    wanted = _RENDITIONS.c.clip_key == func.any(bindparam("clips", type_=ARRAY(Text)))
    return _find_where(wanted).add_columns(_CLIPS.c.key)


@cache
def _find_statement() -> Any:
    return _find_where(_RENDITIONS.c.clip_key == bindparam("clip"))


def _find_where(which: ColumnElement[bool]) -> Any:
    rendition = _RENDITIONS.c
    return (
        select(
            rendition.file, rendition.size_bytes, _CLIPS.c.duration_seconds, _CLIPS.c.sample_rate_hz.label("clip_rate")
        )
        .join(_CLIPS, _CLIPS.c.key == rendition.clip_key)
        .where(
            which,
            *(rendition[name] == bindparam(name) for name in Form.__dataclass_fields__),
            _CLIPS.c.state == READY,
        )
    )


def add(session: Session, key: str, made_file: MadeFile) -> None:
    """Stores one more form of a clip; the same one again changes nothing."""
    values = {"clip_key": key, "file": made_file.file, "size_bytes": made_file.size_bytes} | asdict(made_file.form)
    session.execute(_add_statement(), values)


@cache
def _add_statement() -> Any:
    return insert(_RENDITIONS).on_conflict_do_nothing()


def figures(session: Session) -> tuple[int, int]:
    """How many clips are ready, and how many bytes their files hold (a file that two share counts twice).

    One pass over an index: about 0.1 s for a million.
    """
    own, size = SpeechRendition.is_clip(), SpeechRendition.size_bytes
    clips, size_bytes = session.execute(
        select(func.count().filter(own), func.coalesce(func.sum(size), 0)).select_from(SpeechRendition)
    ).one()
    return clips, int(size_bytes)


def known_files(session: Session, names: Collection[str]) -> set[str]:
    """Those of the stored files that a row points to."""
    return set(session.scalars(select(SpeechRendition.file).where(SpeechRendition.file.in_(names))))
