"""What Radarr and Sonarr share, the third version of an API: search, list, add, queue, delete."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from workers.clients.service import Client
from workers.clients.service_type import ServiceType
from workers.clients.tools import Parameter, Parameters, Tool
from workers.errors import BadInput

QUEUED, SEARCHED = 50, 10
_QUERY: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 200}
_ID: dict[str, Any] = {"type": "integer", "minimum": 1}


@dataclass(frozen=True)
class Arr:
    """One of these programs.

    Attributes:
        path: What it has, as its API calls one: ``movie``; ``plural`` is how our tools call several.
        word: How people call one.
        catalogue: Where what it could have is listed: ``tmdb``.
        adds: What goes with something new beyond what all have, by the arguments of the call.
        shows: What is shown of one beyond that.
        parameters: What can be said of something new beyond what all have.
    """

    name: str
    title: str
    path: str
    plural: str
    word: str
    catalogue: str
    adds: Callable[[Mapping[str, Any]], dict[str, Any]]
    shows: Callable[[Mapping[str, Any]], dict[str, Any]]
    parameters: Parameters = field(default_factory=dict)

    def probe(self, client: Client) -> None:
        """Returns when it is well and takes our key."""
        # Whatever else answers has no version.
        client.get("api/v3/system/status")["version"]

    def search(self, client: Client, arguments: Mapping[str, Any]) -> Any:
        """What it could have."""
        found = client.get(f"api/v3/{self.path}/lookup", term=arguments["query"])
        return {self.plural: [self._shown(each) for each in found[: arguments.get("limit", SEARCHED)]]}

    def list_all(self, client: Client, arguments: Mapping[str, Any]) -> Any:
        """What it has."""
        wanted = arguments.get("query", "").casefold()
        found = client.get(f"api/v3/{self.path}")
        return {self.plural: [self._shown(each) for each in found if wanted in each["title"].casefold()]}

    def add(self, client: Client, arguments: Mapping[str, Any]) -> Any:
        """Something that it has from now on."""
        number = arguments.get(f"{self.catalogue}_id")
        term = f"{self.catalogue}:{number}" if number else arguments.get("title")
        if not term:
            raise BadInput(f"title: one of title and {self.catalogue}_id is needed.", code="bad_arguments")
        found = client.get(f"api/v3/{self.path}/lookup", term=term)
        if not found:
            raise BadInput(f"{self.title} knows no {self.word} {term!r}.", code="not_found")
        # What it has already is found with its number there.
        if found[0].get("id"):
            return {"added": False, self.path: self._shown(found[0])}
        said = {
            "qualityProfileId": arguments.get("quality_profile_id") or self._first(client, "qualityprofile", "id"),
            "rootFolderPath": arguments.get("root_folder") or self._first(client, "rootfolder", "path"),
            "monitored": True,
        }
        added = client.post(f"api/v3/{self.path}", found[0] | said | self.adds(arguments))
        return {"added": True, self.path: self._shown(added)}

    def queue(self, client: Client, arguments: Mapping[str, Any]) -> Any:
        """What it is fetching."""
        rows = client.get("api/v3/queue", pageSize=QUEUED)["records"]
        return {
            "downloads": [
                {
                    "title": row["title"],
                    "status": row.get("status"),
                    "size_bytes": row.get("size"),
                    "left_bytes": row.get("sizeleft"),
                    "time_left": row.get("timeleft"),
                    "problem": row.get("errorMessage"),
                }
                for row in rows
            ]
        }

    def delete(self, client: Client, arguments: Mapping[str, Any]) -> Any:
        """What it has no more."""
        number = arguments[f"{self.path}_id"]
        client.delete(f"api/v3/{self.path}/{number}", deleteFiles=arguments.get("delete_files", False))
        return {"deleted": number}

    def service_type(self) -> ServiceType:
        """It, as a type of service."""
        return ServiceType(name=self.name, title=self.title, probe=self.probe, tools=self._tools())

    def _tools(self) -> tuple[Tool, ...]:
        limit = {"type": "integer", "minimum": 1, "maximum": 50}
        new: dict[str, Parameter] = {
            "title": _QUERY | {"description": f"The first {self.word} found by it is taken"},
            f"{self.catalogue}_id": _ID,
            "quality_profile_id": _ID,
            "root_folder": {"type": "string", "minLength": 1, "maxLength": 1000},
            "search_now": {"type": "boolean"},
        }
        what_goes: dict[str, Parameter] = {
            f"{self.path}_id": _ID | {"required": True},
            "delete_files": {"type": "boolean"},
        }
        return (
            Tool(
                f"{self.name}_search",
                f"Search for {self.plural} that {self.title} could watch for",
                {"query": _QUERY | {"required": True}, "limit": limit},
                self.search,
                self.name,
            ),
            Tool(
                f"{self.name}_list_{self.plural}",
                f"List the {self.plural} in {self.title}; with a query those whose title holds it",
                {"query": _QUERY},
                self.list_all,
                self.name,
            ),
            Tool(
                f"{self.name}_add_{self.path}",
                f"Have {self.title} watch for a {self.word} and fetch it",
                new | dict(self.parameters),
                self.add,
                self.name,
                read_only=False,
            ),
            Tool(f"{self.name}_queue", f"What {self.title} is fetching now", {}, self.queue, self.name),
            Tool(
                f"{self.name}_delete_{self.path}",
                f"Remove a {self.word} from {self.title}, and its files if asked to",
                what_goes,
                self.delete,
                self.name,
                read_only=False,
                destructive=True,
            ),
        )

    def _first(self, client: Client, what: str, name: str) -> Any:
        found = client.get(f"api/v3/{what}")
        if not found:
            raise BadInput(f"{self.title} has no {what} yet; add one there.", code="upstream_error")
        return found[0][name]

    def _shown(self, one: Mapping[str, Any]) -> dict[str, Any]:
        known = bool(one.get("id"))
        return {
            "id": one["id"] if known else None,
            "title": one["title"],
            "year": one.get("year") or None,
            f"{self.catalogue}_id": one.get(f"{self.catalogue}Id"),
            # What it does not have yet is never watched for, whatever it would begin with.
            "monitored": known and bool(one.get("monitored")),
            **self.shows(one),
            "overview": (one.get("overview") or "")[:500],
        }
