"""A page of HTML as blocks: what is content, in the order in which it is read aloud."""

from __future__ import annotations

import re
from typing import Any

import lxml.html
from lxml import etree

from workers.importers import inline
from workers.importers.blocks import Page, clean
from workers.importers.hidden import Element, Kept, content_of, is_contents, is_frame, is_left_out, is_note, tag_of
from workers.importers.html_gathered import Gathered
from workers.importers.html_lists import LISTS, marker, numbering
from workers.importers.html_wholes import PLAYED, WHOLES, played, table

_BLOCKS = frozenset(
    "p div section main article header footer aside blockquote h1 h2 h3 h4 h5 h6 ul ol li dl dt dd table caption thead "
    "tbody tfoot tr td th pre figure figcaption hr address fieldset legend details summary body html center form menu "
    "dir hgroup search title".split()
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_CAPTIONS = ("figcaption", "caption")
# In what a book lists its own chapters.
_LISTINGS = frozenset("table ul ol dl div p section".split())
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]|[\ud800-\udfff]")
# In XHTML an element may close itself; read as HTML it would swallow what follows.
_SELF_CLOSED = re.compile(
    r"<(script|style|title|iframe|textarea|noscript|a|div|span|p|i|b|em|td|th|li)(\s[^<>]*)?/>", re.IGNORECASE
)
_XHTML = re.compile(r"<\?xml|http://www\.w3\.org/1999/xhtml", re.IGNORECASE)
# libxml2 reads nothing after these; browsers do, and without them the page is the same.
_ENDS = re.compile(r"</(?:body|html)\s*>", re.IGNORECASE)
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*")


def read(markup: str, language: str | None = None) -> Page:
    """The blocks of an HTML page. ``language`` is that in which formulas are said, unless the page names its own."""
    if not markup.strip():
        return Page()
    # huge_tree: as deep as libxml2 goes (2,048); what is deeper is left out.
    parser = lxml.html.HTMLParser(
        encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=True, no_network=True
    )
    document = _parsed(markup, parser)
    if document is None:
        return Page()
    told = document.get("lang") or document.get("xml:lang") or ""
    body = document.find(".//body")
    if not told and body is not None:
        told = body.get("lang") or body.get("xml:lang") or ""
    own = told if _LANGUAGE.fullmatch(told) else None
    gathered = Gathered(Page(language=own), (own or language or "en")[:2].lower())
    _walk(content_of(document), gathered)
    gathered.close()
    if any("depth" in error.message for error in parser.error_log):
        gathered.note("The page is nested too deep; what is deeper is left out.")
    return gathered.page


def _parsed(markup: str, parser: Any) -> Element | None:
    markup = _ENDS.sub("", _CONTROL.sub(" ", _DECLARATION.sub("", markup, count=1)))
    if _XHTML.search(markup[:2000]):
        markup = _SELF_CLOSED.sub(r"<\1\2></\1>", markup)
    try:
        return lxml.html.document_fromstring(markup.encode(), parser=parser)
    except etree.ParserError:
        # There is nothing but a comment or such.
        return None


def _walk(root: Element, gathered: Gathered) -> None:
    """Reads an element and everything in it. No recursion: pages nest as deep as somebody likes."""
    walker = _Walker(gathered, Kept.of(root))
    text = gathered.text
    walked = etree.iterwalk(root, events=("start", "end"))
    passed_over: Element | None = None
    for event, element in walked:
        tag = tag_of(element)
        if event == "start":
            if element is not root and walker.passes_over(element, tag):
                walked.skip_subtree()
                passed_over = element
                continue
            walker.start(element, tag)
            if element.text:
                text.append(element.text)
        else:
            if element is passed_over:
                passed_over = None
            else:
                walker.end(element, tag)
            if element.tail and element is not root:
                text.append(element.tail)
    gathered.flush()
    gathered.end_items()
    gathered.tell()


class _Walker:
    """What the beginning and the end of each element do to what is gathered."""

    def __init__(self, gathered: Gathered, kept: Kept) -> None:
        self._gathered = gathered
        self._kept = kept
        # Where the text of each link that is not closed yet begins.
        self._links: list[int] = []

    def passes_over(self, element: Element, tag: str) -> bool:
        """Whether an element is no content, or was read here as a whole."""
        if not tag:
            return True
        if is_left_out(element, tag, self._kept) or is_frame(element, tag):
            self._gathered.notes_out += is_note(element)
            self._gathered.leave_out()
            if tag in PLAYED:
                played(self._gathered, element, tag)
            return True
        if tag in _LISTINGS and self._gathered.announces_contents() and is_contents(element):
            self._gathered.leave_out(contents=True)
            return True
        if tag == "table":
            return table(self._gathered, element, self._inside)
        whole = WHOLES.get(tag)
        return whole is not None and whole(self._gathered, element)

    def start(self, element: Element, tag: str) -> None:
        """An element begins."""
        gathered = self._gathered
        if tag in _BLOCKS:
            gathered.flush()
        if tag in LISTS:
            gathered.lists.append(numbering(element, tag))
        elif tag == "li" and gathered.lists:
            gathered.marker = marker(gathered.lists[-1], element)
        elif tag == "blockquote":
            gathered.end_items()
            gathered.quotes += 1
        elif tag in _CAPTIONS:
            gathered.captions += 1
        elif tag in _HEADINGS:
            gathered.end_items()
        elif tag == "q":
            gathered.text.append("“")
        elif tag == "a":
            self._links.append(len(gathered.text))

    def end(self, element: Element, tag: str) -> None:
        """An element ends."""
        gathered = self._gathered
        if tag in _HEADINGS:
            gathered.flush("heading", _HEADINGS[tag])
        elif tag == "dt":
            gathered.term()
        elif tag == "q":
            gathered.text.append("”")
        elif tag == "a":
            self._end_link(element)
        elif tag in _BLOCKS:
            gathered.flush()
            self._end_block(tag)

    def _end_block(self, tag: str) -> None:
        gathered = self._gathered
        if tag in LISTS and gathered.lists:
            gathered.leave_list()
        elif tag == "blockquote":
            gathered.end_items()
            gathered.quotes -= 1
        elif tag in _CAPTIONS:
            gathered.captions -= 1
        elif tag == "li":
            gathered.marker = ""

    def _end_link(self, element: Element) -> None:
        gathered = self._gathered
        started = self._links.pop()
        own = "".join(gathered.text[started:])
        unsaid = "" if own.strip() else "".join(element.itertext())
        if inline.is_note_link(element, own or unsaid) or inline.is_back_link(element, own):
            del gathered.text[started:]
            return
        target = element.get("href", "").strip()
        if target and not target.startswith(("#", "javascript:", "data:")):
            gathered.link(target, clean(own))

    def _inside(self, element: Element) -> str:
        """The text of a cell or a caption, its images by what they show."""
        gathered = self._gathered
        if not len(element):
            return inline.with_formulas(element.text or "", gathered.language, gathered.unread)
        inner = Gathered(Page(), gathered.language)
        _walk(element, inner)
        return gathered.join(inner)
