"""Plex Media Server: what is in its libraries, and who watches what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from workers.clients.service import Client
from workers.clients.service_type import ServiceType, in_header
from workers.clients.tools import Tool
from workers.errors import BadInput

FOUND_EACH, RECENT = 10, 20
# What somebody who looks for one of these may mean, as Plex calls it.
_KINDS = {"movie": ("movie",), "show": ("show", "episode"), "music": ("artist", "album", "track")}


def _probe(client: Client) -> None:
    # Its identity is told to everybody; this takes a token.
    client.get("library/sections")["MediaContainer"]


def _search(client: Client, arguments: Mapping[str, Any]) -> Any:
    query = arguments["query"].strip()
    if not query:
        raise BadInput("query: it holds nothing to look for.", code="bad_arguments")
    wanted = _KINDS.get(arguments.get("type", ""), sum(_KINDS.values(), ()))
    hubs = client.get("hubs/search", query=query, limit=FOUND_EACH)["MediaContainer"].get("Hub", [])
    # In the order of our kinds: that of the hubs changes from query to query.
    found = {each["ratingKey"]: each for kind in wanted for each in _of_kind(hubs, kind)}
    return {"results": [_shown(each) for each in found.values()]}


def _of_kind(hubs: list[dict[str, Any]], kind: str) -> Iterator[dict[str, Any]]:
    for hub in hubs:
        if hub["type"] == kind:
            yield from hub.get("Metadata", [])


def _libraries(client: Client, arguments: Mapping[str, Any]) -> Any:
    found = client.get("library/sections")["MediaContainer"].get("Directory", [])
    return {"libraries": [{"id": int(each["key"]), "title": each["title"], "type": each["type"]} for each in found]}


def _playing(client: Client, arguments: Mapping[str, Any]) -> Any:
    found = client.get("status/sessions")["MediaContainer"].get("Metadata", [])
    return {"sessions": [_session(each) for each in found]}


def _recent(client: Client, arguments: Mapping[str, Any]) -> Any:
    library = arguments.get("library_id")
    path = f"library/sections/{library}/recentlyAdded" if library else "library/recentlyAdded"
    # Without both it does not page.
    page = {"X-Plex-Container-Start": 0, "X-Plex-Container-Size": arguments.get("limit", RECENT)}
    found = client.ask("GET", path, query=page)["MediaContainer"].get("Metadata", [])
    return {"items": [_shown(each) | {"added_at": _time(each.get("addedAt"))} for each in found]}


def _session(item: Mapping[str, Any]) -> dict[str, Any]:
    player = item.get("Player", {})
    return {
        "user": item.get("User", {}).get("title"),
        "player": player.get("title"),
        "device": player.get("product"),
        "state": player.get("state"),
        "item": _shown(item),
        "position_seconds": _seconds(item.get("viewOffset", 0)),
        "duration_seconds": _seconds(item.get("duration")),
    }


def _shown(item: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of an item: a film, or what it is a part of, too."""
    kind = item["type"]
    shown = {
        # A number, but of what is broadcast.
        "id": item.get("ratingKey"),
        "type": kind,
        "title": item["title"],
        "year": item.get("year"),
        "library": item.get("librarySectionTitle"),
    }
    if kind in ("season", "episode"):
        upper = "grandparentTitle" if kind == "episode" else "parentTitle"
        shown |= {"show": item.get(upper), "season": item.get("parentIndex" if kind == "episode" else "index")}
    if kind == "episode":
        shown["episode"] = item.get("index")
    if kind == "album":
        shown["artist"] = item.get("parentTitle")
    if kind == "track":
        shown |= {"artist": item.get("grandparentTitle"), "album": item.get("parentTitle")}
    return shown | {"summary": (item.get("summary") or "")[:500]}


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else round(milliseconds / 1000, 1)


def _time(epoch_seconds: int | None) -> str | None:
    return None if epoch_seconds is None else datetime.fromtimestamp(epoch_seconds, UTC).isoformat()[:19] + "Z"


TYPE = ServiceType(
    name="plex",
    title="Plex",
    probe=_probe,
    key_in=lambda config: in_header("X-Plex-Token"),
    tools=(
        Tool(
            "plex_search",
            "Search for media in Plex library",
            {
                "query": {"type": "string", "required": True},
                "type": {"type": "string", "enum": list(_KINDS)},
            },
            _search,
            "plex",
        ),
        Tool("plex_list_libraries", "List the libraries of Plex", {}, _libraries, "plex"),
        Tool("plex_now_playing", "Who watches or hears what on Plex now", {}, _playing, "plex"),
        Tool(
            "plex_recently_added",
            "What was added to Plex last; with a library only what is there",
            {
                "library_id": {"type": "integer", "minimum": 1},
                "limit": {"type": "integer", "minimum": 1, "maximum": 100},
            },
            _recent,
            "plex",
        ),
    ),
)
