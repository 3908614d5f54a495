"""What Project Gutenberg puts around a book, in plain texts and on pages: a head, and the terms of its distributor."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

_START = re.compile(
    r"^[ \t]*\*{3}[ \t]?START OF (?:THE|THIS) PROJECT GUTENBERG EBOOK\b[^\n]{0,300}\n", re.MULTILINE | re.IGNORECASE
)
_END = re.compile(r"^[ \t]*\*{3}[ \t]?END OF (?:THE|THIS) PROJECT GUTENBERG EBOOK\b", re.MULTILINE | re.IGNORECASE)
# The head is a page; a book that quotes such a line further down is not cut there.
_HEAD_CHARACTERS = 20_000
_FIELD = re.compile(r"^(Title|Author|Language):[ \t]*(\S[^\n]{0,300})$", re.MULTILINE)
_TERMS = re.compile(r"This e-?book is for the use of.{0,800}?(?=\n[ \t]*\n|\Z)", re.DOTALL | re.IGNORECASE)
_TERMS_ON_PAGE = re.compile(r"This e-?book is for the use of.{0,800}?(?= Title ?:| \*\*\*|\Z)", re.IGNORECASE)
# <section class="pg-boilerplate pgheader" id="pg-header">, or an older <div> with that id.
_OPENED = re.compile(
    r"<(section|div|pre)\b(?=[^<>]{0,1000}(?:class\s*=\s*[\"'][^\"'<>]{0,300}\bpg-boilerplate\b|id\s*=\s*[\"']pg-(?:header|footer)[\"']))"
    r"[^<>]{0,2000}>", re.IGNORECASE,
)  # fmt: skip
_TAG = re.compile(r"<[^<>]{0,2000}>")
_THE_END = re.compile(r"\n[ \t]*(?:THE END|FINIS|END)\.?\s*\Z", re.IGNORECASE)
_BY = re.compile(r"by\s+", re.IGNORECASE)
_PICTURE = re.compile(r"\[Illustration(?::[ \t]*([^\[\]]{1,500}))?\]", re.IGNORECASE)
_LEANING = re.compile(r"(?<!\w)_(?=\S)([^_]{1,500}?)(?<=\S)_(?!\w)")


@dataclass(frozen=True)
class Book:
    """The text alone, and what stood around it; ``said`` is as front matter would say it."""

    text: str
    said: dict[str, list[str]]


def book(text: str) -> Book | None:
    """The book in a text of Project Gutenberg; None for every other text."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    start = _START.search(text[:_HEAD_CHARACTERS])
    if start is None:
        return None
    head, rest = text[: start.start()], text[start.end() :]
    end = _END.search(rest)
    body = _THE_END.sub("\n", rest[: end.start()] if end else rest)
    said = {found[1].lower(): [found[2].strip()] for found in _FIELD.finditer(head)}
    terms = _TERMS.search(head)
    said["license"] = [" ".join(terms[0].split()) if terms else "Project Gutenberg License"]
    body = _PICTURE.sub(lambda found: found[1] or "", _without_title(body, said))
    return Book(_LEANING.sub(r"\1", body), said)


@dataclass(frozen=True)
class PageParted:
    """A page without what Project Gutenberg put on it, and the terms that stood there; empty if there were none."""

    text: str
    terms: str


def parted(page: str) -> PageParted | None:
    """A page of HTML of Project Gutenberg; None for one on which there is nothing of it."""
    kept, terms, at, found = [], "", 0, False
    while opened := _OPENED.search(page, at):
        end = _end_of(page, opened)
        head = " ".join(html.unescape(_TAG.sub(" ", page[opened.start() : end])).split())
        said = _TERMS_ON_PAGE.search(head)
        terms = terms or (said[0] if said else "")
        kept.append(page[at : opened.start()])
        at, found = end, True
    return PageParted("".join([*kept, page[at:]]), terms) if found else None


def _end_of(page: str, opened: re.Match[str]) -> int:
    """Where an element ends; at the end of the page if it is not closed."""
    depth = 0
    tags = re.compile(rf"<(/?){opened[1]}\b[^<>]{{0,2000}}>", re.IGNORECASE)
    for tag in tags.finditer(page, opened.start()):
        depth += -1 if tag[1] else 1
        if depth == 0:
            return tag.end()
    return len(page)


def _without_title(body: str, said: dict[str, list[str]]) -> str:
    """A book without the lines at its top that say what the head said: its title, and by whom it is."""
    known = {_bare(each) for name in ("title", "author") for each in said.get(name, [])}
    lines = body.split("\n")
    for number, line in enumerate(lines):
        bare = line.strip()
        if bare and _bare(bare) not in known and _bare(_BY.sub("", bare, count=1)) not in known | {""}:
            return "\n".join(lines[number:])
    return body


def _bare(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())
