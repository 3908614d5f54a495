"""How long it takes to say a text."""

from __future__ import annotations

import re
from collections.abc import Iterable

from workers.importers.outline import Segment

# 160 words a minute, an unhurried lecture; 250 signs a minute of Chinese, Japanese and Korean.
_SECONDS_A_WORD = 60 / 160
_SECONDS_A_SIGN = 60 / 250
_SECONDS_BETWEEN = 0.6
# One word is as long as an average one; one of forty letters is not. Thai has no spaces.
_LETTERS_A_WORD = 14
_SIGN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")
_WORD = re.compile(r"\w+")


def seconds(segments: Iterable[Segment]) -> float:
    """The seconds it takes to say some segments, with the rests between them, to a tenth."""
    total = 0.0
    for segment in segments:
        rest, signs = _SIGN.subn(" ", segment.text)
        found = _WORD.findall(rest)
        words = len(found) + sum([len(word) // _LETTERS_A_WORD for word in found if len(word) >= _LETTERS_A_WORD])
        total += words * _SECONDS_A_WORD + signs * _SECONDS_A_SIGN + _SECONDS_BETWEEN
    return round(total, 1)
