"""What is read as a whole instead of word by word: images, films, formulas, code, tables, raised and lowered text."""

from __future__ import annotations

import re
from collections.abc import Callable

from workers.importers import inline, mathml, tables
from workers.importers.blocks import Block, clean, ended
from workers.importers.hidden import Element, holds, tag_of
from workers.importers.html_gathered import LINE_BREAK, Gathered, short
from workers.text.sentences import has_word

PLAYED = frozenset("video audio iframe embed object".split())
# Names of files and words for "picture" describe nothing.
_NO_ALT = re.compile(
    r"(?:image|img|picture|photo|figure|fig|graphic|icon|logo|cover|screenshot|bild|abbildung|dsc|spacer|bullet)?"
    r"[\s_-]*\d*(?:\s?of\s?\d+)?[.:]?|\S+\.(?:png|jpe?g|gif|svg|webp|bmp|tiff?)|https?://\S+", re.IGNORECASE
)  # fmt: skip
_TEX_ALT = re.compile(r"^\s*(?:\$|\\[(\[]|\{\\displaystyle|\\[a-z]+[{ ])")
_CODE_CLASS = re.compile(r"code|highlight|lang|prettyprint|brush|listing|console|terminal|math|output", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?…][\"'”’»)\]]*$")
# Marks that programs hardly have, or have as prose does.
_OF_PROSE = frozenset(",.!?'’‘“”«»—–… ")


def _line_break(gathered: Gathered, _: Element) -> bool:
    """Two breaks end a paragraph; one is a space."""
    if gathered.text and gathered.text[-1] == LINE_BREAK:
        gathered.flush()
    else:
        gathered.text.append(LINE_BREAK)
    return True


def _raised(gathered: Gathered, element: Element) -> bool:
    if holds(element, "math", "img", "p"):
        return False
    links = [each for each in element.iter() if tag_of(each) == "a"]
    linked = any("#" in link.get("href", "") for link in links) or tag_of(element.getparent()) == "a"
    before = "".join(gathered.text[-4:]).rstrip()
    gathered.text.append(inline.raised("".join(element.itertext()), before, linked=linked))
    return True


def _lowered(gathered: Gathered, element: Element) -> bool:
    text = "".join(element.itertext()).strip()
    if text and not text[0].isdecimal() and not holds(element, "math", "img"):
        # "x i", not "xi".
        gathered.text.append(" ")
    return False


def _image(gathered: Gathered, element: Element) -> bool:
    alt = clean(element.get("alt", ""))
    if _TEX_ALT.match(alt):
        _between_words(gathered, element, alt)
        return True
    names = ("src", "data-src", "xlink:href", "href")
    target = next((told for name in names if (told := element.get(name, "").strip())), "")
    described = has_word(alt) and not _NO_ALT.fullmatch(alt)
    if "emoji" in element.get("class", ""):
        return True
    if target and not target.startswith("data:"):
        gathered.image(target, alt)
    if described:
        gathered.figure(alt)
    elif element.get("alt") != "" and not _is_captioned(element):
        gathered.note(f"An image has no description: {short(target) if target else 'without an address'}")
    return True


def _is_captioned(image: Element) -> bool:
    """Whether a figure around an image has words of its own."""
    figure = next((above for above in image.iterancestors() if tag_of(above) == "figure"), None)
    return figure is not None and holds(figure, "figcaption")


def played(gathered: Gathered, element: Element, tag: str) -> None:
    """Keeps films and the like as links."""
    sources = [element, *(each for each in element if tag_of(each) == "source")]
    targets = [each.get("src") or each.get("data") or "" for each in sources]
    target = next((target.strip() for target in targets if target.strip()), "")
    if target and not target.startswith(("data:", "javascript:", "about:")):
        gathered.link(target, clean(element.get("title", "")))
        gathered.note(f"What is played or embedded is not read ({tag}): {short(target)}")


def _math(gathered: Gathered, element: Element) -> bool:
    source = mathml.latex(element)
    if not source.strip():
        return True
    if element.get("display") == "block" and not gathered.lists:
        gathered.display(source)
    else:
        _between_words(gathered, element, source)
    return True


def _script(gathered: Gathered, element: Element) -> bool:
    """Those that are met at all hold formulas."""
    source = element.text or ""
    if "mode=display" in element.get("type", ""):
        gathered.display(source)
    else:
        _between_words(gathered, element, source)
    return True


def _between_words(gathered: Gathered, element: Element, source: str) -> None:
    """Says a formula; what stands right after it ("t: …") does so in words, too."""
    after = "" if (element.tail or "").startswith((":", ";", "!", "?")) else " "
    gathered.text.append(f" {gathered.formula(source)}{after}")


def _span(gathered: Gathered, element: Element) -> bool:
    """What writers of Markdown and of TeX make of formulas."""
    names = element.get("class", "").split()
    if "math" not in names and "eqn" not in names:
        return False
    if len(element) and holds(element, "math", "img", "script"):
        return False
    source = "".join(element.itertext())
    if "display" in names or "block" in names:
        gathered.display(source)
    else:
        gathered.text.append(gathered.formula(source))
    return True


def _code(gathered: Gathered, element: Element) -> bool:
    text = "".join(element.itertext())
    if _is_prose(element, text):
        return False
    gathered.flush()
    if text.strip():
        gathered.add(Block("code", (), source=text))
        first = next(line for line in text.splitlines() if line.strip())
        gathered.note(f"Code is not read ({len(text.strip().splitlines())} lines): {short(first)}")
    return True


def _is_prose(element: Element, text: str) -> bool:
    """Whether preformatted text is one to be read: an old book's, a poem."""
    if _CODE_CLASS.search(element.get("class", "")) or holds(element, "code", "samp", "kbd"):
        return False
    words = text.split()
    # The lines of a poem may begin anywhere.
    text = " ".join(words)
    of_prose = sum(character.isalpha() or character in _OF_PROSE for character in text)
    return len(words) >= 8 and of_prose > 0.93 * len(text) and _SENTENCE_END.search(text) is not None


def table(gathered: Gathered, element: Element, inside: Callable[[Element], str]) -> bool:
    """A table as sentences, and whether it was one; ``inside`` gives the text of a cell or a caption."""
    if tables.is_layout(element):
        return False
    gathered.flush()
    gathered.end_items()
    captions = [each for each in element if tag_of(each) == "caption"]
    caption = inside(captions[0]) if captions else ""
    found = tables.read(element, inside)
    if found.refused:
        gathered.note(f"A table is too large to be read ({found.refused}): {short(caption or 'untitled')}")
    parts = (ended(caption), *found.rows) if caption else found.rows
    parts = tuple(part for part in parts if has_word(part))
    if parts:
        gathered.add(Block("table", parts))
    return True


# Each says whether it read the element; what is in it is read word by word where it did not.
WHOLES: dict[str, Callable[[Gathered, Element], bool]] = {
    "br": _line_break,
    "sup": _raised,
    "sub": _lowered,
    "img": _image,
    "image": _image,
    "math": _math,
    "script": _script,
    "span": _span,
    "div": _span,
    "pre": _code,
}
