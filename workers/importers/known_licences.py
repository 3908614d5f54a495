"""The licences that are known by their names, but for those of Creative Commons: what each allows, and its words."""

from __future__ import annotations

import re
from dataclasses import dataclass

from workers.importers.outline import Verdict

# A work that speaks of itself.
THIS = (
    r"(?:this|these|the|all|our)\s+(?:\w+\s+){0,3}?(?:work|works|course|courses|material|materials|content|contents|"
    r"text|texts|book|ebook|textbook|page|pages|site|website|document|module|lecture|lectures|notes|file|resource)"
)


@dataclass(frozen=True)
class Known:
    name: str
    verdict: Verdict
    words: re.Pattern[str]
    url: str | None = None
    # Words that lessons use as well: in a page they count only where it speaks of itself.
    common: bool = False


def _known(name: str, verdict: Verdict, words: str, url: str | None = None, *, common: bool = False) -> Known:
    return Known(name, verdict, re.compile(words, re.IGNORECASE), url, common)


_ONLY_CC, _ONLY_COPYRIGHT = "Creative Commons, which one is not said", "Copyright without a licence"
# What says that there is more to be said.
OPEN = frozenset((_ONLY_CC, _ONLY_COPYRIGHT))

KNOWN = (
    _known(
        "No derivatives", "forbidden",
        r"no\s+derivative\s+works|derivative\s+works?\s+(?:are|is)\s+(?:not\s+(?:allowed|permitted)|prohibited|forbidden)|"
        # "Must not be changed by hand" says how, not whether.
        r"(?:may|must|can)\s*not\s+be\s+(?:\w+\s+){0,3}?(?:modified|altered|adapted|changed)"
        r"(?!\s+(?:by\s+hand|manually|directly|afterwards|at\s+run))|"
        r"(?:no|without)\s+(?:modifications?|adaptations?)\s+(?:is|are|may|of\s+any\s+kind)\s*(?:allowed|permitted)?|"
        r"keine\s+Bearbeitung(?:en)?\s+(?:erlaubt|gestattet)|darf\s+nicht\s+(?:verändert|bearbeitet)\s+werden",
        common=True,
    ),
    _known(
        "GNU Free Documentation License", "allowed",
        r"GNU\s+Free\s+Documentation\s+Licen[cs]e|\bGFDL\b|\bGNU\s+FDL\b",
        "https://www.gnu.org/licenses/fdl-1.3.html", common=True,
    ),
    _known(
        "GNU Affero General Public License", "allowed",
        r"(?:GNU\s+)?Affero\s+General\s+Public\s+Licen[cs]e|\b(?:GNU\s+)?AGPL(?:v?\d)?\b",
        common=True,
    ),
    _known(
        "GNU Lesser General Public License", "allowed",
        r"(?:GNU\s+)?(?:Lesser|Library)\s+General\s+Public\s+Licen[cs]e|\b(?:GNU\s+)?LGPL(?:v?\d)?\b",
        common=True,
    ),
    _known(
        "GNU General Public License", "allowed",
        r"(?:GNU\s+)?General\s+Public\s+Licen[cs]e|\b(?:GNU\s+)?GPL(?:v?\d)?\b",
        common=True,
    ),
    _known(
        "Mozilla Public License", "allowed", r"Mozilla\s+Public\s+Licen[cs]e|\bMPL\s?\d",
        common=True,
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
    _known(_ONLY_CC, "unclear", r"Creative\s+Commons|creativecommons\.org", common=True),
    _known(
        "All rights reserved", "unclear",
        r"all\s+rights\s+reserved|alle\s+rechte\s+vorbehalten|tous\s+droits\s+réservés|todos\s+los\s+derechos\s+reservados|"
        r"may\s+not\s+be\s+(?:\w+\s+){0,3}?(?:reproduced|copied|distributed)|版权所有|無断転載",
        common=True,
    ),
    _known(
        _ONLY_COPYRIGHT, "unclear",
        r"(?:©|\(c\)|&copy;)\s*(?:\d{4}|[A-Z])|\bcopyright\s+(?:©\s*)?\d{4}", common=True
    ),
)  # fmt: skip
# Families of licences: a sentence of prose that names several is about licences, not about its own.
FAMILIES = tuple(
    re.compile(words, re.IGNORECASE)
    for words in (
        r"creative\s+commons|\bcc[\s-]?(?:0|by)\b|creativecommons\.org", r"\bapache\b", r"\bartistic\b",
        r"\b(?:mozilla|mpl)\b", r"\bLGPL|lesser\s+general", r"\bAGPL|affero",
        r"(?<!affero )(?<!lesser )general\s+public|\bGPL", r"free\s+documentation|\bG?FDL\b", r"\bMIT\b", r"\bBSD\b",
        r"public\s+domain", r"open\s+government", r"free\s+art\s",
    )
)  # fmt: skip
