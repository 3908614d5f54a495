"""Courses: create, get, list, change, remove, search, export."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from flask import Response, g, jsonify
from marshmallow import EXCLUDE, Schema, fields

from app import context
from app.api.curriculum_assets import with_urls
from app.context import Context
from app.course_content import ABOUT, Told, read_topics
from app.http.access import CLIENT
from app.http.answers import MESSAGE, Answer, Shown, page_of
from app.http.parsing import Listing, Paging, Text
from app.surfaces import MANAGEMENT, SurfaceBlueprint
from models import curricula, curricula_changes, curricula_search, curriculum_assets
from models.base import iso
from models.curricula import Curriculum, Segment, Topic

blueprint = SurfaceBlueprint("curriculum", surface=MANAGEMENT, description="Courses")


class NewCurriculum(Told):
    """A course: topics with segments, or topics with a text of their own."""

    title = Text(required=True, minimum=1, maximum=500, spoken=True)
    description = Text(load_default="", maximum=20_000)
    content = Listing(fields.Raw(), load_default=list)


class ChangedCurriculum(Told):
    """What of a course changes; what is not named stays."""

    title = Text(minimum=1, maximum=500, spoken=True)
    description = Text(maximum=20_000)
    content = Listing(fields.Raw())


class Removal(Schema):
    """Whether jobs that work on it are cancelled."""

    class Meta:
        unknown = EXCLUDE

    force = fields.Boolean(load_default=False)


class Search(Paging):
    """What is looked for: words, "a phrase", or, -not."""

    q = Text(required=True, minimum=1, maximum=500, spoken=True)


class CurriculumFound(Shown):
    """A course without its content."""

    id = fields.String()
    title = fields.String()
    description = fields.String()
    created_at = fields.DateTime()
    updated_at = fields.DateTime()


class CurriculumListed(CurriculumFound):
    """A course without its content, and how much there is of it."""

    topic_count = fields.Integer()
    segment_count = fields.Integer()


class Place(Shown):
    """Where words occur: in the course itself, a topic or a segment."""

    topic_id = fields.String(allow_none=True)
    segment_id = fields.String(allow_none=True)
    snippet = fields.String()


class CurriculumMatched(CurriculumFound):
    """A course in which the words occur, and where."""

    matches = fields.List(fields.Nested(Place))


class SegmentShown(Shown):
    """A segment, with whatever else it was sent with."""

    id = fields.String()
    text = fields.String()


class TopicShown(Shown):
    """A topic, with whatever else it was sent with."""

    id = fields.String()
    title = fields.String()
    description = fields.String()
    segments = fields.List(fields.Nested(SegmentShown))


class CurriculumShown(CurriculumListed):
    """A course."""

    content = fields.List(fields.Nested(TopicShown))


class LicenceShown(Shown):
    """A licence: what it is called, the words that say so, and what it allows."""

    promised = frozenset({"name"})

    name = fields.String()
    words = fields.String()
    verdict = fields.String()
    url = fields.String(allow_none=True)


class CurriculumExported(Shown):
    """A course as it is sent to be created; of whom it is, and under which licence, where that is known."""

    promised = frozenset({"title", "description", "content"})

    title = fields.String()
    description = fields.String()
    content = fields.List(fields.Nested(TopicShown))
    language = fields.String()
    license = fields.Nested(LicenceShown)
    attribution = fields.String()
    authors = fields.List(fields.String())


CURRICULUM = Answer(schema=CurriculumShown)


@blueprint.endpoint("/api/curriculum", access=CLIENT, answers={200: page_of("curricula", CurriculumListed)})
@blueprint.arguments(Paging, location="query")
def list_curricula(query: dict[str, Any]) -> dict[str, Any]:
    """The newest courses first."""
    return listed(context.current(), **query)


def listed(here: Context, *, limit: int, offset: int) -> dict[str, Any]:
    """A page of the courses."""
    with here.database.transaction(durable=False) as session:
        found, total = curricula.page(session, limit=limit, offset=offset)
    rows = [
        _summary(each.curriculum) | {"topic_count": each.topic_count, "segment_count": each.segment_count}
        for each in found
    ]
    return {"curricula": rows, "total": total, "limit": limit, "offset": offset}


@blueprint.endpoint("/api/curriculum", access=CLIENT, methods=("POST",), answers={201: CURRICULUM})
@blueprint.arguments(NewCurriculum)
def create_curriculum(body: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Stores a course; ids are made for topics and segments that bring none."""
    topics = read_topics(body["content"])
    with context.current().database.transaction() as session:
        curriculum = curricula.create(
            session,
            title=body["title"],
            description=body["description"],
            topics=topics,
            extra={name: body[name] for name in ABOUT if name in body},
            account_id=g.caller.account_id,
        )
        return whole(curriculum, curricula.outline(session, curriculum.id)), 201


