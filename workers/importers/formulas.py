"""Formulas in words: what an ear can follow, and nothing for the rest."""

from __future__ import annotations

import re

from workers.importers.formula_words import COMMANDS, FUNCTIONS, GREEK, Words, words_of

# Longer ones are lost on a listener; so are braces in braces in braces.
_MOST_WORDS = 60
_DEEPEST = 12
_LONGEST_SOURCE = 600

_LITERAL = r"\\(?:text|mathrm|textrm|operatorname\*?|mbox|textbf|textit|mathit|rm)\s*\{(?P<literal>[^{}]*)\}"
_TOKEN = re.compile(
    rf"{_LITERAL}|\\(?P<command>[A-Za-z]+)\s*|\\(?P<escaped>.)|(?P<number>\d+(?:[.,]\d+)*)|(?P<sign>\S)"
)  # fmt: skip
_NOTHING = re.compile(
    r"\\(?:displaystyle|textstyle|scriptstyle|limits|nolimits|left|right|bigg?[lrm]?|Bigg?[lrm]?|quad|qquad|nonumber|"
    r"mathstrut|strut)(?![A-Za-z])|\\[,;:! ]|~|\\(?:label|tag)\*?\s*\{[^{}]*\}|(?<=\\left)\.|(?<=\\right)\."
)
_ENVELOPE = re.compile(r"^\s*(?:\\\[|\\\(|\$\$?)(.*?)(?:\\\]|\\\)|\$\$?)\s*$", re.DOTALL)
_WRAPPERS = frozenset("mathbf mathit mathsf mathcal mathbb boldsymbol bm mathfrak boxed".split())
_ACCENTS = {"hat": "hat", "widehat": "hat", "bar": "bar", "overline": "bar", "vec": "vec", "dot": "dot"}
_ACCENTS |= {"overrightarrow": "vec", "ddot": "ddot", "tilde": "tilde"}
_CALLED = frozenset("fghFGHPEVTL")
_LARGE = frozenset("∑∏∫")
_FRACTIONS = frozenset((r"\frac", r"\dfrac", r"\tfrac"))
_OPENING = frozenset("({[")
_FACTORS = frozenset(("frac", "dfrac", "tfrac", "sqrt")) | FUNCTIONS | _WRAPPERS | frozenset(_ACCENTS)


class _TooHardError(Exception):
    """Nobody could follow it by ear, or it says something not known here."""


def spoken(source: str, language: str | None = None) -> str | None:
    """A formula in LaTeX in the words of a language; None where it is too much for an ear, or not understood."""
    enveloped = _ENVELOPE.match(source)
    source = enveloped[1] if enveloped else source
    if len(source) > _LONGEST_SOURCE:
        return None
    reader = _Reader(_NOTHING.sub(" ", source), words_of(language))
    try:
        said = reader.row(None)
    except _TooHardError:
        return None
    said = re.sub(r"\s+([,.;:)])", r"\1", re.sub(r"\(\s+", "(", " ".join(said.split())))
    return said if said and len(said.split()) <= _MOST_WORDS else None


