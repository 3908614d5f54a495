"""EPUB 2 and 3: the pages of the spine, with the titles and levels of the table of contents."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element

from workers.errors import BadInput
from workers.importers import epub_contents, gutenberg, html_page
from workers.importers.draft import Draft, Report, Section
from workers.importers.epub_contents import Entry
from workers.importers.reading import Reading, attribute, children, descendants, local, words_of

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_RIGHTS = ("META-INF/rights.xml", "META-INF/sinf.xml")
# Fonts are scrambled so that nobody takes them out of a book; the book can be read all the same.
_FONT_SCRAMBLING = {"http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC"}
_PAGES = {"application/xhtml+xml", "text/html", "text/x-oeb1-document", "application/x-dtbook+xml"}
# Pages around the text, by the words of the guide (EPUB 2) and of the landmarks (EPUB 3).
_AROUND = {"cover", "toc", "title-page", "titlepage", "loi", "lot", "index", "halftitlepage"}
_RIGHTS_PAGE = "copyright-page"
_FALLBACKS = 10


@dataclass(frozen=True)
class Item:
    """A file of the manifest."""

    id: str
    path: str
    media_type: str
    properties: frozenset[str]
    fallback: str


def is_epub(reading: Reading) -> bool:
    """Whether these files are a book."""
    return reading.has(_CONTAINER) or (
        reading.has("mimetype") and reading.files.read("mimetype", most=1 << 20).strip() == b"application/epub+zip"
    )


def read(reading: Reading, report: Report) -> Draft:
    """The book.

    Raises:
        BadInput: it is encrypted, or no well-formed book.
    """
    package_path = _package_path(reading)
    package = reading.xml(package_path)
    manifest = _manifest(reading, package, package_path)
    _refuse_encrypted(reading, {item.path for item in manifest.values() if item.media_type in _PAGES})
    spine = _spine(reading, package, manifest)
    contents, landmarks = _contents(reading, package, package_path, manifest)
    metadata = next(iter(children(package, "metadata")), None)
    draft = _described(metadata, package)
    around = {path for path, kind in landmarks.items() if kind in _AROUND}
    around |= {item.path for item in manifest.values() if "nav" in item.properties}
    rights = {path for path, kind in landmarks.items() if kind == _RIGHTS_PAGE}
    pages = []
    for path in spine:
        if path in rights:
            draft.licence_texts.append(html_page.page_words(html_page.parsed(reading.text(path), path)))
        elif path in around or html_page.is_made_index(path):
            reading.notes.count("Pages around the text were passed over (cover, contents, title)", path)
        else:
            pages.append(path)
    draft.sections = _sections(reading, pages, contents, draft.licence_texts, report)
    if not draft.title:
        draft.title = draft.sections[0].title if draft.sections else ""
    return draft


def _package_path(reading: Reading) -> str:
    if not reading.has(_CONTAINER):
        raise BadInput(f"The book has no {_CONTAINER}.", code="broken_epub")
    rootfiles = descendants(reading.xml(_CONTAINER), "rootfile")
    packages = [each for each in rootfiles if each.get("media-type") == "application/oebps-package+xml"] or rootfiles
    for rootfile in packages:
        if path := reading.resolve("", rootfile.get("full-path", "")):
            return path
    raise BadInput(f"{_CONTAINER} names no package that is in the book.", code="broken_epub")


def _refuse_encrypted(reading: Reading, pages: set[str]) -> None:
    for path in _RIGHTS:
        if reading.has(path):
            raise BadInput(f"The book is encrypted for one reader ({path}).", code="encrypted")
    if not reading.has(_ENCRYPTION):
        return
    for encrypted in descendants(reading.xml(_ENCRYPTION), "EncryptedData"):
        method = next((attribute(each, "Algorithm") for each in children(encrypted, "EncryptionMethod")), "")
        target = next((attribute(each, "URI") for each in descendants(encrypted, "CipherReference")), "")
        if method not in _FONT_SCRAMBLING or reading.resolve("", target) in pages:
            raise BadInput(f"The book is encrypted: {target!r} by {method or 'an unnamed method'}.", code="encrypted")
    reading.notes.add("Its fonts are scrambled, which does not matter for listening.")


def _manifest(reading: Reading, package: Element, package_path: str) -> dict[str, Item]:
    found: dict[str, Item] = {}
    for manifest in children(package, "manifest"):
        for item in children(manifest, "item"):
            href = item.get("href", "")
            path = reading.resolve(package_path, href)
            if path is None:
                reading.notes.count("The book names files that are not in it", href)
                continue
            properties = frozenset(item.get("properties", "").split())
            found[item.get("id", "")] = Item(
                item.get("id", ""), path, item.get("media-type", "").lower(), properties, item.get("fallback", "")
            )
    return found


def _spine(reading: Reading, package: Element, manifest: dict[str, Item]) -> list[str]:
    """The paths of the pages in reading order."""
    paths: dict[str, None] = {}
    for spine in children(package, "spine"):
        for itemref in children(spine, "itemref"):
            item = manifest.get(itemref.get("idref", ""))
            if item is None:
                reading.notes.count("The book's order names pages that are not in it", itemref.get("idref", ""))
                continue
            if itemref.get("linear", "yes").strip().lower() == "no":
                reading.notes.count("Pages beside the text were passed over (linear=no)", item.path)
                continue
            page = item
            for _ in range(_FALLBACKS):
                if page.media_type in _PAGES or page.fallback not in manifest:
                    break
                page = manifest[page.fallback]
            if page.media_type in _PAGES:
                paths[page.path] = None
            else:
                reading.notes.count(f"Pages that are no text were passed over ({item.media_type})", item.path)
    return list(paths)


def _contents(
    reading: Reading, package: Element, package_path: str, manifest: dict[str, Item]
) -> tuple[list[Entry], dict[str, str]]:
    """The table of contents, and which pages are the cover and such."""
    entries: list[Entry] = []
    landmarks: dict[str, str] = {}
    for guide in children(package, "guide"):
        for reference in children(guide, "reference"):
            if path := reading.resolve(package_path, reference.get("href", "")):
                landmarks[path] = reference.get("type", "").strip().lower()
    nav = next((item for item in manifest.values() if "nav" in item.properties), None)
    if nav is not None:
        entries, marked = epub_contents.from_nav(reading, nav.path)
        landmarks |= marked
    if not entries:
        named = next((spine.get("toc", "") for spine in children(package, "spine")), "")
        ncx = manifest.get(named) or next(
            (item for item in manifest.values() if item.media_type == "application/x-dtbncx+xml"), None
        )
        entries = epub_contents.from_ncx(reading, ncx.path) if ncx is not None else []
    if not entries:
        reading.notes.add("The book has no table of contents; its pages were taken in their order.")
    return entries, landmarks


def _described(metadata: Element | None, package: Element) -> Draft:
    """The book without its pages. The children of ``metadata`` may lie one deeper, as before EPUB 2."""
    said: dict[str, list[str]] = {}
    licences: list[str] = []
    for element in metadata.iter() if metadata is not None else ():
        kind, text = local(element), words_of(element)
        if kind == "meta":
            kind = element.get("property", element.get("name", "")).rpartition(":")[2].lower()
            text = text or element.get("content", "")
            if kind not in ("license", "rights"):
                continue
        if kind == "link" and "license" in element.get("rel", "").lower():
            text, kind = element.get("href", ""), "license"
        if kind in ("rights", "license", "accessRights") and text:
            licences.append(text)
        elif text and len(element) == 0:
            said.setdefault(kind, []).append(text)
    language = said.get("language", [attribute(package, "lang")])[0]
    return Draft(
        title=said.get("title", [""])[0],
        sections=[],
        description=html_page.plain(said.get("description", [""])[0]),
        language=language or None,
        authors=list(dict.fromkeys(said.get("creator", []))),
        licence_texts=list(dict.fromkeys(licences)),
    )


def _sections(
    reading: Reading, pages: list[str], contents: list[Entry], licence_texts: list[str], report: Report
) -> list[Section]:
    """The pages under the titles that lead to them; what a distributor says on them is added to ``licence_texts``.

    A page that no title leads to goes on with what was before it: makers of books cut long chapters in two. With a
    heading of its own it lies one deeper; without, it is part of what was before.
    """
    by_page: dict[str, list[Entry]] = {}
    before: list[Entry] = []
    in_spine = set(pages)
    for entry in contents:
        if entry.path in in_spine:
            above = [replace(heading, fragment=entry.fragment) for heading in before]
            by_page.setdefault(entry.path, []).extend([*above, entry])
            before = []
        elif not entry.path:
            before.append(entry)  # a heading without a page of its own stands above the next page
    found: list[Section] = []
    level = 0
    for number, path in enumerate(pages):
        text = reading.text(path)
        entries = by_page.get(path, [])
        if parted := gutenberg.parted(text):
            text = parted.text
            licence_texts += [parted.terms] if parted.terms else []
            reading.notes.count("What Project Gutenberg puts around a book was passed over", path)
        if entries:
            found += epub_contents.split(text, path, entries)
            level = found[-1].level
        elif html_page.has_words(text):
            title = html_page.heading(text) if level else html_page.title(text)
            last = found[-1] if found else None
            # Links in a page are read from its folder, so only pages of one folder are joined.
            if not title and last and posixpath.dirname(last.path) == posixpath.dirname(path):
                found[-1] = replace(last, content=last.content + html_page.body(text))
            else:
                found.append(Section(title, level + 1, text, "html", path))
        report((number + 1) / len(pages))
    return found
