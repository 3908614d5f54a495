"""A stand-in for Overseerr 1.34 and Seerr 3: what people wish for, and what became of it."""

from __future__ import annotations

import re
from typing import Any

from tests.outside.server import KEY, Answer, Asked, Outside, as_json, plain

# What a query may not hold as it is; so its validator of OpenAPI says, and a space as "+" is among it.
RESERVED = re.compile(r"[:/?#\[\]@!$&'()*+,;=]")
MEDIA: list[dict[str, Any]] = [
    {"id": 438631, "mediaType": "movie", "title": "Dune: Part One", "releaseDate": "2021-09-15", "overview": "Sand."},
    {"id": 60735, "mediaType": "tv", "name": "Dune: Prophecy", "firstAirDate": "2024-11-17", "overview": "Voices."},
    {"id": 5, "mediaType": "person", "name": "Dune Somebody"},
    {"id": 6, "mediaType": "movie", "title": "Dune of nowhere", "releaseDate": "", "overview": ""},
]
SEASONS = 2
USERS = [
    {"id": 1, "displayName": "ada", "email": "ada@example.com", "plexUsername": None},
    *(
        {"id": number, "displayName": f"guest {number}", "email": f"guest{number}@example.com"}
        for number in range(2, 150)
    ),
    {"id": 150, "displayName": "John", "email": "John@example.com", "plexUsername": "john_plex"},
]


class Overseerr(Outside):
    """Its requests, by their numbers."""

    def __init__(self) -> None:
        self.requests: dict[int, dict[str, Any]] = {}
        super().__init__()

    def answer(self, asked: Asked) -> Answer:
        """What it answers."""
        path = asked.path.removeprefix("/api/v1/").split("/")
        if path == ["status"]:
            return as_json({"version": "1.34.0"})
        if asked.headers.get("x-api-key") != KEY:
            return as_json({"status": 403, "error": "You do not have permission to access this endpoint"}, 403)
        match asked.method, path:
            case "GET", ["auth", "me"]:
                return as_json({"id": 1, "displayName": "ada"})
            case "GET", ["user"]:
                skip, take = int(asked.query["skip"]), int(asked.query["take"])
                about = {"pages": 2, "pageSize": take, "results": len(USERS), "page": 1 + skip // take}
                return as_json({"pageInfo": about, "results": USERS[skip : skip + take]})
            case "GET", ["search"]:
                return self._search(asked)
            case "GET", ["request"]:
                return self._listed(asked.query)
            case "POST", ["request"]:
                return self._made(asked.body)
            case "DELETE", ["request", number] if int(number) in self.requests:
                del self.requests[int(number)]
                return plain(b"", 204)
            case "GET", ["movie" | "tv" as kind, number]:
                found = [each for each in MEDIA if (each["mediaType"], str(each["id"])) == (kind, number)]
                return as_json(found[0]) if found else as_json({"message": f"Unable to retrieve {kind}."}, 500)
        return as_json({"message": "Request not found."}, 404)

    def _search(self, asked: Asked) -> Answer:
        raw = dict(part.split("=", 1) for part in asked.raw_query.split("&"))["query"]
        if RESERVED.search(raw):
            message = "Parameter 'query' must be url encoded. Its value may not contain reserved characters."
            return as_json({"message": message, "errors": [{"path": ".query.query", "message": message}]}, 400)
        wanted = asked.query["query"].casefold()
        found = [each for each in MEDIA if wanted in (each.get("title") or each["name"]).casefold()]
        known = {each["media"]["tmdbId"]: {"mediaInfo": each["media"]} for each in self.requests.values()}
        shown = [each | known.get(each["id"], {}) for each in found]
        return as_json({"page": 1, "totalPages": 1, "totalResults": len(shown), "results": shown})

    def _listed(self, query: dict[str, str]) -> Answer:
        wanted = {"pending": (1,), "approved": (2,)}.get(query.get("filter", "all"), (1, 2, 3, 4, 5))
        found = [each for each in reversed(self.requests.values()) if each["status"] in wanted]
        skip, take = int(query.get("skip", 0)), int(query.get("take", 10))
        about = {"pages": 1, "pageSize": take, "results": len(found), "page": 1}
        return as_json({"pageInfo": about, "results": found[skip : skip + take]})

    def _made(self, said: dict[str, Any]) -> Answer:
        kind, number = said["mediaType"], said["mediaId"]
        if not any(each["id"] == number and each["mediaType"] == kind for each in MEDIA):
            return as_json({"message": "Unable to retrieve it."}, 500)
        of_it = [each for each in self.requests.values() if each["media"]["tmdbId"] == number]
        seasons: list[int] = []
        if kind == "movie" and of_it:
            return as_json({"message": "Request for this media already exists."}, 409)
        if kind == "tv":
            had = {season["seasonNumber"] for each in of_it for season in each["seasons"]}
            wanted = range(1, SEASONS + 1) if said["seasons"] == "all" else said["seasons"]
            seasons = [each for each in wanted if each not in had]
            if not seasons:
                return as_json({"message": "No seasons available to request"}, 202)
        made = {
            "id": len(self.requests) + 1,
            "status": 1,
            "type": kind,
            "is4k": said.get("is4k", False),
            "media": {"tmdbId": number, "status": 2, "mediaType": kind},
            "seasons": [{"seasonNumber": each, "status": 1} for each in seasons],
            "requestedBy": next(each for each in USERS if each["id"] == said.get("userId", 1)),
            "createdAt": "2026-11-22T07:00:00.000Z",
        }
        self.requests[made["id"]] = made
        return as_json(made, 201)
