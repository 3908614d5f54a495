"""From what somebody wrote to what an engine is given: the whole text front end."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from workers.text import markdown, markup, normalize, sentences
from workers.text.held import RULES_PLANE, Held
from workers.text.lexicon import Lexicon

_WORD = re.compile(r"[^\W_]")
_STOPPED = re.compile(r"[.!?…:;,][\"'”’)\]]*$")


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
    marked = markup.parse(text)
    entries = Lexicon(lexicon)
    breaks = re.compile(f"([{''.join(marked.breaks)}])") if marked.breaks else None
    found: list[Piece] = []
    asked = False
    for block in markdown.blocks(marked.text, marked.held):
        said = len(found)
        for run in breaks.split(block.text) if breaks else [block.text]:
            if run in marked.breaks:
                asked = _rest(found, marked.breaks[run], asked)
                continue
            made = [
                piece
                for sentence in sentences.sentences(run.strip())
                for piece in _sentence(sentence, marked.held, reads, entries, titled=block.titled)
            ]
            found += made
            asked = asked and not made
        if len(found) > said and not asked:
            found[-1] = replace(found[-1], pause_seconds=block.pause_seconds)
    if found and not asked:
        # What follows the last word is for whoever plays the next clip to decide.
        found[-1] = replace(found[-1], pause_seconds=0.0)
    return found


def _rest(found: list[Piece], seconds: float, asked: bool) -> bool:
    """Gives the last piece the rest that was asked for, those that follow each other together; whether one was."""
    if not found:
        return False
    if seconds:
        total = min(seconds + (found[-1].pause_seconds if asked else 0.0), markup.LONGEST_BREAK_SECONDS)
        found[-1] = replace(found[-1], pause_seconds=total)
        return True
    return asked


def _sentence(sentence: str, marked: Held, reads: frozenset[str], entries: Lexicon, *, titled: bool) -> Iterator[Piece]:
    held = Held(RULES_PLANE)
    whole = normalize.hold(sentence, held, reads=reads, entries=entries)

    def written(part: str) -> str:
        return marked.written(held.written(part))

    def spoken(part: str) -> str:
        return normalize.spoken(part, held, marked)

    def size(part: str) -> int:
        return max(len(written(part)), len(spoken(part)))

    parts = [part for part in sentences.cut(whole, size) if _WORD.search(written(part)) or _WORD.search(spoken(part))]
    for number, part in enumerate(parts, 1):
        last = number == len(parts)
        said = spoken(part)
        if not _WORD.search(said):
            said = written(part)
        if last and titled and not _STOPPED.search(said) and len(said) < sentences.PIECE_CHARACTERS:
            said += "."
        yield Piece(written(part), said, sentences.SENTENCE_PAUSE_SECONDS if last else 0.0)
