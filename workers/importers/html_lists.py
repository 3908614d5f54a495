"""The numbers and letters that a browser sets before the items of a list."""

from __future__ import annotations

import re
from dataclasses import dataclass

from workers.importers.hidden import Element

LISTS = frozenset("ul ol menu dir dl".split())
_NUMBER = re.compile(r"-?\d{1,6}", re.ASCII)
_LETTERS = {"a": "abcdefghijklmnopqrstuvwxyz", "A": "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


@dataclass
class Numbering:
    """How the items of a list are marked; ``number`` is that of the next one."""

    ordered: bool
    number: int
    letters: str = ""
    step: int = 1


def numbering(element: Element, tag: str) -> Numbering:
    """How a list marks its items; a list of terms does not."""
    if tag == "dl":
        return Numbering(ordered=False, number=1)
    started = element.get("start", "1").strip()
    number = int(started) if _NUMBER.fullmatch(started) else 1
    letters = _LETTERS.get(element.get("type", ""), "")
    return Numbering(tag == "ol", number, letters, -1 if element.get("reversed") is not None else 1)


def marker(current: Numbering, item: Element) -> str:
    """``1. `` before an item of an ordered list, which is then counted."""
    if not current.ordered:
        return ""
    own = item.get("value", "").strip()
    if _NUMBER.fullmatch(own):
        current.number = int(own)
    number = current.number
    current.number += current.step
    letter = current.letters[number - 1 : number] if number > 0 else ""
    return f"{letter}) " if letter else f"{number}. "
