"""Roman numerals: of rulers ("the eighth"), of parts ("Chapter four"), of centuries; never a lone "I" or a word."""

from __future__ import annotations

import re

from workers.text import numerals
from workers.text.rules import Rule, after, alternatives

_RULERS = alternatives(
    "Henry Louis Elizabeth George Charles Edward Richard William James Mary John Paul Pius Benedict Gregory "
    "Innocent Leo Urban Clement Philip Ferdinand Frederick Friedrich Catherine Peter Nicholas Alexander Ivan "
    "Napoleon Ramesses Ramses Thutmose Seti Amenhotep Ptolemy Cleopatra Darius Xerxes Artaxerxes Cyrus Mehmed "
    "Mehmet Murad Selim Suleiman Otto Wilhelm Franz Francis Gustav Christian Haakon Harald Olaf Umberto Victor "
    "Emmanuel Joseph Leopold Maximilian Rudolf Theodosius Constantine Justinian Basil Sixtus Julius Boniface "
    "Alfonso Isabella Pedro Carlos Juan Sargon Antiochus Seleucus Margrethe Anne Stephen Robert David Kenneth "
    "Edmund Harold Theodore Afonso Manuel Felipe Konrad Conrad Adrian Hadrian Celestine Eugene Callixtus "
    "Nebuchadnezzar Shapur Khosrow Michael Baldwin Albert Matthias".split()
)
_PARTS = alternatives(
    "Chapter Part Volume Vol. vol. Ch. ch. Mk Book Act Scene Article Section Sec. Phase Type Stage Appendix Class "
    "Title Unit Lesson Figure Fig. Table Level Grade Plate Canto Psalm Sonnet Symphony Movement Series Season Episode "
    "Division Group Category Schedule Amendment Quadrant Factor Nerve nerve War Bowl chapter part volume book act "
    "scene article section phase type stage appendix class unit lesson figure table level grade plate canto "
    "category".split()
)
_ROMAN = r"[IVXLCDM]{1,9}(?![\w.]\w|\w|-[A-Za-z])"
_RULER = re.compile(rf"(?<![\w-])(?P<name>{_RULERS})\s(?P<roman>{_ROMAN})")
_PART = re.compile(rf"(?<![\w-])(?P<name>{_PARTS})\s(?P<roman>{_ROMAN}|[ivxl]{{1,7}}(?![\w'’]))")
_CENTURY = re.compile(r"(?<![\w-])(?P<roman>[IVX]{1,6})(?=(?:\sand\s[IVX]{1,6})?\s(?:century|centuries)\b)")
# After another name only numerals that are no initials: "Rocky IV", "Vatican II", not "Malcolm X".
_NAMED = re.compile(r"(?<![\w-])(?P<name>[A-Z][a-zé]{2,20})\s(?P<roman>[IVX]{2,6})(?!\w|[.'’-]\w)")
_REFERENCE = re.compile(r"(?<=[a-z]\()(?P<roman>I{1,3}|IV|VI{0,3})(?=\))")
# "Elizabeth, I think": where the ruler's numeral is a speaker after all.
_SPEAKS = re.compile(r"\s(?:think|know|believe|am|have|said|hope|guess|wish|suppose|love|don't|can|will|do)\b")


def _value(match: re.Match[str]) -> int | None:
    return numerals.roman(match["roman"].upper())


def _ruler(match: re.Match[str]) -> str | None:
    value = _value(match)
    if not value or (match["roman"] == "I" and _SPEAKS.match(after(match))):
        return None
    return f"{match['name']} the {numerals.ordinal(value)}"


def _part(match: re.Match[str]) -> str | None:
    value = _value(match)
    # "Section C" has a letter, "a part I like" a pronoun.
    if not value or value in (50, 100, 500, 1000):
        return None
    if match["roman"] == "I" and match["name"].islower() and match["name"] != "type":
        return None
    names = {
        "Vol.": "Volume",
        "vol.": "volume",
        "Fig.": "Figure",
        "Sec.": "Section",
        "Ch.": "Chapter",
        "ch.": "chapter",
    }
    return f"{names.get(match['name'], match['name'])} {numerals.cardinal(value)}"


def _century(match: re.Match[str]) -> str | None:
    value = _value(match)
    return numerals.ordinal(value) if value else None


def _named(match: re.Match[str]) -> str | None:
    value = _value(match)
    return f"{match['name']} {numerals.cardinal(value)}" if value else None


def _reference(match: re.Match[str]) -> str | None:
    value = _value(match)
    return numerals.cardinal(value) if value else None


RULES = (
    Rule("roman", _RULER, _ruler, "IVX"),
    Rule("roman", _PART, _part, "IVXLCDMivxl"),
    Rule("roman", _CENTURY, _century, "IVX"),
    Rule("roman", _NAMED, _named, "IVX"),
    Rule("roman", _REFERENCE, _reference, "("),
)
