"""From an outline the course as it is stored, within what a course may be, and what is told of it."""

from __future__ import annotations

import re
from typing import Any

from workers.errors import BadInput
from workers.importers.draft import Report
from workers.importers.outline import Outline, Segment, Topic

# What POST /api/curriculum takes, too.
MAX_TITLE, MAX_DESCRIPTION, MAX_SEGMENT, MAX_ID = 500, 20_000, 20_000, 200
# Beyond it a course is a library, which is better brought in by parts.
MAX_TOPICS, MAX_SEGMENTS = 5_000, 50_000
_MAX_NOTES = 100
# NUL, and halves of surrogate pairs: what Postgres cannot keep.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def generate(outline: Outline, *, title: str | None, source: dict[str, Any], report: Report) -> dict[str, Any]:
    """``course`` as ``models.imports.store`` takes it, ``result`` for whoever asks, ``outline`` for a preview.

    ``title`` is the asker's own, in place of the course's; ``source`` says where it came from.

    Raises:
        BadInput: nothing of it can be spoken, or it is larger than a course may be.
    """
    topics = []
    for number, topic in enumerate(outline.topics):
        made = _topic(topic)
        if made["segments"]:
            topics.append(made)
        report(number / len(outline.topics))
    count = sum(len(topic["segments"]) for topic in topics)
    if not count:
        raise BadInput("There is nothing in the course that could be spoken.", code="empty_course")
    if len(topics) > MAX_TOPICS or count > MAX_SEGMENTS:
        message = (
            f"The course has {len(topics)} topics and {count} segments; at most {MAX_TOPICS} and {MAX_SEGMENTS} fit."
        )
        raise BadInput(message, code="course_too_large")
    licence = outline.licence
    told: dict[str, Any] = {
        "title": shortened(title or outline.title or "Untitled course", MAX_TITLE),
        "language": outline.language,
        "licence": None
        if licence is None
        else {"name": licence.name, "words": licence.words, "verdict": licence.verdict, "url": licence.url},
        "attribution": outline.attribution,
        "authors": outline.authors,
    }
    about: dict[str, Any] = {name: value for name, value in told.items() if name not in ("title", "licence") and value}
    # In a course's own words, as clients of ours spell them.
    about |= {"license": told["licence"]} if licence is not None else {}
    figures = {
        "topic_count": len(topics),
        "segment_count": count,
        "asset_count": sum(len(topic["extra"].get("assets", ())) for topic in topics),
        "reading_seconds": round(sum(topic.reading_seconds for topic in outline.topics), 1),
    }
    course = {
        "title": told["title"],
        "description": outline.description[:MAX_DESCRIPTION],
        "extra": about | {"imported_from": {name: value for name, value in source.items() if value}},
        "topics": topics,
    }
    notes = list(dict.fromkeys(note[:500] for note in outline.notes))
    left = len(notes) - _MAX_NOTES
    notes = notes[:_MAX_NOTES] + ([f"and {left} more"] if left > 0 else [])
    return {
        "course": storable(course),
        "result": storable(told | figures | {"notes": notes}),
        "outline": storable([_previewed(topic) for topic in topics]),
    }


def storable(value: Any) -> Any:
    """The value without the characters that cannot be stored."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("", value)
    if isinstance(value, dict):
        return {storable(name): storable(each) for name, each in value.items()}
    return [storable(each) for each in value] if isinstance(value, list | tuple) else value


def shortened(text: str, most: int) -> str:
    """The text on one line, cut at a word where it is longer than ``most`` characters."""
    line = " ".join(text.split())
    if len(line) <= most:
        return line
    return line[: most - 1].rsplit(" ", 1)[0] + "…"


def _topic(topic: Topic) -> dict[str, Any]:
    segments = [_segment(segment) for segment in topic.segments if _UNSTORABLE.sub("", segment.text).strip()]
    about: dict[str, Any] = {
        "language": topic.language,
        "objectives": topic.objectives,
        "reading_seconds": round(topic.reading_seconds, 1),
        "assets": [{"kind": asset.kind, "target": asset.target, "text": asset.text} for asset in topic.assets],
    }
    title = shortened(topic.title, MAX_TITLE) or shortened(segments[0]["text"] if segments else "", 80)
    return {
        "id": _id(topic.id),
        "title": title,
        "description": topic.description[:MAX_DESCRIPTION],
        "segments": segments,
        "extra": {name: value for name, value in about.items() if value} | topic.extra,
    }


def _segment(segment: Segment) -> dict[str, Any]:
    if len(segment.text) > MAX_SEGMENT:
        message = f"A segment has {len(segment.text)} characters; at most {MAX_SEGMENT} are spoken in one go."
        raise BadInput(message, code="segment_too_long")
    kind = {} if segment.kind == "paragraph" else {"kind": segment.kind}
    return {"id": _id(segment.id), "text": segment.text, "extra": kind | segment.extra}


def _id(given: str | None) -> str | None:
    if given is not None and not 1 <= len(given) <= MAX_ID:
        raise BadInput(f"{given[:60]!r} is not an id (a text of 1 to {MAX_ID} characters).", code="bad_id")
    return given


def _previewed(topic: dict[str, Any]) -> dict[str, Any]:
    """A topic in a preview: what it is, and how it begins."""
    return {
        "title": topic["title"],
        "segment_count": len(topic["segments"]),
        "reading_seconds": topic["extra"].get("reading_seconds", 0.0),
        "language": topic["extra"].get("language"),
        "objectives": topic["extra"].get("objectives", []),
        "begins": shortened(topic["segments"][0]["text"], 200),
    }
