"""A draft to an outline: topics of segments, with what is known of each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from workers.errors import BadInput
from workers.importers import attributions, html_blocks, languages, licences, text_blocks
from workers.importers.blocks import Page, clean
from workers.importers.draft import Draft, Report, Section
from workers.importers.given import given_topics
from workers.importers.known_licences import OPEN
from workers.importers.outline import Licence, Outline, Topic
from workers.importers.topics import Part, topics_of

_UNTITLED = "Untitled course"
_MOST_NOTES = 200
_LONGEST_TITLE = 500
_MARKUP = re.compile(
    r"<(script|style)\b.*?</\1\s*>|<[^<>]{0,2000}>|&[a-z#0-9]{1,10};", re.IGNORECASE | re.DOTALL
)  # fmt: skip
# Enough of a page to tell its language.
_SAMPLE = 40_000
# A course of more text needs all the memory there is once more when it is made ready to be stored. To load again what
# tells languages is half a second then, beside the ten that it takes anyway.
_LARGE_CHARACTERS = 5_000_000


def enrich(draft: Draft, *, accept_license: bool, report: Report) -> Outline:
    """The course as it will be stored.

    Raises:
        BadInput: its licence forbids derivatives (``license_forbids``), or leaves open what is allowed and nobody
            accepted that (``license_unclear``), or nothing in it can be read (``empty_course``).
    """
    report(0.0)
    licence, told = _licence(draft)
    _judge(licence, accept_license=accept_license)
    outline = Outline(
        title=clean(draft.title)[:_LONGEST_TITLE],
        topics=[],
        description=clean(re.sub(r"<[^<>]{0,2000}>", " ", draft.description)) if draft.description else "",
        language=languages.code(draft.language),
        authors=list(dict.fromkeys(name for author in draft.authors if (name := clean(author)))),
        licence=licence,
        notes=[*draft.notes, *told],
    )
    if draft.topics_given is not None:
        outline.topics = given_topics(draft.topics_given, outline.language)
    else:
        outline.topics = _topics(draft, outline, report)
    if not any(topic.segments for topic in outline.topics):
        named = f"The course {outline.title!r}" if outline.title else "The course, which has no title,"
        raise BadInput(f"{named} has nothing to be read.", code="empty_course")
    outline.title = outline.title or outline.topics[0].title[:_LONGEST_TITLE] or _UNTITLED
    outline.language = outline.language or _most_spoken(outline.topics)
    outline.attribution = _attribution(draft, outline)
    outline.notes = _few(outline.notes)
    if sum(len(section.content) for section in draft.sections) > _LARGE_CHARACTERS:
        languages.forget()
    report(1.0)
    return outline


# --- The licence -----------------------------------------------------------------------------------------------------


def _licence(draft: Draft) -> tuple[Licence | None, list[str]]:
    """The licence of the course, and notes on what else was found.

    What the format says counts first. Of the pages' own words that licence counts which most of them name: one
    lesson of another's does not change what the course may be used for.
    """
    stated = licences.decisive(licences.find(draft.licence_texts))
    by_page: Counter[str] = Counter()
    found: dict[str, Licence] = {}
    where: dict[str, str] = {}
    # Our own export says nothing of rights but in its fields.
    for section in draft.sections if draft.topics_given is None else ():
        for licence in licences.find([section.content], pages=True):
            by_page[licence.name] += 1
            found.setdefault(licence.name, licence)
            where.setdefault(licence.name, section.title)
    notes: list[str] = []
    chosen = stated
    # Whose it is, and that there is a licence, leaves open which: the pages may say. "All rights reserved" does not.
    if chosen is None or (chosen.name in OPEN and by_page):
        plain = [licence for licence in found.values() if licence.verdict != "unclear"] or list(found.values())
        most = max((by_page[licence.name] for licence in plain), default=0)
        chosen = licences.decisive(licence for licence in plain if by_page[licence.name] == most) or chosen
    for name, licence in found.items():
        if chosen is not None and name != chosen.name and not chosen.name.startswith(f"{name} "):
            notes.append(f"{where[name] or 'A page'!r} names another licence: {name} ({licence.words})")
    if chosen is None:
        notes.append("No licence was found.")
    elif "NC" in chosen.name:
        notes.append(f"The licence {chosen.name} allows no commercial use.")
    return chosen, notes


def _judge(licence: Licence | None, *, accept_license: bool) -> None:
    if licence is None or licence.verdict == "allowed":
        return
    if licence.verdict == "forbidden":
        message = f"The licence of the course forbids derivatives ({licence.name}): “{licence.words}”"
        raise BadInput(message, code="license_forbids")
    if not accept_license:
        message = (
            f"What the course may be used for is not plain ({licence.name}): “{licence.words}” "
            "Send accept_license=true if you may use it."
        )
        raise BadInput(message, code="license_unclear")


def _attribution(draft: Draft, outline: Outline) -> str:
    """The course's own words for it, else its title, its authors and its licence."""
    if draft.attribution:
        return clean(draft.attribution)
    own = attributions.attribution(draft.licence_texts)
    if not own and draft.topics_given is None:
        own = attributions.attribution((each.content for each in draft.sections), pages=True)
    named = f"“{outline.title}”" + (f" by {', '.join(outline.authors)}" if outline.authors else "")
    licence = outline.licence
    parts = [named, own]
    if licence is not None and licence.verdict == "allowed":
        parts.append(f"{licence.name} ({licence.url})" if licence.url else licence.name)
    return ". ".join(part.rstrip(". ") for part in parts if part) + "." if outline.authors or own or licence else ""


# --- The topics ------------------------------------------------------------------------------------------------------


def _topics(draft: Draft, outline: Outline, report: Report) -> list[Topic]:
    parts: list[Part] = []
    above: list[tuple[int, str]] = []
    for number, section in enumerate(draft.sections):
        report(0.9 * number / len(draft.sections))
        above = [(level, title) for level, title in above if level < section.level]
        title = clean(section.title)
        if section.content.strip():
            page, language = _page(section, outline.language)
            parts.append(Part(title, [name for _, name in above if name], page, section.path, language))
        above.append((section.level, title))
    names = frozenset(draft.files.names()) if draft.files is not None else None
    topics, notes = topics_of(parts, names)
    outline.notes += notes
    return topics


def _page(section: Section, course_language: str | None) -> tuple[Page, str | None]:
    """A section's blocks, and the language it is in."""
    sample = section.content[:_SAMPLE]
    language = languages.detect(_MARKUP.sub(" ", sample) if section.media != "text" else sample, course_language)
    if section.media == "html":
        page = html_blocks.read(section.content, language)
    elif section.media == "markdown":
        page = text_blocks.read_markdown(section.content, language)
    else:
        page = text_blocks.read_text(section.content, language)
    return page, language


def _most_spoken(topics: Sequence[Topic]) -> str | None:
    seconds: Counter[str] = Counter()
    for topic in topics:
        if topic.language:
            seconds[topic.language] += round(topic.reading_seconds) + 1
    return seconds.most_common(1)[0][0] if seconds else None


def _few(notes: Sequence[str]) -> list[str]:
    """Each note once, and not more than somebody reads."""
    once = list(dict.fromkeys(notes))
    if len(once) <= _MOST_NOTES:
        return once
    return [*once[:_MOST_NOTES], f"And {len(once) - _MOST_NOTES} more notes."]
