"""What a format needs of an HTML page: its title, what its head says, a part of it. The text is read elsewhere."""

from __future__ import annotations

import html
import posixpath
import re
from dataclasses import dataclass, field
from typing import Any

import lxml.html
from lxml import etree

from workers.errors import BadInput

# Titles stand near the top.
_TOP_CHARACTERS = 1 << 15
_TITLE = re.compile(r"<title[^<>]{0,200}>([^<]{1,1000})", re.IGNORECASE)
_HEADING = re.compile(r"<h([1-3])\b[^<>]{0,1000}>(.{1,400}?)</h\1\s*>", re.IGNORECASE | re.DOTALL)
_BODY = re.compile(r"<body\b[^<>]{0,2000}>", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]{0,2000}>")
# Tags that end no word.
_IN_WORDS = re.compile(
    r"</?(?:a|abbr|b|cite|code|em|font|i|mark|q|s|small|span|strong|sub|sup|u)\b[^<>]{0,2000}>", re.IGNORECASE
)
_UNSPOKEN = ("script", "style", "head", "template")
_DECLARATION = re.compile(r"^\ufeff?\s*<\?xml[^<>]{0,300}\?>")
_MADE_INDEXES = {"genindex", "genindex-all", "py-modindex", "modindex", "http-routingtable"}
_LICENCE_NAMES = {"license", "licence", "rights", "copyright", "dcterms.license", "dcterms.rights", "dc.rights"}


@dataclass(frozen=True)
class About:
    """What the head of a page says of it."""

    title: str = ""
    language: str | None = None
    description: str = ""
    authors: list[str] = field(default_factory=list)
    licence_texts: list[str] = field(default_factory=list)


def parsed(text: str, name: str) -> Any:
    """The root of a page, however badly it is written.

    Raises:
        BadInput: there is nothing in it.
    """
    try:
        # libxml2 opens no entities of its own in HTML, and goes no deeper than 256 without being asked.
        return lxml.html.document_fromstring(_DECLARATION.sub("", text))
    except (etree.ParserError, etree.XMLSyntaxError, ValueError) as error:
        raise BadInput(f"{name!r} cannot be read as HTML: {error}.", code="broken_html") from error


def inner(element: Any) -> str:
    """The HTML in an element."""
    parts = [html.escape(element.text or "", quote=False)]
    parts += [lxml.html.tostring(child, encoding="unicode") for child in element]
    return "".join(parts)


def words(element: Any) -> str:
    """The text of an element, its spaces collapsed."""
    return " ".join("".join(element.itertext()).split())


def page_words(root: Any) -> str:
    """The text of a page without its head, with a space where an element ends."""
    return " ".join(" ".join(text for body in root.iter("body") for text in body.itertext()).split())


def title(text: str) -> str:
    """The title of a page: its first heading, else what its head says; empty where neither does."""
    if said := heading(text):
        return said
    found = _TITLE.search(text[:_TOP_CHARACTERS])
    return plain(found[1])[:300] if found else ""


def heading(text: str) -> str:
    """The first heading of a page; empty where it has none near its top."""
    found = _HEADING.search(text[:_TOP_CHARACTERS])
    return plain(found[2])[:300] if found else ""


def body(text: str) -> str:
    """What stands between the tags of the body; the whole text where there are none."""
    begin, end = _BODY.search(text), text.rfind("</body")
    return text[begin.end() if begin else 0 : end if end >= 0 else len(text)]


def plain(text: str) -> str:
    """The words of a title or a description without their tags."""
    return " ".join(html.unescape(_TAG.sub(" ", _IN_WORDS.sub("", text))).split())


def is_made_index(path: str, text: str = "") -> bool:
    """Whether a page was made by a machine for looking things up (Sphinx): an index, a list of modules, a search."""
    stem = posixpath.splitext(posixpath.basename(path))[0].lower()
    return stem in _MADE_INDEXES or (stem == "search" and "searchtools.js" in text)


def has_words(text: str) -> bool:
    """Whether a page, or a part of one, says anything: in time that grows with its length only."""
    for name in _UNSPOKEN:
        text = _without(text, name)
    return any(map(str.isalnum, html.unescape(_TAG.sub(" ", text))))


def _without(text: str, name: str) -> str:
    """A page without the elements of a name; one that is not closed goes on to the end."""
    folded, kept, at = text.lower(), [], 0
    if len(folded) != len(text):  # a letter that has two in lower case
        folded = text
    while (start := folded.find(f"<{name}", at)) >= 0:
        kept.append(text[at:start])
        end = folded.find(f"</{name}", start)
        at = len(text) if end < 0 else end + len(name) + 2
        if name == "head" and folded.startswith("<header", start):
            kept.append(text[start : at if end < 0 else end])
    return "".join([*kept, text[at:]])


def about(root: Any) -> About:
    """What the head of a page says."""
    said = root.xpath("//title/text()")
    metas: list[tuple[str, str]] = []
    for meta in root.iter("meta"):
        key, content = meta.get("name") or meta.get("property") or "", " ".join((meta.get("content") or "").split())
        if key and content:
            metas.append((key.lower(), content))
    return About(
        title=" ".join(said[0].split()) if said else "",
        language=root.get("lang") or root.get("{http://www.w3.org/XML/1998/namespace}lang") or None,
        description=next((content for key, content in metas if key in ("description", "og:description")), ""),
        authors=[content for key, content in metas if key in ("author", "dc.creator", "dcterms.creator")],
        licence_texts=[content for key, content in metas if key in _LICENCE_NAMES] + licence_links(root),
    )


def licence_links(root: Any) -> list[str]:
    """The links of a page that say which licence it is under, with their words."""
    found: list[str] = []
    for link in root.xpath("//*[self::a or self::link][@href]"):
        href = link.get("href")
        if "license" in (link.get("rel") or "").lower().split() or "creativecommons.org/" in href.lower():
            found.append(f"{words(link)} {href}".strip())
    return list(dict.fromkeys(found))
