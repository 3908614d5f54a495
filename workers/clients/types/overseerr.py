"""Overseerr, and its successor Seerr: people's wishes for films and series. Its API: https://api-docs.overseerr.dev."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workers.clients.service import Client, Refused
from workers.clients.service_type import ServiceType
from workers.clients.tools import Tool
from workers.errors import BadInput

LISTED = 10
_REQUEST = {1: "pending", 2: "approved", 3: "declined", 4: "failed", 5: "completed"}
# Beyond these its versions differ.
_MEDIA = {1: "unknown", 2: "pending", 3: "processing", 4: "partially_available", 5: "available"}
_LIMIT = {"type": "integer", "minimum": 1, "maximum": 20}
# Of a user, what somebody may be called by; and how many there are on a page.
_CALLED, _PAGE = ("email", "plexUsername", "jellyfinUsername", "username", "displayName"), 100
_KIND = {"type": "string", "enum": ["movie", "tv"]}
_ID = {"type": "integer", "minimum": 1, "required": True}


def _probe(client: Client) -> None:
    # Its status is told to everybody; this takes a key.
    client.get("api/v1/auth/me")["id"]


def _search(client: Client, arguments: Mapping[str, Any]) -> Any:
    wanted = [arguments["type"]] if "type" in arguments else _KIND["enum"]
    found = client.get("api/v1/search", query=arguments["query"], page=1)["results"]
    # People are found, too.
    media = [each for each in found if each["mediaType"] in wanted]
    return {"results": [_found(each) for each in media[: arguments.get("limit", LISTED)]]}


def _request(client: Client, arguments: Mapping[str, Any]) -> Any:
    kind = arguments["media_type"]
    body = {"mediaType": kind, "mediaId": arguments["tmdb_id"], "is4k": arguments.get("is_4k", False)}
    if kind == "tv":
        body["seasons"] = arguments.get("seasons", "all")
    if client.on_behalf_of:
        body["userId"] = _user(client, client.on_behalf_of)
    made = client.post("api/v1/request", body)
    # So it says, with a good status, that all of it was requested before.
    if "id" not in made:
        return {"requested": False, "reason": made["message"]}
    return {"requested": True, "request": _shown(client, made)}


def _user(client: Client, name: str) -> int:
    """The number of whoever is called so there, or has that address."""
    skip = 0
    while True:
        page = client.get("api/v1/user", take=_PAGE, skip=skip)
        for user in page["results"]:
            if name.casefold() in (str(user.get(each) or "").casefold() for each in _CALLED):
                return int(user["id"])
        skip += _PAGE
        if skip >= page["pageInfo"]["results"]:
            raise BadInput(f"{client.name} knows nobody called {name!r} (service_mappings).", code="unknown_there")


def _requests(client: Client, arguments: Mapping[str, Any]) -> Any:
    asked = {
        "take": arguments.get("limit", LISTED),
        "skip": 0,
        "sort": "added",
        "filter": arguments.get("filter", "all"),
    }
    found = client.get("api/v1/request", **asked)
    return {"total": found["pageInfo"]["results"], "requests": [_shown(client, each) for each in found["results"]]}


def _delete(client: Client, arguments: Mapping[str, Any]) -> Any:
    client.delete(f"api/v1/request/{arguments['request_id']}")
    return {"deleted": arguments["request_id"]}


def _found(item: Mapping[str, Any]) -> dict[str, Any]:
    released = item.get("releaseDate") or item.get("firstAirDate") or ""
    return {
        "type": item["mediaType"],
        "tmdb_id": item["id"],
        "title": item.get("title") or item["name"],
        "year": int(released[:4]) if released[:4].isdigit() else None,
        "status": _MEDIA.get((item.get("mediaInfo") or {}).get("status", 1)),
        "overview": (item.get("overview") or "")[:500],
    }


def _shown(client: Client, request: Mapping[str, Any]) -> dict[str, Any]:
    media, by = request["media"], request.get("requestedBy") or {}
    return {
        "id": request["id"],
        "type": request["type"],
        "tmdb_id": media["tmdbId"],
        "title": _title(client, request["type"], media["tmdbId"]),
        "status": _REQUEST.get(request["status"]),
        "media_status": _MEDIA.get(media.get("status", 1)),
        "seasons": sorted(season["seasonNumber"] for season in request.get("seasons") or []),
        "is_4k": bool(request.get("is4k")),
        "requested_by": by.get("displayName"),
        "created_at": request.get("createdAt"),
    }


def _title(client: Client, kind: str, tmdb_id: int) -> str | None:
    """What it is called, which a request does not say; None of what is no more in the catalogue."""
    try:
        found = client.get(f"api/v1/{kind}/{tmdb_id}")
    except Refused:
        return None
    title: str | None = found.get("title") or found.get("name")
    return title


TYPE = ServiceType(
    name="overseerr",
    title="Overseerr",
    probe=_probe,
    tools=(
        Tool(
            "overseerr_search",
            "Search for films and series that can be requested",
            {
                "query": {"type": "string", "minLength": 1, "maxLength": 200, "required": True},
                "type": _KIND,
                "limit": _LIMIT,
            },
            _search,
            "overseerr",
        ),
        Tool(
            "overseerr_request",
            "Request a film or a series; of a series all seasons unless some are named",
            {
                "media_type": _KIND | {"required": True},
                "tmdb_id": _ID,
                "seasons": {
                    "type": "array",
                    "items": {"type": "integer", "minimum": 0},
                    "minItems": 1,
                    "maxItems": 100,
                },
                "is_4k": {"type": "boolean"},
            },
            _request,
            "overseerr",
            read_only=False,
        ),
        Tool(
            "overseerr_list_requests",
            "List the latest requests and how far they are",
            {
                "filter": {"enum": ["all", "pending", "approved", "processing", "available", "unavailable", "failed"]},
                "limit": _LIMIT,
            },
            _requests,
            "overseerr",
        ),
        Tool(
            "overseerr_delete_request",
            "Withdraw a request",
            {"request_id": _ID},
            _delete,
            "overseerr",
            read_only=False,
            destructive=True,
        ),
    ),
)
