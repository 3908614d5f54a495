"""What enriching gives: topics of segments that can be spoken, and what is known of the course."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Verdict = Literal["allowed", "forbidden", "unclear"]


@dataclass(frozen=True)
class Licence:
    """A licence as it was found: its name (``CC BY-NC-SA 4.0``), the words that say so, and what that allows us."""

    name: str
    words: str
    verdict: Verdict
    url: str | None = None


@dataclass(frozen=True)
class Asset:
    """An image or a link of a topic: ``target`` is a path in the course's files or an address."""

    kind: Literal["image", "link"]
    target: str
    text: str = ""


@dataclass(frozen=True)
class Segment:
    """What is spoken in one go; ``kind`` says of what it was made (paragraph, list, table, figure, formula, quote)."""

    text: str
    kind: str = "paragraph"
    id: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class Topic:
    """A part of the course. ``language`` is an ISO 639-1 code; ``reading_seconds`` is how long it takes to say it."""

    title: str
    segments: list[Segment]
    description: str = ""
    language: str | None = None
    objectives: list[str] = field(default_factory=list)
    reading_seconds: float = 0.0
    assets: list[Asset] = field(default_factory=list)
    id: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class Outline:
    """A course as it will be stored."""

    title: str
    topics: list[Topic]
    description: str = ""
    language: str | None = None
    authors: list[str] = field(default_factory=list)
    licence: Licence | None = None
    attribution: str = ""
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For a file between two stages, and for a preview."""
        return asdict(self)

    @staticmethod
    def from_json(told: dict[str, Any]) -> Outline:
        """The outline that ``as_json`` told."""
        topics = [
            Topic(
                **topic
                | {
                    "segments": [Segment(**segment) for segment in topic["segments"]],
                    "assets": [Asset(**asset) for asset in topic["assets"]],
                }
            )
            for topic in told["topics"]
        ]
        licence = Licence(**told["licence"]) if told["licence"] else None
        return Outline(**told | {"topics": topics, "licence": licence})
