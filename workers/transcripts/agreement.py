"""How near two texts of one sound are, counted in words and in characters, whatever their capitals and points."""

from __future__ import annotations

from dataclasses import dataclass

import jiwer

# What transcribers are not asked to agree in.
_PLAIN = jiwer.Compose(
    [
        jiwer.ToLowerCase(),
        jiwer.RemovePunctuation(),  # type: ignore[no-untyped-call]
        jiwer.RemoveMultipleSpaces(),
        jiwer.Strip(),
    ]
)


@dataclass(frozen=True)
class Difference:
    """Shares of the longer of two texts, 0 (the same) to 1, that would have to change."""

    words: float
    characters: float


def word_error_rate(right: str, heard: str) -> float:
    """Wrong, missing and added words as a share of those that are right; it can be more than 1."""
    right, heard = _PLAIN(right), _PLAIN(heard)
    if not right:
        return float(bool(heard))
    return float(jiwer.wer(right, heard))


def difference(one: str, other: str) -> Difference:
    """How much two texts differ, whichever is named first."""
    one, other = _PLAIN(one), _PLAIN(other)
    if not one or not other:
        return Difference(float(one != other), float(one != other))
    words = jiwer.process_words(one, other)
    characters = jiwer.process_characters(one, other)
    return Difference(
        _edits(words) / max(len(one.split()), len(other.split())), _edits(characters) / max(len(one), len(other))
    )


def _edits(found: jiwer.WordOutput | jiwer.CharacterOutput) -> int:
    return found.substitutions + found.deletions + found.insertions
