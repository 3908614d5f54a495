"""Courses of MIT OpenCourseWare as they are downloaded: the layout since 2021, and the one before."""

from __future__ import annotations

import json
import posixpath
from collections import Counter
from typing import Any

from workers.errors import BadInput
from workers.importers import cartridge, html_page
from workers.importers.draft import Draft, Report, Section
from workers.importers.folder import title_of_name
from workers.importers.reading import MAX_DEPTH, XML_BYTES, Reading, children, descendants, words_of

# What of a page is the course; the rest is the site. The later ids are those of the old layout.
_MAIN = ("course-content-section", "course_inner_section", "course_inner_chp", "course_inner_media", "course-inner")
_OLD_TEXT = "parent-fieldname-text"
_SITE = ("sc_nav", "sc_nav_bottom", "breadcrumb", "bread-crumb", "share")
_NAV_IDS = ("course-nav", "course_nav", "left")
_SITE_PAGES = ("download", "download-course-materials", "search")
_TITLE_END = " | MIT OpenCourseWare"


def is_present(reading: Reading, root: str) -> bool:
    """Whether a course of the present layout lies there.

    Raises:
        BadInput: its data are broken.
    """
    if reading.has(f"{root}content_map.json"):
        return True
    if not any(name.startswith((f"{root}pages/", f"{root}resources/")) for name in reading.names):
        return False
    if reading.has(f"{root}data.json"):
        return "course_title" in _data(reading, f"{root}data.json")
    index = f"{root}index.html"
    return reading.has(index) and f'id="{_NAV_IDS[0]}"' in reading.text(index)


def is_legacy(reading: Reading, root: str) -> bool:
    """Whether a course of the old layout lies there."""
    return any(reading.resolve("", f"{root}contents/{name}") for name in ("index.htm", "index.html", "index.htm.xml"))


def read_present(reading: Reading, root: str, report: Report) -> Draft:
    """A course of the present layout.

    Raises:
        BadInput: its data are broken.
    """
    data = _data(reading, f"{root}data.json") if reading.has(f"{root}data.json") else {}
    draft = Draft(
        title=str(data.get("course_title") or data.get("title") or ""),
        sections=[],
        description=html_page.plain(str(data.get("course_description_html") or data.get("course_description") or "")),
        language="en",
        authors=[name for each in _list(data.get("instructors")) if (name := _name(each))],
    )
    index = reading.resolve("", f"{root}index.html")
    home = html_page.parsed(reading.text(index), index) if index else None
    if home is not None:
        draft.language = home.get("lang") or "en"
        draft.licence_texts = html_page.licence_links(home)
        draft.title = draft.title or _course_title(html_page.about(home).title)
    if isinstance(data.get("license"), str):
        draft.licence_texts.append(data["license"])
    entries = _navigation(reading, str(index), home) if home is not None else []
    entries += _unlisted(reading, root, {path for _, _, path in entries})
    for number, (title, level, path) in enumerate(entries):
        text = reading.text(path)
        content = _main(text, path)
        if not html_page.has_words(content):
            content = _plain_content(reading, path)
        title = title or html_page.title(content) or _page_title(reading, path, text)
        draft.sections.append(Section(title, level, content, "html", path))
        report((number + 1) / len(entries))
    _note_resources(reading, root)
    return draft


def read_legacy(reading: Reading, root: str, report: Report) -> Draft:
    """A course of the old layout, with a manifest or by the navigation of its first page.

    Raises:
        BadInput: its manifest is broken.
    """
    manifest = cartridge.manifest_path(reading, root)
    index = next(
        (path for name in ("index.htm", "index.html") if (path := reading.resolve("", f"{root}contents/{name}"))), None
    )
    draft = cartridge.read(reading, manifest, report, page=_main) if manifest else Draft(title="", sections=[])
    home = html_page.parsed(reading.text(index), index) if index else None
    if not draft.sections:
        entries = _navigation(reading, str(index), home) if home is not None else []
        entries = [each for each in entries if each[2].startswith(f"{root}contents/")]
        if not entries:
            entries = _contents(reading, root)
        for number, (title, level, path) in enumerate(entries):
            content = _main(reading.text(path), path)
            draft.sections.append(Section(title or html_page.title(content), level, content, "html", path))
            report((number + 1) / len(entries))
    _describe_legacy(reading, root, draft)
    if home is not None:
        said = html_page.about(home)
        draft.title = draft.title or _course_title(said.title)
        draft.description = draft.description or said.description
        draft.authors = draft.authors or said.authors
        draft.licence_texts += [each for each in said.licence_texts if each not in draft.licence_texts]
    return draft


def _navigation(reading: Reading, index: str, home: Any) -> list[tuple[str, int, str]]:
    """Title, level and path of the pages that the menu of the first page leads to."""
    nav = next((found for name in _NAV_IDS for found in home.xpath("//*[@id=$name]", name=name)), None)
    entries: list[tuple[str, int, str]] = []
    seen: set[str] = set()
    for link in nav.iter("a") if nav is not None else ():
        path = reading.resolve(index, link.get("href") or "")
        if path and posixpath.splitext(path)[1].lower() not in (".html", ".htm"):
            path = None
        if path is None or path in seen or path == index or _of_site(path):
            continue
        level = sum(1 for above in link.iterancestors("ul"))
        if level > MAX_DEPTH:
            raise BadInput(f"The menu of {index!r} is nested deeper than {MAX_DEPTH}.", code="nested_too_deep")
        seen.add(path)
        entries.append((html_page.words(link), max(1, level), path))
    least = min((level for _, level, _ in entries), default=1)
    return [(title, level - least + 1, path) for title, level, path in entries]


