"""Courses: a curriculum has topics, a topic has segments, a segment is what is spoken in one go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, func, insert, select
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base, new_id
from models.errors import Invalid, NotFound


class Curriculum(Base):
    """A course. ``extra`` keeps what the client sent beside the fields we know."""

    __tablename__ = "curricula"

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str | None]
    title: Mapped[str]
    description: Mapped[str] = mapped_column(server_default=sql("''"))
    extra: Mapped[dict[str, Any]] = mapped_column(server_default=sql("'{}'"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        Index("ix_curricula_created_at_id", "created_at", "id"),
        Index(
            "ix_curricula_words",
            sql("to_tsvector('english'::regconfig, (title || ' '::text) || description)"),
            postgresql_using="gin",
        ),
    )


class Topic(Base):
    """A part of a course. Its id is its own in that course only: clients number their topics 1, 2, 3."""

    __tablename__ = "topics"

    curriculum_id: Mapped[str] = mapped_column(ForeignKey("curricula.id", ondelete="CASCADE"), primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    title: Mapped[str]
    description: Mapped[str] = mapped_column(server_default=sql("''"))
    extra: Mapped[dict[str, Any]] = mapped_column(server_default=sql("'{}'"))

    __table_args__ = (Index("uq_topics_curriculum_id_position", "curriculum_id", "position", unique=True),)


class Segment(Base):
    """What is spoken in one go. Its id is its own in its topic only."""

    __tablename__ = "segments"

    curriculum_id: Mapped[str] = mapped_column(primary_key=True)
    topic_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    text: Mapped[str]
    extra: Mapped[dict[str, Any]] = mapped_column(server_default=sql("'{}'"))

    __table_args__ = (
        ForeignKeyConstraint(["curriculum_id", "topic_id"], ["topics.curriculum_id", "topics.id"], ondelete="CASCADE"),
        Index("uq_segments_place", "curriculum_id", "topic_id", "position", unique=True),
        # What search looks in (models/curricula_search.py).
        Index("ix_segments_words", sql("to_tsvector('english', text)"), postgresql_using="gin"),
    )


_IN_TOPIC = (Segment.curriculum_id == Topic.curriculum_id) & (Segment.topic_id == Topic.id)


@dataclass(frozen=True)
class NewSegment:
    """A segment to be stored; without an id one is made."""

    text: str
    id: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NewTopic:
    """A topic to be stored; without an id one is made."""

    title: str
    segments: Sequence[NewSegment]
    description: str = ""
    id: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Listed:
    """A course in a list, with how large it is."""

    curriculum: Curriculum
    topic_count: int
    segment_count: int


def create(
    session: Session,
    *,
    title: str,
    description: str,
    topics: Sequence[NewTopic],
    extra: dict[str, Any],
    account_id: str | None,
) -> Curriculum:
    """The stored course.

    Raises:
        Invalid: an id is used twice.
    """
    curriculum = Curriculum(id=new_id(), account_id=account_id, title=title, description=description, extra=extra)
    session.add(curriculum)
    session.flush()
    insert_topics(session, curriculum.id, topics)
    return curriculum


def insert_topics(session: Session, curriculum_id: str, topics: Sequence[NewTopic]) -> None:
    """Stores the topics of a course that has none.

    Raises:
        Invalid: an id is used twice.
    """
    topic_rows, segment_rows = _rows(curriculum_id, topics)
    if topic_rows:
        session.execute(insert(Topic), topic_rows)
    if segment_rows:
        session.execute(insert(Segment), segment_rows)


def get(session: Session, curriculum_id: str) -> Curriculum:
    """The course.

    Raises:
        NotFound: there is none with this id.
    """
    curriculum = session.get(Curriculum, curriculum_id)
    if curriculum is None:
        raise NotFound(f"There is no curriculum {curriculum_id!r}.")
    return curriculum


def topic(session: Session, curriculum_id: str, topic_id: str) -> Topic:
    """A topic of a course.

    Raises:
        NotFound: the course has none with this id.
    """
    found = session.get(Topic, (curriculum_id, topic_id))
    if found is None:
        raise NotFound(f"Curriculum {curriculum_id} has no topic {topic_id!r}.")
    return found


def outline(session: Session, curriculum_id: str) -> list[tuple[Topic, list[Segment]]]:
    """The topics of a course in order, each with its segments in order; two queries."""
    topics = list(session.scalars(select(Topic).where(Topic.curriculum_id == curriculum_id).order_by(Topic.position)))
    by_topic: dict[str, list[Segment]] = {topic.id: [] for topic in topics}
    for segment in session.scalars(
        select(Segment).where(Segment.curriculum_id == curriculum_id).order_by(Segment.topic_id, Segment.position)
    ):
        by_topic[segment.topic_id].append(segment)
    return [(topic, by_topic[topic.id]) for topic in topics]


def segments(session: Session, curriculum_id: str, topic_id: str | None = None) -> list[Segment]:
    """The segments of a course, or of one of its topics, in reading order.

    Raises:
        NotFound: no such course, or no such topic in it.
    """
    get(session, curriculum_id)
    query = (
        select(Segment)
        .join(Topic, _IN_TOPIC)
        .where(Segment.curriculum_id == curriculum_id)
        .order_by(Topic.position, Segment.position)
    )
    if topic_id is not None:
        query = query.where(Topic.id == topic(session, curriculum_id, topic_id).id)
    return list(session.scalars(query))


def page(session: Session, *, limit: int, offset: int) -> tuple[list[Listed], int]:
    """At most ``limit`` courses, newest first, and how many there are."""
    total = session.scalar(select(func.count()).select_from(Curriculum)) or 0
    chosen = list(
        session.scalars(
            select(Curriculum).order_by(Curriculum.created_at.desc(), Curriculum.id.desc()).limit(limit).offset(offset)
        )
    )
    counted = (
        select(Topic.curriculum_id, func.count(Topic.id.distinct()), func.count(Segment.id))
        .outerjoin(Segment, _IN_TOPIC)
        .where(Topic.curriculum_id.in_([curriculum.id for curriculum in chosen]))
        .group_by(Topic.curriculum_id)
    )
    counts = {curriculum_id: (topics, parts) for curriculum_id, topics, parts in session.execute(counted)}
    return [Listed(curriculum, *counts.get(curriculum.id, (0, 0))) for curriculum in chosen], total


def by_title(session: Session, title: str) -> Curriculum | None:
    """The newest course with this title."""
    query = select(Curriculum).where(Curriculum.title == title).order_by(Curriculum.created_at.desc()).limit(1)
    return session.scalar(query)


def _rows(curriculum_id: str, topics: Sequence[NewTopic]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    topic_rows: list[dict[str, Any]] = []
    segment_rows: list[dict[str, Any]] = []
    for position, topic in enumerate(topics):
        topic_id = topic.id or new_id()
        topic_rows.append(
            {
                "id": topic_id,
                "curriculum_id": curriculum_id,
                "position": position,
                "title": topic.title,
                "description": topic.description,
                "extra": topic.extra,
            }
        )
        segment_rows += [
            {
                "id": segment.id or new_id(),
                "curriculum_id": curriculum_id,
                "topic_id": topic_id,
                "position": place,
                "text": segment.text,
                "extra": segment.extra,
            }
            for place, segment in enumerate(topic.segments)
        ]
        _refuse_doubled("Segment", [segment.id for segment in topic.segments])
    _refuse_doubled("Topic", [topic.id for topic in topics])
    return topic_rows, segment_rows


def _refuse_doubled(kind: str, ids: list[str | None]) -> None:
    doubled = [each for each, times in Counter(ids).items() if each is not None and times > 1][:5]
    if doubled:
        raise Invalid(f"{kind} id {doubled[0]!r} is given more than once.", ids=doubled)
