"""A page to its blocks: paragraphs, headings, lists, tables, figures, formulas, quotes, as they will be said."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Literal

from workers.importers.outline import Asset

Kind = Literal["paragraph", "heading", "list", "table", "figure", "formula", "code", "quote"]

# Marks that no reader sees: soft hyphens, widths of nothing, directions. (The joiners of Persian and Hindi stay.)
_UNSEEN = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\ufffc]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_LIGATURE = re.compile("[ﬀ-ﬆ]")
_LETTERS = {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"}
# Marks of notes and of editors: right after a word ("word.[12]"), or in words of their own.
_NUMBERS = r"\[\d{1,3}(?:\s?[,–-]\s?\d{1,3})*\]"
_MARKS = re.compile(
    rf"(?:(?<=[^\W\d_]{{2}})|(?<=[.,;:!?”\"')%»。，]))(?:{_NUMBERS})+"
    r"|\[(?:edit|citation needed|note \d+|nb \d+|update|who\?|when\?|clarification needed|Bearbeiten|modifier)\]"
    r"|(?:(?<=[^\W\d_]{2})|(?<=[.,;:!?”)]))[†‡]+(?=\s|$|[.,;:])"
)
_MARK = re.compile(r"[\[†‡]")
# It looks at the next character first: a text has a space for every word, and hardly one before a mark. It begins where
# its spaces do: a thousand of them, left by as many marks of notes, are tried once.
_BEFORE_MARK = re.compile(r" (?<!  )(?=[ ,.)\]。，、；：？！]) *([,.)\]](?=\s|$)|[。，、；：？！])")
_ENDED = re.compile(r"[.!?…:;。！？؟।:；][\"'”’»)\]」』）]*$")


# A large course has a hundred thousand of them.
@dataclass(frozen=True, slots=True)
class Block:
    """What belongs together. ``parts`` are the sentences, items or rows that may stand alone; code has none.

    ``source`` is what a formula or code was written as.
    """

    kind: Kind
    parts: tuple[str, ...]
    level: int = 0
    source: str = ""

    @property
    def text(self) -> str:
        return "\n".join(self.parts)


@dataclass
class Page:
    """What a page holds. ``assets`` come with the number of the block before which they were met."""

    blocks: list[Block] = field(default_factory=list)
    assets: list[tuple[int, Asset]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    language: str | None = None


def clean(text: str) -> str:
    """A text on one line, without what is not seen and not said."""
    text = _CONTROLS.sub(" ", text)
    if not text.isascii():
        text = unicodedata.normalize("NFC", _UNSEEN.sub("", text))
        text = _LIGATURE.sub(lambda found: _LETTERS[found[0]], text)
    text = " ".join(text.split())
    # Most texts have no marks: to look for the signs they are made of takes a fraction of looking for them.
    if _MARK.search(text):
        text = _MARKS.sub("", text)
    return _BEFORE_MARK.sub(r"\1", text).strip()


def ended(text: str) -> str:
    """A text that ends like a sentence, as an item and a row do when they are said."""
    if not text or _ENDED.search(text):
        return text
    text = text.rstrip(",–—- ")
    wide = unicodedata.east_asian_width(text[-1]) == "W" if text else False
    return f"{text}。" if wide else f"{text}."
