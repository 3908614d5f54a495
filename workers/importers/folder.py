"""Folders of Markdown, HTML and text, and lone files of these: a folder is a part, a file a page."""

from __future__ import annotations

import html
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from workers.importers import front_matter, gutenberg, html_page, page_links
from workers.importers.draft import Draft, Media, Report, Section
from workers.importers.markdown_marks import without_marks
from workers.importers.reading import Reading

MEDIA: dict[str, Media] = {
    **dict.fromkeys([".md", ".markdown", ".mkd", ".mdown"], "markdown"),
    **dict.fromkeys([".html", ".htm", ".xhtml", ".xht"], "html"),
    **dict.fromkeys([".txt", ".text"], "text"),
}
_FIRST = ("readme", "index", "_index", "00-index", "intro", "introduction")
_OWN = ("readme", "index", "_index")
_RIGHTS = re.compile(r"^(licen[cs]e|copying|copyright|legal|attribution)([-_.].*)?$", re.IGNORECASE)
# What belongs to those who write the course.
_PASSED_OVER = re.compile(r"(^|/)(\.[^/]*|node_modules|_book|_site|__pycache__)(/|$)")
_ABOUT_REPOSITORY = {"contributing", "code_of_conduct", "changelog", "security", "summary"}
_HEADING = re.compile(r"^(?:#[ \t]+(.{1,300}?)[ \t#]*|(\S.{0,299})\r?\n=+[ \t]*)$", re.MULTILINE)
_LISTED = re.compile(
    r"^([ \t]*)[-*+][ \t]+(?:\[([^\[\]]{1,300})\]\(\s*<?([^()<>]{0,500})>?\s*\)|(\S.{0,299}))", re.MULTILINE
)
_PART = re.compile(r"^#{1,6}[ \t]+(.{1,300}?)[ \t#]*$")
_NUMBERS = re.compile(r"(\d{1,18})")
_PREFIX = re.compile(r"^\d{1,4}\s*[-_.)]\s*|^\d{1,4}\s+(?=\D)")
_ORDER_KEYS = ("weight", "nav_order", "sidebar_position", "order")
# A first line of a text that is longer is no title.
_TITLE_CHARACTERS = 120
_LAST = 10**9


@dataclass
class Page:
    """A page and what its front matter says."""

    path: str
    title: str
    content: str
    media: Media
    said: dict[str, list[str]] = field(default_factory=dict)
    headed: bool = True

    def one(self, *names: str) -> str:
        """The first value of the first of these fields that there is."""
        return next((self.said[name][0] for name in names if self.said.get(name)), "")


def pages_in(reading: Reading) -> list[str]:
    """The files that are pages of a course."""
    return [
        name
        for name in reading.names
        if posixpath.splitext(name)[1].lower() in MEDIA
        and not _PASSED_OVER.search(name)
        and _stem(name).lower() not in _ABOUT_REPOSITORY
        and not _RIGHTS.match(posixpath.basename(name))
    ]


def read(reading: Reading, root: str, report: Report) -> Draft:
    """A course of pages in folders; ``SUMMARY.md`` says the order where there is one, else numbers and names do."""
    draft = Draft(title=title_of_name(root.rstrip("/")) if root else "", sections=[])
    for name in reading.names:
        if name.startswith(root) and "/" not in name[len(root) :] and _RIGHTS.match(posixpath.basename(name)):
            draft.licence_texts.append(reading.text(name))
    paths = pages_in(reading)
    pages = {}
    for number, path in enumerate(paths):
        page = page_of(reading, path)
        report((number + 1) / len(paths))
        if page.one("draft").lower() == "true" or page.one("published").lower() == "false":
            reading.notes.count("Drafts were passed over", path)
            continue
        if page.media == "html" and html_page.is_made_index(path, page.content):
            reading.notes.count("Pages for looking things up were passed over", path)
            continue
        pages[path] = page
    own = _own_pages(pages).get(root.rstrip("/"), "")
    front = next((pages[path] for path in (own, *pages) if path in pages), None)
    summary = reading.resolve("", f"{root}SUMMARY.md") or reading.resolve("", f"{root}src/SUMMARY.md")
    if summary is not None and (listed := _summary(reading, summary, pages)):
        draft.sections = listed
    else:
        written = {path: page.content for path, page in pages.items() if page.media == "html"}
        draft.sections = _in_folders(pages, root, page_links.order(reading, pages.keys(), written, own))
    if front is not None:
        _describe(draft, front, alone=len(pages) == 1 or _stem(front.path).lower() in _OWN)
    return draft


