"""A course as it is sent, by whatever way: topics with segments or a text of their own, of whom it is, its licence."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from app.http.parsing import Listing, Text, one_of
from models.curricula import NewSegment, NewTopic
from models.errors import Invalid

MAX_SEGMENT_CHARACTERS = 20_000
# What is known of a course beside its text, and goes with it wherever it is taken.
ABOUT = ("language", "license", "attribution", "authors")


class LicenceTold(Schema):
    """A licence: what it is called, the words that say so, and what it allows."""

    name = Text(required=True, minimum=1, maximum=200, spoken=True)
    words = Text(maximum=2000)
    verdict = fields.String(validate=one_of(["allowed", "forbidden", "unclear"]))
    url = Text(maximum=2000, allow_none=True)


class Told(Schema):
    """Of whom a course is, and under which licence."""

    language = Text(maximum=35)
    license = fields.Nested(LicenceTold)
    attribution = Text(maximum=20_000)
    authors = Listing(Text(minimum=1, maximum=500))


def read_topics(content: list[Any]) -> list[NewTopic]:
    """The topics of a course's ``content``; keys we do not know are kept.

    Raises:
        Invalid: naming the topic or segment that cannot be read.
    """
    return [_topic(topic, f"content[{number}]") for number, topic in enumerate(content)]


def _topic(topic: Any, where: str) -> NewTopic:
    if not isinstance(topic, dict):
        raise Invalid(f"{where}: {topic!r:.60} is not a topic (an object with title and segments)")
    segments = topic.get("segments", topic.get("text", []))
    if isinstance(segments, str):
        segments = [segments]
    if not isinstance(segments, list):
        raise Invalid(f"{where}.segments: {segments!r:.60} is neither a list nor a text")
    return NewTopic(
        id=_id(topic, where),
        title=_text(topic.get("title"), f"{where}.title", maximum=500),
        description=_text(topic.get("description", ""), f"{where}.description", minimum=0),
        segments=[_segment(segment, f"{where}.segments[{at}]") for at, segment in enumerate(segments)],
        extra=_rest(topic, "id", "title", "description", "segments", "text"),
    )


def _segment(segment: Any, where: str) -> NewSegment:
    if isinstance(segment, str):
        return NewSegment(_text(segment, where))
    if not isinstance(segment, dict):
        raise Invalid(f"{where}: {segment!r:.60} is not a segment (a text or an object with text)")
    return NewSegment(
        text=_text(segment.get("text"), f"{where}.text"), id=_id(segment, where), extra=_rest(segment, "id", "text")
    )


def _text(value: Any, where: str, *, minimum: int = 1, maximum: int = MAX_SEGMENT_CHARACTERS) -> str:
    if not isinstance(value, str):
        raise Invalid(f"{where}: {value!r:.60} is not a text")
    if len(value.strip()) < minimum:
        raise Invalid(f"{where}: it is empty")
    if len(value) > maximum:
        raise Invalid(f"{where}: it has {len(value)} characters; at most {maximum} are allowed")
    return value


def _id(thing: dict[str, Any], where: str) -> str | None:
    value = thing.get("id")
    if value is None:
        return None
    if not isinstance(value, str | int) or isinstance(value, bool) or not 1 <= len(str(value)) <= 200:
        raise Invalid(f"{where}.id: {value!r:.60} is not an id (a text of 1 to 200 characters)")
    return str(value)


def _rest(thing: dict[str, Any], *known: str) -> dict[str, Any]:
    return {name: value for name, value in thing.items() if name not in known}