@blueprint.endpoint("/api/curriculum/<curriculum_id>", access=CLIENT, answers={200: CURRICULUM})
def get_curriculum(curriculum_id: str) -> dict[str, Any]:
    """A course with its topics and segments."""
    with context.current().database.snapshot() as session:
        curriculum = curricula.get(session, curriculum_id)
        kept = curriculum_assets.paths(session, curriculum_id)
        return whole(curriculum, curricula.outline(session, curriculum_id), kept)


@blueprint.endpoint("/api/curriculum/<curriculum_id>", access=CLIENT, methods=("PUT",), answers={200: CURRICULUM})
@blueprint.arguments(ChangedCurriculum)
def change_curriculum(body: dict[str, Any], curriculum_id: str) -> dict[str, Any]:
    """Changes what the body names; new content keeps the ids of topics and segments that stay."""
    topics = read_topics(body.pop("content")) if "content" in body else None
    told = {name: body.pop(name) for name in ABOUT if name in body}
    with context.current().database.transaction() as session:
        if told:
            body["extra"] = curricula_changes.hold(session, curriculum_id).extra | told
        changed = curricula_changes.change(session, curriculum_id, fields=body, topics=topics)
        kept = curriculum_assets.paths(session, curriculum_id)
        return whole(changed, curricula.outline(session, curriculum_id), kept)


@blueprint.endpoint(
    "/api/curriculum/<curriculum_id>", access=CLIENT, methods=("DELETE",), answers={200: MESSAGE}, refuses=(409,)
)
@blueprint.arguments(Removal, location="query")
def remove_curriculum(query: dict[str, Any], curriculum_id: str) -> dict[str, str]:
    """Removes a course; what was spoken of it stays. With ``force`` jobs that work on it are cancelled."""
    with context.current().database.transaction() as session:
        curricula_changes.remove(session, curriculum_id, force=query["force"])
    return {"message": f"Curriculum {curriculum_id} was removed."}


@blueprint.endpoint(
    "/api/curriculum/search",
    access=CLIENT,
    answers={200: page_of("curricula", CurriculumMatched, "CurriculaFoundPage")},
)
@blueprint.arguments(Search, location="query")
def search_curricula(query: dict[str, Any]) -> dict[str, Any]:
    """Courses in which words occur, the best first, with the places."""
    return searched(context.current(), **query)


def searched(here: Context, *, q: str, limit: int, offset: int) -> dict[str, Any]:
    """A page of the courses in which words occur."""
    with here.database.transaction(durable=False) as session:
        hits, total = curricula_search.search(session, q, limit=limit, offset=offset)
    found = [_summary(hit.curriculum) | {"matches": hit.matches} for hit in hits]
    return {"curricula": found, "total": total, "limit": limit, "offset": offset}


@blueprint.endpoint(
    "/api/curriculum/<curriculum_id>/export", access=CLIENT, answers={200: Answer(schema=CurriculumExported)}
)
def export_curriculum(curriculum_id: str) -> Response:
    """A course as a file that ``POST /api/curriculum`` takes; without its images."""
    with context.current().database.snapshot() as session:
        curriculum = curricula.get(session, curriculum_id)
        shown = whole(curriculum, curricula.outline(session, curriculum_id))
    response = jsonify({name: shown[name] for name in ("title", "description", *ABOUT, "content") if name in shown})
    response.headers["Content-Disposition"] = f"attachment; filename=curriculum-{curriculum_id}.json"
    return response


def whole(
    curriculum: Curriculum, outline: list[tuple[Topic, list[Segment]]], kept: Collection[str] = ()
) -> dict[str, Any]:
    """A course as it is shown alone; ``kept`` are the paths of the images that it has."""
    content = [
        with_urls(topic.extra, curriculum.id, kept)
        | {
            "id": topic.id,
            "title": topic.title,
            "description": topic.description,
            "segments": [segment.extra | {"id": segment.id, "text": segment.text} for segment in segments],
        }
        for topic, segments in outline
    ]
    return _summary(curriculum) | {
        "topic_count": len(outline),
        "segment_count": sum(len(segments) for _, segments in outline),
        "content": content,
    }


def _summary(curriculum: Curriculum) -> dict[str, Any]:
    return curriculum.extra | {
        "id": curriculum.id,
        "title": curriculum.title,
        "description": curriculum.description,
        "created_at": iso(curriculum.created_at),
        "updated_at": iso(curriculum.updated_at),
    }
