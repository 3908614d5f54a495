"""HTML to blocks."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lxml.html
from lxml import etree

from workers.importers import formulas, inline, mathml, tables
from workers.importers.blocks import Block, Kind, Page, clean, ended
from workers.importers.hidden import Element, Kept, content_of, holds, is_frame, is_left_out, is_note, tag_of
from workers.importers.outline import Asset
from workers.text.sentences import has_word

_BLOCKS = frozenset(
    "p div section main article header footer aside blockquote h1 h2 h3 h4 h5 h6 ul ol li dl dt dd table caption thead "
    "tbody tfoot tr td th pre figure figcaption hr address fieldset legend details summary body html center form menu "
    "dir hgroup search title".split()
)
_PLAYED = frozenset("video audio iframe embed object".split())
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
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
# Names of files and words for "picture" describe nothing.
_NO_ALT = re.compile(
    r"(?:image|img|picture|photo|figure|fig|graphic|icon|logo|cover|screenshot|bild|abbildung|dsc|spacer|bullet)?"
    r"[\s_-]*\d*(?:\s?of\s?\d+)?[.:]?|\S+\.(?:png|jpe?g|gif|svg|webp|bmp|tiff?)|https?://\S+", re.IGNORECASE
)  # fmt: skip
_TEX_ALT = re.compile(r"^\s*(?:\$|\\[(\[]|\{\\displaystyle|\\[a-z]+[{ ])")
_CODE_CLASS = re.compile(r"code|highlight|lang|prettyprint|brush|listing|console|terminal|math|output", re.IGNORECASE)


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
    reader = _Reader(Page(language=own), (own or language or "en")[:2].lower())
    reader.walk(content_of(document))
    if any("depth" in error.message for error in parser.error_log):
        reader.page.notes.append("The page is nested too deep; what is deeper is left out.")
    return reader.page


def _parsed(markup: str, parser: Any) -> Element | None:
    markup = _ENDS.sub("", _CONTROL.sub(" ", _DECLARATION.sub("", markup, count=1)))
    if _XHTML.search(markup[:2000]):
        markup = _SELF_CLOSED.sub(r"<\1\2></\1>", markup)
    try:
        return lxml.html.document_fromstring(markup.encode(), parser=parser)
    except etree.ParserError:
        # There is nothing but a comment or such.
        return None


@dataclass
class _List:
    ordered: bool
    number: int
    letters: str = ""
    step: int = 1


class _Reader:
    """Walks through a page, and gathers its blocks. No recursion: pages nest as deep as somebody likes."""

    def __init__(self, page: Page, language: str) -> None:
        self.page = page
        self.language = language
        self.buffer: list[str] = []
        self.items: list[str] = []
        self.lists: list[_List] = []
        self.marker = ""
        self.quotes = 0
        self.captions = 0
        self.unread: list[str] = []
        self.notes_out = 0
        self.kept = Kept()
        self.last_links: list[tuple[Element, int]] = []

    # --- Walking -------------------------------------------------------------------------------------------------

    def walk(self, root: Element) -> None:
        """Reads an element and everything in it."""
        self.kept = Kept.of(root)
        walked = etree.iterwalk(root, events=("start", "end"))
        passed_over: Element | None = None
        for event, element in walked:
            tag = tag_of(element)
            if event == "start":
                if element is not root and self._passes_over(element, tag):
                    walked.skip_subtree()
                    passed_over = element
                    continue
                self._start(element, tag)
                if element.text:
                    self.buffer.append(element.text)
            else:
                if element is passed_over:
                    passed_over = None
                else:
                    self._end(element, tag)
                if element.tail and element is not root:
                    self.buffer.append(element.tail)
        self._flush()
        self._end_list()
        self._tell()

    def _passes_over(self, element: Element, tag: str) -> bool:
        """Whether an element is no content, or was read here as a whole."""
        if not tag:
            return True
        if is_left_out(element, tag, self.kept) or is_frame(element, tag):
            self.notes_out += is_note(element)
            if tag in _PLAYED:
                self._played(element, tag)
            return True
        whole = _WHOLE.get(tag)
        return whole is not None and whole(self, element)

    def _start(self, element: Element, tag: str) -> None:
        if tag in _BLOCKS:
            self._flush()
        if tag in ("ul", "ol", "menu", "dir"):
            self.lists.append(_list_of(element, tag))
        elif tag == "dl":
            self.lists.append(_List(ordered=False, number=1))
        elif tag == "li" and self.lists:
            self.marker = _marker(self.lists[-1], element)
        elif tag == "blockquote":
            self._end_list()
            self.quotes += 1
        elif tag in ("figcaption", "caption"):
            self.captions += 1
        elif tag in _HEADINGS:
            self._end_list()
        elif tag == "q":
            self.buffer.append("“")
        elif tag == "a":
            self.last_links.append((element, len(self.buffer)))

    def _end(self, element: Element, tag: str) -> None:
        if tag in _HEADINGS:
            self._flush("heading", _HEADINGS[tag])
        elif tag == "dt":
            term = self._taken()
            if term:
                self.marker = f"{self.marker.removesuffix(': ')}, {term}: " if self.marker else f"{term}: "
        elif tag == "q":
            self.buffer.append("”")
        elif tag == "a":
            self._link(element)
        elif tag in _BLOCKS:
            self._flush()
            self._close(tag)

    def _close(self, tag: str) -> None:
        if tag in ("ul", "ol", "menu", "dir", "dl") and self.lists:
            self._orphan_term()
            self.lists.pop()
            if not self.lists:
                self._end_list()
        elif tag == "blockquote":
            self._end_list()
            self.quotes -= 1
        elif tag in ("figcaption", "caption"):
            self.captions -= 1
        elif tag == "li":
            self.marker = ""

    # --- What has been gathered ----------------------------------------------------------------------------------

    def _taken(self) -> str:
        """The text gathered so far, which is then gone."""
        text = clean(inline.with_formulas("".join(self.buffer), self.language, self.unread))
        self.buffer.clear()
        return text if has_word(text) else ""

    def _flush(self, kind: Kind | None = None, level: int = 0) -> None:
        if not self.buffer:
            return
        if not any(text and not text.isspace() for text in self.buffer):
            self.buffer.clear()
            return
        text = self._taken()
        if not text:
            return
        if kind is None and self.lists and not self.quotes and not self.captions:
            self.items.append(ended(self.marker + text))
            self.marker = ""
            return
        kind = kind or ("figure" if self.captions else "quote" if self.quotes else "paragraph")
        self._add(Block(kind, (ended(text) if kind == "figure" else text,), level))

    def _orphan_term(self) -> None:
        """A term that nobody explained is said all the same."""
        if self.marker.endswith(": "):
            self.items.append(ended(self.marker.removesuffix(": ")))
        self.marker = ""

    def _end_list(self) -> None:
        if self.items:
            self.page.blocks.append(Block("list", tuple(self.items)))
            self.items = []

    def _add(self, block: Block) -> None:
        self._end_list()
        self.page.blocks.append(block)

    def _tell(self) -> None:
        """Notes of what was not read."""
        for source in dict.fromkeys(self.unread):
            self.page.notes.append(f"A formula is too hard to be said: {_short(source)}")
        if self.notes_out:
            self.page.notes.append("Footnotes and references are left out.")

    # --- What is read as a whole ---------------------------------------------------------------------------------

    def _break(self, _: Element) -> bool:
        """Two breaks end a paragraph; one is a space."""
        if self.buffer and self.buffer[-1] == "\n\v":
            self._flush()
        else:
            self.buffer.append("\n\v")
        return True

    def _raised(self, element: Element) -> bool:
        if holds(element, "math", "img", "p"):
            return False
        links = [each for each in element.iter() if tag_of(each) == "a"]
        linked = any("#" in link.get("href", "") for link in links) or tag_of(element.getparent()) == "a"
        before = "".join(self.buffer[-4:]).rstrip()
        self.buffer.append(inline.raised("".join(element.itertext()), before, linked=linked))
        return True

    def _lowered(self, element: Element) -> bool:
        text = "".join(element.itertext()).strip()
        if text and not text[0].isdecimal() and not holds(element, "math", "img"):
            # "x i", not "xi".
            self.buffer.append(" ")
        return False

    def _link(self, element: Element) -> None:
        _, started = self.last_links.pop()
        own = "".join(self.buffer[started:])
        if inline.is_note_link(element, own) or inline.is_back_link(element, own):
            del self.buffer[started:]
            return
        target = element.get("href", "").strip()
        if target and not target.startswith(("#", "javascript:", "data:")):
            self._asset("link", target, clean(own))

    def _asset(self, kind: str, target: str, text: str) -> None:
        asset = Asset("image" if kind == "image" else "link", target, text[:500])
        self.page.assets.append((len(self.page.blocks), asset))

    def _image(self, element: Element) -> bool:
        alt = clean(element.get("alt", ""))
        if _TEX_ALT.match(alt):
            self.buffer.append(f" {inline.formula(alt, self.language, self.unread)} ")
            return True
        names = ("src", "data-src", "xlink:href", "href")
        target = next((told for name in names if (told := element.get(name, "").strip())), "")
        described = has_word(alt) and not _NO_ALT.fullmatch(alt)
        if "emoji" in element.get("class", ""):
            return True
        if target and not target.startswith("data:"):
            self._asset("image", target, alt)
        if described:
            self._figure(alt)
        elif element.get("alt") != "" and not _captioned(element):
            self.page.notes.append(f"An image has no description: {_short(target) if target else 'without an address'}")
        return True

    def _figure(self, alt: str) -> None:
        """An image inside a paragraph is said after what was said before it."""
        self._flush()
        self._add(Block("figure", (ended(alt),)))

    def _played(self, element: Element, tag: str) -> None:
        """Films and the like are kept as links."""
        sources = [element, *(each for each in element if tag_of(each) == "source")]
        targets = [each.get("src") or each.get("data") or "" for each in sources]
        target = next((target.strip() for target in targets if target.strip()), "")
        if target and not target.startswith(("data:", "javascript:", "about:")):
            self._asset("link", target, clean(element.get("title", "")))
            self.page.notes.append(f"What is played or embedded is not read ({tag}): {_short(target)}")

    def _math(self, element: Element) -> bool:
        source = mathml.latex(element)
        if not source.strip():
            return True
        if element.get("display") == "block" and not self.lists:
            self._display(source)
        else:
            self.buffer.append(f" {inline.formula(source, self.language, self.unread)} ")
        return True

    def _display(self, source: str) -> None:
        self._flush()
        said = formulas.spoken(source, self.language)
        if said is None:
            self.unread.append(source)
            return
        self._add(Block("formula", (said,), source=source))

    def _script(self, element: Element) -> bool:
        source = element.text or ""
        if "mode=display" in element.get("type", ""):
            self._display(source)
        else:
            self.buffer.append(f" {inline.formula(source, self.language, self.unread)} ")
        return True

    def _span(self, element: Element) -> bool:
        """What writers of Markdown and of TeX make of formulas."""
        names = element.get("class", "").split()
        if "math" not in names and "eqn" not in names:
            return False
        if len(element) and holds(element, "math", "img", "script"):
            return False
        source = "".join(element.itertext())
        if "display" in names or "block" in names:
            self._display(source)
        else:
            self.buffer.append(inline.formula(source, self.language, self.unread))
        return True

    def _code(self, element: Element) -> bool:
        text = "".join(element.itertext())
        if _is_prose(element, text):
            return False
        self._flush()
        if text.strip():
            self._add(Block("code", (), source=text))
            first = next(line for line in text.splitlines() if line.strip())
            self.page.notes.append(f"Code is not read ({len(text.strip().splitlines())} lines): {_short(first)}")
        return True

    def _table(self, element: Element) -> bool:
        if tables.is_layout(element):
            return False
        self._flush()
        self._end_list()
        captions = [each for each in element if tag_of(each) == "caption"]
        caption = self._inside(captions[0]) if captions else ""
        found = tables.read(element, self._inside)
        if found.refused:
            size = found.refused
            self.page.notes.append(f"A table is too large to be read ({size}): {_short(caption or 'untitled')}")
        parts = (ended(caption), *found.rows) if caption else found.rows
        parts = tuple(part for part in parts if has_word(part))
        if parts:
            self._add(Block("table", parts))
        return True

    def _inside(self, element: Element) -> str:
        """The text of a cell or a caption, its images by what they show."""
        if not len(element):
            return inline.with_formulas(element.text or "", self.language, self.unread)
        inner = _Reader(Page(), self.language)
        inner.walk(element)
        self.unread += inner.unread
        self.notes_out += inner.notes_out
        self.page.assets += [(len(self.page.blocks), asset) for _, asset in inner.page.assets]
        return " ".join(part for block in inner.page.blocks for part in block.parts)


_WHOLE: dict[str, Callable[[_Reader, Element], bool]] = {
    "br": _Reader._break,
    "sup": _Reader._raised,
    "sub": _Reader._lowered,
    "img": _Reader._image,
    "image": _Reader._image,
    "math": _Reader._math,
    "script": _Reader._script,
    "span": _Reader._span,
    "div": _Reader._span,
    "pre": _Reader._code,
    "table": _Reader._table,
}


def _list_of(element: Element, tag: str) -> _List:
    started = element.get("start", "1").strip()
    number = int(started) if re.fullmatch(r"-?\d{1,6}", started, re.ASCII) else 1
    kind = element.get("type", "")
    letters = {"a": "abcdefghijklmnopqrstuvwxyz", "A": "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}.get(kind, "")
    return _List(tag == "ol", number, letters, -1 if element.get("reversed") is not None else 1)


def _marker(current: _List, item: Element) -> str:
    """``1. `` before an item of an ordered list."""
    if not current.ordered:
        return ""
    own = item.get("value", "").strip()
    if re.fullmatch(r"-?\d{1,6}", own, re.ASCII):
        current.number = int(own)
    number = current.number
    current.number += current.step
    letter = current.letters[number - 1 : number] if number > 0 else ""
    return f"{letter}) " if letter else f"{number}. "


def _captioned(image: Element) -> bool:
    """Whether a figure around an image has words of its own."""
    figure = next((above for above in image.iterancestors() if tag_of(above) == "figure"), None)
    return figure is not None and holds(figure, "figcaption")


def _is_prose(element: Element, text: str) -> bool:
    """Whether preformatted text is one to be read: an old book's, a poem."""
    if _CODE_CLASS.search(element.get("class", "")) or holds(element, "code", "samp", "kbd"):
        return False
    words = text.split()
    letters = sum(character.isalpha() or character.isspace() or character in ",.'’" for character in text)
    return len(words) >= 8 and letters > 0.93 * len(text) and re.search(r"[.!?]\s*$", text) is not None


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 80 else f"{text[:79]}…"
