"""Measures, percentages and fractions: a number and what it counts."""

from __future__ import annotations

import re
import unicodedata

from workers.text import numerals
from workers.text.rules import AMOUNT, DIGITS, NUMBER, Rule, after, alternatives, amount, is_adjective, is_one
from workers.text.unit_names import CUPS, STRICT, UNITS

# The last are not followed by a letter, nor by a number that makes a range or a name of them.
_UNIT = rf"(?P<gap>[\s-]?)(?P<unit>{alternatives(UNITS)})(?![\w/²³°])"
_MEASURE = re.compile(AMOUNT + _UNIT)
# "6.02 × 10²³ kg": the number itself is read as mathematics.
_AFTER_POWER = re.compile(rf"(?<=[⁰¹²³⁴⁵⁶⁷⁸⁹]){_UNIT}")
_BARE = re.compile(rf"(?<![\w/])(?:{alternatives(unit for unit in UNITS if '/' in unit)})(?![\w/²³^])")
# "grams per cm³": a unit without a number.
_PER = re.compile(rf"(?<=\bper )(?P<unit>{alternatives(unit for unit in UNITS if unit not in STRICT)})(?![\w/²³])")
_PERCENT = re.compile(AMOUNT + r"\s?(?P<unit>%|‰)")
_DEGREES = re.compile(
    AMOUNT + r"\s?[°º]\s?(?:(?P<scale_name>[CFK])(?![\w'’])|(?P<side>[NSEW])(?![\w'’])|"
    r"(?P<minutes>[0-9]{1,2})[′'’]\s?(?:(?P<seconds>[0-9]{1,2})[″\"”]\s?)?(?P<end>[NSEW])?(?!\w))?"
)
_FEET = re.compile(r"(?<![\w.,])(?P<feet>[0-9]{1,2})\s?['′’]\s?(?P<inches>[0-9]{1,2})(?:\s?[\"″”]|'')")
_INCHES = re.compile(rf"(?<![\w.,\"“])(?P<amount>{NUMBER})″")
_SCALES = {"C": " Celsius", "F": " Fahrenheit", "K": " Kelvin"}
_SIDES = {"N": " north", "S": " south", "E": " east", "W": " west"}
_VULGAR = "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅐⅛⅜⅝⅞⅑⅒"
_OF = rf"(?:\s(?P<unit>{alternatives([*UNITS, *CUPS])})(?![\w/²³]))?"
_FRACTION = re.compile(
    r"(?<![\w./,:])(?:(?P<whole>[0-9]{1,4})\s)?(?P<above>[0-9]{1,4})[/⁄](?P<below>[0-9]{1,4})(?![\w/%]|[.,][0-9])" + _OF
)
_ONE_SIGN = re.compile(rf"(?<![\w.,/])(?P<whole>[0-9]{{0,4}})\s?(?P<sign>[{_VULGAR}])" + _OF)
# Letters that are units only where a number, and then no noun, stands beside them: "2 A flows", not "2 A students".
_STRICT_AFTER = re.compile(
    r"[\s]*(?:[.,;:!?)\]×=+<>]|$|\s(?:of|at|and|or|in|to|is|are|was|for|through|flow|flows|when|then|than|from|per)\b)"
)


def _measure(match: re.Match[str]) -> str | None:
    unit = match["unit"]
    if unit in STRICT and not (match["gap"] == " " and _STRICT_AFTER.match(after(match))):
        return None
    if unit == "in." and match["gap"] == "":
        return None
    one, many = UNITS[unit]
    singular = is_one(match) or match["gap"] == "-" or is_adjective(match)
    return f"{amount(match)} {one if singular else many}"


def _after_power(match: re.Match[str]) -> str | None:
    unit = match["unit"]
    if match["gap"] != " " or (unit in STRICT and not _STRICT_AFTER.match(after(match))):
        return None
    return f" {UNITS[unit][1]}"


def _percent(match: re.Match[str]) -> str:
    return f"{amount(match)} {'percent' if match['unit'] == '%' else 'per mille'}"


def _degrees(match: re.Match[str]) -> str:
    words = f"{amount(match)} degree{'' if is_one(match) or is_adjective(match) else 's'}"
    if match["minutes"]:
        words += f" {numerals.number(match['minutes'])} minutes"
        words += f" {numerals.number(match['seconds'])} seconds" if match["seconds"] else ""
    return words + _SCALES.get(match["scale_name"], "") + _SIDES.get(match["side"] or match["end"], "")


def _feet(match: re.Match[str]) -> str:
    return f"{numerals.number(match['feet'])} foot {numerals.number(match['inches'])}"


def _fraction(match: re.Match[str]) -> str | None:
    above, below = int(match["above"]), int(match["below"])
    if not above or not below:
        return None
    if (match["whole"] and above >= below) or 1500 <= above < 2100:
        return None
    if (above, below) == (50, 50):
        return "fifty fifty"
    if not match["whole"] and above <= 12 and 20 < below <= 31:
        # A day without its year, or anything else but a part of a whole.
        return f"{numerals.cardinal(above)} {numerals.cardinal(below)}"
    if not match["whole"] and (above > below > 10 or (below > 20 and below not in (32, 64, 100, 1000))):
        # A pressure, a lesson, a score: no part of a whole.
        return f"{numerals.number(match['above'])} over {numerals.number(match['below'])}"
    return _parts(match["whole"], above, below, match["unit"])


def _one_sign(match: re.Match[str]) -> str:
    above, _, below = unicodedata.normalize("NFKC", match["sign"]).partition("⁄")
    return _parts(match["whole"], int(above), int(below), match["unit"])


def _parts(whole: str | None, above: int, below: int, unit: str | None) -> str:
    one, many = (UNITS.get(unit) or CUPS[unit]) if unit else ("", "")
    words = numerals.fraction(above, below)
    if whole and int(whole):
        part = re.sub(r"^one ", "a ", words) if above == 1 else words
        return f"{numerals.number(whole)} and {part} {many}".strip()
    if not unit:
        return words
    article = "an" if (one[0] in "aeiou" and not one.startswith("eu")) or one == "hour" else "a"
    if (above, below) == (1, 2):
        return f"half {article} {one}"
    return f"a quarter {one}" if (above, below) == (1, 4) else f"{words} of {article} {one}"


RULES = (
    Rule("unit", _FEET, _feet, "'′’", DIGITS),
    Rule("unit", _INCHES, lambda match: f"{numerals.number(match['amount'])} inches", "″", DIGITS),
    Rule("percent", _PERCENT, _percent, "%‰", DIGITS),
    Rule("unit", _DEGREES, _degrees, "°º", DIGITS),
    Rule("fraction", _FRACTION, _fraction, "/⁄", DIGITS),
    Rule("fraction", _ONE_SIGN, _one_sign, _VULGAR),
    Rule("unit", _PER, lambda match: UNITS[match["unit"]][0], "p"),
    Rule("unit", _AFTER_POWER, _after_power, "⁰¹²³⁴⁵⁶⁷⁸⁹"),
    Rule("unit", _MEASURE, _measure, DIGITS),
    Rule("unit", _BARE, lambda match: UNITS[match[0]][1], "/"),
)