class _Reader:
    """Reads LaTeX from left to right."""

    def __init__(self, source: str, words: Words) -> None:
        self.tokens = list(_TOKEN.finditer(source))
        self.at = 0
        self.depth = 0
        self.words = words

    def peek(self) -> str:
        return self.tokens[self.at][0].strip() if self.at < len(self.tokens) else ""

    def row(self, end: str | None) -> str:
        """What stands here up to ``end`` (which is passed over) or, if None, up to the last token."""
        self.depth += 1
        if self.depth > _DEEPEST:
            raise _TooHardError
        said: list[str] = []
        while self.at < len(self.tokens):
            if end is not None and self.peek() == end:
                self.at += 1
                self.depth -= 1
                return self._joined(said)
            fraction = self.peek() in _FRACTIONS
            said.append(self.scripted())
            if fraction and self.words.signs and said[-1] not in self.words.parts.values() and self._goes_on():
                # "1 over 2 g" would be 1 over all of it.
                said[-1] += ","
        if end is not None:
            raise _TooHardError
        self.depth -= 1
        return self._joined(said)

    def _goes_on(self) -> bool:
        """Whether a factor follows, so that one has to hear where a fraction ends."""
        token = self.tokens[self.at] if self.at < len(self.tokens) else None
        if token is None:
            return False
        name = (token["command"] or "").strip()
        sign = COMMANDS.get(name, token["sign"] or "")
        return bool(token["number"] or token["literal"]) or sign.isalnum() or sign in _OPENING or name in _FACTORS

    def _joined(self, said: list[str]) -> str:
        # One bar is a condition; two are a size, more nobody knows.
        bar = self.words.signs.get("|", "|")
        if sum(part == bar for part in said) > 1:
            raise _TooHardError
        return " ".join(part for part in said if part)

    def scripted(self) -> str:
        """One thing with what stands above and below it."""
        token = self.peek()
        base = self.one()
        index = power = ""
        primes = 0
        while self.peek() in ("_", "^", "'", "′"):
            mark = self.peek()
            self.at += 1
            if mark == "_" and not index:
                index = self.one()
            elif mark == "^" and not power:
                power = self.one()
            elif mark in "'′":
                primes += 1
            else:
                raise _TooHardError
        words = self.words
        large = COMMANDS.get(token.lstrip("\\"), token)
        if large in _LARGE or (token == r"\lim" and index):
            return self._ranged(base, index, power)
        if index:
            base = words.index.format(base, index)
        base += f" {words.signs.get(chr(39), chr(39))}" * primes
        if power:
            base = self._powered(base, power)
        if token in _CALLED and self.peek() == "(":
            self.at += 1
            return words.of.format(base, self.row(")"))
        return base

    def _ranged(self, base: str, index: str, power: str) -> str:
        words = self.words
        if index and power:
            return words.from_to.format(base, index, power)
        return words.of.format(f"{base} {index}" if index else base, "").strip() if words.signs else f"{base} {index}"

    def _powered(self, base: str, power: str) -> str:
        words = self.words
        if power in ("2", "3"):
            return (words.squared if power == "2" else words.cubed).format(base)
        if power in (words.signs.get("′", "′"), words.signs.get("°", "°"), words.signs.get("*", "*")):
            return f"{base} {power}" if words.signs else f"{base}{power}"
        return words.power.format(base, power)

    def one(self) -> str:
        """One thing: a letter, a number, a group, a command with what belongs to it."""
        if self.at >= len(self.tokens):
            raise _TooHardError
        token = self.tokens[self.at]
        self.at += 1
        if token["literal"] is not None:
            literal: str = token["literal"].strip()
            return self.words.functions.get(literal, literal)
        if token["command"]:
            return self._command(token["command"])
        if token["escaped"]:
            if token["escaped"] in "{}%$#_&":
                return self._sign(token["escaped"])
            raise _TooHardError
        if token["number"]:
            number: str = token["number"]
            return number
        if token["sign"] == "{":
            return self.row("}")
        return self._sign(token["sign"])

    def _sign(self, sign: str) -> str:
        if sign in "}^_&#\\":
            raise _TooHardError
        if sign in GREEK:
            return GREEK[sign] if self.words.greek else sign
        said = self.words.large.get(sign) or self.words.signs.get(sign)
        if said is None and not (sign.isalnum() or sign in "()[]{},.;:$%" or not self.words.signs):
            raise _TooHardError
        return said or sign

    def _command(self, name: str) -> str:
        words = self.words
        if name in ("frac", "dfrac", "tfrac"):
            above, below = self.one(), self.one()
            named = words.parts.get(f"{above}/{below}")
            if named is not None:
                return named
            plain = max(len(above.split()), len(below.split())) == 1
            return (words.over if plain else words.fraction).format(above, below)
        if name == "sqrt":
            if self.peek() != "[":
                return words.root.format(self.one())
            self.at += 1
            return words.nth_root.format(self.row("]"), self.one())
        if name in _ACCENTS:
            return words.accents[_ACCENTS[name]].format(self.one())
        if name in _WRAPPERS:
            return self.one()
        if name in FUNCTIONS:
            return words.large.get(name) or words.functions.get(name, name)
        if name in COMMANDS:
            return self._sign(COMMANDS[name])
        raise _TooHardError