def alone(page: Page) -> Draft:
    """A course of one page."""
    draft = Draft(title="", sections=[Section(page.title, 1, page.content, page.media, page.path)])
    _describe(draft, page, alone=True)
    return draft


def page_of(reading: Reading, path: str, media: Media | None = None) -> Page:
    """A page; its front matter is taken off, and what is in it for the eye only."""
    text = reading.text(path)
    media = media or MEDIA[posixpath.splitext(path)[1].lower()]
    said: dict[str, list[str]] = {}
    if media == "markdown":
        said, text = front_matter.parted(text)
        text = without_marks(text)
    elif media == "text" and (book := gutenberg.book(text)):
        said, text = book.said, book.text
    elif media == "html" and (parted := gutenberg.parted(text)):
        text = parted.text
        said = {"license": [parted.terms]} if parted.terms else {}
    if media == "html":
        found = html_page.title(text)
    elif media == "markdown":
        heading = _HEADING.search(text[: 1 << 15])
        found = _unmarked(heading[1] or heading[2]) if heading else ""
    else:
        first = next((line.strip() for line in text[: 1 << 15].splitlines() if line.strip()), "")
        found = first if len(first) <= _TITLE_CHARACTERS else ""
    title = said.get("title", [""])[0] or found
    return Page(path, title or title_of_name(path), text, media, said, headed=bool(title))


def title_of_name(path: str) -> str:
    """What a file or a folder is called, as a title: ``02-second_law.md`` is "Second law"."""
    stem = _stem(path)
    words = " ".join(re.sub(r"[-_]+", " ", _PREFIX.sub("", stem) or stem).split())
    return words[:1].upper() + words[1:]


def _describe(draft: Draft, front: Page, *, alone: bool) -> None:
    """What the first page says of the whole; only a page that stands for the course gives its title."""
    if front.media == "html":
        about = html_page.about(html_page.parsed(front.content, front.path)) if front.content.strip() else None
        if about is not None:
            # "Tea in five steps | The Kettle" is about its heading.
            own = front.title if front.title.casefold() in about.title.casefold() else about.title
            front.said.setdefault("title", [own] if about.title else [])
            front.said.setdefault("description", [about.description] if about.description else [])
            front.said.setdefault("language", [about.language] if about.language else [])
            front.said.setdefault("author", about.authors)
            front.said.setdefault("license", []).extend(about.licence_texts)
    if alone:
        draft.title = front.one("title") or (front.title if front.headed else "") or draft.title or front.title
        draft.description = front.one("description", "summary", "abstract")
    draft.title = draft.title or front.one("course")
    draft.language = front.one("language", "lang", "locale") or None
    draft.authors = [each for name in ("author", "authors", "by") for each in front.said.get(name, [])]
    for name in ("license", "licence", "rights", "copyright"):
        draft.licence_texts += front.said.get(name, [])


