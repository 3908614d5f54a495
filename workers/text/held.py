"""Spans of text whose reading is settled: each stands in the text as one private character until the end."""

from __future__ import annotations

import re

# Two planes of private characters, 65,534 each: one for what markup settles in a whole text, one for what the rules
# settle in a sentence. Whoever writes such characters means nothing by them: `without_private` takes them out first.
MARKUP_PLANE = 0x100000
RULES_PLANE = 0xF0000
_PLANE_SIZE = 0xFFFE
HELD = "\U000f0000-\U000ffffd\U00100000-\U0010fffd"
_HELD = re.compile(f"([{HELD}])")
_PRIVATE = re.compile("[\ue000-\uf8ff\U000f0000-\U000fffff\U00100000-\U0010ffff]+")


def without_private(text: str) -> str:
    """The text without characters that could be taken for ours."""
    return _PRIVATE.sub("", text)


class Held:
    """The spans of one text, as they were written and as they are spoken."""

    def __init__(self, plane: int) -> None:
        self._plane = plane
        self._spans: list[tuple[str, str]] = []

    def hold(self, written: str, spoken: str) -> str:
        """The character that stands for the span; the span as it was written when there are too many."""
        if len(self._spans) >= _PLANE_SIZE:
            return written
        self._spans.append((written, spoken))
        return chr(self._plane + len(self._spans) - 1)

    def written(self, text: str) -> str:
        """The text with every span of ours as it was written."""
        if not self._spans:
            return text
        return _HELD.sub(lambda found: self._of(found[0], (found[0], ""))[0], text)

    def spoken(self, text: str) -> str:
        """The text with every span of ours as it is spoken, set off by spaces where letters would run together."""
        if not self._spans:
            return text
        said: list[str] = []
        last, changed = "", False
        for part in _HELD.split(text):
            if not part:
                continue
            written, spoken = self._of(part, (part, part)) if len(part) == 1 else (part, part)
            if not spoken:
                continue
            if (changed or written != spoken) and last.isalnum() and spoken[0].isalnum():
                said.append(" ")
            said.append(spoken)
            last, changed = spoken[-1], written != spoken
        return "".join(said)

    def _of(self, character: str, otherwise: tuple[str, str]) -> tuple[str, str]:
        number = ord(character) - self._plane
        return self._spans[number] if 0 <= number < len(self._spans) else otherwise
