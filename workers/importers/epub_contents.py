"""The tables of contents of books: nav (EPUB 3), NCX (EPUB 2), and pages cut where their entries lead."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

from workers.errors import BadInput
from workers.importers import html_page
from workers.importers.draft import Section
from workers.importers.reading import MAX_DEPTH, Reading, attribute, children, descendants, fragment_of, words_of

_EPUB_TYPE = ("{http://www.idpf.org/2007/ops}type", "epub:type", "type")
_ANCHOR = re.compile(r"<[a-zA-Z][^<>]{0,2000}?\s(?:xml:)?(?:id|name)\s*=\s*(?:\"([^\"<>]{1,300})\"|'([^'<>]{1,300})')")
# Elements that were opened just before an anchor belong to what it begins: <section><h2><a id="x"/>Title</h2>.
_OPENED = re.compile(r"(?:<[a-zA-Z][^<>]{0,500}(?<!/)>\s{0,100})+$")
_OPENED_CHARACTERS = 2000


@dataclass(frozen=True)
class Entry:
    """A line of a table of contents; ``path`` is empty for a heading that leads nowhere."""

    title: str
    level: int
    path: str
    fragment: str = ""


def from_nav(reading: Reading, path: str) -> tuple[list[Entry], dict[str, str]]:
    """The entries of an EPUB 3 table, and the kinds of pages that its landmarks name.

    Raises:
        BadInput: it is nested deeper than anybody would.
    """
    root = html_page.parsed(reading.text(path), path)
    entries: list[Entry] = []
    landmarks: dict[str, str] = {}
    navs = list(root.iter("nav"))
    for nav in navs:
        kinds = _kinds(nav)
        if "landmarks" in kinds:
            for link in nav.iter("a"):
                href = link.get("href") or ""
                # A place within a page is no page around the text.
                if href and "#" not in href and (target := reading.resolve(path, href)):
                    landmarks.update((target, kind) for kind in _kinds(link))
        elif "toc" in kinds or (len(navs) == 1 and not kinds):
            for listed in nav.findall("ol"):
                _walk_nav(reading, path, listed, 1, entries)
    return entries, landmarks


def from_ncx(reading: Reading, path: str) -> list[Entry]:
    """The entries of an EPUB 2 table.

    Raises:
        BadInput: it is nested deeper than anybody would, or broken.
    """
    entries: list[Entry] = []
    for nav_map in descendants(reading.xml(path), "navMap"):
        _walk_ncx(reading, path, nav_map, 1, entries)
    return entries


def split(text: str, path: str, entries: list[Entry]) -> list[Section]:
    """A page cut where its entries lead; entries that lead to one place are one section and headings above it."""
    places = {match[1] or match[2]: match.start() for match in reversed(list(_ANCHOR.finditer(text)))}
    cuts = [(_moved(text, places[entry.fragment]) if entry.fragment in places else 0, entry) for entry in entries]
    cuts.sort(key=lambda cut: cut[0])
    found: list[Section] = []
    if cuts[0][0] > 0 and html_page.has_words(text[: cuts[0][0]]):
        found.append(Section(html_page.title(text[: cuts[0][0]]), cuts[0][1].level, text[: cuts[0][0]], "html", path))
    for number, (start, entry) in enumerate(cuts):
        end = cuts[number + 1][0] if number + 1 < len(cuts) else len(text)
        piece = text[start:end] if html_page.has_words(text[start:end]) else ""
        found.append(Section(entry.title, entry.level, piece, "html", path))
    return found


def _walk_nav(reading: Reading, path: str, listed: Any, level: int, entries: list[Entry]) -> None:
    _refuse_depth(path, level)
    for item in listed.findall("li"):
        link = next((child for child in item if child.tag in ("a", "span")), None)
        if link is not None and (title := html_page.words(link)):
            href = link.get("href") or ""
            entries.append(Entry(title, level, (href and reading.resolve(path, href)) or "", fragment_of(href)))
        for deeper in item.findall("ol"):
            _walk_nav(reading, path, deeper, level + 1, entries)


def _walk_ncx(reading: Reading, path: str, parent: Element, level: int, entries: list[Entry]) -> None:
    _refuse_depth(path, level)
    for point in children(parent, "navPoint"):
        label = next(iter(children(point, "navLabel")), None)
        href = next((attribute(content, "src") for content in children(point, "content")), "")
        target = reading.resolve(path, href) if href else None
        if title := words_of(label):
            entries.append(Entry(title, level, target or "", fragment_of(href)))
        _walk_ncx(reading, path, point, level + 1, entries)


def _kinds(element: Any) -> list[str]:
    return [kind for name in _EPUB_TYPE for kind in (element.get(name) or "").lower().split()]


def _moved(text: str, place: int) -> int:
    opened = _OPENED.search(text, max(0, place - _OPENED_CHARACTERS), place)
    return opened.start() if opened else place


def _refuse_depth(path: str, level: int) -> None:
    if level > MAX_DEPTH:
        raise BadInput(f"The contents in {path!r} are nested deeper than {MAX_DEPTH}.", code="nested_too_deep")
