"""Times of the day, and telephone numbers, whose digits are said one by one."""

from __future__ import annotations

import re

from workers.text import numerals
from workers.text.rules import DIGITS, Rule, before

_HALF = r"(?:\s?(?P<half{0}>[AaPp])(?:\.\s?[Mm]\.?|[Mm])(?!\w))?"
_CLOCK = r"(?P<hour{0}>2[0-4]|[01]?[0-9])(?::(?P<minute{0}>[0-5][0-9]))?" + _HALF
_TIME = re.compile(
    r"(?<![\w:.,/$£€-])(?P<hour>2[0-4]|[01]?[0-9])(?::(?P<minute>[0-5][0-9])(?::(?P<second>[0-5][0-9]))?)?"
    + _HALF.format("")
    + r"(?![0-9:%/])"
)
_TIMES = re.compile(r"(?<![\w:.,/$£€-])" + _CLOCK.format(1) + r"\s?[-–—]\s?" + _CLOCK.format(2) + r"(?![0-9:%/])")
_RATIO_NEAR = re.compile(r"\b(?:ratio|scale|odds|proportion|mixture|diluted?|aspect)\b", re.IGNORECASE)
_PHONE_NEAR = re.compile(
    r"\b(?:call|phone|number|dial|ring|text|tel|telephone|fax|mobile|cell|hotline)\b", re.IGNORECASE
)
_RATIO = re.compile(r"(?<![\w:.,])(?P<one>[0-9]{1,5})\s?:\s?(?P<other>[0-9]{1,7})(?![\w:])")
_ABROAD = re.compile(r"(?<![\w+])\+(?P<rest>[0-9]{1,3}(?:[ .-]?\(?[0-9]{1,5}\)?){2,6})(?![\w-])")
_AMERICAN = re.compile(r"(?<![\w.-])(?:1[-. ])?(?:\([0-9]{3}\)\s?|[0-9]{3}[-.])[0-9]{3}[-.][0-9]{4}(?![\w-])")
_LOCAL = re.compile(r"(?<![\w.-])[0-9]{3}-[0-9]{4}(?![\w-])")
_LONG = re.compile(r"(?<![\w.,-])[0-9]{1,7}(?:-[0-9]{1,7}){2,6}(?![\w-])")
_EMERGENCY = re.compile(r"(?<![\w.,-])(?:911|999|112)(?![\w%]|[.,:][0-9])")
_GROUP = re.compile(r"[0-9]+")


def clock(hour: str, minute: str | None, half: str | None) -> str:
    """A time as it is said: "three forty-five P M", "nine o'clock", "twenty-two hundred", "eight oh five"."""
    words = numerals.cardinal(int(hour))
    if minute and minute != "00":
        words += f" {'oh ' if minute[0] == '0' else ''}{numerals.cardinal(int(minute))}"
    elif minute and not half:
        words += " o'clock" if 1 <= int(hour) <= 12 else " hundred"
    return f"{words} {half.upper()}.M" if half else words


def _time(match: re.Match[str]) -> str | None:
    if not match["minute"] and not match["half"]:
        return None
    if match["half"] and int(match["hour"]) > 12 and not match["minute"]:
        return None
    if not match["half"] and _RATIO_NEAR.search(before(match)):
        return None
    words = clock(match["hour"], match["minute"], None if match["second"] else match["half"])
    if match["second"]:
        seconds = int(match["second"])
        words += f" and {numerals.cardinal(seconds)} second{'' if seconds == 1 else 's'}"
        words += f" {match['half'].upper()}.M" if match["half"] else ""
    return words


def _times(match: re.Match[str]) -> str | None:
    if not (match["minute1"] or match["half1"]) and not (match["minute2"] or match["half2"]):
        return None
    first = clock(match["hour1"], match["minute1"], match["half1"])
    return f"{first} to {clock(match['hour2'], match['minute2'], match['half2'])}"


def _ratio(match: re.Match[str]) -> str:
    return f"{numerals.number(match['one'])} to {numerals.number(match['other'])}"


def _phone(match: re.Match[str]) -> str:
    words = ", ".join(numerals.digits(group) for group in _GROUP.findall(match[0]))
    return f"plus {words}" if match[0][0] == "+" else words


def _local(match: re.Match[str]) -> str | None:
    return _phone(match) if match[0].startswith("555") or _PHONE_NEAR.search(before(match)) else None


def _emergency(match: re.Match[str]) -> str | None:
    return (
        numerals.digits(match[0])
        if re.search(r"\b(?:[Cc]all(?:ed|s|ing)?|[Dd]ial(?:ed|s|ing)?|[Rr]ing|[Pp]hone)\s$", before(match))
        else None
    )


PHONES = (
    Rule("phone", _ABROAD, _phone, "+", DIGITS),
    Rule("phone", _AMERICAN, _phone, "-.", DIGITS),
    Rule("phone", _LONG, _phone, "-", DIGITS),
    Rule("phone", _LOCAL, _local, "-", DIGITS),
    Rule("phone", _EMERGENCY, _emergency, "19"),
)
RULES = (
    Rule("time", _TIMES, _times, "-–—", DIGITS),
    Rule("time", _TIME, _time, ":AaPp", DIGITS),
    Rule("math", _RATIO, _ratio, ":", DIGITS),
)
