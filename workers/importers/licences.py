"""What a course may be used for: the licences named in texts and links, and whose work it is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from workers.importers.outline import Licence, Verdict

_MOST_WORDS = 300
_TAG = re.compile(r"<[^<>]{0,2000}>")

_CC_URL = re.compile(
    r"(?:https?:)?(?://)?(?:www\.)?creativecommons\.org/(?P<where>licen[cs]es|publicdomain)/(?P<kind>[a-z+-]{2,20})"
    r"(?:/(?P<version>\d\.\d))?(?:/[a-z]{2}\b)?", re.IGNORECASE,
)  # fmt: skip
_CC_SHORT = re.compile(
    r"\bCC[\s-]?(?P<kind>0|BY(?:[\s-](?:NC|SA|ND))*)(?![A-Za-z])(?:[\s-]*(?P<version>\d\.\d))?(?:\s(?:International|Unported))?"
)
# In full, in English and in three other languages' own words.
_CC_NAME = re.compile(
    r"Creative\s+Commons\W{0,3}(?:\s|Legal Code|Licence|License|Lizenz|Licen[cs]e|-)*\W{0,3}"
    r"(?P<kind>(?:Attribution|Namensnennung|Attribution|Paternité|Reconocimiento|Atribución)"
    r"(?:[\s,–—/-]{1,4}(?:and\s|et\s|und\s)?(?:Non-?\s?Commercial|No(?:n)?\s?Comercial|Nicht[\s-]?kommerziell|"
    r"Pas d[’']Utilisation Commerciale|Share-?\s?Alike|Weitergabe unter gleichen Bedingungen|Compartir ?Igual|"
    r"Partage dans les Mêmes Conditions|Partage à l[’']Identique|No-?\s?Deriv(?:ative)?s?(?:\sWorks?)?|"
    r"Keine Bearbeitung(?:en)?|Pas de Modification|Pas de Travail Dérivé|Sin ?(?:Obra ?)?Derivadas?))*)"
    r"(?:\D{0,30}?(?P<version>\d\.\d))?", re.IGNORECASE,
)  # fmt: skip
_PARTS = (
    ("NC", re.compile(r"non-?\s?commercial|comercial|kommerziell|commerciale", re.IGNORECASE)),
    ("SA", re.compile(r"share|gleichen bedingungen|compartir|partage", re.IGNORECASE)),
    ("ND", re.compile(r"deriv|bearbeitung|modification|dérivé", re.IGNORECASE)),
)
_OCW = re.compile(r"(?:https?://)?ocw\.mit\.edu/(?:terms|pages/privacy-and-terms)|MIT\s+OpenCourseWare", re.IGNORECASE)
_OCW_URL = "https://creativecommons.org/licenses/by-nc-sa/4.0/"

# The text of a licence of GNU, whole: its "changing it is not allowed" is said of the licence, not of the course.
_GNU_TEXT = re.compile(
    r"GNU\s+(?P<name>Free\s+Documentation|Lesser\s+General\s+Public|General\s+Public|Affero\s+General\s+Public)\s+Licen[cs]e"
    r".{0,600}?permitted\s+to\s+copy\s+and\s+distribute\s+verbatim\s+copies",
    re.IGNORECASE | re.DOTALL,
)  # fmt: skip

_THIS = (
    r"(?:this|these|the|all|our)\s+(?:\w+\s+){0,3}?(?:work|works|course|courses|material|materials|content|contents|"
    r"text|texts|book|ebook|textbook|page|pages|site|website|document|module|lecture|lectures|notes|file|resource)"
)


@dataclass(frozen=True)
class _Known:
    name: str
    verdict: Verdict
    words: re.Pattern[str]
    url: str | None = None
    # Words that lessons use as well: in a page they count only where it speaks of itself.
    common: bool = False


def _known(name: str, verdict: Verdict, words: str, url: str | None = None, *, common: bool = False) -> _Known:
    return _Known(name, verdict, re.compile(words, re.IGNORECASE), url, common)


_KNOWN = (
    _known(
        "No derivatives", "forbidden",
        r"no\s+derivative\s+works|derivative\s+works?\s+(?:are|is)\s+(?:not\s+(?:allowed|permitted)|prohibited|forbidden)|"
        r"(?:may|must|can)\s*not\s+be\s+(?:\w+\s+){0,3}?(?:modified|altered|adapted|changed)|"
        r"(?:no|without)\s+(?:modifications?|adaptations?)\s+(?:is|are|may|of\s+any\s+kind)\s*(?:allowed|permitted)?|"
        r"keine\s+Bearbeitung(?:en)?\s+(?:erlaubt|gestattet)|darf\s+nicht\s+(?:verändert|bearbeitet)\s+werden",
        common=True,
    ),
    _known(
        "GNU Free Documentation License", "allowed", r"GNU\s+Free\s+Documentation\s+Licen[cs]e|\bGFDL\b",
        "https://www.gnu.org/licenses/fdl-1.3.html", common=True,
    ),
    _known("Free Art License", "allowed", r"Free\s+Art\s+Licen[cs]e|Licence\s+Art\s+Libre", "https://artlibre.org/"),
    _known(
        "Open Government Licence", "allowed", r"Open\s+Government\s+Licen[cs]e",
        "https://www.nationalarchives.gov.uk/doc/open-government-licence/",
    ),
    _known("Project Gutenberg License", "allowed", r"Project\s+Gutenberg(?:™|\(TM\)|-tm)?\s+(?:Full\s+)?Licen[cs]e"),
    _known(
        "MIT License", "allowed", r"\bMIT\s+Licen[cs]e|Permission\s+is\s+hereby\s+granted,\s+free\s+of\s+charge",
        common=True,
    ),
    _known("Apache License 2.0", "allowed", r"Apache\s+Licen[cs]e|apache\.org/licenses/LICENSE-2\.0", common=True),
    _known("BSD License", "allowed", r"\b(?:[23]-clause\s+)?BSD\s+Licen[cs]e", common=True),
    _known(
        "Public domain", "allowed",
        r"public\s+domain|gemeinfrei|domaine\s+public|dominio\s+público|no\s+known\s+copyright", common=True,
    ),
    _known(
        "Creative Commons, which one is not said", "unclear", r"Creative\s+Commons|creativecommons\.org", common=True
    ),
    _known(
        "All rights reserved", "unclear",
        r"all\s+rights\s+reserved|alle\s+rechte\s+vorbehalten|tous\s+droits\s+réservés|todos\s+los\s+derechos\s+reservados|"
        r"may\s+not\s+be\s+(?:\w+\s+){0,3}?(?:reproduced|copied|distributed)|版权所有|無断転載",
        common=True,
    ),
    _known(
        "Copyright without a licence", "unclear",
        r"(?:©|\(c\)|&copy;)\s*(?:\d{4}|[A-Z])|\bcopyright\s+(?:©\s*)?\d{4}", common=True
    ),
)  # fmt: skip
# Where a page speaks of what may be done with it.
_OF_ITSELF = re.compile(
    rf"licen[cs]ed\s+under|under\s+(?:the\s+terms\s+of\s+)?(?:a|an|the)\s+[^.]{{0,80}}licen[cs]e|{_THIS}[^.]{{0,60}}\s(?:is|are|may|can|"
    r"must)\b|©|\(c\)\s*\d{4}|copyright\s+\d{4}|rel=[\"']license|dc:rights|dcterms\.license|lizenziert\s+unter|"
    r"steht\s+unter|sous\s+licence|mis\s+à\s+disposition|some\s+rights\s+reserved|^\W*(?:all\s+rights\s+reserved|"
    r"alle\s+rechte\s+vorbehalten|tous\s+droits\s+réservés|gemeinfrei)",
    re.IGNORECASE,
)  # fmt: skip
_FOR_ONE_THING = re.compile(
    r"\b(?:photo|image|picture|figure|diagram|icon|logo|video|music|bild|foto)s?\b", re.IGNORECASE
)
_ATTRIBUTION = re.compile(
    r"(?:©|\(c\)|&copy;|copyright)\s*(?:©\s*)?(?:\d{4}(?:\s?[-–,]\s?\d{4})*,?\s+)?(?:by\s+)?[A-ZÀ-Þ][^\n<>.]{2,120}"
    r"|(?:please\s+)?(?:attribute|cite|credit)(?:\s+\w+){0,3}\s*(?:as|to)?:\s*[^\n<>]{5,300}"
    r"|(?:attribution|citation|quelle|source)\s*:\s*[A-ZÀ-Þ“\"][^\n<>]{4,300}",
    re.IGNORECASE,
)  # fmt: skip
_WHOSE = re.compile(r"©|&copy;|\(c\)|copyright|attribut|cite|citation|credit|quelle|source\s*:", re.IGNORECASE)
_HINT = re.compile(
    r"licen[cs]|commons|rights|copyright|©|&copy;|\(c\)|public\s+domain|gemeinfrei|droits|domaine|rechte|derech|dominio|lizenz|"
    r"\bCC|GFDL|OpenCourseWare|ocw\.mit|derivative|modified|bearbeit|版权|転載", re.IGNORECASE,
)  # fmt: skip


def find(texts: Iterable[str], *, pages: bool = False) -> list[Licence]:
    """The licences named, each once, the plainest first.

    ``pages`` says that these are lessons, whose every word about rights is not about their own.
    """
    found: dict[str, Licence] = {}
    for text in texts:
        for licence in _in_text(text, pages=pages):
            found.setdefault(licence.name, licence)
    plain = [licence for licence in found.values() if licence.verdict != "unclear"]
    return plain + [licence for licence in found.values() if licence.verdict == "unclear"]


def decisive(found: Iterable[Licence]) -> Licence | None:
    """Which of several licences counts: one that forbids, else the plainest; None of none."""
    ordered = sorted(found, key=lambda licence: ("forbidden", "allowed", "unclear").index(licence.verdict))
    return ordered[0] if ordered else None


def attribution(texts: Iterable[str]) -> str:
    """Whose work it is, in the words of the first text that says so; empty if none does."""
    for text in texts:
        found = _ATTRIBUTION.search(_TAG.sub(" ", text)) if _WHOSE.search(text) else None
        if found:
            return " ".join(found[0].replace("&copy;", "©").split())
    return ""


def _in_text(text: str, *, pages: bool) -> list[Licence]:
    if not _HINT.search(text):
        return []
    if gnu := _GNU_TEXT.search(_TAG.sub(" ", text)):
        name = " ".join(gnu["name"].title().split())
        return [Licence(f"GNU {name} License", f"The text of the GNU {name} License", "allowed")]
    found: list[Licence] = []
    for match in _CC_URL.finditer(text):
        if not pages or not _is_for_one_thing(text, match):
            found += _by_kind(match["kind"], match["version"], _around(text, match), match["where"])
    for pattern in (_CC_NAME, _CC_SHORT):
        for match in pattern.finditer(text):
            around = _around(text, match)
            if pages and (not _OF_ITSELF.search(around) or _is_for_one_thing(text, match)):
                continue
            found += _by_kind(match["kind"], match["version"], around, "")
    if any(licence.verdict != "unclear" for licence in found):
        return _without_lesser(found)
    if (ocw := _OCW.search(text)) and re.search(r"creative\s*commons|licen[cs]e|terms", text, re.IGNORECASE):
        return [Licence("CC BY-NC-SA 4.0", _around(text, ocw), "allowed", _OCW_URL)]
    return found + _others(text, pages=pages)


def _others(text: str, *, pages: bool) -> list[Licence]:
    for known in _KNOWN:
        for match in known.words.finditer(text):
            around = _around(text, match)
            if pages and known.common and (not _OF_ITSELF.search(around) or _is_for_one_thing(text, match)):
                continue
            return [Licence(known.name, around, known.verdict, known.url)]
    return []


def _by_kind(kind: str, version: str | None, words: str, where: str) -> list[Licence]:
    kind = kind.lower()
    if kind in ("zero", "0"):
        return [Licence("CC0 1.0", words, "allowed", "https://creativecommons.org/publicdomain/zero/1.0/")]
    if where.lower() == "publicdomain":
        return [Licence("Public domain", words, "allowed", "https://creativecommons.org/publicdomain/mark/1.0/")]
    parts = set(re.split(r"[\s+-]+", kind)) & {"by", "nc", "sa", "nd"}
    if not parts and where:
        # One of the few that are no longer given, as /licenses/sampling/.
        return []
    if not parts:
        parts = {"by"} | {name.lower() for name, pattern in _PARTS if pattern.search(kind)}
    code = "-".join(part for part in ("by", "nc", "nd", "sa") if part in parts)
    name = f"CC {code.upper()}" + (f" {version}" if version else "")
    url = f"https://creativecommons.org/licenses/{code}/{version or '4.0'}/" if version else None
    return [Licence(name, words, "forbidden" if "nd" in parts else "allowed", url)]


def _without_lesser(found: list[Licence]) -> list[Licence]:
    """Without those that another names with its version as well."""
    names = {licence.name for licence in found}
    return [
        licence
        for licence in found
        if not any(other != licence.name and other.startswith(f"{licence.name} ") for other in names)
    ]


def _is_for_one_thing(text: str, match: re.Match[str]) -> bool:
    """Whether the licence is that of a picture: the words before it in its sentence say so."""
    before = _TAG.sub(" ", text[max(0, match.start() - 200) : match.start()])
    return _FOR_ONE_THING.search(re.split(r"[.!?]\s|\n\n|\s{6,}", before)[-1]) is not None


def _around(text: str, match: re.Match[str]) -> str:
    """The sentence in which a licence is named, without tags."""
    before = text[max(0, match.start() - 400) : match.start()]
    after = text[match.end() : match.end() + 300]
    before = re.split(r"(?<=[.!?])\s+(?=[A-ZÀ-Þ])|\n\s*\n|<(?:p|div|li|footer|body|td)\b[^<>]*>", before)[-1]
    after = re.split(r"(?<=[.!?])\s+(?=[A-ZÀ-Þ])|(?<=[.!?])\s*$|\n\s*\n|</(?:p|div|li|footer|body|td)>", after)[0]
    words = before + match[0] + after
    # A tag cut in two by the edge, then whole ones; a link keeps its address where nothing else is said.
    words = re.sub(r"^[^<>]*>|<[^<>]*$", "", words) if "<" in before + after or ">" in before + after else words
    words = " ".join(_TAG.sub(" ", words).split())
    words = words or match[0]
    return words if len(words) <= _MOST_WORDS else f"{words[: _MOST_WORDS - 1]}…"
