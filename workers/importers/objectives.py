"""What a lesson says that one will be able to do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest

from workers.importers.blocks import Block

_HEADING = re.compile(
    r"(?:(?:key|main|specific|course|lesson|chapter|unit|learning|instructional)\s+)*"
    r"(?:objectives?|outcomes?|learning goals?|"
    r"goals|aims)(?:\s+of\s+.{0,60})?|what (?:you|you[’']ll|we|we[’']ll)\s?(?:will )?(?:learn|cover)|"
    r"(?:lern|kurs|unterrichts)-?ziele?|ziele|kompetenzen|objectifs(?: d[’']apprentissage| pédagogiques)?|"
    r"objetivos(?: de aprendizaje)?|obiettivi(?: di apprendimento)?|学习目标|教学目标|学習目標|学習の目標",
    re.IGNORECASE,
)  # fmt: skip
_ANNOUNCED = re.compile(
    r"(?:by|at|after) the end of (?:this|the) .{1,60}(?:you|students|learners|participants) (?:will|should|can)|"
    r"(?:you|students|learners) (?:will|should) be able to|after (?:reading|completing|finishing|studying) this|"
    r"(?:am|nach) (?:ende|abschluss) .{1,60}(?:können|kennen)|à la fin d[eu] .{1,80}(?:serez|saurez|pourrez|capables?)",
    re.IGNORECASE,
)  # fmt: skip
_NUMBER = re.compile(r"^(?:\d{1,3}\.|[a-zA-Z]\))\s+")
_MOST = 30
_MOST_CHARACTERS = 300


def objectives(blocks: Sequence[Block]) -> list[str]:
    """The items of the lists that stand under such a heading, or after such a sentence; none are made up."""
    found: list[str] = []
    # Until a list comes, a paragraph may stand between.
    open_for = 0
    for block, following in zip_longest(blocks, blocks[1:]):
        if block.kind == "heading":
            open_for = 2 if _HEADING.fullmatch(block.text.strip(" .:·—-0123456789")) else 0
        elif block.kind == "list" and open_for:
            found += [_plain(part) for part in block.parts]
            open_for = 0
        # What a sentence announces comes right after it: the many before something else need not be looked at.
        elif following is not None and following.kind == "list" and _ANNOUNCED.search(block.text):
            open_for = 1
        else:
            open_for = max(open_for - 1, 0)
    return [each[:_MOST_CHARACTERS] for each in dict.fromkeys(found) if each][:_MOST]


def _plain(item: str) -> str:
    return _NUMBER.sub("", item).rstrip(" .;。")
