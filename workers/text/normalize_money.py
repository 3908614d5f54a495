"""Sums of money: the currency is said after the number, and its hundredths by their name."""

from __future__ import annotations

import re

from workers.text import numerals
from workers.text.rules import DIGITS, NUMBER, SCALE, Rule, alternatives, is_adjective

# Singular, plural, and the same of the hundredth part.
_DOLLAR, _POUND = ("dollar", "dollars", "cent", "cents"), ("pound", "pounds", "penny", "pence")
_CURRENCIES = {
    "$": _DOLLAR,
    "US$": ("U.S dollar", "U.S dollars", "cent", "cents"),
    "AU$": ("Australian dollar", "Australian dollars", "cent", "cents"),
    "A$": ("Australian dollar", "Australian dollars", "cent", "cents"),
    "C$": ("Canadian dollar", "Canadian dollars", "cent", "cents"),
    "£": _POUND,
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "", ""),
    "₹": ("rupee", "rupees", "paisa", "paise"),
    "₽": ("ruble", "rubles", "kopeck", "kopecks"),
    "₩": ("won", "won", "", ""),
    "₪": ("shekel", "shekels", "", ""),
    "₿": ("bitcoin", "bitcoins", "", ""),
    "CHF": ("Swiss franc", "Swiss francs", "", ""),
}
_CODES = {
    "USD": "US$",
    "EUR": "€",
    "GBP": "£",
    "JPY": "¥",
    "INR": "₹",
    "Rs.": "₹",
    "Rs": "₹",
    "AUD": "A$",
    "CAD": "C$",
    "CHF": "CHF",
}
_SIGN = alternatives(sign for sign in _CURRENCIES if sign != "CHF")
_CODE = alternatives(_CODES)
_SHORT = {
    "k": "thousand",
    "m": "million",
    "mn": "million",
    "b": "billion",
    "bn": "billion",
    "tn": "trillion",
    "t": "trillion",
}
_BIG = rf"(?:[\s-]?(?P<scale>{SCALE}|bn|mn|tn)\b|(?P<short>[kKmMbBT])(?![\w]))?"
_PER = r"(?:/(?P<per>hour|hr|day|week|month|mo|year|yr|night|person|kg|lb|mile|liter|litre|gallon|unit)\b)?"
_NAMES = {"hr": "hour", "mo": "month", "yr": "year", "kg": "kilogram", "lb": "pound"}
_BEFORE = re.compile(
    rf"(?<![\w$£€])(?P<negative>[-−])?(?:(?P<sign>{_SIGN})\s?|(?P<code>{_CODE})\s)(?P<amount>{NUMBER}|\.[0-9]{{1,4}})"
    rf"(?:\s?[-–—]\s?(?:{_SIGN})?(?P<upto>{NUMBER}))?{_BIG}{_PER}"
)
_AFTER = re.compile(
    rf"(?<![\w.,])(?P<amount>{NUMBER})(?:\s?[-–—]\s?(?P<upto>{NUMBER}))?{_BIG}\s?(?:(?P<code>{_CODE})\b|(?P<sign>[€£¢])(?!\w))"
)


def _money(match: re.Match[str]) -> str:
    found = match.groupdict()
    sign = found["sign"] or _CODES[found["code"]]
    scale = found["scale"] or found["short"] or ""
    scale = _SHORT.get(scale.lower(), scale)
    if sign == "¢":
        return _count(match["amount"], "cent", "cents")
    singular, many, part, parts = _CURRENCIES[sign]
    start = "minus " if found.get("negative") else ""
    end = f" per {_NAMES.get(found['per'], found['per'])}" if found.get("per") else ""
    if found["upto"] or scale or is_adjective(match):
        words = numerals.number(match["amount"])
        if found["upto"]:
            words += f" to {numerals.number(found['upto'])}"
        unit = singular if is_adjective(match) else many
        return f"{start}{words} {scale} {unit}{end}".replace("  ", " ")
    whole, _, hundredths = match["amount"].partition(".")
    if part and len(hundredths) == 2:
        sums = [_count(whole, singular, many)] if whole.strip("0,") else []
        sums += [_count(hundredths.lstrip("0"), part, parts)] if hundredths != "00" else []
        return start + (" and ".join(sums) or f"zero {many}") + end
    return f"{start}{_count(match['amount'], singular, many)}{end}"


def _count(amount: str, singular: str, many: str) -> str:
    return f"{numerals.number(amount)} {singular if amount == '1' else many}"


RULES = (
    Rule("money", _BEFORE, _money, DIGITS, "$£€¥₹₽₩₪₿UEGJIACR"),
    Rule("money", _AFTER, _money, DIGITS, "¢€£UEGJIAC"),
)
