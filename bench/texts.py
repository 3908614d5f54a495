"""Texts to speak, each a new one, so that nothing is found in a cache."""

from __future__ import annotations

import itertools
import random

_SUBJECTS = "the old navigator|a young clockmaker|the harbour master|her patient brother|every careful captain".split(
    "|"
)
_VERBS = "carried|measured|described|repaired|remembered|studied|doubted|copied".split("|")
_OBJECTS = "the brass instrument|a folded chart|the evening star|his second watch|the long table of numbers".split("|")
_PLACES = "before the tide turned|in the quiet harbour|under a clear winter sky|while the ship lay still".split("|")

_numbers = itertools.count(random.SystemRandom().randrange(100_000, 900_000))


def short_sentence() -> str:
    """Six words, about two seconds."""
    number = next(_numbers)
    return f"Call number {number % 1000} to room {number // 1000 % 90 + 10}."


def ten_seconds() -> str:
    """One sentence of about ten seconds."""
    pick = random.Random(next(_numbers))
    parts = [f"{pick.choice(_SUBJECTS)} {pick.choice(_VERBS)} {pick.choice(_OBJECTS)}" for _ in range(2)]
    day = next(_numbers) % 900 + 100
    return f"On day {day} of the long voyage, {parts[0]}, and {parts[1]} {pick.choice(_PLACES)}."


def thirty_seconds() -> str:
    """Three sentences of about ten seconds each."""
    return " ".join(ten_seconds() for _ in range(3))


def five_seconds() -> str:
    """One sentence of about four seconds."""
    pick = random.Random(next(_numbers))
    day = next(_numbers) % 900 + 100
    return f"On day {day}, {pick.choice(_SUBJECTS)} {pick.choice(_VERBS)} {pick.choice(_OBJECTS)}."


def mixed(count: int) -> list[str]:
    """Texts of 1 to 60 words, evenly spread on a scale that doubles; of the same lengths each time."""
    pick = random.Random(7)
    found = []
    for _ in range(count):
        words = f"{next(_numbers)} is the number. {ten_seconds()} {thirty_seconds()}".split()
        found.append(" ".join(words[: round(60 ** pick.random())]).rstrip(",.") + ".")
    return found
