"""A stand-in for Plex Media Server: what it tells as XML, or as JSON to those who accept that, of three libraries.

That it is one ``plexapi`` shows. Its search is that of a server 1.43: so many of each kind, three if nobody says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

from tests.outside.server import KEY, Answer, Asked, Outside, as_json, plain


@dataclass(frozen=True)
class Node:
    """An element; ``listed`` is what JSON calls several of its kind, None where there is one only."""

    tag: str
    attributes: dict[str, Any]
    children: Sequence[Node] = ()
    listed: str | None = None


SECTIONS = {1: ("Movies", "movie"), 2: ("Series", "show"), 3: ("Music", "artist")}
_TAGS = {"movie": "Video", "episode": "Video", "track": "Track"}


@dataclass
class Item:
    """Something in a library."""

    number: int
    kind: str
    section: int
    title: str
    more: dict[str, Any] = field(default_factory=dict)

    def node(self, more: dict[str, Any] | None = None, children: Sequence[Node] = ()) -> Node:
        """It as Plex tells of it."""
        title, kind = SECTIONS[self.section]
        key = f"/library/metadata/{self.number}" + ("" if self.kind in _TAGS else "/children")
        attributes = {
            "ratingKey": str(self.number),
            "key": key,
            "guid": f"plex://{self.kind}/{self.number:024x}",
            "type": self.kind,
            "title": self.title,
            "librarySectionID": self.section,
            "librarySectionKey": f"/library/sections/{self.section}",
            "librarySectionTitle": title,
            "addedAt": 1_700_000_000 + self.number,
        }
        assert kind
        return Node(_TAGS.get(self.kind, "Directory"), attributes | self.more | (more or {}), children, "Metadata")


def _items() -> list[Item]:
    show = {"grandparentTitle": "The Expanse", "grandparentRatingKey": "20", "parentRatingKey": "21"}
    song = {"grandparentTitle": "The Matrix Orchestra", "grandparentRatingKey": "30", "parentRatingKey": "31"}
    long = "A hacker learns what the world is. " * 20
    return [
        Item(10, "movie", 1, "The Matrix", {"year": 1999, "duration": 8_160_000, "summary": long}),
        Item(11, "movie", 1, "The Matrix Reloaded", {"year": 2003, "duration": 8_280_000, "summary": "More of it."}),
        Item(12, "movie", 1, "Amélie & <Friends>", {"year": 2001, "duration": 7_320_000}),
        *(Item(100 + part, "movie", 1, f"Part {part}", {"year": 2000 + part, "duration": 60_000}) for part in range(6)),
        Item(20, "show", 2, "The Expanse", {"year": 2015, "childCount": 6, "leafCount": 62, "summary": "Space."}),
        Item(
            *(22, "episode", 2, "The Matrix of Leadership"),
            show | {"parentIndex": 2, "index": 3, "year": 2017, "duration": 2_580_000, "parentTitle": "Season 2"},
        ),
        Item(30, "artist", 3, "The Matrix Orchestra"),
        Item(
            31,
            "album",
            3,
            "Matrix Songs",
            {"parentTitle": "The Matrix Orchestra", "parentRatingKey": "30", "year": 2004},
        ),
        Item(
            32, "track", 3, "Matrix Overture", song | {"parentTitle": "Matrix Songs", "index": 1, "duration": 200_000}
        ),
    ]


class Plex(Outside):
    """A server that belongs to whoever has the token."""

    def __init__(self, token: str = KEY) -> None:
        self.token = token
        self.items = {item.number: item for item in _items()}
        # The number of what is played, and how far it is in milliseconds.
        self.playing: dict[int, int] = {}
        super().__init__()

    def answer(self, asked: Asked) -> Answer:
        """What Plex answers."""
        query, parts = asked.query, asked.path.strip("/").split("/")
        if asked.path == "/identity":
            return self._told(asked, {"machineIdentifier": "cafe", "version": "1.43.3", "claimed": True})
        if (asked.headers.get("x-plex-token") or query.get("X-Plex-Token")) != self.token:
            return _failed(401, "Unauthorized")
        match parts:
            case [""]:
                return self._told(asked, {"friendlyName": "Home", "machineIdentifier": "cafe", "version": "1.43.3"})
            case ["library"]:
                return self._told(asked, {"title1": "Plex Library", "identifier": "com.plexapp.plugins.library"})
            case ["library", "sections"]:
                return self._told(asked, {"title1": "Plex Library"}, [_section(number) for number in SECTIONS])
            case ["library", "recentlyAdded"]:
                return self._listed(asked, self._newest(None))
            case ["library", "sections", number, "recentlyAdded"]:
                return self._listed(asked, self._newest(int(number)))
            case ["library", "sections", number, "all"]:
                kind = SECTIONS[int(number)][1]
                return self._listed(asked, [item for item in self.items.values() if item.kind == kind])
            case ["library", "metadata", number] if int(number) in self.items:
                return self._listed(asked, [self.items[int(number)]])
            case ["hubs", "search"]:
                return self._search(asked, query)
            case ["status", "sessions"]:
                return self._told(asked, {}, [self._session(*each) for each in self.playing.items()])
        return _failed(404, "Not Found")

    def _newest(self, section: int | None) -> list[Item]:
        of_it = [item for item in self.items.values() if section in (None, item.section)]
        return sorted(of_it, key=lambda item: -item.number)

    def _listed(self, asked: Asked, items: Sequence[Item]) -> Answer:
        """Items, of which only some are asked for by a start and a size together."""
        said = {name.lower(): value for name, value in (asked.query | asked.headers).items()}
        start, size = said.get("x-plex-container-start"), said.get("x-plex-container-size")
        some, paged = items, {}
        if start is not None and size is not None:
            some = items[int(start) : int(start) + int(size)]
            paged = {"totalSize": len(items), "offset": int(start)}
        return self._told(asked, paged, [item.node() for item in some])

    def _search(self, asked: Asked, query: dict[str, str]) -> Answer:
        wanted = query.get("query", "").strip().casefold()
        if not wanted:
            return _failed(400, "Bad Request")
        if query.get("limit") == "0":
            return _failed(500, "Internal Server Error")
        hubs = []
        # A hub of people, too, whose rows have no type that is asked for.
        for kind in ("actor", "track", "movie", "show", "episode", "artist", "album"):
            found = [item for item in self.items.values() if item.kind == kind and wanted in item.title.casefold()]
            some = [item.node({"score": "0.5"}) for item in found[: int(query.get("limit", 3))]]
            if kind == "actor":
                some = [Node("Directory", {"type": "tag", "id": 9, "tag": "Matrix Smith"}, (), "Directory")]
            about = {"title": kind, "type": kind, "hubIdentifier": kind, "size": len(some), "more": False}
            hubs.append(Node("Hub", about, some, "Hub"))
        return self._told(asked, {}, hubs)

    def _session(self, number: int, at: int) -> Node:
        children = [
            Node("User", {"id": 1, "title": "ada", "thumb": ""}),
            Node(
                "Player",
                {"title": "Living room", "product": "Plex for TV", "state": "playing", "machineIdentifier": "tv"},
            ),
            Node("Session", {"id": "s1", "bandwidth": 4000, "location": "lan"}),
        ]
        return self.items[number].node({"sessionKey": "1", "viewOffset": at}, children)

    def _told(self, asked: Asked, attributes: dict[str, Any], children: Sequence[Node] = ()) -> Answer:
        container = Node("MediaContainer", {"size": len(children)} | attributes, children)
        if "application/json" in asked.headers.get("accept", ""):
            return as_json({"MediaContainer": _as_json(container)})
        content = ElementTree.tostring(_as_xml(container), encoding="utf-8", xml_declaration=True)
        return plain(content, kind="text/xml;charset=utf-8")


def _section(number: int) -> Node:
    title, kind = SECTIONS[number]
    about = {"key": str(number), "title": title, "type": kind, "agent": "tv.plex.agents", "uuid": f"u{number}"}
    return Node(
        "Directory", about, [Node("Location", {"id": number, "path": f"/data/{title}"}, (), "Location")], "Directory"
    )


def _as_xml(node: Node) -> ElementTree.Element:
    def text(value: Any) -> str:
        return str(int(value)) if isinstance(value, bool) else str(value)

    made = ElementTree.Element(node.tag, {name: text(value) for name, value in node.attributes.items()})
    made.extend(map(_as_xml, node.children))
    return made


def _as_json(node: Node) -> dict[str, Any]:
    made = dict(node.attributes)
    for child in node.children:
        if child.listed is None:
            made[child.tag] = _as_json(child)
        else:
            made.setdefault(child.listed, []).append(_as_json(child))
    return made


def _failed(status: int, words: str) -> Answer:
    """As it answers faults, whatever is accepted."""
    page = f"<html><head><title>{words}</title></head><body><h1>{status} {words}</h1></body></html>"
    return plain(page.encode(), status)
