"""Topics that come as they are to be stored: our own export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workers.errors import BadInput
from workers.importers import languages, speaking_time
from workers.importers.outline import Segment, Topic

_TOPIC_FIELDS = frozenset(("id", "title", "description", "segments"))


def given_topics(told: Sequence[Mapping[str, Any]], language: str | None) -> list[Topic]:
    """The topics with their ids and whatever else they were sent with; nothing is cut or joined.

    Raises:
        BadInput: a topic has no title, or a segment no text.
    """
    topics: list[Topic] = []
    for number, topic in enumerate(told, start=1):
        title = topic.get("title")
        if not isinstance(title, str) or not title.strip():
            raise BadInput(f"Topic {number} has the title {title!r}, which is none.", code="bad_topic")
        parts = topic.get("segments") or []
        if not isinstance(parts, list):
            raise BadInput(f"The segments of topic {title!r} are no list.", code="bad_topic")
        segments = [_segment(part, title) for part in parts]
        text = "\n".join(segment.text for segment in segments)
        description = topic.get("description")
        topics.append(
            Topic(
                title=title,
                segments=segments,
                description=description if isinstance(description, str) else "",
                language=languages.detect(text, language),
                reading_seconds=speaking_time.seconds(segments),
                id=_id(topic),
                extra={name: value for name, value in topic.items() if name not in _TOPIC_FIELDS},
            )
        )
    return topics


def _segment(told: Any, title: str) -> Segment:
    text = told.get("text") if isinstance(told, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise BadInput(f"A segment of topic {title!r} has the text {text!r}, which says nothing.", code="bad_segment")
    extra = {name: value for name, value in told.items() if name not in ("id", "text")}
    return Segment(text, id=_id(told), extra=extra)


def _id(told: Mapping[str, Any]) -> str | None:
    value = told.get("id")
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) and str(value) else None
