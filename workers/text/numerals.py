"""Numbers as English words, the American way: no "and" inside a number."""

from __future__ import annotations

import re
import unicodedata

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = "zero ten twenty thirty forty fifty sixty seventy eighty ninety".split()
_SCALES = ["", "thousand", "million", "billion", "trillion", "quadrillion"]
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
# Beyond this many digits nobody counts: they are read one by one.
COUNTED_DIGITS = 15
_ENDLESS = re.compile(rf"[0-9]{{{COUNTED_DIGITS + 1},}}")
_ROMAN = re.compile(r"M{0,3}(CM|CD|D?C{0,3})(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})")
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}


def cardinal(n: int) -> str:
    """A whole number from 0 to 10^18: "one thousand two hundred five"."""
    groups = []
    for scale in _SCALES:
        n, group = divmod(n, 1000)
        if group:
            groups.append(f"{_below_thousand(group)} {scale}".strip())
        if not n:
            break
    return " ".join(reversed(groups)) or "zero"


def _below_thousand(n: int) -> str:
    hundreds, rest = divmod(n, 100)
    words = [f"{_ONES[hundreds]} hundred"] if hundreds else []
    if rest >= 20:
        tens, ones = divmod(rest, 10)
        words.append(_TENS[tens] + (f"-{_ONES[ones]}" if ones else ""))
    elif rest:
        words.append(_ONES[rest])
    return " ".join(words)


def ordinal(n: int) -> str:
    """ "first", "twenty-third", "one hundredth"."""
    words = cardinal(n)
    at = max(words.rfind(" "), words.rfind("-")) + 1
    last = words[at:]
    if last in _ORDINALS:
        last = _ORDINALS[last]
    elif last.endswith("y"):
        last = last[:-1] + "ieth"
    else:
        last += "th"
    return words[:at] + last


def digits(text: str) -> str:
    """Each digit by itself; other characters are passed over."""
    return " ".join(_ONES[int(character)] for character in text if character in "0123456789")


def sayable(text: str) -> str:
    """The text without what makes engines fail: raised, circled and foreign digits, and numbers beyond counting."""
    if not text.isascii():
        text = "".join(str(unicodedata.digit(c)) if c.isdigit() and not c.isascii() else c for c in text)
    return _ENDLESS.sub(lambda run: digits(run[0]), text)


def number(text: str) -> str:
    """A number as it is written, with commas or spaces between thousands, a decimal point, or zeros before it."""
    whole, point, decimals = re.sub(r"[,\s]", "", text).partition(".")
    if len(whole) > COUNTED_DIGITS or (len(whole) > 1 and whole[0] == "0"):
        words = digits(whole)
    else:
        words = cardinal(int(whole)) if whole else ""
    return f"{words} point {digits(decimals)}".strip() if point and decimals else words


def year(n: int) -> str:
    """ "nineteen oh five", "two thousand five", "twenty ten", "four seventy-six", "forty-four"."""
    high, low = divmod(n, 100)
    if not high or (high % 10 == 0 and low < 10) or high >= 100:
        return cardinal(n)
    if not low:
        return f"{cardinal(high)} hundred"
    return f"{cardinal(high)} {'oh ' if low < 10 else ''}{cardinal(low)}"


def plural(words: str) -> str:
    """The words with their last one in the plural: "nineteen nineties", "two thousands"."""
    return words[:-1] + "ies" if words.endswith("y") else words + ("es" if words.endswith("x") else "s")


def fraction(numerator: int, denominator: int) -> str:
    """ "one half", "three quarters", "five sixteenths"."""
    if denominator == 2:
        return f"{cardinal(numerator)} {'half' if numerator == 1 else 'halves'}"
    part = "quarter" if denominator == 4 else ordinal(denominator)
    return f"{cardinal(numerator)} {part if numerator == 1 else part + 's'}"


def roman(text: str) -> int | None:
    """The value of a Roman numeral in capitals; None for what is none."""
    if not text or not _ROMAN.fullmatch(text):
        return None
    total = 0
    for here, following in zip(text, [*text[1:], "I"], strict=True):
        value = _ROMAN_VALUES[here]
        total += -value if _ROMAN_VALUES[following] > value else value
    return total
