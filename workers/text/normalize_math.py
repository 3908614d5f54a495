"""The signs of mathematics between letters and numbers, powers and Greek letters."""

from __future__ import annotations

import re
import unicodedata

from workers.text import numerals
from workers.text.held import HELD
from workers.text.rules import Rule, after, before

_RELATIONS = {
    "≤": "less than or equal to", "≥": "greater than or equal to", "<": "less than", ">": "greater than",
    "≠": "not equal to", "≈": "approximately", "≡": "identical to", "∝": "proportional to", "∈": "in",
    "≪": "much less than", "≫": "much greater than", "⊂": "a subset of",
}  # fmt: skip
_OPERATORS = {
    "=": "equals", "+": "plus", "−": "minus", "×": "times", "÷": "divided by", "±": "plus or minus", "·": "times",
    "√": "the square root of", "∞": "infinity", "∑": "the sum of", "∫": "the integral of", "∂": "partial",
    "→": "to", "⇒": "implies", "⇔": "if and only if", "↔": "to and from", "←": "from", "∪": "union",
    "∩": "intersection", "∀": "for all", "∃": "there exists", "∴": "therefore", "∅": "the empty set", "∠": "angle",
}  # fmt: skip
_GREEK = dict(
    zip(
        "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ",
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi "
        "omega gamma delta theta lambda xi pi sigma phi psi omega".split(),
        strict=True,
    )
)
# A number, a closing bracket, a letter that stands for a number, or something already read.
_LEFT = rf"(?:(?<=[0-9)\]{HELD}²³])|(?<=\b[A-Za-z]))"
_RIGHT = rf"(?=[0-9(.{HELD}−-]|[A-Za-z]\b|√)"
_SUPERSCRIPT = re.compile(rf"(?<=[\w)\]{HELD}])[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹ⁿ]{{1,6}}")
_CARET = re.compile(r"\^(?:\((?P<in>[\w+−-]{1,12})\)|(?P<power>[-−]?\w{1,6}))")
_BINARY = re.compile(rf"{_LEFT}\s?[*×]\s?{_RIGHT}|(?<=[0-9{HELD}])\s?x\s?(?=[0-9{HELD}])")
# Between two measures, and before one that covers both, it is "by": "5 m × 3 m", "a 9 x 13-inch pan".
_BY = re.compile(
    r"[0-9.]{1,9}[-\s]?(?:inch|foot|feet|meter|metre|pixel|grid|matrix|board|table|photo|sheet|array|square)"
)
_QUOTIENT = re.compile(r"(?<![\w/])(?P<above>[0-9]{1,4}|[A-Za-z])/(?P<below>[A-Za-z]|[0-9]{1,4})(?![\w/])")
_NO_QUOTIENT = frozenset(("I/O", "A/C", "A/B", "C/O", "c/o", "O/S", "P/E", "w/o", "s/he"))
_PRODUCT = re.compile(r"(?<![^\W\d_])[a-z]{2}(?=[²³]|\^[23])")
_MINUS = re.compile(rf"{_LEFT}\s-\s{_RIGHT}")
_OVER = re.compile(rf"{_LEFT}\s/\s{_RIGHT}")
_RELATION = re.compile(rf"[{''.join(_RELATIONS)}]")
_SIGN = re.compile(rf"(?P<article>\b[Tt]he\s)?(?P<sign>[{re.escape(''.join(_OPERATORS))}])")
_LETTER = re.compile(rf"(?<![^\W0-9_])[{''.join(_GREEK)}](?![^\W0-9_])")
_WORD_BEFORE = re.compile(r"([^\W\d_]+|\S)\s*$")
# After these "is" has been said, or does not belong.
_NO_IS = frozenset("is are was were be of to at by in if or and with for from only about than".split())
_FOOTNOTE = re.compile(r"(?<!\bsin)(?<!\bcos)(?<!\btan)(?<!\blog)(?<=[a-zà-ÿ]{3})$")


def _power(text: str) -> str:
    sign = "minus " if text[0] in "-−⁻" else ""
    power = text.lstrip("-−⁻+⁺")
    if not power.isdecimal():
        return f" to the {sign}{power}"
    if not sign and power in ("2", "3"):
        return " squared" if power == "2" else " cubed"
    return f" to the {sign}{numerals.ordinal(int(power))}"


def _superscript(match: re.Match[str]) -> str:
    # After a word it is the number of a note.
    if _FOOTNOTE.search(before(match)):
        return ""
    return _power(unicodedata.normalize("NFKC", match[0]))


def _caret(match: re.Match[str]) -> str:
    power = match["in"] or match["power"]
    return "" if power in ("st", "nd", "rd", "th") else _power(power) if power.strip("-−+") else " to the "


def _binary(match: re.Match[str]) -> str:
    sides = before(match, 1) + after(match, 1)
    both = len(sides) == 2 and all(side >= "\U000f0000" for side in sides)
    # "4x4", "1920x1080": a size.
    return " by " if both or match[0] == "x" or _BY.match(after(match)) else " times "


def _quotient(match: re.Match[str]) -> str | None:
    above, below = match["above"], match["below"]
    if match[0] in _NO_QUOTIENT or (above.isdecimal() and below.isdecimal()):
        return None
    return " over ".join(numerals.number(part) if part.isdecimal() else part for part in (above, below))


def _relation(match: re.Match[str]) -> str:
    words = _RELATIONS[match[0]]
    last = _WORD_BEFORE.search(before(match))
    if last is None or (last[1].isalpha() and last[1].lower() in _NO_IS) or last[1] in ",;:([—":
        return f" {words} "
    return f" is {words} "


def _sign(match: re.Match[str]) -> str:
    words = _OPERATORS[match["sign"]]
    article = match["article"] or ""
    return f"{article}{words.removeprefix('the ') if article else words} "


RULES = (
    Rule("math", _PRODUCT, lambda match: " ".join(match[0]), "²³^"),
    Rule("math", _QUOTIENT, _quotient, "/"),
    Rule("math", _SUPERSCRIPT, _superscript, "⁰¹²³⁴⁵⁶⁷⁸⁹ⁿ"),
    Rule("math", _CARET, _caret, "^"),
    Rule("math", _BINARY, _binary, "*x×"),
    Rule("math", _MINUS, lambda _: " minus ", "-"),
    Rule("math", _OVER, lambda _: " divided by ", "/"),
    Rule("math", _RELATION, _relation, "".join(_RELATIONS)),
    Rule("math", _SIGN, lambda match: f" {_sign(match)}", "".join(_OPERATORS)),
    Rule("math", _LETTER, lambda match: _GREEK[match[0]], "".join(_GREEK)),
)
