"""Abbreviations: titles, companies, streets, learned ones, and letters with full stops."""

from __future__ import annotations

import re

from workers.text.held import HELD
from workers.text.rules import DIGITS, INNER_DOT, LETTER_A, Rule, after, alternatives, before, letters

_TITLES = {
    "Mr": "Mister", "Mrs": "Missus", "Ms": "Miz", "Dr": "Doctor", "Prof": "Professor", "St": "Saint", "Mt": "Mount",
    "Ft": "Fort", "Gen": "General", "Gov": "Governor", "Sen": "Senator", "Rep": "Representative", "Capt": "Captain",
    "Lt": "Lieutenant", "Col": "Colonel", "Sgt": "Sergeant", "Cpl": "Corporal", "Maj": "Major", "Adm": "Admiral",
    "Cmdr": "Commander", "Rev": "Reverend", "Hon": "Honorable", "Pres": "President", "Fr": "Father", "Pvt": "Private",
    "Messrs": "Messieurs", "Mme": "Madame", "Mlle": "Mademoiselle", "Supt": "Superintendent", "Sec": "Secretary",
}  # fmt: skip
# Read without their full stop as well, as the British write them.
_BARE = ("Mr", "Mrs", "Ms", "Dr", "Prof", "St")
_STREETS = {
    "St": "Street",
    "Dr": "Drive",
    "Ave": "Avenue",
    "Rd": "Road",
    "Blvd": "Boulevard",
    "Ln": "Lane",
    "Hwy": "Highway",
}
_WORDS = {
    "e.g.": "for example", "e.g": "for example", "i.e.": "that is", "i.e": "that is", "etc.": "et cetera",
    "etc": "et cetera", "vs.": "versus", "vs": "versus", "et al.": "et al", "cf.": "compare", "viz.": "namely",
    "approx.": "approximately", "dept.": "department", "Dept.": "Department", "est.": "established", "Jr.": "Junior",
    "Sr.": "Senior", "Inc.": "Incorporated", "Ltd.": "Limited", "Co.": "Company", "Corp.": "Corporation",
    "Bros.": "Brothers", "Univ.": "University", "Assn.": "Association", "Govt.": "Government", "w/o": "without",
    "w/": "with", "Apt.": "Apartment", "a.k.a.": "also known as", "aka": "also known as", "incl.": "including",
    "excl.": "excluding", "avg.": "average", "max.": "maximum", "temp.": "temperature", "misc.": "miscellaneous",
    "Mon.": "Monday", "Tue.": "Tuesday", "Tues.": "Tuesday", "Wed.": "Wednesday", "Thu.": "Thursday",
    "Thurs.": "Thursday", "Fri.": "Friday", "Jan.": "January", "Feb.": "February", "Apr.": "April", "Aug.": "August",
    "Sept.": "September", "Sep.": "September", "Oct.": "October", "Nov.": "November", "Dec.": "December",
    "PhD": "P.H.D", "pH": "P.H", "Ph.D.": "P.H.D", "Ph.D": "P.H.D", "PhDs": "P.H.Ds", "M.Sc.": "M.S.C",
    "B.Sc.": "B.S.C", "GmbH": "G.M.B.H", "WWI": "World War One", "WWII": "World War Two", "WW1": "World War One",
    "WW2": "World War Two", "Rte.": "Route", "n/a": "not applicable", "N/A": "not applicable",
    "mins": "minutes", "secs": "seconds",
}  # fmt: skip
# Before a number.
_COUNTED = {
    "No": "Number", "no": "number", "Nos": "Numbers", "nos": "numbers", "Fig": "Figure", "fig": "figure",
    "Figs": "Figures", "figs": "figures", "p": "page", "pp": "pages", "P": "Page", "Pp": "Pages", "ch": "chapter",
    "Ch": "Chapter", "chs": "chapters", "vol": "volume", "Vol": "Volume", "vols": "volumes", "Vols": "Volumes",
    "sec": "section", "Sec": "Section", "Eq": "Equation", "eq": "equation", "Eqs": "Equations", "ex": "exercise",
    "Ex": "Exercise", "art": "article", "Art": "Article", "c": "circa", "ca": "circa", "Tab": "Table", "l": "line",
    "ll": "lines", "Q": "Question", "para": "paragraph", "n": "note", "ext": "extension",
    "op": "opus", "Op": "Opus", "Prop": "Proposition", "Thm": "Theorem", "min": "minimum", "approx": "approximately",
}  # fmt: skip
_TITLE = re.compile(rf"(?<![\w.'’-])(?P<title>{alternatives(_TITLES)})\.(?=\s[A-ZÀ-Þ])")
_TITLE_BARE = re.compile(rf"(?<![\w.'’-])(?P<title>{alternatives(_BARE)})(?=\s[A-ZÀ-Þ][a-zà-ÿ'’])")
_AND_TITLE = re.compile(r"(?<![\w.'’-])(?P<title>Mr|Mrs|Dr|Drs|Ms)\.(?=\s(?:and|or|&)\s)")
_STREET = re.compile(rf"(?<=[a-z]\s)(?P<street>{alternatives(_STREETS)})\.(?!\w)")
_COUNT = re.compile(rf"(?<![\w.'’-])(?P<word>{alternatives(_COUNTED)})\.\s?(?=[0-9{HELD}])")
_WORD = re.compile(rf"(?<![\w./'’-])(?:{alternatives(_WORDS)})(?!\w|/)")
_DOTTED = re.compile(r"(?<![\w.])(?:[A-Za-z]\.){2,6}(?!\w)(?:[A-Z](?!\w))?")
_INITIAL = re.compile(r"(?<![\w.'’])(?:[A-Z]\.\s?){0,5}[A-Z]\.(?=\s[\w“\"(])")
# Not the article: a grade, a vitamin, a point.
_LETTER_A = re.compile(
    r"(?:(?<=amin )|(?<=[Pp]lan )|(?<=[Tt]ype )|(?<=oint )|(?<=roup )|(?<=titis )|(?<=lass )|(?<=tion )|(?<=rade )"
    r"|(?<=[Pp]art )|(?<=[Tt]eam )|(?<=endix )|(?<=[Ss]et )|(?<=[Ss]ide )|(?<=etter )|(?<=[Ee]vent )|(?<=[Aa]n ))"
    r"A(?![\w.'’&-])|(?<=[\w:,]\s)A(?=[,;:!?)])"
)
_CAPITAL_BEFORE = re.compile(r"(?:[A-Z][a-z]+|[0-9]+(?:st|nd|rd|th))\s$")


