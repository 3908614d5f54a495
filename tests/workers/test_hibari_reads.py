"""Hibari's own reading of the golden lines beside ours: each class goes the better way."""

from __future__ import annotations

import re
from collections import Counter

from hibari.g2p import G2P
from hibari.tts import Hibari

from tests.workers.test_normalize import golden
from workers.text.classes import CLASSES, HIBARI_READS
from workers.text.script import script

# "nine A M" is read with an article by any engine; letters are given to it as "A.M" (workers.text.rules.letters).
_LETTERS = re.compile(r"\b[A-Zp](?: [A-Z]\b)+")


def score(g2p: G2P) -> dict[str, tuple[int, int, int]]:
    """Lines of each class, those that sound as expected after our rules, and those after hibari's own.

    They sound alike when hibari makes the same phonemes (but for stress and marks) in as many sentences.
    """

    def sounds(text: str) -> tuple[str, int]:
        sentences = Hibari.split_sentences(text)
        try:
            phonemes = " ".join(g2p(sentence) for sentence in sentences)
        except ValueError:
            # Hibari 0.2.1 fails on raised digits that no rule has read.
            return "", 0
        return re.sub(r"\W|[ˈˌ]", "", phonemes), len(sentences)

    lines, ours, own = Counter[str](), Counter[str](), Counter[str]()
    for name, written, expected in golden():
        if name in CLASSES:
            wanted = sounds(_LETTERS.sub(lambda found: found[0].replace(" ", "."), expected))
            lines[name] += 1
            ours[name] += sounds(_said(written, frozenset())) == wanted
            own[name] += sounds(_said(written, frozenset([name]))) == wanted
    return {name: (lines[name], ours[name], own[name]) for name in lines}


def _said(written: str, reads: frozenset[str]) -> str:
    return " ".join(piece.spoken for piece in script(written, reads=reads))


def test_each_class_is_read_by_who_reads_it_better() -> None:
    table = score(G2P())
    for name, (lines, ours, own) in sorted(table.items()):
        print(f"{name:<14}{lines:>6}{ours:>6}{own:>8}")
    assert {name for name, (_, ours, own) in table.items() if own > ours} == HIBARI_READS
