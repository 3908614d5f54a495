"""Text to sentences, and sentences to pieces short enough for an engine."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from workers.text.held import HELD

# An engine's memory grows with the length of a piece, and its attention wanders beyond this.
PIECE_CHARACTERS = 300
SENTENCE_PAUSE_SECONDS = 0.25
PARAGRAPH_PAUSE_SECONDS = 0.6

# A full stop after one of these ends no sentence (unless the text ends).
ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof st mt ft rev hon sr jr capt col gen lt sgt cpl maj adm cmdr rte gov pres rep sen messrs "
    "mme mlle fr vs etc al cf eg ie ca viz approx avg min max incl dept univ est fig figs eq eqs no nos vol vols "
    "pp ed eds ch sec ex op art ext inc ltd co corp bros ave rd blvd hwy tsp tbsp oz lb lbs ft hr hrs jan feb mar apr "
    "jun jul aug sep sept oct nov dec mon tue tues wed thu thurs fri".split()
)
# After these a number may follow, and only then the full stop is theirs.
_COUNTED = frozenset("no nos art fig figs ch sec vol vols p pp ed est eq eqs ex op c ca l ll n ext rs".split())
_COMPANIES = frozenset("inc ltd co corp bros".split())
# Units, streets and months, which end sentences as well as they stand inside.
_OPEN = frozenset("st ave rd blvd hwy jr sr tsp tbsp oz lb lbs ft hr hrs min max".split()) | frozenset(
    "jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thurs fri".split()
)
# What begins a sentence far more often than it follows an abbreviation or an initial as a name.
_STARTERS = frozenset(
    "It He She They We You This That These Those The There Then Here His Her Its Their Our My Your But And So Or Yet "
    "If When While Although Because Since After Before However In On At For From As By To With What Why How Who Where "
    "Is Are Was Were Do Does Did Not No Some Many Most Each Every Now Later Today".split()
)
# What follows "9 a.m." inside a sentence.
_CLOCK = frozenset(
    "Monday Tuesday Wednesday Thursday Friday Saturday Sunday Mon Tue Wed Thu Fri Sat Sun January February March April "
    "May June July August September October November December EST EDT CST CDT MST MDT PST PDT ET CT MT PT GMT UTC BST "
    "CET Eastern Central Mountain Pacific Greenwich".split()
)
# A letter after one of these is a name of its own, not an initial.
_LETTERED = re.compile(
    r"\b(?:[Pp]lan|[Vv]itamin|[Gg]roup|[Cc]lass|[Tt]ype|[Oo]ption|[Ss]ection|[Pp]art|[Tt]able|[Ff]igure|[Aa]ppendix|"
    r"[Gg]rade|[Gg]ym|[Rr]oom|[Hh]all|[Bb]uilding|[Bb]lock|[Gg]ate|[Pp]oint|[Tt]eam|[Ll]ine|[Ee]xhibit|[Hh]epatitis)\s\w$"
)
_PARAGRAPH = re.compile(r"\n\s*\n+")
# An ending, closing quotes or brackets, numbers of notes, then space, or no ending. It takes all the marks there are: a
# thousand dots are tried once.
_ENDING = re.compile(r"([.!?…]+)([\"'”’)\]]*)(?:\[[0-9]{1,3}\]){0,9}(\s*)")
_LAST_WORD = re.compile(r"([^\s(\[\"'“‘]+)$")
_NEXT_WORD = re.compile(r"[\"'“‘(\[]*([^\W_]+)")
_ROMAN = re.compile(r"[IVXLCDM]+")
# An ending is judged by what stands so near it: more than any abbreviation, and a long text stays cheap.
_AROUND = 40
_CLAUSE_END = re.compile(r"(?<=[,;:—–])\s+")
_HELD = re.compile(f"[{HELD}]")


@dataclass(frozen=True)
class Piece:
    """What is said in one go, and how long to rest after it."""

    text: str
    pause_seconds: float


def pieces(text: str) -> list[Piece]:
    """The plain text in order, each piece at most ``PIECE_CHARACTERS`` long; none for text without a word."""
    found: list[Piece] = []
    for paragraph in _PARAGRAPH.split(text.strip()):
        for sentence in sentences(" ".join(paragraph.split())):
            parts = cut(sentence)
            found += [Piece(part, 0.0) for part in parts[:-1]]
            found += [Piece(parts[-1], SENTENCE_PAUSE_SECONDS)] if parts else []
        if found:
            found[-1] = Piece(found[-1].text, PARAGRAPH_PAUSE_SECONDS)
    if found:
        # What follows the last word is for whoever plays the next clip to decide.
        found[-1] = Piece(found[-1].text, 0.0)
    return found


def has_word(text: str) -> bool:
    """Whether there is anything to say: a letter, a digit, or something held (``workers.text.held``)."""
    return any(map(str.isalnum, text)) or _HELD.search(text) is not None


def sentences(paragraph: str) -> list[str]:
    """The sentences of one paragraph, in order; together they are the paragraph."""
    found: list[str] = []
    start = 0
    for ending in _ENDING.finditer(paragraph):
        if not ending[3]:
            continue
        before = paragraph[max(start, ending.start() - _AROUND) : ending.start()]
        after = paragraph[ending.end() : ending.end() + _AROUND]
        if _ends_sentence(before, ending[1], bool(ending[2]), after):
            found.append(paragraph[start : ending.end()].strip())
            start = ending.end()
    found.append(paragraph[start:].strip())
    return [sentence for sentence in found if has_word(sentence)]


def _ends_sentence(before: str, marks: str, quoted: bool, after: str) -> bool:
    following = after.lstrip("\"'“‘([")[:1]
    if following.islower():
        # "What?" he said. And: Washington, D.C. was …
        return False
    if marks != "." or quoted:
        return True
    last = _LAST_WORD.search(before)
    word = last[1] if last else ""
    found = _NEXT_WORD.match(after)
    coming = found[1] if found else ""
    if len(word) == 1 and word.isupper() and word != "I":
        # Plan B. It works. But: J. R. R. Tolkien.
        return coming in _STARTERS or (following.isupper() and _LETTERED.search(before) is not None)
    letters = word.replace(".", "")
    if "." in word and letters.isalpha() and len(letters) <= 3:
        # U.S., e.g., p.m.: an ending only where a sentence plainly begins. (3.14 is none of them.)
        if word.lower() in {"p.m", "a.m"}:
            return following.isupper() and coming not in _CLOCK
        return coming in _STARTERS and word.lower() not in {"e.g", "i.e"}
    return _ends_after(word.lower(), following, coming)


def _ends_after(word: str, following: str, coming: str) -> bool:
    """Whether the full stop after this word ends a sentence."""
    if word in _COMPANIES:
        return following.isupper() and coming.lower() not in _COMPANIES
    if word in _OPEN:
        return coming in _STARTERS
    if word in _COUNTED:
        return not following.isdigit() and not _ROMAN.fullmatch(coming)
    return word not in ABBREVIATIONS or (word == "etc" and following.isupper())


def cut(sentence: str, size: Callable[[str], int] = len) -> list[str]:
    """A sentence in parts of at most ``PIECE_CHARACTERS``: at clause ends, else at words, else anywhere.

    ``size`` is how long a part is where its characters stand for more.
    """
    if size(sentence) <= PIECE_CHARACTERS:
        return [sentence]
    clauses = _CLAUSE_END.split(sentence)
    return _filled((part for clause in clauses for part in _short(clause, size)), size)


def _short(clause: str, size: Callable[[str], int]) -> list[str]:
    if size(clause) <= PIECE_CHARACTERS:
        return [clause]
    return _filled((part for word in clause.split(" ") for part in _chopped(word, size)), size)


def _chopped(word: str, size: Callable[[str], int]) -> list[str]:
    if size(word) <= PIECE_CHARACTERS:
        return [word]
    if size is len:
        return [word[at : at + PIECE_CHARACTERS] for at in range(0, len(word), PIECE_CHARACTERS)]
    # Character by character, because one of them may stand for a whole phrase.
    parts = [""]
    room = PIECE_CHARACTERS
    for character in word:
        # Two more for the space that may part it from its neighbour and for a dash that becomes a comma.
        room -= size(character) + 2 if _HELD.match(character) or not character.isalnum() else 1
        if room < 0 and parts[-1]:
            parts.append("")
            room = PIECE_CHARACTERS - size(character) - 2
        parts[-1] += character
    return parts


def _filled(parts: Iterable[str], size: Callable[[str], int]) -> list[str]:
    """The parts joined by spaces, as many together as fit."""
    found: list[str] = []
    length = 0
    for part in parts:
        more = size(part)
        if found and length + 1 + more <= PIECE_CHARACTERS:
            found[-1] = f"{found[-1]} {part}"
            length += 1 + more
        else:
            found.append(part)
            length = more
    return found
