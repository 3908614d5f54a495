"""Which parts of a page are not its content: navigation, scripts, notices, notes, what is not shown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

# An element of the page. lxml has no types.
Element = Any

_NEVER = frozenset(
    "script style template noscript head nav iframe object embed applet video audio canvas svg map button input select "
    "textarea option datalist dialog rt rp del s strike progress meter frameset noframes".split()
)
_ROLES = frozenset(
    "navigation banner contentinfo search dialog alertdialog menu menubar toolbar tablist complementary doc-noteref "
    "doc-footnote doc-endnote doc-endnotes doc-backlink doc-pagebreak doc-toc doc-index".split()
)
_EPUB_TYPES = frozenset(
    "noteref footnote footnotes endnote endnotes rearnote rearnotes backlink pagebreak page-list toc landmarks "
    "index loi lot".split()
)
# What makers of pages call such parts, as a class or an id.
_NAMES = re.compile(
    r"nav(?:bar|igation|box|header|footer)?"
    r"|(?:site|page|main|top|bottom|primary|secondary|global|course|user|doc)[-_]?nav(?:igation|bar)?"
    r"|nav(?:igation)?[-_]?(?:bar|menu|links?|list|box|top|bottom|buttons?|primary|main|footer|header)"
    r"|(?:main|top|side|site|drop-?down|hamburger)[-_]?menu|menu|side-?bar|bread-?crumbs?|pagination|pager"
    r"|(?:site|page|global)[-_]?(?:header|footer)|(?:.*[-_])?cookies?(?:[-_](?:bar|banner|notice|consent|law|popup|info))"
    r"|cookie(?:s|bar|banner|notice|consent)?|gdpr(?:[-_].*)?|consent(?:[-_](?:bar|banner|popup))?"
    r"|share(?:[-_](?:bar|buttons?|links?|tools?))?|social(?:[-_](?:bar|buttons?|links?|media|share|icons?))?"
    r"|skip(?:[-_]?(?:links?|nav|navigation|to[-_].*))|jump-?links?|toc|toctree-wrapper|table-of-contents|tableofcontents"
    r"|mw-editsection|mw-jump-link|reflist|references|citations?-list|headerlink|anchor-?link|noprint|printfooter"
    r"|catlinks|navbox.*|hatnote|ads?|advert(?:isement|s)?|ad-(?:slot|banner|container|unit)|pop-?up|modal"
    r"|newsletter(?:[-_].*)?|related-(?:posts|articles|links)|comments?-(?:area|section|form)|footnotes?|endnotes?"
    r"|foot-?note-?(?:ref(?:erence)?|back|backref)|link-target|back-?links?|page-?(?:number|num|break)s?|pagenum"
    r"|katex-html|MathJax(?:_.*)?|MJX_.*|mwe-math-fallback-image.*|screen-reader-shortcut|d-none"
    r"|visually-hidden-focusable",
)
_CLASSES_KEEP = frozenset("html body main article h1 h2 h3 h4 h5 h6 math".split())
_UNSEEN = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)
_ROWS = ("tr", "li", "dt")
# A line of contents has a title or two; one of prose has more.
_LONGEST_ROW = 200
_LEADS_OUT = re.compile(r"//|[a-z][a-z0-9+.-]*:", re.IGNORECASE)
# A page that names its content by one of these wants nothing else read.
_MAIN = ("main", "article")


def tag_of(element: Element) -> str:
    """``math`` for ``m:math`` as for ``{…}math``; an entity or such has none."""
    tag = element.tag
    if not isinstance(tag, str):
        return ""
    if ":" in tag or "}" in tag:
        tag = re.split(r"[:}]", tag)[-1]
    return tag.lower()


@dataclass
class Kept:
    """What is not left out for what is in it, gathered once: a page may nest as deep as it likes."""

    with_formula: set[Element] = field(default_factory=set)
    with_content: set[Element] = field(default_factory=set)

    @classmethod
    def of(cls, root: Element) -> Kept:
        """Everything around the formulas of a page, and around what is plainly its content."""
        formulas = _around(each for each in root.iterdescendants() if tag_of(each) == "math")
        content = _around(each for each in root.iterdescendants("main", "article", "h1"))
        return cls(formulas, formulas | content)


def _around(elements: Iterable[Element]) -> set[Element]:
    found: set[Element] = set()
    for element in elements:
        for above in element.iterancestors():
            if above in found:
                break
            found.add(above)
    return found


_NOTHING_KEPT = Kept()


def is_left_out(element: Element, tag: str, kept: Kept = _NOTHING_KEPT) -> bool:
    """Whether an element is no content, with everything in it but the text that follows it."""
    if tag in _NEVER:
        # Scripts may hold formulas.
        return not (tag == "script" and element.get("type", "").startswith("math/"))
    attributes = element.attrib
    if not attributes:
        return False
    if _is_unseen(element):
        return tag != "math" and element not in kept.with_formula
    if attributes.get("role") in _ROLES or not _EPUB_TYPES.isdisjoint(attributes.get("epub:type", "").split()):
        return tag not in ("main", "body", "article")
    if tag in _CLASSES_KEEP:
        return False
    names = f"{attributes.get('class', '')} {attributes.get('id', '')}".split()
    return any(_NAMES.fullmatch(name) for name in names) and element not in kept.with_content


def is_note(element: Element) -> bool:
    """Whether something left out is the body of notes."""
    named = " ".join((element.get("class", ""), element.get("role", ""), element.get("epub:type", "")))
    return re.search(r"foot-?note|end-?note|rearnote|reflist|references", named) is not None and tag_of(element) != "a"


def content_of(document: Element) -> Element:
    """The element that holds a page's content: its one ``main``, its one article, else its body."""
    for name in _MAIN:
        found = document.xpath(f"//{name} | //*[@role='{name}']")
        if len(found) == 1 and any(text.strip() for text in found[0].itertext()):
            return found[0]
    body = document.find(".//body")
    return document if body is None else body


def is_contents(element: Element) -> bool:
    """Whether this is a list of links into the book itself: the rows of a table or a list, or a line of links."""
    links = [each for each in element.iter("a") if each.get("href", "").strip()]
    if not links or any(_LEADS_OUT.match(link.get("href").strip()) for link in links):
        return False
    linked = {above for link in links for above in (link, *link.iterancestors())}
    rows = [each for each in element.iterdescendants() if tag_of(each) in _ROWS]
    if not rows:
        return 2 * sum(map(_letters, links)) > _letters(element)
    said = [row for row in rows if _letters(row)]
    # A part that has no page of its own is a row without a link.
    led = sum(row in linked for row in said)
    return 5 * led >= 4 * len(said) and _letters(element) <= _LONGEST_ROW * len(links)


def _letters(element: Element) -> int:
    return sum(character.isalnum() for text in element.itertext() for character in text)


def is_frame(element: Element, tag: str) -> bool:
    """Whether this is the head or the foot of the page (not of an article, a section or a quotation)."""
    if tag not in ("header", "footer"):
        return False
    around = {tag_of(above) for above in element.iterancestors()}
    if tag == "footer":
        return "blockquote" not in around
    return around.isdisjoint(("article", "main", "section", "blockquote")) and not holds(element, "h1", "h2")


def holds(element: Element, *tags: str) -> bool:
    """Whether one of these tags is somewhere in an element."""
    return any(tag_of(each) in tags for each in element.iterdescendants())


def _is_unseen(element: Element) -> bool:
    hidden = element.get("hidden")
    if (hidden is not None and hidden != "until-found") or element.get("aria-hidden") == "true":
        return True
    style = element.get("style")
    return style is not None and _UNSEEN.search(style) is not None
