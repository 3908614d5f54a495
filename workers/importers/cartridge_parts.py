"""What a manifest says beside its order: its resources, and what the course is called, by whom, under which rights."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import Literal
from xml.etree.ElementTree import Element

from workers.importers import html_page
from workers.importers.draft import Draft
from workers.importers.folder import MEDIA
from workers.importers.reading import Reading, attribute, children, descendants, local, words_of

Kind = Literal["page", "link", "topic", "other"]
# By what every version's type begins with: 1.0 to 1.3 differ in the number after it.
_KINDS: list[tuple[str, Kind]] = [("imswl_", "link"), ("imsdt_", "topic"), ("assignment_", "topic")]
_UNREAD = ("imsqti_", "imsbasiclti_", "imsapip_")
_TEACHERS = {"instructor", "teacher", "mentor", "administrator"}


@dataclass(frozen=True)
class Resource:
    """A resource of a manifest, and the file that holds it."""

    path: str
    kind: Kind
    type: str
    for_teachers: bool = False


def resources_of(reading: Reading, manifest: Element, manifest_path: str) -> dict[str, Resource]:
    """The resources by identifier; those whose file is not there are noted and left out."""
    found: dict[str, Resource] = {}
    for group in children(manifest, "resources"):
        base = attribute(manifest, "base") + attribute(group, "base")
        for resource in children(group, "resource"):
            identifier, kind = resource.get("identifier", ""), resource.get("type", "")
            hrefs = [resource.get("href", ""), *(each.get("href", "") for each in children(resource, "file"))]
            href = next((each for each in hrefs if each), "")
            path = reading.resolve(manifest_path, base + attribute(resource, "base") + href) if href else None
            if path is None:
                reading.notes.count("The manifest names files that are not there", href or identifier)
                continue
            found[identifier] = Resource(path, _kind(kind, path), kind, _for_teachers(resource))
    return found


def described(manifest: Element) -> Draft:
    """The course without its pages."""
    metadata = next(iter(children(manifest, "metadata")), None)
    general = _first(metadata, "general")
    languages = [words_of(each) for each in (children(general, "language") if general is not None else [])]
    draft = Draft(
        title=_said(general, "title"),
        sections=[],
        description=html_page.plain(_said(general, "description")),
        language=next((each for each in languages if each), None),
    )
    if not draft.title:
        draft.title = next((words_of(each) for each in _organization_titles(manifest)), "")
    for lifecycle in descendants(metadata, "lifeCycle") if metadata is not None else []:
        for contribute in children(lifecycle, "contribute"):
            draft.authors += [_vcard_name(words_of(entity)) for entity in descendants(contribute, "entity")]
    for rights in descendants(metadata, "rights") if metadata is not None else []:
        draft.licence_texts += [said for each in children(rights, "description") if (said := words_of(each))]
        # ``yes`` alone is what every LMS writes, whatever the rights are.
        draft.licence_texts += [words_of(rights)] if len(rights) == 0 and words_of(rights) else []
    draft.authors = [each for each in dict.fromkeys(draft.authors) if each]
    return draft


def _kind(kind: str, path: str) -> Kind:
    for start, meant in _KINDS:
        if kind.startswith(start):
            return meant
    if kind.startswith(_UNREAD) or posixpath.splitext(path)[1].lower() not in MEDIA:
        return "other"
    return "page"


def _for_teachers(resource: Element) -> bool:
    roles = [words_of(value).lower() for role in _roles(resource) for value in children(role, "value")]
    return bool(roles) and all(role in _TEACHERS for role in roles)


def _roles(resource: Element) -> list[Element]:
    return [
        role for metadata in children(resource, "metadata") for role in descendants(metadata, "intendedEndUserRole")
    ]


def _first(element: Element | None, name: str) -> Element | None:
    return next((each for each in element.iter() if local(each) == name), None) if element is not None else None


def _said(general: Element | None, name: str) -> str:
    """A text of the metadata, in the language that stands first."""
    told = next(iter(children(general, name)), None) if general is not None else None
    return words_of(next(iter(told), told)) if told is not None else ""


def _organization_titles(manifest: Element) -> list[Element]:
    return [
        title
        for organizations in children(manifest, "organizations")
        for organization in children(organizations, "organization")
        for title in children(organization, "title")
    ]


def _vcard_name(entity: str) -> str:
    """The name of an author, who may be given as a vCard."""
    if not entity.upper().startswith("BEGIN:VCARD"):
        return entity
    _, _, rest = entity.partition("FN:")
    for end in (" N:", " EMAIL", " ORG", " TEL", " END:", " URL"):
        rest = rest.partition(end)[0]
    return rest.strip()
