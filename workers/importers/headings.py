"""What headings say beside what they are called: their number, that the contents follow, that this was the end."""

from __future__ import annotations

import re

_KINDS = (
    r"(?:chapter|lecture|lesson|part|unit|module|section|appendix|book|kapitel|lektion|teil|abschnitt|anhang|chapitre|"
    r"leçon|partie)"
)
_ONLY_NUMBER = re.compile(rf"{_KINDS}\s+(?:[ivxlcdm]{{1,8}}|\d{{1,3}})[.:]?", re.IGNORECASE)
# "1.", "1.2", "A.1", "IV.", "§ 3", "Chapter 3:", "Appendix B".
_NUMBER = re.compile(
    rf"^(?:{_KINDS}\s+(?:[ivxlcdm]{{1,8}}|\d{{1,3}}|[a-z])(?:\.\d{{1,3}})*\s?[.:)–—-]?"
    r"|(?:§\s?)?\d{1,3}(?:\.\d{1,3})*[.:)]?|[a-z](?:\.\d{1,3})+[.:)]?|(?:[ivxlc]{1,8}|[a-z])[.:)])\s+",
    re.IGNORECASE,
)
_CONTENTS = re.compile(
    r"(?:table\s+of\s+|list\s+of\s+)?contents|in\s+this\s+(?:book|course)|chapters|inhalt(?:sverzeichnis|sübersicht)?"
    r"|table\s+des\s+matières|sommaire|contenus?|índice|tabla\s+de\s+contenidos?|contenido|indice|sommario|sumário"
    r"|inhoud(?:sopgave)?|innehåll|indhold|innhold|sisällys|spis\s+treści|obsah|оглавление|содержание|зміст|目录|目錄|目次|차례",
    re.IGNORECASE,
)
_END = re.compile(r"\W*(?:the\s+end|finis|end|ende|fin|fine|fim|slut|koniec|конец|完|終)\W*", re.IGNORECASE)


def is_only_number(text: str) -> bool:
    """Whether a heading says only which chapter begins: ``CHAPTER I``."""
    return _ONLY_NUMBER.fullmatch(text) is not None


def same_but_for_number(one: str, other: str) -> bool:
    """Whether two headings are called the same, and at most one of them says its number as well."""
    if bare(one) == bare(other):
        return True
    unnumbered = [_NUMBER.sub("", each.strip(), count=1) for each in (one, other)]
    numbered = [short != each.strip() for short, each in zip(unnumbered, (one, other), strict=True)]
    return sum(numbered) == 1 and bare(unnumbered[0]) == bare(unnumbered[1]) != ""


def announces_contents(text: str) -> bool:
    """Whether a list of the book's own chapters is to follow."""
    return _CONTENTS.fullmatch(text.strip(" .:")) is not None


def is_the_end(text: str) -> bool:
    """Whether a heading closes what was before it instead of opening anything."""
    return _END.fullmatch(text) is not None


def bare(text: str) -> str:
    """The letters and digits of a text, without their case."""
    return "".join(character for character in text.casefold() if character.isalnum())
