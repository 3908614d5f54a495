"""Years, decades, centuries and eras."""

from __future__ import annotations

import re

from workers.text import numerals
from workers.text.rules import DIGITS, Rule, after, before, letters

_ERA = r"BCE|CE|BC|AD|B\.C\.E\.|B\.C\.|A\.D\.|C\.E\."
_NO_YEAR_BEFORE = r"(?<![\w.,/$£€#°+=×*^-])(?<!\w[–−])"
_ERA_AFTER = re.compile(
    rf"(?<![\w.,/–-])(?P<one>[0-9]{{1,4}})(?:\s?[-–—]\s?(?P<other>[0-9]{{1,4}}))?\s?(?P<era>{_ERA})(?!\w)"
)
_ERA_BEFORE = re.compile(r"\b(?P<era>AD|A\.D\.)\s(?P<one>[0-9]{1,4})(?:\s?[-–—]\s?(?P<other>[0-9]{1,4}))?(?![\w,]\w)")
_DECADE = re.compile(r"(?<![\w.,$£€])(?P<high>1[0-9]|20)(?P<low>[0-9]0)['’]?s(?!\w)")
_SHORT_DECADE = re.compile(r"(?<![\w.,$£€-])(?:['’‘](?P<low>[2-9]0)s|(?P<bare>[2-9]0)s)(?!\w)")
_SHORT_YEAR = re.compile(r"(?<=\s)['’‘](?P<low>[0-9]{2})(?![\w'’])")
_YEARS = re.compile(
    _NO_YEAR_BEFORE
    + r"(?P<one>1[0-9]{3}|20[0-9]{2})(?:\s?[-–—]\s?|/)(?P<other>1[0-9]{3}|20[0-9]{2}|[0-9]{2})(?![\w%°]|[.,:/-][0-9])"
)
_YEAR = re.compile(_NO_YEAR_BEFORE + r"(?P<one>1[0-9]{3}|20[0-9]{2})(?![\w%°$€£]|[.,:/–-][0-9]|\s[=+×*÷^])")
# A count of things is no year: they are in the plural. What these end in "s", and are none.
_COUNTED = re.compile(r"\s(?:[a-z]{3,}s|people|men|women|children|sheep|fish|species|mice|feet|teeth)\b")
_NO_PLURALS = re.compile(
    r"\s(?:was|has|his|its|this|is|as|us|perhaps|always|across|towards|versus|thus|yes|plus|less|unless)\b"
)
_EQUATED = re.compile(r"(?:[=+×*÷<>≤≥≈]|\b(?:equals|times|plus|minus|number|room|page|Room|Page))\s?$")


def _era(match: re.Match[str]) -> str:
    return letters(match["era"].replace(".", ""))


def _year(match: re.Match[str]) -> str | None:
    value = int(match["one"])
    things = after(match)
    counted = bool(_COUNTED.match(things)) and not _NO_PLURALS.match(things)
    if _EQUATED.search(before(match)) or (counted and value % 100):
        return None
    return numerals.year(value)


def _years(match: re.Match[str]) -> str:
    other = match["other"]
    if len(other) == 2:
        last = f"oh {numerals.digits(other[1])}" if other[0] == "0" else numerals.number(other)
    else:
        last = numerals.year(int(other))
    return f"{numerals.year(int(match['one']))} to {last}"


def _span(match: re.Match[str]) -> str:
    words = numerals.year(int(match["one"]))
    return f"{words} to {numerals.year(int(match['other']))}" if match["other"] else words


def _decade(match: re.Match[str]) -> str:
    return numerals.plural(numerals.year(int(match["high"] + match["low"])))


def _short_decade(match: re.Match[str]) -> str:
    return numerals.plural(numerals.cardinal(int(match["low"] or match["bare"])))


RULES = (
    Rule("year", _ERA_AFTER, lambda match: f"{_span(match)} {_era(match)}", DIGITS, "BACE"),
    Rule("year", _ERA_BEFORE, lambda match: f"{_era(match)} {_span(match)}", DIGITS, "A"),
    Rule("year", _DECADE, _decade, "s", DIGITS),
    Rule("year", _SHORT_DECADE, _short_decade, "s", DIGITS),
    Rule(
        "year",
        _SHORT_YEAR,
        lambda match: f"{'oh ' if match['low'][0] == '0' else ''}{numerals.number(match['low'].lstrip('0') or '0')}",
        "'’‘",
        DIGITS,
    ),
    Rule("year", _YEARS, _years, "-–—/", DIGITS),
    Rule("year", _YEAR, _year),
)
