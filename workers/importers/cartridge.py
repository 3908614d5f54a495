"""IMS Common Cartridge 1.1 to 1.3, and plain IMS content packages: the items of the manifest with their pages."""

from __future__ import annotations

import html
import posixpath
import re
from collections.abc import Callable
from dataclasses import replace
from xml.etree.ElementTree import Element

from workers.errors import BadInput
from workers.importers import html_page
from workers.importers.cartridge_parts import Resource, described, resources_of
from workers.importers.draft import Draft, Media, Report, Section
from workers.importers.folder import MEDIA, title_of_name
from workers.importers.reading import MAX_DEPTH, Reading, attribute, children, local, target_of, words_of

_HIDDEN = "Hidden items were passed over"
_FILE_BASE = re.compile(r"(?:\$|%24)IMS[-_]CC[-_]FILEBASE(?:\$|%24)/?([^\"'<>\s]{0,1000})")
_FILE_BASES = ("", "web_resources/", "course files/")


def manifest_path(reading: Reading, root: str) -> str | None:
    """Where the manifest lies, if there is one."""
    return reading.resolve("", f"{root}imsmanifest.xml")


def read(reading: Reading, path: str, report: Report, *, page: Callable[[str, str], str] | None = None) -> Draft:
    """The course; ``page(text, path)`` takes out of a page what is of the course.

    Raises:
        BadInput: the manifest is broken, or locked for those with an authorisation.
    """
    manifest = reading.xml(path)
    if local(manifest) != "manifest":
        raise BadInput(f"{path!r} is no manifest but <{local(manifest)}>.", code="broken_cartridge")
    for locked in manifest.iter():
        if local(locked) == "authorizations" and attribute(locked, "access") == "cartridge":
            raise BadInput("The cartridge is locked for those with an authorisation.", code="encrypted")
    walk = _Walk(reading, resources_of(reading, manifest, path), report, page)
    for organizations in children(manifest, "organizations"):
        default = organizations.get("default")
        found = children(organizations, "organization")
        chosen = next((each for each in found if each.get("identifier") == default), found[0] if found else None)
        if chosen is not None:
            walk.organization(chosen)
    if not walk.sections:
        walk.everything()
    draft = described(manifest)
    draft.sections = walk.sections
    return draft


