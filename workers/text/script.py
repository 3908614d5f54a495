"""From what somebody wrote to what an engine is given: the whole text front end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from workers.text import sentences


@dataclass(frozen=True)
class Piece:
    """What is said in one go: as it was ``written`` (for captions), as it is ``spoken``, and the rest after it."""

    written: str
    spoken: str
    pause_seconds: float


def script(text: str, *, reads: frozenset[str] = frozenset(), lexicon: Mapping[str, str] | None = None) -> list[Piece]:
    """The text in order, in pieces of at most ``sentences.PIECE_CHARACTERS``; none for text without a word.

    ``reads`` are the classes of written forms left as they are, because the engine reads them well itself. ``lexicon``
    maps a written word to how it is said: other words, or IPA between slashes.
    """
    return [Piece(piece.text, piece.text, piece.pause_seconds) for piece in sentences.pieces(text)]
