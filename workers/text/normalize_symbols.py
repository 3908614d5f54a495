"""Other signs, notes, emoji, and at last the marks of punctuation as engines know them."""

from __future__ import annotations

import re

from workers.text import numerals
from workers.text.rules import DIGITS, Rule, letters

_SIGNS = {
    "&": " and ", "%": " percent", "§": " section ", "©": " copyright ", "®": "", "™": "", "†": "", "‡": "",
    "°": " degrees", "@": " at ", "£": " pounds", "€": " euros", "$": " dollar ", "¶": " paragraph ", "№": " number ",
}  # fmt: skip
_SIGN = re.compile(f"\\s?[{re.escape(''.join(_SIGNS))}]")
_HE_OR_SHE = re.compile(r"(?<!\w)(?P<he>he|him|his|He|Him|His|s|S)/(?P<she>she|her|hers|he)(?!\w)")
_SLASH = re.compile(r"(?<=[^\W\d_])/(?=[^\W\d_])")
_NOTE = re.compile(r"(?<=\S)(?:\[[0-9]{1,3}\]){1,9}")
# Emoji are dropped, with the colours and joiners that belong to them: a reader sees them and does not say them.
_EMOJI = re.compile(
    "\\s?[\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\u2300-\u23ff]"
    "[\U0001f000-\U0001faff\u2600-\u27bf\ufe0e\ufe0f\u200d\u20e3\U000e0020-\U000e007f]{0,12}"
)
# A path through menus: "File > Save As".
_MENU = re.compile(r"(?<=[a-z])\s>\s(?=[A-Z][a-z])")
RULES = (
    Rule("symbol", re.compile(r"#\s?(?=[0-9])"), lambda _: " number ", "#"),
    Rule("symbol", re.compile(r"(?<![\w~])~\s?(?=[0-9.$£€])"), lambda _: " about ", "~"),
    Rule("symbol", re.compile(r"(?<![\w+])\+(?=[0-9])"), lambda _: " plus ", DIGITS),
    Rule("symbol", re.compile(r"§§?\s?"), lambda _: " section ", "§"),
    Rule("symbol", _MENU, lambda _: ", ", ">"),
    Rule("symbol", re.compile(r"(?<!\w)[A-G]#(?![\w#])"), lambda match: f"{letters(match[0][0])} sharp", "#"),
    Rule("symbol", _NOTE, lambda _: "", "["),
)
_COMPANY = re.compile(r"(?<![\w&])(?P<one>[A-Z]{1,3})&(?P<other>[A-Z]{1,3})(?![\w&])")
# After everything that has digits.
LAST = (
    Rule("symbol", _COMPANY, lambda m: f"{letters(m['one'])} and {letters(m['other'])}", "&"),
    Rule("emoji", _EMOJI, lambda _: "", ""),
    Rule(
        "symbol",
        _HE_OR_SHE,
        lambda m: f"{'he' if m['he'] in 'sS' else m['he']} or {'she' if m['he'] in 'sS' else m['she']}",
        "/",
    ),
    Rule("symbol", _SLASH, lambda _: " ", "/"),
    Rule("symbol", _SIGN, lambda match: _SIGNS[match[0].strip()], "".join(_SIGNS)),
)

_PLAIN = str.maketrans(
    {
        **dict.fromkeys("“”„‟«»″", '"'),
        **dict.fromkeys("‘’‚‛′ʼ", "'"),
        **dict.fromkeys("‐‑", "-"),
        **dict.fromkeys("‒―⸺", "—"),
        # Seen, not said. (A soft hyphen and what has no width would cut a word in two.)
        **dict.fromkeys("\u00ad\u200b\u200c\u200d\u2060\ufeff\ufe0e\ufe0f", ""),
        **dict.fromkeys("[]{}|\\`*_~^•‣◦▪●#<>", " "),
    }
)
_DASH = re.compile(r"\s?(?:—|\s–\s|(?<=\s)-{1,3}(?=\s)|(?<=\w)-{2,3}(?=\w))\s?")
_ENDLESS = re.compile(r"\.{4,}|…{2,}")
_SPACES = re.compile(r"\s{2,}")
_SPACE_BEFORE = re.compile(r"\s([,.;:!?…](?![\w]))")
_COMMAS = re.compile(r"(?<=[,.;:!?…(\"]),(?=\s|$)|^,\s?")


def plain(text: str) -> str:
    """The text with straight quotes, dashes as commas, and none of the marks that no engine says."""
    text = numerals.sayable(text.translate(_PLAIN))
    return _ENDLESS.sub("…", _DASH.sub(", ", text))


def tidy(text: str) -> str:
    """The spoken text with one space between words, none before a mark, and no pause twice."""
    return _COMMAS.sub("", _SPACE_BEFORE.sub(r"\1", _SPACES.sub(" ", text))).strip()
