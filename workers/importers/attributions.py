"""Whose work a course is, in the words of those who made it."""

from __future__ import annotations

import re
from collections.abc import Iterable

_TAG = re.compile(r"<[^<>]{0,2000}>")
_YEARS = r"\d{4}(?:\s?[-–,]\s?\d{4})*,?\s+"
# A name begins with a capital letter, or with one of a script that has none; it ends before that of another.
_NAME = r"[^\W\d_a-zß-öø-ÿ](?:(?!\s(?:©|(?i:copyright)\b))[^\n<>.]){1,120}"
_ATTRIBUTION = re.compile(
    rf"(?:©|\((?i:c)\)|&copy;|\b(?i:copyright)\s+(?:©|\((?i:c)\)|&copy;|by\b|(?=\d{{4}})))\s*(?:{_YEARS})?(?:by\s+)?{_NAME}"
    r"|(?i:(?:please\s+)?(?:attribute|cite|credit)(?:\s+\w+){0,3}\s*(?:as|to)?:\s*[^\n<>]{5,300})"
    r"|(?i:attribution|citation|quelle|source)\s*:\s*[A-ZÀ-Þ“\"][^\n<>]{4,300}",
)
# What a field for rights says, whose name is its sign: "2023, Jane Doe", "Copyright Jane Doe".
_RIGHTS = re.compile(rf"\s*(?:(?i:copyright):?\s+(?:{_YEARS})?|{_YEARS})(?:by\s+)?{_NAME}")
_WHOSE = re.compile(r"©|&copy;|\(c\)|copyright|attribut|cite|citation|credit|quelle|source\s*:", re.IGNORECASE)


def attribution(texts: Iterable[str], *, pages: bool = False) -> str:
    """Whose work it is, in the words of the first text that says so; empty if none does.

    ``pages`` says that these are lessons; what is none is said of rights and of nothing else.
    """
    for text in texts:
        plain = _TAG.sub(" ", text)
        found = _ATTRIBUTION.search(plain) if _WHOSE.search(text) else None
        if found:
            return " ".join(found[0].replace("&copy;", "©").split())
        if not pages and (rights := _RIGHTS.match(plain)):
            said = " ".join(rights[0].split())
            return said if said[:1].isalpha() else f"© {said}"
    return ""
