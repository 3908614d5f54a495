"""Inside a paragraph: powers and indices, marks of notes, formulas between words."""

from __future__ import annotations

import re

from workers.importers import formulas
from workers.importers.formula_words import words_of
from workers.importers.hidden import Element, tag_of

_POWERS = str.maketrans("0123456789+-−n()=", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻ⁿ⁽⁾⁼")
_NOTE_MARK = re.compile(r"[\[(]\s*(?:\d{1,3}|[a-z]|note \d+|nb \d+)\s*[\])](?:,?\s?[\[(]\d{1,3}[\])])*|[*†‡§¶#]{1,3}")
_NUMBERS = re.compile(r"\d{1,3}(?:\s?[,–-]\s?\d{1,3})*")
_ORDINAL = re.compile(r"st|nd|rd|th|er|re|e|ère|ème|o|a|os|as|TM|SM|®|™", re.IGNORECASE)
# After a word or the end of a sentence a raised number is that of a note; after a letter or a number it is a power.
_AFTER_WORD = re.compile(r"(?:[^\W\d_]{3,}|[.,;:!?”\"')»])$")
_UNITS = re.compile(r"(?:km|cm|mm|nm|ft|mi|yd|in|sec|min|mol|sin|cos|tan|log)$")
_BACK = re.compile(r"[#¶§↑↩^⏎↵\s︎️]*")

TEX = re.compile(
    r"\\\((?P<round>.{1,1000}?)\\\)|\\\[(?P<square>.{1,1000}?)\\\]|\$\$(?P<double>[^$]{1,1000})\$\$"
    r"|(?<![\w\\$])\$(?P<single>(?![\s\d.,]+\s(?![A-Za-zΩµμ]{1,2}\$))[^$\n]{1,200}?(?<![\s\\]))\$(?![\w$])",
    re.DOTALL,
)
_LIKE_TEX = re.compile(
    r"[\\^_{}=<>]|^[A-Za-z]$|^[A-Za-z]\s?[+*/-]\s?\w$|^[A-Za-z]\([^)]{1,20}\)$|^\d[\d.,]*\s[A-Za-zΩµμ]{1,2}$"
)


def raised(text: str, before: str, *, linked: bool) -> str:
    """What a raised text says after the text ``before`` it: a power, the end of an ordinal, or nothing (a note)."""
    text = " ".join(text.split())
    if not text or _NOTE_MARK.fullmatch(text) or (linked and _NUMBERS.fullmatch(text)):
        return ""
    # Where a bracket was closed, one figure is a power: "(a + b)" squared.
    bracket = before.endswith(")") and len(text) == 1
    if _NUMBERS.fullmatch(text) and _AFTER_WORD.search(before) and not _UNITS.search(before) and not bracket:
        return ""
    if _ORDINAL.fullmatch(text):
        return text if text not in ("®", "™", "TM", "SM") else ""
    translated = text.translate(_POWERS)
    plain = any(character.isascii() or character.isalpha() for character in translated.replace("ⁿ", ""))
    return f"^({text})" if plain else translated


def is_back_link(link: Element, text: str) -> bool:
    """Whether a link is only the sign that leads to a heading or back from a note."""
    return link.get("href", "").startswith("#") and _BACK.fullmatch(text) is not None


def is_note_link(link: Element, text: str) -> bool:
    """Whether a link within the page is the mark of a note: ``[3]``, ``*``."""
    text = text.strip()
    raised = _NUMBERS.fullmatch(text) is not None and any(tag_of(child) == "sup" for child in link)
    return "#" in link.get("href", "") and (raised or _NOTE_MARK.fullmatch(text) is not None)


def with_formulas(text: str, language: str | None, unread: list[str]) -> str:
    """A text with its LaTeX in words; what could not be read is added to ``unread``."""
    if "$" not in text and "\\" not in text:
        return text

    def say(match: re.Match[str]) -> str:
        source = tex_of(match)
        return match[0] if source is None else formula(source, language, unread)

    return TEX.sub(say, text)


def tex_of(match: re.Match[str]) -> str | None:
    """What a match of ``TEX`` holds; None where the dollars are money."""
    kind = match.lastgroup or ""
    source: str = match[kind].strip()
    return None if kind == "single" and not _LIKE_TEX.search(source) else source


def formula(source: str, language: str | None, unread: list[str]) -> str:
    """A formula between words, or the word that stands for one."""
    said = formulas.spoken(source, language)
    if said is None:
        unread.append(source)
        return words_of(language).formula
    return said
