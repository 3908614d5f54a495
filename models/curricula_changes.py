"""Changes of a course: new content that keeps the ids of what stays, and its end."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from models import curricula, sessions
from models.curricula import Curriculum, NewSegment, NewTopic, Segment, Topic
from models.errors import Conflict, NotFound
from models.jobs import lifecycle
from models.jobs.tables import PAUSED, QUEUED, RUNNING, Job


def change(
    session: Session,
    curriculum_id: str,
    *,
    fields: dict[str, Any],
    topics: Sequence[NewTopic] | None = None,
) -> Curriculum:
    """The course with these ``fields`` (title, description) and, unless None, these topics in the place of its own.

    A topic that brings no id keeps that of the topic with its title, else of the one in its place; a segment that of
    the segment of its topic with its text, else of the one in its place. So what clients remember still leads there.

    Raises:
        NotFound: there is no such course.
        Invalid: an id is used twice.
    """
    hold(session, curriculum_id)
    if topics is not None:
        kept = keep_ids(curricula.outline(session, curriculum_id), topics)
        session.execute(delete(Topic).where(Topic.curriculum_id == curriculum_id))
        session.expunge_all()
        curricula.insert_topics(session, curriculum_id, kept)
    changed = update(Curriculum).where(Curriculum.id == curriculum_id).values(**fields, updated_at=func.now())
    return session.scalars(changed.returning(Curriculum), execution_options={"populate_existing": True}).one()


def keep_ids(old: Sequence[tuple[Topic, Sequence[Segment]]], new: Sequence[NewTopic]) -> list[NewTopic]:
    """The new topics with the ids that they keep."""
    taken = {topic.id for topic in new if topic.id is not None}
    matched = _matches([topic.title for topic, _ in old], [topic.id for topic, _ in old], new, taken)
    segments = {topic.id: parts for topic, parts in old}
    kept: list[NewTopic] = []
    for topic, topic_id in zip(new, matched, strict=True):
        before = segments.get(topic_id or "", ())
        own = {part.id for part in topic.segments if part.id is not None}
        ids = _matches([part.text for part in before], [part.id for part in before], topic.segments, own)
        parts = [replace(part, id=part_id) for part, part_id in zip(topic.segments, ids, strict=True)]
        kept.append(replace(topic, id=topic_id, segments=parts))
    return kept


def _matches(
    names: Sequence[str], ids: Sequence[str], new: Sequence[NewTopic] | Sequence[NewSegment], taken: set[str]
) -> list[str | None]:
    """An id for each new one: its own, that of an old one with its name, of the one in its place, or None."""
    free = {at: each for at, each in enumerate(ids) if each not in taken}
    found: list[str | None] = [each.id for each in new]
    wanted = [each.title if isinstance(each, NewTopic) else each.text for each in new]
    by_name: dict[str, list[int]] = {}
    for at in free:
        by_name.setdefault(names[at], []).append(at)
    for number, name in enumerate(wanted):
        if found[number] is None and by_name.get(name):
            found[number] = free.pop(by_name[name].pop(0))
    for number in range(len(wanted)):
        if found[number] is None and number in free:
            found[number] = free.pop(number)
    return found


def remove(session: Session, curriculum_id: str, *, force: bool) -> None:
    """The course is no more; what was spoken of it stays. With ``force`` what uses it is cancelled or ended.

    Raises:
        NotFound: there is no such course.
        Conflict: jobs work on it, or somebody listens to it.
    """
    hold(session, curriculum_id)
    at_work = select(Job.id).where(
        Job.kind.in_(("speech.prefetch", "deployments.generate", "imports.run")),
        Job.state.in_((QUEUED, RUNNING, PAUSED)),
        Job.params["curriculum_id"].astext == curriculum_id,
    )
    jobs = list(session.scalars(at_work))
    listening = sessions.of_curriculum(session, curriculum_id)
    if (jobs or listening) and not force:
        used = f"{len(jobs)} unfinished jobs and {len(listening)} sessions"
        message = f"Curriculum {curriculum_id} is used by {used}; force=true cancels and ends them."
        raise Conflict(message, job_ids=jobs[:20], session_ids=listening[:20])
    for job_id in jobs:
        # One that has ended since is none that uses it.
        with suppress(Conflict, NotFound):
            lifecycle.cancel(session, job_id)
    for session_id in listening:
        sessions.end(session, session_id)
    session.execute(delete(Curriculum).where(Curriculum.id == curriculum_id))


def hold(session: Session, curriculum_id: str) -> Curriculum:
    """The course, the caller's alone until its transaction ends: of two changes the second sees what the first made.

    Raises:
        NotFound: there is no such course.
    """
    found = session.get(Curriculum, curriculum_id, with_for_update=True, populate_existing=True)
    if found is None:
        raise NotFound(f"There is no curriculum {curriculum_id!r}.")
    return found
