"""Plain numbers: ordinals, ranges, negatives, decimals, counts, and letters mixed with digits."""

from __future__ import annotations

import re

from workers.text import numerals
from workers.text.held import HELD
from workers.text.rules import DIGITS, INNER_DOT, NUMBER, Rule, after, before, letters

_ORDINAL = re.compile(r"(?<![\w.,/])(?P<number>[0-9]{1,3}(?:,[0-9]{3}){1,4}|[0-9]{1,15})(?:st|nd|rd|th)(?!\w)")
_RANGE = re.compile(rf"(?<![\w.,/^])(?<!\w[-–−])(?P<one>{NUMBER})(?:\s?[–—]\s?|-)(?P<other>{NUMBER})(?!\w|[-–][0-9]|/)")
_NEGATIVE = re.compile(rf"(?<![\w.,)\]-])[-−](?P<number>{NUMBER}|\.[0-9]{{1,15}}(?![0-9]))(?!\w)")
_SPACED = re.compile(r"(?<![0-9.,]\s)(?<![\w.,])(?P<number>[0-9]{1,3}(?:\s[0-9]{3}){1,5})(?![\w]|[\s.,-][0-9])")
_SHORT = re.compile(r"(?<![\w.,/-])(?P<number>[0-9]{1,3}(?:\.[0-9]{1,3})?)(?P<letter>[kKM]|bn|B)(?![\w'’/-])")
_SHORTS = {"k": "thousand", "K": "thousand", "M": "million", "B": "billion", "bn": "billion"}
_TIMES = re.compile(r"(?<![\w.,/])(?P<number>[0-9]{1,6}(?:\.[0-9]{1,3})?)x(?!\w)")
_ALGEBRA = re.compile(r"\s?[-+=*/<>≤≥^²³−)]")
_EQUATED = re.compile(rf"[{HELD}=+*/(−-]\s?$")
_MIXED = re.compile(
    r"(?<![\w.@#/])(?:[A-Za-z]{1,12}[0-9₀-₉]{1,6}|[0-9]{1,6}[A-Za-z]{1,6})(?:[A-Za-z]{1,6}|[0-9₀-₉]{1,6}){0,6}(?![\w])"
)
_JOINED = re.compile(r"(?<=[A-Za-z])-(?P<number>[0-9]{1,15})(?![\w]|[.,-][0-9])")
_DECIMAL = re.compile(
    r"(?<![\w.,])(?P<number>(?:[0-9]{1,3}(?:,[0-9]{3}){1,5}|[0-9]{1,15})?\.[0-9]{1,15})(?![0-9]|[.,][0-9])"
)
_NUMBER = re.compile(rf"(?<![\w.,])(?P<number>{NUMBER})(?![.,][0-9])")
# What is too long to be counted is read digit by digit, so much at a time that a piece can hold it.
_LONG = re.compile(r"[0-9]{16,30}")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_FORMULA = re.compile(
    r"(?:(?:He|Li|Be|Ne|Na|Mg|Al|Si|Cl|Ar|Ca|Ti|Cr|Mn|Fe|Co|Ni|Cu|Zn|Br|Ag|Sn|Au|Hg|Pb|[HBCNOFPSKIUV])[0-9]*){2,12}"
)
_RUN = re.compile(r"[0-9]+|[A-Za-z]+")


def _range(match: re.Match[str]) -> str:
    if match[0] == "50-50":
        return "fifty fifty"
    return f"{numerals.number(match['one'])} to {numerals.number(match['other'])}"


def _spaced(match: re.Match[str]) -> str | None:
    groups = match["number"].split()
    return numerals.number("".join(groups)) if len(groups) > 2 or groups[-1] == "000" else None


def _short(match: re.Match[str]) -> str | None:
    number, letter = match["number"], match["letter"]
    if (
        letter in "Kk"
        and ((number in ("2", "4", "8") and letter == "K") or re.match(r"\s(?:run|race)\b", after(match)))
    ) or (letter == "B" and "." not in number):
        return None
    return f"{numerals.number(number)} {_SHORTS[letter]}"


def _times(match: re.Match[str]) -> str:
    words = numerals.number(match["number"])
    return f"{words} x" if _ALGEBRA.match(after(match)) or _EQUATED.search(before(match, 3)) else f"{words} times"


def _mixed(match: re.Match[str]) -> str:
    plain = match[0].translate(_SUBSCRIPTS)
    formula = plain != match[0] or bool(_FORMULA.fullmatch(plain))
    return " ".join(_run(run, formula) for run in _RUN.findall(plain))


def _run(run: str, formula: bool) -> str:
    if len(run) == 4 and run[:2] in ("16", "17", "18", "19", "20"):
        return numerals.year(int(run))
    if run[0].isdigit():
        return numerals.digits(run) if len(run) > 4 else numerals.number(run)
    return letters(run) if formula and len(run) <= 6 and run[0].isupper() else run


ORDINALS = (Rule("ordinal", _ORDINAL, lambda m: numerals.ordinal(int(m["number"].replace(",", ""))), DIGITS, "tdh"),)
RANGES = (
    Rule("range", _RANGE, _range, "-–—", DIGITS),
    Rule("number", _TIMES, _times, "x", DIGITS),
    Rule("negative", _NEGATIVE, lambda match: f"minus {numerals.number(match['number'])}", "-−", DIGITS),
)
RULES = (
    Rule("number", _SPACED, _spaced),
    Rule("number", _SHORT, _short, "kKMBb", DIGITS),
    Rule("alphanumeric", _JOINED, lambda match: f" {_run(match['number'], formula=False)}", "-", DIGITS),
    Rule("alphanumeric", _MIXED, _mixed, "0123456789₀₁₂₃₄₅₆₇₈₉"),
    Rule("decimal", _DECIMAL, lambda match: numerals.number(match["number"]), INNER_DOT, DIGITS),
    Rule("number", _NUMBER, lambda match: numerals.number(match["number"])),
    Rule("number", _LONG, lambda match: numerals.digits(match[0])),
)
