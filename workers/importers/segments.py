"""Blocks to segments: what is spoken in one go, cut where a paragraph, a sentence or at least a clause ends."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from workers.importers.blocks import Block
from workers.importers.outline import Segment
from workers.text import sentences

# About forty seconds of speech: long enough for a thought, short enough to come back to.
USUAL_CHARACTERS = 600
MOST_SENTENCES = 3
# A single sentence may be longer than is usual before it is cut inside. Nothing is ever longer than this.
LONGEST_CHARACTERS = 1_000

# Ends of sentences after which no space need be: Chinese, Japanese; and those of Arabic, Urdu and Hindi, with space.
_WIDE_END = re.compile(
    r"(?<=[。！？｡])(?![。！？｡”’」』）〉》])|(?<=[。！？｡][”’」』）〉》])(?![”’」』）〉》])|(?<=[؟۔।॥])\s+"
)
_WIDE = re.compile("[。！？｡؟۔।॥]")
# Where there is a space before a closing quotation mark, it still belongs to what it closes.
_CLOSING = re.compile(r"[»›]+(?=\s|$)\s*")
_CLOSED = re.compile(r"[.!?…]\s+([»›]+)$")
_CLAUSE_END = re.compile(r"(?<=[,;:—–،؛])\s+|(?<=[，；：、])")
_NO_SPACE_AFTER = frozenset("。！？｡”’」』）〉》，；：、")
# Each of these is one thing; items of others are one for each line.
_PROSE = frozenset(("paragraph", "quote", "figure", "formula", "heading"))


def segments(blocks: Iterable[Block]) -> list[Segment]:
    """The segments of some blocks, in order; none without a word, none that holds parts of two blocks."""
    found: list[Segment] = []
    for block in blocks:
        extra = {"source": block.source} if block.kind == "formula" and block.source else {}
        found += [Segment(text, block.kind, extra=dict(extra)) for text in _texts(block)]
    return found


def _texts(block: Block) -> list[str]:
    if block.kind in _PROSE:
        parts = [piece for part in block.parts for sentence in split(part) for piece in _short(sentence)]
        return _joined(parts, _evenly(len(parts)), prose=True)
    parts = [piece for part in block.parts for piece in _rows(part)]
    return _joined(parts, len(parts) or 1, prose=False)


def split(paragraph: str) -> list[str]:
    """The sentences of a paragraph in any script."""
    paragraph = " ".join(paragraph.split())
    # Looked for first: in the scripts of most courses there is none, and to split takes ten times as long.
    parts = _WIDE_END.split(paragraph) if _WIDE.search(paragraph) else [paragraph]
    found = [sentence for part in parts if part for sentence in sentences.sentences(part)]
    return _closed(found, paragraph) if "»" in paragraph or "›" in paragraph else found


def _closed(found: list[str], paragraph: str) -> list[str]:
    """Sentences that end with the quotation marks that close them: ``« Il vient. »``, of which the last is no word."""
    kept: list[str] = []
    for sentence in found:
        closing = _CLOSING.match(sentence)
        if closing and kept:
            kept[-1] += f" {closing[0].strip()}"
            sentence = sentence[closing.end() :]
            if sentence[:1].islower():
                # « Viens ! » dit-il.
                kept[-1] += f" {sentence}"
                continue
        if sentences.has_word(sentence):
            kept.append(sentence)
    if kept and (last := _CLOSED.search(paragraph)):
        kept[-1] += f" {last[1]}"
    return kept


def _rows(part: str) -> list[str]:
    """An item or a row: whole, unless it is long."""
    part = " ".join(part.split())
    if len(part) <= USUAL_CHARACTERS:
        return [part] if sentences.has_word(part) else []
    pieces = [piece for sentence in split(part) for piece in _short(sentence)]
    return _joined(pieces, MOST_SENTENCES, prose=True)


def _evenly(count: int) -> int:
    """How many sentences go together so that none is left over: of four, two and two."""
    groups = -(-count // MOST_SENTENCES) or 1
    return -(-count // groups) or 1


def _joined(parts: Sequence[str], most: int, *, prose: bool) -> list[str]:
    """Neighbours together, as many as are usual."""
    found: list[str] = []
    count = 0
    for part in parts:
        between = "\n" if not prose else "" if found and found[-1][-1:] in _NO_SPACE_AFTER and _is_wide(part) else " "
        if found and count < most and len(found[-1]) + len(between) + len(part) <= USUAL_CHARACTERS:
            found[-1] += between + part
            count += 1
        else:
            found.append(part)
            count = 1
    return [text for text in found if sentences.has_word(text)]


def _is_wide(text: str) -> bool:
    return unicodedata.east_asian_width(text[0]) in "WF"


def _short(sentence: str) -> list[str]:
    """A sentence in parts that are not too long: at clause ends, else between words, else anywhere."""
    if len(sentence) <= LONGEST_CHARACTERS:
        return [sentence]
    pieces = [piece for clause in _CLAUSE_END.split(sentence) if clause for piece in _words(clause)]
    return _joined(pieces, len(pieces), prose=True)


def _words(clause: str) -> list[str]:
    if len(clause) <= USUAL_CHARACTERS:
        return [clause]
    pieces = [piece for word in clause.split() for piece in _chopped(word)]
    return _joined(pieces, len(pieces), prose=True)


def _chopped(word: str) -> list[str]:
    """A word without end, or a text without spaces, in parts; a mark stays with its letter."""
    found: list[str] = []
    while len(word) > USUAL_CHARACTERS:
        at = USUAL_CHARACTERS
        while at > USUAL_CHARACTERS // 2 and (unicodedata.combining(word[at]) or word[at] == "\u200d"):
            at -= 1
        found.append(word[:at])
        word = word[at:]
    return [*found, word] if word else found
