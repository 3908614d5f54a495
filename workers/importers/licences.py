"""What a course may be used for: the licences named in texts and links."""

from __future__ import annotations

import re
from collections.abc import Iterable

from workers.importers.known_licences import FAMILIES, KNOWN, THIS
from workers.importers.outline import Licence

_MOST_WORDS = 300
_TAG = re.compile(r"<[^<>]{0,2000}>")
_MARKDOWN_LINK = re.compile(r"\[([^\[\]]{1,200})\]\(([^()\s]{1,300})\)")

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

_OWN = re.compile(
    rf"{THIS}\b[^.]{{0,60}}\s(?:is|are|may|can|must)\b|(?:^|[.!?>]\s*)(?:text|content|contents|material|materials|documentation)\s+(?:is|are)\b",
    re.IGNORECASE,
)
# Where a page speaks of what may be done with it.
_OF_ITSELF = re.compile(
    rf"licen[cs]ed\s+under|under\s+(?:the\s+terms\s+of\s+)?(?:a|an|the)\s+[^.]{{0,80}}licen[cs]e|{THIS}[^.]{{0,60}}\s(?:is|are|may|can|"
    r"must)\b|©|\(c\)\s*\d{4}|copyright\s+\d{4}|rel=[\"']license|dc:rights|dcterms\.license|lizenziert\s+unter|"
    r"steht\s+unter|sous\s+licence|mis\s+à\s+disposition|some\s+rights\s+reserved|^\W*(?:all\s+rights\s+reserved|"
    r"alle\s+rechte\s+vorbehalten|tous\s+droits\s+réservés|gemeinfrei)",
    re.IGNORECASE,
)  # fmt: skip
_FOR_ONE_THING = re.compile(
    r"\b(?:photo|image|picture|figure|diagram|icon|logo|video|music|bild|foto)s?\b", re.IGNORECASE
)
_HINT = re.compile(
    r"licen[cs]|commons|rights|copyright|©|&copy;|\(c\)|public\s+domain|gemeinfrei|droits|domaine|rechte|derech|dominio|lizenz|"
    r"\bCC|GPL|FDL|\bMPL|OpenCourseWare|ocw\.mit|derivative|modified|bearbeit|版权|転載", re.IGNORECASE,
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


def _in_text(text: str, *, pages: bool) -> list[Licence]:
    if not _HINT.search(text):
        return []
    if gnu := _GNU_TEXT.search(_TAG.sub(" ", text)):
        name = " ".join(gnu["name"].title().split())
        return [Licence(f"GNU {name} License", f"The text of the GNU {name} License", "allowed")]
    found: list[Licence] = []
    for match in _CC_URL.finditer(text):
        around = _around(text, match)
        if not pages or not (_is_for_one_thing(text, match) or _is_list(around, 3)):
            found += _by_kind(match["kind"], match["version"], around, match["where"])
    for pattern in (_CC_NAME, _CC_SHORT):
        for match in pattern.finditer(text):
            around = _around(text, match)
            if pages and (not _is_own(around) or _is_for_one_thing(text, match)):
                continue
            found += _by_kind(match["kind"], match["version"], around, "")
    if any(licence.verdict != "unclear" for licence in found):
        return _without_lesser(found)
    if (ocw := _OCW.search(text)) and re.search(r"creative\s*commons|licen[cs]e|terms", text, re.IGNORECASE):
        return [Licence("CC BY-NC-SA 4.0", _around(text, ocw), "allowed", _OCW_URL)]
    return found + _others(text, pages=pages)


def _others(text: str, *, pages: bool) -> list[Licence]:
    for known in KNOWN:
        for match in known.words.finditer(text):
            around = _around(text, match)
            if pages and known.common and (not _is_own(around) or _is_for_one_thing(text, match)):
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


def _is_own(sentence: str) -> bool:
    """Whether a sentence of a lesson speaks of what may be done with that lesson."""
    if not _OF_ITSELF.search(sentence):
        return False
    return not _is_list(sentence, 2)


def _is_list(sentence: str, several: int) -> bool:
    """Whether a sentence names several different licences, and none of them as its own."""
    named = sum(family.search(sentence) is not None for family in FAMILIES)
    return named >= several and _OWN.search(sentence) is None


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
    words = " ".join(_MARKDOWN_LINK.sub(r"\1 (\2)", _TAG.sub(" ", words)).split()).strip("*_ ")
    words = words or match[0]
    return words if len(words) <= _MOST_WORDS else f"{words[: _MOST_WORDS - 1]}…"
