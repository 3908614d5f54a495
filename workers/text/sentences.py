"""Text to sentences, and sentences to pieces short enough for an engine."""

from __future__ import annotations

import re
from dataclasses import dataclass

# An engine's memory grows with the length of a piece, and its attention wanders beyond this.
PIECE_CHARACTERS = 300
SENTENCE_PAUSE_SECONDS = 0.25
PARAGRAPH_PAUSE_SECONDS = 0.6

# A full stop after one of these ends no sentence (unless the text ends).
ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof st mt rev hon sr jr capt col gen lt sgt gov pres rep sen messrs mme mlle "
    "vs etc al cf eg ie viz approx dept est fig figs no nos vol vols pp ed eds ch sec art inc ltd co corp "
    "jan feb mar apr jun jul aug sep sept oct nov dec".split()
)
_PARAGRAPH = re.compile(r"\n\s*\n+")
# An ending, any closing quotes or brackets, then space. It begins where its marks do: a thousand dots are tried once.
_ENDING = re.compile(r"(?<![.!?…])([.!?…]+)([\"'”’)\]]*)\s+")
_LAST_WORD = re.compile(r"([^\s(\[\"'“‘]+)$")
# An ending is judged by what stands so near it: more than any abbreviation, and a long text stays cheap.
_AROUND = 40
_CLAUSE_END = re.compile(r"(?<=[,;:—–])\s+")


@dataclass(frozen=True)
class Piece:
    """What is said in one go, and how long to rest after it."""

    text: str
    pause_seconds: float


def pieces(text: str) -> list[Piece]:
    """The text in order, each piece at most ``PIECE_CHARACTERS`` long; none for text without a word."""
    found: list[Piece] = []
    for paragraph in _PARAGRAPH.split(text.strip()):
        for sentence in sentences(" ".join(paragraph.split())):
            parts = _cut(sentence)
            found += [Piece(part, 0.0) for part in parts[:-1]]
            found += [Piece(parts[-1], SENTENCE_PAUSE_SECONDS)] if parts else []
        if found:
            found[-1] = Piece(found[-1].text, PARAGRAPH_PAUSE_SECONDS)
    if found:
        # What follows the last word is for whoever plays the next clip to decide.
        found[-1] = Piece(found[-1].text, 0.0)
    return found


def sentences(paragraph: str) -> list[str]:
    """The sentences of one paragraph, in order; together they are the paragraph."""
    found: list[str] = []
    start = 0
    for ending in _ENDING.finditer(paragraph):
        before = paragraph[max(start, ending.start() - _AROUND) : ending.start()]
        after = paragraph[ending.end() : ending.end() + _AROUND]
        if _ends_sentence(before, ending[1], bool(ending[2]), after):
            found.append(paragraph[start : ending.end()].strip())
            start = ending.end()
    found.append(paragraph[start:].strip())
    return [sentence for sentence in found if any(character.isalnum() for character in sentence)]


def _ends_sentence(before: str, marks: str, quoted: bool, after: str) -> bool:
    following = after.lstrip("\"'“‘([")[:1]
    if following.islower():
        # "What?" he said. And: Washington, D.C. was …
        return False
    if marks != "." or quoted:
        return True
    last = _LAST_WORD.search(before)
    word = last[1] if last else ""
    if len(word) == 1 and word.isupper() and word != "I":
        return False
    letters = word.replace(".", "")
    if "." in word and letters.isalpha() and len(letters) <= 3:
        # U.S., e.g., p.m.: an ending only where a sentence plainly begins. (3.14 is none of them.)
        return word.lower() in {"p.m", "a.m"} and following.isupper()
    lowered = word.lower()
    if lowered in {"no", "nos", "art", "fig", "figs", "ch", "sec", "vol", "vols", "pp", "ed", "est"}:
        return not following.isdigit()
    return lowered not in ABBREVIATIONS or (lowered in {"etc", "inc", "ltd", "co", "corp"} and following.isupper())


def _cut(sentence: str) -> list[str]:
    """A sentence in parts of at most ``PIECE_CHARACTERS``: at clause ends, else at words, else anywhere."""
    parts: list[str] = []
    for clause in _CLAUSE_END.split(sentence) if len(sentence) > PIECE_CHARACTERS else [sentence]:
        if parts and len(parts[-1]) + 1 + len(clause) <= PIECE_CHARACTERS:
            parts[-1] = f"{parts[-1]} {clause}"
        elif len(clause) <= PIECE_CHARACTERS:
            parts.append(clause)
        else:
            parts += _cut_words(clause)
    return parts


def _cut_words(clause: str) -> list[str]:
    parts: list[str] = []
    for word in clause.split(" "):
        if parts and len(parts[-1]) + 1 + len(word) <= PIECE_CHARACTERS:
            parts[-1] = f"{parts[-1]} {word}"
        else:
            parts += [word[at : at + PIECE_CHARACTERS] for at in range(0, len(word), PIECE_CHARACTERS)]
    return parts
