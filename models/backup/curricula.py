"""Courses in backups: with their content and how their words are said, without images and without speech."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from models import curricula, curricula_changes, pronunciations
from models.accounts import Account
from models.backup.section import Change, Record, Section, Stored, moment, number_copies
from models.base import iso
from models.curricula import Curriculum, NewSegment, NewTopic, Segment, Topic
from models.pronunciations import Pronunciation


class Curricula(Section):
    """Courses. Their titles may be the same; together with when they were made they tell which is which."""

    name = "curricula"
    key = ("title", "created_at")
    refers = {"owner": "users"}

    def count(self, session: Session) -> int:
        """How many records ``read`` gives."""
        return session.scalar(select(func.count()).select_from(Curriculum)) or 0

    def read(self, session: Session) -> list[Stored]:
        """Every record, by title."""
        topics: dict[str, list[Topic]] = {}
        for topic in session.scalars(select(Topic).order_by(Topic.curriculum_id, Topic.position)):
            topics.setdefault(topic.curriculum_id, []).append(topic)
        segments: dict[tuple[str, str], list[Segment]] = {}
        for segment in session.scalars(select(Segment).order_by(Segment.position)):
            segments.setdefault((segment.curriculum_id, segment.topic_id), []).append(segment)
        said: dict[str, dict[str, str]] = {}
        for entry in session.scalars(select(Pronunciation).where(Pronunciation.curriculum_id.is_not(None))):
            said.setdefault(str(entry.curriculum_id), {})[entry.written] = entry.spoken
        owners = select(Curriculum, Account.username).outerjoin(Account, Account.id == Curriculum.account_id)
        return number_copies(
            self,
            [
                Stored(
                    course.id,
                    {
                        "title": course.title,
                        "description": course.description,
                        "created_at": iso(course.created_at),
                        "owner": owner,
                        "about": course.extra,
                        "content": [
                            _content(topic, segments.get((course.id, topic.id), ()))
                            for topic in topics.get(course.id, ())
                        ],
                        "pronunciations": said.get(course.id, {}),
                    },
                )
                for course, owner in session.execute(owners)
            ],
        )

    def add(self, session: Session, record: Record) -> None:
        """Stores a record that is new."""
        made = curricula.create(
            session,
            title=record["title"],
            description=record["description"],
            topics=_topics(record["content"]),
            extra=record["about"],
            account_id=_account_id(session, record["owner"]),
        )
        created = {"created_at": moment(record["created_at"])}
        session.execute(update(Curriculum).where(Curriculum.id == made.id).values(created))
        pronunciations.put(session, made.id, record["pronunciations"])

    def change(self, session: Session, change: Change) -> None:
        """Stores a record in the place of the one that has its key; topics and segments keep the ids they come with."""
        fields = {name: change.fields[name] for name in ("description",) if name in change.fields}
        if "about" in change.fields:
            fields["extra"] = change.fields["about"]
        if "owner" in change.fields:
            fields["account_id"] = _account_id(session, change.fields["owner"])
        topics = _topics(change.fields["content"]) if "content" in change.fields else None
        curricula_changes.change(session, change.row_id, fields=fields, topics=topics)
        if "pronunciations" in change.fields:
            wanted = change.fields["pronunciations"]
            for entry in pronunciations.page(session, change.row_id)[0]:
                if entry.written not in wanted:
                    pronunciations.remove(session, entry.id)
            pronunciations.put(session, change.row_id, wanted)

    def remove(self, session: Session, stored: Stored) -> None:
        """The row is no more.

        Raises:
            Conflict: jobs work on the course, or somebody listens to it.
        """
        curricula_changes.remove(session, stored.row_id, force=False)


def _content(topic: Topic, segments: Iterable[Segment]) -> dict[str, Any]:
    return topic.extra | {
        "id": topic.id,
        "title": topic.title,
        "description": topic.description,
        "segments": [segment.extra | {"id": segment.id, "text": segment.text} for segment in segments],
    }


def _topics(content: list[dict[str, Any]]) -> list[NewTopic]:
    """The topics of a record, which was checked."""
    return [
        NewTopic(
            title=topic["title"],
            description=topic["description"],
            id=topic.get("id"),
            segments=[
                NewSegment(part["text"], part.get("id"), _rest(part, "id", "text")) for part in topic["segments"]
            ],
            extra=_rest(topic, "id", "title", "description", "segments"),
        )
        for topic in content
    ]


def _rest(thing: dict[str, Any], *known: str) -> dict[str, Any]:
    return {name: value for name, value in thing.items() if name not in known}


def _account_id(session: Session, username: str | None) -> str | None:
    return None if username is None else session.scalar(select(Account.id).where(Account.username == username))