def _title(match: re.Match[str]) -> str | None:
    title = match["title"]
    if title in _STREETS and title != "St" and _CAPITAL_BEFORE.search(before(match)) and before(match).count(" ") > 1:
        # "on Elm Dr. Near": a street at the end of its sentence, unless the line begins so.
        return _STREETS[title] if not re.match(r"\s[A-Z][a-z]+", after(match)) else _TITLES[title]
    return _TITLES[title]


def _initials(match: re.Match[str]) -> str | None:
    initials = "".join(character for character in match[0] if character.isalpha())
    return None if initials == "A" else letters(initials)


RULES = (
    Rule("title", _TITLE, _title, "."),
    Rule("title", _TITLE_BARE, lambda match: _TITLES[match["title"]], "MDPS"),
    Rule("title", _AND_TITLE, lambda match: {"Drs": "Doctors"}.get(match["title"]) or _TITLES[match["title"]], "."),
    Rule("title", _STREET, lambda match: _STREETS[match["street"]], "."),
    Rule("abbreviation", _COUNT, lambda match: f"{_COUNTED[match['word']]} ", ".", DIGITS),
    Rule("abbreviation", _WORD, lambda match: _WORDS[match[0]], "./dshcaDHIWN"),
    Rule("initials", _DOTTED, lambda match: letters(match[0].replace(".", "")), INNER_DOT),
    Rule("initials", _INITIAL, _initials, "."),
    Rule("initials", _LETTER_A, lambda _: LETTER_A, "A"),
)
