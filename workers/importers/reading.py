"""What all formats do with the files of a course: read pages and XML, follow links, and note what was amiss."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from workers.errors import BadInput
from workers.importers.draft import Files
from workers.importers.encoding import decode

# A page of a million words. More is no page.
PAGE_BYTES = 8 << 20
# All pages of a course: 500 hours of speech. They are held in memory together.
COURSE_BYTES = 32 << 20
# A page of a million words has a tenth of it. Each takes up to a kilobyte when the page is parsed.
PAGE_TAGS = 300_000
# A manifest of ten thousand items; its tree takes some twenty times as much.
XML_BYTES = 4 << 20
# How deep headings may lie in one another.
MAX_DEPTH = 30
_NAMED = 3
_XML_DECLARATION = re.compile(r"^\s*<\?xml[^<>]{0,300}\?>")


class Notes:
    """Sentences for whoever imports; what happens to many files is told once, with their number."""

    def __init__(self, sentences: Iterable[str] = ()) -> None:
        self._sentences = dict.fromkeys(sentences)
        self._kinds: dict[str, list[str]] = {}

    def add(self, sentence: str) -> None:
        """Notes a sentence, once."""
        self._sentences[sentence] = None

    def count(self, kind: str, name: str) -> None:
        """Notes that a file is of a kind ("passed over: no page")."""
        self._kinds.setdefault(kind, []).append(name)

    def sentences(self) -> list[str]:
        """Everything noted."""
        told = []
        for kind, names in self._kinds.items():
            rest = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            told.append(f"{kind}: {', '.join(names[:_NAMED])}{rest}.")
        return [*self._sentences, *told]


class Reading:
    """The files of a course being read; what pages hold together has a limit.

    ``declared`` is the encoding that was told with them (a header of HTTP, of a lone file).
    """

    def __init__(self, files: Files, notes: Notes, *, declared: str | None = None) -> None:
        self.declared = declared
        self.files = files
        self.notes = notes
        self.names = files.names()
        self._known = set(self.names)
        self._alike: dict[str, str] = {}
        for name in self.names:
            self._alike.setdefault(_alike(name), name)
        self._left_bytes = COURSE_BYTES

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return name in self._known

    def text(self, name: str) -> str:
        """A page.

        Raises:
            BadInput: it is no text, too large, or the course has too much text.
        """
        data = self.files.read(name, most=PAGE_BYTES)
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            raise BadInput(
                f"The pages of the course are more than {COURSE_BYTES >> 20} MiB of text.", code="course_too_large"
            )
        read = decode(data, name, declared=self.declared)
        if read.text.count("<") > PAGE_TAGS:
            raise BadInput(f"{name!r} has more than {PAGE_TAGS} tags; no page has.", code="file_too_large")
        if read.note:
            self.notes.count(f"Encoding repaired ({read.note})", name)
        return read.text

    def xml(self, name: str) -> Element:
        """The root of an XML file.

        Raises:
            BadInput: it is not well-formed, has entities of its own, or is too large.
        """
        data = self.files.read(name, most=XML_BYTES)
        try:
            return _parsed(data.lstrip(b"\r\n\t "), name)
        except (ParseError, ValueError, LookupError) as error:
            broken = BadInput(f"{name!r} is no well-formed XML: {error}.", code="broken_xml")
        # Wrong or unknown encodings are what XML breaks at most often.
        read = decode(data, name)
        if read.text.isascii():
            raise broken
        try:
            root = _parsed(_XML_DECLARATION.sub("", read.text).strip().encode(), name)
        except (ParseError, ValueError, LookupError) as error:
            raise broken from error
        self.notes.count(f"Encoding repaired ({read.note or 'read as it says'})", name)
        return root

    def resolve(self, base: str, href: str) -> str | None:
        """The file that a link in ``base`` leads to; None where it leads elsewhere or nowhere.

        Percent signs, another case and another spelling of accents are seen through.
        """
        target = target_of(base, href)
        if target is None:
            return None
        if target in self._known:
            return target
        return self._alike.get(_alike(target))


def target_of(base: str, href: str) -> str | None:
    """The path that a link in ``base`` means, whether there is such a file or not; None where it leads out."""
    try:
        parts = urlsplit(href.strip().replace("\\", "/"))
    except ValueError:
        return None
    if parts.scheme or parts.netloc:
        return None
    path = unquote(parts.path)
    if not path:
        return base
    joined = path.lstrip("/") if path.startswith("/") else posixpath.join(posixpath.dirname(base), path)
    target = posixpath.normpath(joined)
    return None if target.startswith("..") else target


def fragment_of(href: str) -> str:
    """What stands after the # of a link."""
    return unquote(href.strip().partition("#")[2])


def local(element: Element) -> str:
    """The name of an element without its namespace, which differs from version to version."""
    return element.tag.rpartition("}")[2]


def attribute(element: Element, name: str) -> str:
    """An attribute by its name without namespace; empty where it has none."""
    for key, value in element.attrib.items():
        if key.rpartition("}")[2] == name:
            return value
    return ""


def children(element: Element, name: str) -> list[Element]:
    """The children of that name."""
    return [child for child in element if local(child) == name]


def descendants(element: Element, name: str) -> list[Element]:
    """All elements of that name under it, in order."""
    return [each for each in element.iter() if local(each) == name]


def words_of(element: Element | None) -> str:
    """The text of an element, its spaces collapsed; empty where there is no element."""
    return "" if element is None else " ".join("".join(element.itertext()).split())


def _parsed(data: bytes, name: str) -> Element:
    try:
        return fromstring(data, forbid_dtd=False, forbid_entities=True, forbid_external=True)
    except DefusedXmlException as error:
        raise BadInput(
            f"{name!r} declares entities of its own, which are not read ({type(error).__name__}).", code="xml_entities"
        ) from error


def _alike(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
