"""A file or a folder to a draft: which format it is, by what is in it."""

from __future__ import annotations

import posixpath
import re
from email.message import Message
from pathlib import Path

from workers.errors import BadInput
from workers.importers import cartridge, epub, export, folder, html_page, ocw
from workers.importers.archive import LIMITS, FolderTree, Limits, LoneFile, ZipTree, common_root
from workers.importers.draft import Draft, Files, Media, Report
from workers.importers.encoding import decode
from workers.importers.reading import PAGE_BYTES, Notes, Reading

KNOWN = (
    "EPUB 2 and 3, IMS Common Cartridge 1.1 to 1.3, MIT OpenCourseWare zips, zipped folders of Markdown, HTML or text, "
    "single Markdown, HTML or text files, and Voiceworks' own export (JSON)"
)
_ZIP_STARTS = (b"PK\3\4", b"PK\5\6", b"PK\7\x08")
# What people send instead, by how it begins.
_OTHERS = [
    (b"%PDF", "PDF"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (b"Rar!", "RAR"),
    (b"\xd0\xcf\x11\xe0", "an old Office file"),
    (b"{\\rtf", "RTF"),
    (b"TPZ", "Kindle"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"GIF8", "an image"),
    (b"RIFF", "a recording"),
    (b"ID3", "a recording"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90\0", "a program"),
]
_BEFORE_JSON = b"\xef\xbb\xbf\xff\xfe\0 \r\n\t"
_MOBI_AT, _MOBI = 60, b"BOOKMOBI"
_HTML = re.compile(r"<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_DECLARATION = re.compile(r"<\?xml[^<>]{0,300}\?>")
_XML = re.compile(r"<\?xml\b")
_JSON = re.compile(r"\s*(?:\{\s*\"|\[\s*[{\[])")
_TAGS = re.compile(r"<(?:p|div|h[1-6]|ul|ol|table|section|article)\b[^<>]{0,500}>", re.IGNORECASE)
_MARKS = re.compile(
    r"^#{1,6} \S|^[=-]{3,}\s*$|^ {0,3}[-*+] \S|^```|^> |\[[^\[\]\n]{1,200}\]\([^()\s]{1,300}\)|\*\*\S[^*\n]{0,200}\*\*",
    re.MULTILINE,
)
_MEDIA_TYPES: dict[str, Media] = {"text/markdown": "markdown", "text/x-markdown": "markdown", "text/html": "html"}
_TOP_CHARACTERS = 1 << 16
# So many marks of Markdown near the top are no chance.
_MARKS_ENOUGH = 2


def read(path: Path, name: str, media_type: str | None, report: Report, *, limits: Limits = LIMITS) -> Draft:
    """The course in a file or a folder; ``name`` and ``media_type`` are what its sender called it.

    They only decide between Markdown and plain text, and give a title where nothing else does.

    Raises:
        BadInput: it is of no known format, damaged, encrypted, made to harm, or there is nothing in it.
    """
    notes = Notes()
    files: ZipTree | FolderTree
    if path.is_dir():
        files = FolderTree(path, limits)
        draft = _of_tree(Reading(files, notes), report)
    elif _starts(path).startswith(_ZIP_STARTS):
        files = ZipTree(path, limits)
        draft = _of_tree(Reading(files, notes), report)
    else:
        files = LoneFile(path, name)
        draft = _of_file(files, _starts(path), media_type, notes, report)
    if not any(section.content and _says(section.content, section.media) for section in draft.sections):
        raise BadInput(f"There is nothing to be read aloud in {name!r}.", code="empty_course")
    draft.title = " ".join(draft.title.split()) or folder.title_of_name(name)
    draft.files = files
    draft.notes = [*files.notes, *notes.sentences(), *draft.notes]
    report(1.0)
    return draft


def _of_tree(reading: Reading, report: Report) -> Draft:
    if epub.is_epub(reading):
        return epub.read(reading, report)
    root = common_root(reading.names)
    if ocw.is_present(reading, root):
        return ocw.read_present(reading, root, report)
    if ocw.is_legacy(reading, root):
        return ocw.read_legacy(reading, root, report)
    if manifest := cartridge.manifest_path(reading, root):
        return cartridge.read(reading, manifest, report)
    if folder.pages_in(reading):
        return folder.read(reading, root, report)
    kinds = sorted({posixpath.splitext(each)[1].lower() or "no ending" for each in reading.names})
    inside = f"files with {', '.join(kinds[:8])}" if kinds else "nothing"
    raise _unknown(f"The archive holds {inside}")


def _of_file(files: LoneFile, start: bytes, media_type: str | None, notes: Notes, report: Report) -> Draft:
    [name] = files.names()
    if files.size(name) == 0:
        raise BadInput(f"{name!r} is empty.", code="empty_course")
    for beginning, what in _OTHERS:
        if start.startswith(beginning):
            raise _unknown(f"{name!r} is {what}")
    if start[_MOBI_AT:].startswith(_MOBI):
        raise _unknown(f"{name!r} is a Kindle book")
    if start.lstrip(_BEFORE_JSON).startswith((b"{", b"[")) and (draft := _of_json(files, name, media_type, report)):
        return draft
    declared = _charset(media_type)
    reading = Reading(files, notes, declared=declared)
    page = folder.page_of(reading, name, _media(files, name, media_type, declared))
    return folder.alone(page)


def _of_json(files: LoneFile, name: str, media_type: str | None, report: Report) -> Draft | None:
    """Our own export; None for a text that only begins with a bracket."""
    if files.size(name) > export.MOST_BYTES:
        return None
    text = decode(files.read(name, most=export.MOST_BYTES), name).text
    try:
        told = export.course_in(text)
    except BadInput:
        if name.lower().endswith(".json") or "json" in (media_type or "") or _JSON.match(text):
            raise
        return None
    if told is None:
        raise _unknown(f"{name!r} is JSON, but no course (an object with title and content)")
    return export.read(told, report)


def _media(files: Files, name: str, media_type: str | None, declared: str | None) -> Media:
    """Whether a text is HTML, Markdown or neither.

    Raises:
        BadInput: it is XML of another kind.
    """
    text = decode(files.read(name, most=PAGE_BYTES), name, declared=declared).text[:_TOP_CHARACTERS]
    begin = _begin(text)
    if _HTML.match(begin):
        return "html"
    if _XML.match(text.lstrip()):
        raise _unknown(f"{name!r} is XML, but no page")
    told = folder.MEDIA.get(posixpath.splitext(name)[1].lower())
    told = told or _MEDIA_TYPES.get((media_type or "").partition(";")[0].strip().lower())
    if told == "markdown":
        return told
    if len(_TAGS.findall(text)) >= (1 if told == "html" else _MARKS_ENOUGH + 1):
        return "html"
    return "markdown" if told != "text" and len(_MARKS.findall(text)) >= _MARKS_ENOUGH else "text"


def _charset(media_type: str | None) -> str | None:
    """The encoding that a Content-Type names."""
    told = Message()
    told["Content-Type"] = media_type or ""
    return told.get_content_charset()


def _begin(text: str) -> str:
    """A text from its first element on: without declaration and comments."""
    text = _DECLARATION.sub("", text.lstrip(), count=1).lstrip()
    while text.startswith("<!--") and "-->" in text:
        text = text.partition("-->")[2].lstrip()
    return text


def _says(content: str, media: Media) -> bool:
    return html_page.has_words(content) if media == "html" else any(map(str.isalnum, content))


def _starts(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_TOP_CHARACTERS)


def _unknown(what: str) -> BadInput:
    return BadInput(f"{what}. What can be imported: {KNOWN}.", code="unknown_format")
