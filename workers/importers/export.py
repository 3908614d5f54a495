"""Our own export: a course as ``GET /api/curriculum/{id}/export`` gives it."""

from __future__ import annotations

import json
from typing import Any

from workers.errors import BadInput
from workers.importers.draft import Draft, Report, Section

# The limits of ``POST /api/curriculum``, which takes the same file.
MOST_BYTES = 16 << 20
_TITLE_CHARACTERS = 500
_TEXT_CHARACTERS = 20_000
# Each becomes an object of some hundred bytes.
_MOST_VALUES = 1_000_000


def course_in(text: str) -> dict[str, Any] | None:
    """The course that a JSON text tells; None where it is no JSON or of something else.

    Raises:
        BadInput: it begins like one and is broken.
    """
    if sum(map(text.count, ",[{")) > _MOST_VALUES:
        raise BadInput(f"The JSON holds more than {_MOST_VALUES} values.", code="course_too_large")
    try:
        told = json.loads(text, parse_constant=_no_number)
    except RecursionError as error:
        raise BadInput("The JSON is nested too deep to be a course.", code="broken_json") from error
    except ValueError as error:
        raise BadInput(f"It begins like JSON and is none: {error}.", code="broken_json") from error
    return told if isinstance(told, dict) and isinstance(told.get("content"), list) and "title" in told else None


def read(told: dict[str, Any], report: Report) -> Draft:
    """The course, whose topics and segments stay as they are.

    Raises:
        BadInput: naming the topic or segment that cannot be read.
    """
    _refuse_unspeakable(told, "")
    topics: list[dict[str, object]] = []
    sections: list[Section] = []
    for number, topic in enumerate(told["content"]):
        where = f"content[{number}]"
        if not isinstance(topic, dict):
            raise _bad(where, topic, "is not a topic (an object with title and segments)")
        title = _text(topic.get("title"), f"{where}.title", _TITLE_CHARACTERS)
        listed = topic.get("segments", topic.get("text", []))
        if not isinstance(listed, list | str):
            raise _bad(f"{where}.segments", listed, "is neither a list nor a text")
        segments = [
            _segment(segment, f"{where}.segments[{at}]")
            for at, segment in enumerate([listed] if isinstance(listed, str) else listed)
        ]
        _refuse_repeated(segments, f"{where}.segments")
        topics.append({key: value for key, value in topic.items() if key != "text"} | {"segments": segments})
        sections.append(Section(title, 1, "\n\n".join(str(segment["text"]) for segment in segments), "text"))
        report((number + 1) / len(told["content"]))
    _refuse_repeated(topics, "content")
    language = told.get("language")
    shown = _images_shown(topics)
    return Draft(
        title=_text(told["title"], "title", _TITLE_CHARACTERS),
        sections=sections,
        description=_text(told.get("description") or "", "description", _TEXT_CHARACTERS, least=0),
        language=language if isinstance(language, str) else None,
        authors=[each for each in _listed(told.get("authors")) if isinstance(each, str)],
        licence_texts=_rights(told.get("license")),
        attribution=_text(told.get("attribution") or "", "attribution", _TEXT_CHARACTERS, least=0),
        topics_given=topics,
        notes=[f"No image is in an export: of {shown} that its topics show, a course keeps those that it has already."]
        if shown
        else [],
    )


def _images_shown(topics: list[dict[str, object]]) -> int:
    """How many images the topics show that lay in the files of their course; those of the web are where they were."""
    assets = [asset for topic in topics for asset in _listed(topic.get("assets")) if isinstance(asset, dict)]
    targets = {str(asset.get("target")) for asset in assets if asset.get("kind") == "image"}
    return sum("://" not in target for target in targets)


def _rights(told: object) -> list[str]:
    """What the course says of its licence, its own words first."""
    if isinstance(told, dict):
        told = [told.get(name) for name in ("words", "url", "name")]
    return [each for each in _listed(told) if isinstance(each, str) and each]


def _listed(told: object) -> list[object]:
    return list(told) if isinstance(told, list) else [told]


def _segment(segment: object, where: str) -> dict[str, object]:
    if isinstance(segment, str):
        segment = {"text": segment}
    if not isinstance(segment, dict):
        raise _bad(where, segment, "is not a segment (a text or an object with text)")
    return segment | {"text": _text(segment.get("text"), f"{where}.text", _TEXT_CHARACTERS)}


def _refuse_repeated(told: list[dict[str, object]], where: str) -> None:
    """Refuses an id that two have; a course is stored under its ids."""
    seen: set[str] = set()
    for number, each in enumerate(told):
        given = each.get("id")
        if not isinstance(given, str | int) or isinstance(given, bool) or given == "":
            continue  # which is none, and gets one of ours
        if str(given) in seen:
            raise _bad(f"{where}[{number}].id", given, "is given more than once")
        seen.add(str(given))


def _text(value: object, where: str, most: int, *, least: int = 1) -> str:
    if not isinstance(value, str):
        raise _bad(where, value, "is not a text")
    if not least <= len(value.strip()) or len(value) > most:
        raise _bad(where, value, f"has {len(value)} characters, not {least} to {most}")
    return value


def _refuse_unspeakable(value: object, where: str) -> None:
    """Refuses what can be written in JSON and stored nowhere: NUL, and halves of characters."""
    if isinstance(value, str) and ("\0" in value or any("\ud800" <= character <= "\udfff" for character in value)):
        raise _bad(where, value, "holds a NUL or half a character")
    if isinstance(value, dict):
        for key, each in value.items():
            _refuse_unspeakable(key, f"{where}.{key!r:.40}")
            _refuse_unspeakable(each, f"{where}.{key!r:.40}".lstrip("."))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            _refuse_unspeakable(each, f"{where}[{number}]")


def _bad(where: str, value: object, what: str) -> BadInput:
    return BadInput(f"{where}: {value!r:.60} {what}.", code="bad_export")


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")
