"""From a text to what a piper voice reads: ids of phonemes, sentence by sentence, and which ids each word became.

Does what piper1-gpl's ``phonemize_espeak.py`` does (clauses by espeak-ng, terminators kept as symbols, NFD), in code of
our own; where it differs, there is a reason beside it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import pairwise

import numpy as np

from workers.tts.espeak_library import Clause, Espeak
from workers.tts.provider import Mark, plain_and_marks, written_words

_PAD, _BEGIN, _END = "_", "^", "$"
# espeak-ng's classes of what ends a clause.
_TERMINATORS = {
    **dict(zip(".!?,:;", ".!?,:;", strict=True)),
    **dict(zip("—–…。！？，、：；", ";;,.!?,,:;", strict=True)),
}
_LAST_SIGNS = re.compile(r"[^\w\s]*(\s+[—–])?\s*$")
_PARAGRAPH_ENDS = re.compile(r"\n\s*\n\s*$")
# espeak-ng's "(fr)" around words that it takes for another language's.
_LANGUAGE_SWITCH = re.compile(r"\([^)]+\)")
_STRESS = "ˈˌ"
_LATIN_OR_DIGIT = re.compile(r"[A-Za-z0-9\u00c0-\u024f]")


@dataclass(frozen=True)
class IdWord:
    """A written word and its ids [first, end)."""

    text: str
    first: int
    end: int


@dataclass(frozen=True)
class Sentence:
    """What is said in one go: a voice has learned whole sentences. ``ids`` has a pad after every symbol."""

    ids: list[int]
    words: list[IdWord]


@dataclass
class _Symbols:
    """A sentence in the making: its symbols, and the symbols [first, end) of each word."""

    text: str = ""
    words: list[tuple[str, int, int]] = field(default_factory=list)


def sentences(espeak: Espeak, voice: str, text: str, ids: Mapping[str, Sequence[int]]) -> list[Sentence]:
    """The text's sentences; none where it has nothing that the voice can say.

    Args:
        espeak: the library.
        voice: espeak-ng's name of the language, such as ``en-us``.
        text: may hold ``[word](/ipa/)``.
        ids: the voice's ids of each symbol; a symbol that is not in it is left out, as piper does.
    """
    plain, marks = plain_and_marks(text)
    plain = _without_foreign_words(plain, marks)
    found: list[Sentence] = []
    making = _Symbols()
    for clause in espeak.clauses(plain, voice):
        if clause.phonemes:
            _add(making, _words_of(clause, plain, marks), clause, espeak, voice)
        sign, ends = _terminator(plain[clause.start : clause.end])
        if making.words:
            # Without the blank piper makes one word of those around an ellipsis or the end of a long clause.
            making.text += sign if ends else f"{sign} "
            if ends:
                found.append(_with_ids(making, ids))
                making = _Symbols()
    if making.words:
        # A comma at the end keeps its blank, because piper has it.
        making.text = making.text if making.text[-2:-1] in (",", ":", ";") else making.text.rstrip()
        found.append(_with_ids(making, ids))
    return found


def _without_foreign_words(plain: str, marks: Sequence[Mark]) -> str:
    """The text with words of other scripts blanked: espeak-ng would say "Chinese letter" for each character."""
    for start, end in written_words(plain):
        if not (_LATIN_OR_DIGIT.search(plain, start, end) or any(mark.start <= start < mark.end for mark in marks)):
            plain = plain[:start] + " " * (end - start) + plain[end:]
    return plain


def _terminator(written: str) -> tuple[str, bool]:
    """The symbol that ends a clause, and whether it ends a sentence, too."""
    last = _LAST_SIGNS.search(written)
    signs = last.group().strip() if last else ""
    # An ellipsis is a pause.
    sign = "," if signs.startswith("...") else next((_TERMINATORS[s] for s in signs if s in _TERMINATORS), "")
    return sign, sign in (".", "!", "?") or bool(_PARAGRAPH_ENDS.search(written))


@dataclass
class _Unit:
    """What is aligned with phonemes: a word, or all words of a mark; ``ipa`` is what to say instead."""

    text: str
    words: list[str]
    ipa: str | None = None


def _words_of(clause: Clause, plain: str, marks: Sequence[Mark]) -> list[_Unit]:
    units: list[_Unit] = []
    last_mark = None
    for start, end in written_words(plain):
        if not clause.start <= start < clause.end:
            continue
        word = plain[start:end]
        mark = next((mark for mark in marks if mark.start <= start < mark.end), None)
        if mark is None:
            units.append(_Unit(word, [word]))
        elif mark is last_mark:
            units[-1].text += f" {word}"
            units[-1].words.append(word)
        else:
            # A mark that reaches over several clauses is said in its first.
            units.append(_Unit(word, [word], mark.ipa if mark.start >= clause.start else ""))
        last_mark = mark
    return units


def _add(making: _Symbols, units: Sequence[_Unit], clause: Clause, espeak: Espeak, voice: str) -> None:
    """Adds a clause to the sentence, and notes where in it each word lies."""
    phonemes = unicodedata.normalize("NFD", _LANGUAGE_SWITCH.sub("", clause.phonemes))
    taken = 0
    for unit, (first, end) in zip(units, _spans(phonemes, units, espeak, voice), strict=True):
        making.text += phonemes[taken:first]
        begins = len(making.text)
        if unit.ipa is None:
            making.text += phonemes[first:end]
        else:
            # espeak-ng may have drawn the word together with its neighbours ("of the").
            before = " " if making.text[-1:].strip() else ""
            after = " " if phonemes[end : end + 1].strip() else ""
            making.text += before + unicodedata.normalize("NFD", unit.ipa) + after
            begins += len(before)
        # The words of one mark share its symbols by their letters.
        letters = np.cumsum([0, *map(len, unit.words)])
        edges = begins + np.rint(letters / letters[-1] * (len(making.text.rstrip()) - begins)).astype(int)
        making.words += [(word, int(edges[i]), int(edges[i + 1])) for i, word in enumerate(unit.words)]
        taken = end
    making.text += phonemes[taken:]


def _spans(phonemes: str, units: Sequence[_Unit], espeak: Espeak, voice: str) -> list[tuple[int, int]]:
    """The symbols [first, end) of each unit.

    Where espeak-ng has drawn words together or parted them ("of the" is one, "3.5" are three), the clause is matched
    with its words said alone.
    """
    parts = [found.span() for found in re.finditer(r"\S+", phonemes)]
    if len(parts) == len(units) or not units:
        return parts[: len(units)]
    alone = ["".join(part.phonemes for part in espeak.clauses(unit.text, voice)) for unit in units]
    alone = [unicodedata.normalize("NFD", text).replace(" ", "") for text in alone]
    solid = [place for place, symbol in enumerate(phonemes) if symbol != " "]
    drawn = "".join(phonemes[place] for place in solid)
    ours, theirs = [0], [0]
    for match in SequenceMatcher(None, "".join(alone), drawn, autojunk=False).get_matching_blocks():
        ours += [match.a, match.a + match.size]
        theirs += [match.b, match.b + match.size]
    edges = [round(edge) for edge in np.interp(np.cumsum([0, *map(len, alone)]), ours, theirs)]
    # A stress mark belongs to what follows it.
    edges = [edge - 1 if edge and drawn[edge - 1] in _STRESS else edge for edge in edges]
    # An end is one after its last symbol, and not where the next one begins: a blank may be between them.
    return [
        (solid[first], solid[end - 1] + 1) if end > first else (_at(solid, first), _at(solid, first))
        for first, end in pairwise(edges)
    ]


def _at(solid: Sequence[int], number: int) -> int:
    return solid[number] if number < len(solid) else solid[-1] + 1 if solid else 0


def _with_ids(making: _Symbols, ids: Mapping[str, Sequence[int]]) -> Sentence:
    numbers = [*ids[_BEGIN], *ids[_PAD]]
    places = []
    for symbol in making.text:
        places.append(len(numbers))
        if symbol in ids:
            numbers += [*ids[symbol], *ids[_PAD]]
    places.append(len(numbers))
    words = [IdWord(text, places[first], places[end]) for text, first, end in making.words]
    return Sentence([*numbers, *ids[_END]], words)
