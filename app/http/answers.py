"""What an endpoint answers when all is well, for the API's description: status, media type, JSON schema, headers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from marshmallow import EXCLUDE, Schema, fields

from config.versions import AUDIO_FORMATS


class Shown(Schema):
    """The JSON of an answer: every field of it is always there, and others may be. Only the description reads it.

    Where a document shows an answer of its own with fewer fields, ``promised`` names those: the rest is not required.
    """

    promised: ClassVar[frozenset[str] | None] = None

    class Meta:
        unknown = EXCLUDE

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        """What is always there is required."""
        field_obj.required = self.promised is None or field_name in self.promised


class Message(Shown):
    """What was done."""

    message = fields.String()


@dataclass(frozen=True)
class Answer:
    """One good answer.

    Attributes:
        media_types: What it may be.
        schema: Its JSON; without one the documents' example says what is in it.
        many: Whether it is a bare list of that.
        description: When it comes, where an endpoint has several.
        headers: What each header of its own says.
    """

    media_types: tuple[str, ...] = ("application/json",)
    schema: type[Schema] | None = None
    many: bool = False
    description: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


Answers = Mapping[int, Answer]

JSON = Answer()
MESSAGE = Answer(schema=Message)


def page_of(plural: str, schema: type[Schema], name: str = "") -> Answer:
    """A page of a list, as management shows its lists; ``name`` where two lists have the same plural."""
    numbers: dict[str, fields.Field[Any]] = {number: fields.Integer() for number in ("total", "limit", "offset")}
    content = {plural: fields.List(fields.Nested(schema)), **numbers}
    return Answer(schema=Shown.from_dict(content, name=name or f"{plural.capitalize()}Page"))


SPEECH = Answer(
    media_types=tuple(sorted({each.media_type for each in AUDIO_FORMATS.values()})),
    description="The audio",
    headers={
        "X-TTS-Cache-Status": "`hit`: it was there; `miss`: it was made; `joined`: somebody else had begun it",
        "X-TTS-Duration-Seconds": "How long it lasts; absent while it is sent as it is made",
        "X-TTS-Sample-Rate": "Samples per second",
        "X-TTS-Provider": "The engine that spoke",
        "X-TTS-Fallback": "Which provider was asked for, where another one spoke",
        "ETag": "The same bytes have the same",
        "Content-Location": "Where the clip is kept",
    },
)
