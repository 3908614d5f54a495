"""What a rule of the normaliser is, how one is applied, and the patterns that several of them share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from workers.text import numerals
from workers.text.held import Held

Say = Callable[[re.Match[str]], str | None]

DIGITS = "0123456789"
# A number as it is written. The counts are bounded, so that no text makes a pattern look far.
NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3}){1,5}|[0-9]{1,15})(?:\.[0-9]{1,15})?(?![0-9])"
SCALE = r"hundred|thousand|million|billion|trillion"
# One number or a range of two, perhaps negative, perhaps with "million". It may not begin inside a word or number.
AMOUNT = (
    rf"(?<![\w.,/^])(?<!\w[-–−])(?P<negative>[-−](?=[0-9.]))?(?P<amount>{NUMBER}|\.[0-9]{{1,15}}(?![0-9]))"
    rf"(?:(?:\s?[–—]\s?|-)(?P<upto>{NUMBER}))?(?:\s(?P<scale>{SCALE})\b)?"
)
# After an article and before a noun a measure stands in the singular: "a five kilometer race".
_ARTICLE = re.compile(
    r"(?:\b(?:an?|the|this|that|each|every|another|any|his|her|its|their|my|our|your)|[x×])\s$", re.IGNORECASE
)
_NOUN = re.compile(r"\s([a-z]{3,})")
_NO_NOUN = frozenset(
    "and are away because before below between but can could each else ever every for from had has have her here his "
    "how into its just less may might more most must nor not off once only our out over per plus she should since "
    "than that the their them then there these they this those through thus too under until was were what when where "
    "which while who whose will with within would yet you your above across after again all along also apart around "
    "now today tomorrow yesterday during against down".split()
)
# Stands among the characters of a sentence for a dot inside a word.
INNER_DOT = "\0"
_INNER_DOT = re.compile(r"\.\w")
# Of a longer span (an address) the beginning is shown; a longer reading would fill a piece alone.
_SHOWN_CHARACTERS = 200
_SPOKEN_CHARACTERS = 280
# The letter, where engines would say the article.
LETTER_A = "[A](/ˈeɪ/)"
_TAIL = " \"'”’)]"


@dataclass(frozen=True)
class Rule:
    """One written form of a class (``workers.text.classes``) and what is said for it.

    ``say`` gives None for what only looks like the form. The rule is skipped where none of the characters it ``needs``
    occurs, or none of those it needs ``too`` ("" is none in particular): most sentences are spared most rules.
    """

    name: str
    pattern: re.Pattern[str]
    say: Say
    needs: str = DIGITS
    too: str = ""


def apply(rules: Iterable[Rule], text: str, held: Held, reads: frozenset[str]) -> str:
    """The sentence with every form held: as it is said, or as it was written where the engine reads its class."""
    present = set(text)
    if _INNER_DOT.search(text):
        present.add(INNER_DOT)
    for rule in rules:
        if (rule.needs and present.isdisjoint(rule.needs)) or (rule.too and present.isdisjoint(rule.too)):
            continue
        text = rule.pattern.sub(_Holder(rule, held, rule.name in reads, len(text.rstrip(_TAIL))), text)
    return text


@dataclass(frozen=True)
class _Holder:
    """Holds what one rule matches in one sentence, which ends (but for quotes and brackets) at ``end``."""

    rule: Rule
    held: Held
    kept: bool
    end: int

    def __call__(self, match: re.Match[str]) -> str:
        said = self.rule.say(match)
        if said is None:
            return match[0]
        # Something inside may be held already.
        written, said = self.held.written(match[0]), self.held.spoken(said)
        spoken = numerals.sayable(said)
        if len(spoken) > _SPOKEN_CHARACTERS:
            return match[0]
        if len(written) > _SHOWN_CHARACTERS:
            return self.held.hold(f"{written[:_SHOWN_CHARACTERS]}…", spoken)
        if self.kept:
            return self.held.hold(written, written)
        # The full stop of "Main St." is also that of the sentence.
        if match.end() >= self.end and written.endswith(".") and not spoken.endswith("."):
            spoken += "."
        return self.held.hold(written, spoken)


def amount(match: re.Match[str]) -> str:
    """The words for what ``AMOUNT`` matched."""
    words = numerals.number(match["amount"])
    if match["upto"]:
        words += f" to {numerals.number(match['upto'])}"
    return ("minus " if match["negative"] else "") + words + (f" {match['scale']}" if match["scale"] else "")


def is_one(match: re.Match[str]) -> bool:
    """Whether ``AMOUNT`` matched a lone 1, after which a unit stands in the singular."""
    return match["amount"] == "1" and not match["upto"] and not match["scale"]


def letters(text: str) -> str:
    """Letters that are said one by one.

    With a full stop between them every engine says so (of "A M" the article is made), and without one after the last
    none takes it for the end of a sentence.
    """
    return LETTER_A if text in ("A", "a") else ".".join(text.upper())


def before(match: re.Match[str], characters: int = 24) -> str:
    """A little of the text before a match."""
    return match.string[max(0, match.start() - characters) : match.start()]


def after(match: re.Match[str], characters: int = 24) -> str:
    """A little of the text after a match."""
    return match.string[match.end() : match.end() + characters]


def is_adjective(match: re.Match[str]) -> bool:
    """Whether a measure stands before what it measures: "a 5 km race", not "the 5 km between them"."""
    noun = _NOUN.match(after(match))
    return bool(noun and noun[1] not in _NO_NOUN and _ARTICLE.search(before(match)))


def alternatives(words: Iterable[str]) -> str:
    """A pattern of the words, the longest first."""
    return "|".join(re.escape(word) for word in sorted(words, key=lambda word: (-len(word), word)))
