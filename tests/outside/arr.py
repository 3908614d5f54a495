"""Stand-ins for Radarr and Sonarr, the third version of their API. That they are ``pyarr`` shows."""

from __future__ import annotations

from typing import Any

from tests.outside.server import KEY, Answer, Asked, Outside, as_json

MOVIES: list[dict[str, Any]] = [
    {"title": "Dune", "year": 1984, "tmdbId": 841, "overview": "Sand."},
    {"title": "Dune", "year": 2021, "tmdbId": 438631, "overview": "More sand. " * 100},
    {"title": "Dune: Part Two", "year": 2024, "tmdbId": 693134, "overview": None},
    {"title": "Alien", "year": 1979, "tmdbId": 348, "overview": "Nobody hears."},
]
_SEASONS: list[dict[str, Any]] = [{"seasonNumber": number, "monitored": number > 0} for number in range(4)]
SERIES: list[dict[str, Any]] = [
    {"title": "Dark", "year": 2017, "tvdbId": 334824, "overview": "Time.", "status": "ended", "seasons": _SEASONS},
    {
        "title": "Dark Matter",
        "year": 2024,
        "tvdbId": 420657,
        "overview": "Boxes.",
        "status": "continuing",
        "seasons": [],
    },
]


class Arr(Outside):
    """One of them.

    Attributes:
        catalogue: What there is in the world.
        library: What it has, by its number there.
        queue: What it fetches.
    """

    def __init__(self, path: str, number_name: str, catalogue: list[dict[str, Any]], key: str = KEY) -> None:
        self.key = key
        self._path, self._number_name = path, number_name
        self.catalogue = [{"monitored": True, "images": [], "hasFile": False} | each for each in catalogue]
        self.library: dict[int, dict[str, Any]] = {}
        self.profiles = [{"id": 4, "name": "HD-1080p"}, {"id": 6, "name": "Ultra-HD"}]
        self.folders = [{"id": 1, "path": f"/data/{path}", "accessible": True, "freeSpace": 10**12}]
        self.queue: list[dict[str, Any]] = []
        # Numbers whose files were deleted, too.
        self.files_deleted: list[int] = []
        super().__init__()

    def answer(self, asked: Asked) -> Answer:
        """What it answers."""
        if asked.headers.get("x-api-key", asked.query.get("apikey")) != self.key:
            return as_json({"error": "Unauthorized"}, 401)
        before, _, path = asked.path.partition("/api/v3/")
        kind, *rest = path.split("/")
        if before or not path:
            return as_json({"message": "NotFound"}, 404)
        if kind == "system" and rest == ["status"]:
            return as_json({"appName": type(self).__name__, "version": "6.0.4.10291", "urlBase": ""})
        if kind == "qualityprofile":
            return as_json(self.profiles)
        if kind == "rootfolder":
            return as_json(self.folders)
        if kind == "queue":
            size = int(asked.query.get("pageSize", 10))
            page = {"page": 1, "pageSize": size, "totalRecords": len(self.queue), "records": self.queue[:size]}
            return as_json(page)
        if kind == self._path:
            return self._of_library(asked, rest)
        return as_json({"message": "NotFound"}, 404)

    def _of_library(self, asked: Asked, rest: list[str]) -> Answer:
        match asked.method, rest:
            case "GET", []:
                return as_json(list(self.library.values()))
            case "GET", ["lookup"]:
                return as_json([self._known(each) for each in self._found(asked.query["term"])])
            case "POST", []:
                return self._added(asked.body)
            case "GET", [number] if int(number) in self.library:
                return as_json(self.library[int(number)])
            case "DELETE", [number] if int(number) in self.library:
                del self.library[int(number)]
                # As .NET reads a truth.
                if asked.query.get("deleteFiles", "false").lower() == "true":
                    self.files_deleted.append(int(number))
                return as_json({})
        name = self._path.capitalize()
        return as_json({"message": f"{name} with ID {rest[-1:]} does not exist", "description": "at NzbDrone..."}, 404)

    def _found(self, term: str) -> list[dict[str, Any]]:
        name, _, number = term.partition(":")
        if name == self._number_name.removesuffix("Id"):
            return [each for each in self.catalogue if str(each[self._number_name]) == number.strip()]
        return [each for each in self.catalogue if term.casefold() in each["title"].casefold()]

    def _known(self, one: dict[str, Any]) -> dict[str, Any]:
        """As a search shows it: what the library has, with its number there."""
        number = self._number_name
        return next((each for each in self.library.values() if each[number] == one[number]), one)

    def _added(self, said: dict[str, Any]) -> Answer:
        faults = []
        if said.get("qualityProfileId") not in [each["id"] for each in self.profiles]:
            faults.append(("QualityProfileId", "Quality Profile does not exist"))
        if said.get("rootFolderPath") not in [each["path"] for each in self.folders]:
            faults.append(("RootFolderPath", f"Root folder '{said.get('rootFolderPath')}' does not exist"))
        if any(each[self._number_name] == said.get(self._number_name) for each in self.library.values()):
            faults.append((self._number_name, f"This {self._path} has already been added"))
        if faults:
            shown = [
                {"propertyName": name, "errorMessage": message, "severity": "error", "attemptedValue": None}
                for name, message in faults
            ]
            return as_json(shown, 400)
        number = len(self.library) + 1
        self.library[number] = said | {"id": number, "path": f"{said['rootFolderPath']}/{said['title']}"}
        return as_json(self.library[number], 201)


class Radarr(Arr):
    """Films."""

    def __init__(self) -> None:
        super().__init__("movie", "tmdbId", MOVIES)


class Sonarr(Arr):
    """Series."""

    def __init__(self) -> None:
        super().__init__("series", "tvdbId", SERIES)
