"""Things to say that nobody has said before; the same ones for the same seed."""

from __future__ import annotations

import random

_WHO = "the old navigator|a young clockmaker|the harbour master|her patient brother|every careful captain".split("|")
_DOES = "carried|measured|described|repaired|remembered|studied|doubted|copied".split("|")
_WHAT = "the brass instrument|a folded chart|the evening star|his second watch|the long table of numbers".split("|")
_WHERE = "before the tide turned|in the quiet harbour|under a clear winter sky|while the ship lay still".split("|")


class Words:
    """What one person says; all of it begins with their name, so that no two say the same."""

    def __init__(self, seed: int, name: str) -> None:
        self._name = name.capitalize()
        self._chance = random.Random(f"{seed} {name} says")
        self._said = 0

    def short(self) -> str:
        """A sentence of about two seconds."""
        return f"{self._opening()}."

    def sentence(self) -> str:
        """A sentence of about five seconds."""
        return f"{self._opening()}: {self._deed()}."

    def passage(self, sentences: int) -> str:
        """So many of them."""
        return " ".join(self.sentence() for _ in range(sentences))

    def _opening(self) -> str:
        self._said += 1
        book, page, note = self._said // 10_000, self._said // 100 % 100, self._said % 100
        return f"{self._name}, book {book}, page {page}, note {note}"

    def _deed(self) -> str:
        pick = self._chance.choice
        return f"{pick(_WHO)} {pick(_DOES)} {pick(_WHAT)} {pick(_WHERE)}"