def _unlisted(reading: Reading, root: str, listed: set[str]) -> list[tuple[str, int, str]]:
    """Pages that the menu does not name, by their paths: a page lies below the page that it lies in."""
    start = f"{root}pages/"
    return [
        ("", min(MAX_DEPTH, path[len(start) :].count("/")), path)
        for path in sorted(reading.names)
        if path.startswith(start) and path.endswith("/index.html") and path != f"{start}index.html"
        if path not in listed and not _of_site(path)
    ]


def _contents(reading: Reading, root: str) -> list[tuple[str, int, str]]:
    """All pages of an old course whose menu is gone."""
    start = f"{root}contents/"
    return [
        ("", 1, path)
        for path in sorted(reading.names)
        if path.startswith(start) and path.lower().endswith((".htm", ".html")) and path[len(start) :].count("/") > 0
    ]


def _of_site(path: str) -> bool:
    return any(part.lower() in _SITE_PAGES for part in posixpath.dirname(path).split("/")[-1:])


def _main(text: str, path: str) -> str:
    """The part of a page that is the course; the whole page where nothing is marked so."""
    root = html_page.parsed(text, path) if text.strip() else None
    main = (
        next((found for name in _MAIN for found in root.xpath("//*[@id=$name]", name=name)), None)
        if root is not None
        else None
    )
    if root is None:
        return ""
    if main is None:
        main = next(iter(root.xpath("//*[@id=$name]", name=_OLD_TEXT) or root.xpath("//main")), None)
    if main is None:
        return text
    for name in _SITE:
        for part in main.xpath(
            "//*[@id=$name or contains(concat(' ', @class, ' '), concat(' ', $name, ' '))]", name=name
        ):
            if part is not main and part.getparent() is not None:
                part.drop_tree()
    return html_page.inner(main)


def _plain_content(reading: Reading, path: str) -> str:
    """What ``data.json`` beside a page tells of it, where the page itself says nothing."""
    beside = reading.resolve(path, "data.json")
    told = _data(reading, beside).get("content") if beside else None
    return told if isinstance(told, str) else ""


def _page_title(reading: Reading, path: str, text: str) -> str:
    """What a page is called whose content has no heading; its banner is the course's."""
    beside = reading.resolve(path, "data.json")
    told = _data(reading, beside).get("title") if beside else None
    if isinstance(told, str) and told.strip():
        return told.strip()
    return _course_title(html_page.about(html_page.parsed(text, path)).title) if text.strip() else ""


def _note_resources(reading: Reading, root: str) -> None:
    """How many slides, recordings and papers came along that are not read aloud."""
    kinds: Counter[str] = Counter()
    for name in reading.names:
        if name.startswith(f"{root}resources/") and name.endswith("/data.json"):
            told = _data(reading, name)
            kinds[str(told.get("resourcetype") or told.get("resource_type") or told.get("file_type") or "other")] += 1
    for kind, number in kinds.items():
        reading.notes.add(f"Resources were passed over, their pages are not read aloud: {number} of kind {kind}.")


def _data(reading: Reading, path: str) -> dict[str, Any]:
    try:
        told = json.loads(reading.files.read(path, most=XML_BYTES))
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path!r} is no JSON: {error}.", code="broken_json") from error
    if not isinstance(told, dict):
        raise BadInput(f"{path!r} is no JSON object.", code="broken_json")
    return told


def _list(told: object) -> list[Any]:
    return told if isinstance(told, list) else []


def _name(instructor: object) -> str:
    if not isinstance(instructor, dict):
        return str(instructor)
    parts = [instructor.get(key) for key in ("salutation", "first_name", "middle_initial", "last_name")]
    return str(instructor.get("title") or " ".join(str(part) for part in parts if part))


def _describe_legacy(reading: Reading, root: str, draft: Draft) -> None:
    """Title, authors and rights from ``contents/index.htm.xml`` (LOM), where it lies beside the first page."""
    path = reading.resolve("", f"{root}contents/index.htm.xml")
    if path is None:
        return
    lom = reading.xml(path)
    for general in descendants(lom, "general")[:1]:
        draft.title = draft.title or _string(children(general, "title"))
        draft.description = draft.description or html_page.plain(_string(children(general, "description")))
        draft.language = draft.language or _string(children(general, "language")) or None
    for rights in descendants(lom, "rights"):
        draft.licence_texts += [said for each in children(rights, "description") if (said := words_of(each))]


def _string(elements: list[Any]) -> str:
    """The first text, without the code of the language that may stand beside it."""
    for element in elements:
        strings = descendants(element, "string") or descendants(element, "langstring") or [element]
        return words_of(strings[0])
    return ""


def _course_title(title: str) -> str:
    """``Home | Quantum Physics II | Physics | MIT OpenCourseWare`` is about Quantum Physics II."""
    parts = [part.strip() for part in title.removesuffix(_TITLE_END).split("|")]
    return next((part for part in parts if part.lower() not in ("home", "course home", "")), title_of_name(title))