class _Walk:
    """Goes through the items and gathers sections."""

    def __init__(
        self,
        reading: Reading,
        resources: dict[str, Resource],
        report: Report,
        page: Callable[[str, str], str] | None,
    ) -> None:
        self.sections: list[Section] = []
        self._reading = reading
        self._resources = resources
        self._report = report
        self._page = page or (lambda text, _: text)
        self._taken: set[str] = set()

    def organization(self, organization: Element) -> None:
        """All items; a lone item without title or page, as cartridges have it, is no level of its own."""
        items = children(organization, "item")
        if len(items) == 1 and "identifierref" not in items[0].attrib and not _title(items[0]):
            items = children(items[0], "item")
        for item in items:
            self._item(item, 1)

    def everything(self) -> None:
        """The pages of a manifest that puts them in no order."""
        for resource in self._resources.values():
            if resource.kind == "page" and not resource.for_teachers:
                self._add(resource, "", 1, "")
        if self.sections:
            self._reading.notes.add("The manifest puts its pages in no order; they were taken as they are listed.")

    def _item(self, item: Element, level: int) -> None:
        if level > MAX_DEPTH:
            raise BadInput(f"The items of the manifest are nested deeper than {MAX_DEPTH}.", code="nested_too_deep")
        title = _title(item)
        resource = self._resources.get(item.get("identifierref", ""))
        hidden = item.get("isvisible", "true").strip().lower() in ("false", "0")
        if hidden or (resource is not None and resource.for_teachers):
            self._reading.notes.count(_HIDDEN, title or item.get("identifier", "?"))
            return
        below = children(item, "item")
        pages = [child for child in below if not self._is_link(child)]
        # Where there are pages, a link is said at the end of the one before it: alone it is no lesson.
        links = "" if pages else "".join(self._link(child) for child in below)
        if resource is not None:
            self._add(resource, title, level, links)
        elif "identifierref" in item.attrib:
            self._reading.notes.count(
                "Items without a file of theirs were passed over", title or item.get("identifier", "?")
            )
        if resource is None and title and (below or "identifierref" not in item.attrib):
            self.sections.append(Section(title, level, links, "html", self._here(below) if links else ""))
        if pages:
            self._below(below, level + 1 if title or resource else level)

    def _below(self, items: list[Element], level: int) -> None:
        """The pages in an item; a link goes to the page before it in the item, else to the first."""
        waiting, first = "", len(self.sections)
        for child in items:
            if self._is_link(child):
                waiting += self._link(child)
            else:
                self._item(child, level)
            last = self.sections[-1] if len(self.sections) > first else None
            if waiting and last is not None and last.content and last.media == "html":
                self.sections[-1] = replace(last, content=last.content + waiting)
                waiting = ""
        if waiting:
            self.sections.append(Section("", level, waiting, "html"))

    def _is_link(self, item: Element) -> bool:
        resource = self._resources.get(item.get("identifierref", ""))
        return resource is not None and resource.kind == "link"

    def _link(self, item: Element) -> str:
        """A link of the web under an item: there is nothing to be said of it alone."""
        if not self._is_link(item) or item.get("isvisible", "true").strip().lower() in ("false", "0"):
            return ""
        return self._anchor(self._resources[item.get("identifierref", "")], _title(item))

    def _anchor(self, resource: Resource, title: str) -> str:
        root = self._reading.xml(resource.path)
        address = next((attribute(each, "href") for each in root.iter() if local(each) == "url"), "")
        if not address.lower().startswith(("http://", "https://")):
            self._reading.notes.count("Links that lead nowhere were passed over", title or resource.path)
            return ""
        said = title or next((words_of(each) for each in root.iter() if local(each) == "title"), "") or address
        return f'<p><a href="{html.escape(address)}">{html.escape(said)}</a></p>'

    def _here(self, items: list[Element]) -> str:
        """The path of the first link of a heading, so that the heading's content lies somewhere."""
        return next((self._resources[item.get("identifierref", "")].path for item in items if self._is_link(item)), "")

    def _add(self, resource: Resource, title: str, level: int, links: str) -> None:
        if resource.path in self._taken:
            self._reading.notes.count("Items that lead to a page that was there before were passed over", resource.path)
            return
        self._taken.add(resource.path)
        self._report(min(1.0, len(self._taken) / max(1, len(self._resources))))
        if resource.kind == "link":
            content, media = self._anchor(resource, title), "html"
        elif resource.kind == "topic":
            content, said = self._topic(resource.path)
            media, title = "html", title or said
        elif resource.kind == "page":
            content, media = self._content(resource.path)
            title = title or html_page.title(content) or title_of_name(resource.path)
        else:
            self._reading.notes.count(f"Passed over, not to be read aloud ({resource.type})", title or resource.path)
            if title and links:
                self.sections.append(Section(title, level, links, "html", resource.path))
            return
        shown = content + links if media == "html" else content
        self.sections.append(Section(title, level, shown, _media(media), resource.path))

    def _content(self, path: str) -> tuple[str, str]:
        text = self._page(self._reading.text(path), path)
        return _FILE_BASE.sub(lambda found: self._placed(path, found[1]), text), MEDIA[_extension(path)]

    def _placed(self, page: str, target: str) -> str:
        """A link to a file of the cartridge, from its page."""
        for base in _FILE_BASES:
            if found := self._reading.resolve("", base + target):
                return posixpath.relpath(found, posixpath.dirname(page) or ".")
        return target_of("", target) or target

    def _topic(self, path: str) -> tuple[str, str]:
        """What a discussion or an assignment asks, and its title."""
        root = self._reading.xml(path)
        text = next((each for each in root.iter() if local(each) == "text"), None)
        title = next((words_of(each) for each in root.iter() if local(each) == "title"), "")
        if text is None:
            return "", title
        content = "".join(text.itertext())
        if text.get("texttype", "text/html") == "text/plain":
            parts = re.split(r"\n[ \t]*\n", content.replace("\r\n", "\n"))
            content = "".join(f"<p>{html.escape(part)}</p>" for part in parts if part.strip())
        return _FILE_BASE.sub(lambda found: self._placed(path, found[1]), content), title


def _title(item: Element) -> str:
    return next((words_of(each) for each in children(item, "title")), "")


def _extension(path: str) -> str:
    return posixpath.splitext(path)[1].lower()


def _media(kind: str) -> Media:
    return "text" if kind == "text" else "markdown" if kind == "markdown" else "html"
