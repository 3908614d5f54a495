"""Days of the calendar: in words, in American order with slashes, in ISO order with hyphens."""

from __future__ import annotations

import re

from workers.text import numerals
from workers.text.normalize_times import clock
from workers.text.rules import DIGITS, Rule, alternatives, before

MONTHS = "January February March April May June July August September October November December".split()
_SHORT = {month[:3]: month for month in MONTHS} | {"Sept": "September"}
_MONTH = rf"(?P<month>{'|'.join(MONTHS)}|(?:{'|'.join(_SHORT)})(?![a-z])\.?)"
_DAY = r"(?:3[01]|[12][0-9]|0?[1-9])(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>[12][0-9]{3})(?![0-9]|,[0-9]{3}|\s(?:people|men|women|children|of)\b)"
_MONTH_DAY = re.compile(
    rf"\b{_MONTH}\s(?P<day>{_DAY})(?:\s?[-–—]\s?(?P<upto>{_DAY}))?(?![\w:%]|[.,/][0-9])(?:,?\s{_YEAR})?"
)
_DAY_MONTH = re.compile(
    rf"(?<![\w.,:/$£€-])(?P<day>{_DAY})(?:\s?[-–—]\s?(?P<upto>{_DAY}))?(?:\sof)?\s{_MONTH}(?!\w)(?:,?\s{_YEAR})?"
)
_MONTH_YEAR = re.compile(rf"\b{_MONTH}(?P<comma>,?)\s{_YEAR}")
_ISO = re.compile(
    r"(?<![\w-])(?P<year>[12][0-9]{3})(?P<mark>[-/])(?P<month>0[1-9]|1[0-2])(?P=mark)(?P<day>0[1-9]|[12][0-9]|3[01])"
    r"(?:(?:T|,?\s)(?P<hour>[01][0-9]|2[0-4]):(?P<minute>[0-5][0-9])(?::[0-5][0-9])?(?:\.[0-9]{1,6})?Z?)?(?![\w-])"
)
_SLASHED = re.compile(
    r"(?<![\w/.-])(?P<one>0?[1-9]|[12][0-9]|3[01])(?P<mark>[/.])(?P<other>0?[1-9]|[12][0-9]|3[01])(?P=mark)"
    r"(?P<year>[12][0-9]{3}|[0-9]{2})(?![\w/-]|[.,][0-9])"
)
_DAYS = {day[:3]: day for day in "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()}
_DAYS |= {"Tues": "Tuesday", "Thur": "Thursday", "Thurs": "Thursday"}
_NAMED = rf"(?:{alternatives([*_DAYS, *_DAYS.values(), *MONTHS, *_SHORT])})(?!\w)\.?"
_NAMES = re.compile(rf"(?<!\w)(?P<one>{_NAMED})\s?[–-]\s?(?P<other>{_NAMED})")
_NUMBER = re.compile(r"[0-9]+")
_DETERMINED = re.compile(r"\b(?:the|this|that|every|each|a|an)\s$", re.IGNORECASE)


def month_name(written: str) -> str:
    """The whole name of a month that may be abbreviated."""
    return _SHORT.get(written.rstrip("."), written)


def _day(written: str) -> str:
    found = _NUMBER.match(written)
    return numerals.ordinal(int(found[0])) if found else written


def _days(match: re.Match[str]) -> str:
    return _day(match["day"]) + (f" to {_day(match['upto'])}" if match["upto"] else "")


def _names(match: re.Match[str]) -> str:
    one, other = (_DAYS.get(name.rstrip("."), month_name(name)) for name in (match["one"], match["other"]))
    return f"{one} to {other}"


def _with_year(words: str, year: str | None) -> str:
    if not year:
        return words
    return f"{words}, {numerals.year(int(year))}" if len(year) == 4 else f"{words}, {_short_year(year)}"


def _short_year(year: str) -> str:
    return f"oh {numerals.digits(year[1])}" if year[0] == "0" else numerals.number(year)


def _month_day(match: re.Match[str]) -> str:
    return _with_year(f"{month_name(match['month'])} {_days(match)}", match["year"])


def _day_month(match: re.Match[str]) -> str:
    article = "" if _DETERMINED.search(before(match)) else "the "
    return _with_year(f"{article}{_days(match)} of {month_name(match['month'])}", match["year"])


def _month_year(match: re.Match[str]) -> str:
    return f"{month_name(match['month'])}{match['comma']} {numerals.year(int(match['year']))}"


def _iso(match: re.Match[str]) -> str:
    words = _with_year(f"{MONTHS[int(match['month']) - 1]} {_day(match['day'])}", match["year"])
    return f"{words}, {clock(match['hour'], match['minute'], '')}" if match["hour"] else words


def _slashed(match: re.Match[str]) -> str | None:
    month, day = int(match["one"]), int(match["other"])
    # With dots the day comes first (Europe); with slashes only where the first number can be no month.
    if match["mark"] == "." or month > 12:
        month, day = day, month
    if month > 12:
        return None
    return _with_year(f"{MONTHS[month - 1]} {numerals.ordinal(day)}", match["year"])


RULES = (
    Rule("date", _ISO, _iso, "-/", DIGITS),
    Rule("date", _SLASHED, _slashed, "/.", DIGITS),
    Rule("date", _MONTH_DAY, _month_day, DIGITS, "JFMASOND"),
    Rule("date", _DAY_MONTH, _day_month, DIGITS, "JFMASOND"),
    Rule("date", _MONTH_YEAR, _month_year, DIGITS, "JFMASOND"),
    Rule("date", _NAMES, _names, "–-", "MTWFSJADON"),
    Rule("date", re.compile(r"(?<![\w/.])9/11(?![\w/])"), lambda _: "nine eleven", "/"),
    Rule("date", re.compile(r"(?<![\w/.])24/7(?![\w/])"), lambda _: "twenty-four seven", "/"),
)