def _in_folders(pages: dict[str, Page], root: str, listed: Sequence[str]) -> list[Section]:
    """Folders as headings, their pages one deeper; in each those that a page of contents lists first, in its order."""
    found: list[Section] = []
    entered: list[str] = []
    own = set(_own_pages(pages).values())
    places: dict[str, int] = {}
    for place, path in enumerate(listed):
        parts = path.split("/")
        for depth in range(len(parts)):
            places.setdefault("/".join(parts[: depth + 1]), place)
    for path in sorted(pages, key=lambda path: _order(path, pages, root, places)):
        page, folders = pages[path], path[len(root) :].split("/")[:-1]
        shared = 0
        while shared < min(len(entered), len(folders)) and entered[shared] == folders[shared]:
            shared += 1
        # The page that stands for a folder is the folder's heading, too.
        above = len(folders) - 1 if path in own else len(folders)
        found += [Section(title_of_name(folders[depth]), depth + 1) for depth in range(shared, above)]
        entered = folders
        level = len(folders) if path in own and folders else len(folders) + 1
        title = page.title if page.headed or path not in own else title_of_name(folders[-1] if folders else page.path)
        found.append(Section(title, level, page.content, page.media, path))
    return found


def _summary(reading: Reading, path: str, pages: dict[str, Page]) -> list[Section]:
    """The order that a book's ``SUMMARY.md`` gives: a list of links, and headings for its parts."""
    found: list[Section] = []
    taken: set[str] = set()
    indents: list[int] = []
    parts = 0
    for line in reading.text(path).splitlines():
        if (part := _PART.match(line)) and found:
            parts, indents = 1, []
            found.append(Section(_unmarked(part[1]), 1))
        if not (listed := _LISTED.match(line)):
            continue
        indent = len(listed[1].expandtabs(4))
        while indents and indents[-1] >= indent:
            indents.pop()
        indents.append(indent)
        target = reading.resolve(path, listed[3]) if listed[3] else None
        level = len(indents) + parts
        if target in pages and target not in taken:
            taken.add(str(target))
            page = pages[str(target)]
            found.append(Section(_unmarked(listed[2]), level, page.content, page.media, page.path))
        elif not listed[3]:
            found.append(Section(_unmarked(listed[2] or listed[4]), level))
        else:
            reading.notes.count("The summary names pages that are not there", listed[3])
    if not taken:
        return []
    for left in pages:
        if left not in taken:
            reading.notes.count("Pages that the summary does not name were passed over", left)
    return found


def _own_pages(pages: dict[str, Page]) -> dict[str, str]:
    """The page that stands for each folder that has one."""
    found: dict[str, str] = {}
    for name in reversed(_OWN):
        found |= {posixpath.dirname(path): path for path in pages if _stem(path).lower() == name}
    return found


def _order(
    path: str, pages: dict[str, Page], root: str, places: dict[str, int]
) -> list[tuple[bool, int, int, int, list[tuple[int, int, str]]]]:
    """Folder by folder: the page that stands for it, then those with places, numbers given, names, 2 before 10."""
    parts = path[len(root) :].split("/")
    keys = []
    for depth, part in enumerate(parts):
        given = pages[path].one(*_ORDER_KEYS) if depth == len(parts) - 1 else ""
        stem = _stem(part).lower() if depth == len(parts) - 1 else ""
        first = _FIRST.index(stem) if stem in _FIRST else len(_FIRST)
        number = int(given) if given.lstrip("-").isdecimal() and len(given) < 10 else _LAST
        natural = [(0, int(each), "") if each.isdecimal() else (1, 0, each) for each in _NUMBERS.split(part.lower())]
        place = places.get(root + "/".join(parts[: depth + 1]), _LAST)
        keys.append((stem not in _OWN, place, first, number, natural))
    return keys


def _stem(path: str) -> str:
    return posixpath.splitext(posixpath.basename(path))[0]


def _unmarked(title: str) -> str:
    """A title without what Markdown adds for the eye."""
    title = re.sub(r"!?\[([^\[\]]{0,300})\]\([^()]{0,500}\)|\s*\{[#.][^{}]{0,100}\}\s*$", r"\1", title)
    return " ".join(html.unescape(re.sub(r"(\*\*|__|[*_`])(?=\S)(.+?)(?<=\S)\1", r"\2", title)).split())
