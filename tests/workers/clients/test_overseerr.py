"""Overseerr, against a stand-in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.outside.calling import call, client_of
from tests.outside.overseerr import Overseerr
from tests.outside.server import KEY, running
from workers.clients.looking import look
from workers.clients.service import Refused
from workers.clients.types import types
from workers.errors import BadInput

DUNE, PROPHECY = 438631, 60735


@pytest.fixture
def overseerr() -> Iterator[Overseerr]:
    with running(Overseerr()) as service:
        yield service


def ours(overseerr: Overseerr, tool: str, **arguments: Any) -> Any:
    return call(client_of("overseerr", overseerr.url), tool, **arguments)


def test_films_and_series_are_found_and_people_are_not(overseerr: Overseerr) -> None:
    found = ours(overseerr, "overseerr_search", query="dune")["results"]
    assert [(each["type"], each["title"], each["year"]) for each in found] == [
        ("movie", "Dune: Part One", 2021),
        ("tv", "Dune: Prophecy", 2024),
        ("movie", "Dune of nowhere", None),
    ]
    assert [each["tmdb_id"] for each in ours(overseerr, "overseerr_search", query="dune", type="tv")["results"]] == [
        PROPHECY
    ]
    assert len(ours(overseerr, "overseerr_search", query="dune", limit=1)["results"]) == 1


def test_a_query_is_spelled_as_overseerr_wants_it(overseerr: Overseerr) -> None:
    refused = requests.get(f"{overseerr.url}/api/v1/search?query=dune:+part", headers={"X-Api-Key": KEY}, timeout=5)
    assert (refused.status_code, "reserved characters" in refused.text) == (400, True)
    found = ours(overseerr, "overseerr_search", query="Dune: Part")["results"]
    assert [each["tmdb_id"] for each in found] == [DUNE]
    assert ours(overseerr, "overseerr_search", query="t'choupi (à l'école)!*+&=") == {"results": []}


@pytest.mark.parametrize("name", ["john@example.com", "john_plex", "John"])
def test_a_request_is_of_whoever_it_is_made_for(overseerr: Overseerr, name: str) -> None:
    client = client_of("overseerr", overseerr.url, on_behalf_of=name)
    made = call(client, "overseerr_request", media_type="movie", tmdb_id=DUNE)
    assert made["request"]["requested_by"] == "John"


def test_a_request_for_somebody_unknown_there_is_refused_and_not_made_for_another(overseerr: Overseerr) -> None:
    client = client_of("overseerr", overseerr.url, on_behalf_of="ghost")
    with pytest.raises(BadInput, match="nobody called 'ghost'"):
        call(client, "overseerr_request", media_type="movie", tmdb_id=DUNE)
    assert overseerr.requests == {}


def test_a_film_is_requested_once(overseerr: Overseerr) -> None:
    made = ours(overseerr, "overseerr_request", media_type="movie", tmdb_id=DUNE)
    assert made["requested"] is True
    assert made["request"].items() >= {"title": "Dune: Part One", "status": "pending", "requested_by": "ada"}.items()
    assert "ada@example.com" not in str(made)
    with pytest.raises(Refused, match="already exists") as caught:
        ours(overseerr, "overseerr_request", media_type="movie", tmdb_id=DUNE)
    assert caught.value.status == 409
    (found,) = ours(overseerr, "overseerr_search", query="part one")["results"]
    assert found["status"] == "pending"


def test_of_a_series_some_seasons_are_requested_or_all_that_are_left(overseerr: Overseerr) -> None:
    first = ours(overseerr, "overseerr_request", media_type="tv", tmdb_id=PROPHECY, seasons=[1])
    rest = ours(overseerr, "overseerr_request", media_type="tv", tmdb_id=PROPHECY)
    assert (first["request"]["seasons"], rest["request"]["seasons"]) == ([1], [2])
    again = ours(overseerr, "overseerr_request", media_type="tv", tmdb_id=PROPHECY)
    assert again == {"requested": False, "reason": "No seasons available to request"}
    assert len(overseerr.requests) == 2


def test_requests_are_listed_the_latest_first_with_their_titles(overseerr: Overseerr) -> None:
    ours(overseerr, "overseerr_request", media_type="movie", tmdb_id=DUNE)
    ours(overseerr, "overseerr_request", media_type="tv", tmdb_id=PROPHECY)
    overseerr.requests[1]["status"] = 2
    found = ours(overseerr, "overseerr_list_requests")
    assert found["total"] == 2
    assert [(each["title"], each["status"]) for each in found["requests"]] == [
        ("Dune: Prophecy", "pending"),
        ("Dune: Part One", "approved"),
    ]
    assert [each["id"] for each in ours(overseerr, "overseerr_list_requests", filter="approved")["requests"]] == [1]
    assert len(ours(overseerr, "overseerr_list_requests", limit=1)["requests"]) == 1


def test_a_request_whose_title_nobody_knows_any_more_is_listed(overseerr: Overseerr) -> None:
    ours(overseerr, "overseerr_request", media_type="movie", tmdb_id=DUNE)
    overseerr.requests[1]["media"]["tmdbId"] = 1
    (found,) = ours(overseerr, "overseerr_list_requests")["requests"]
    assert (found["title"], found["tmdb_id"]) == (None, 1)


def test_a_request_is_withdrawn(overseerr: Overseerr) -> None:
    ours(overseerr, "overseerr_request", media_type="movie", tmdb_id=DUNE)
    assert ours(overseerr, "overseerr_delete_request", request_id=1) == {"deleted": 1}
    assert overseerr.requests == {}
    with pytest.raises(Refused, match=r"^mine answered 404: Request not found\.$"):
        ours(overseerr, "overseerr_delete_request", request_id=1)


def test_arguments_that_do_not_fit_are_named_before_anybody_is_asked(overseerr: Overseerr) -> None:
    with pytest.raises(BadInput, match=r"^media_type: 'music' is none of"):
        ours(overseerr, "overseerr_request", media_type="music", tmdb_id=1)
    with pytest.raises(BadInput, match="seasons"):
        ours(overseerr, "overseerr_request", media_type="tv", tmdb_id=1, seasons=[])
    assert overseerr.asked == []


def test_one_that_does_not_take_the_key_is_not_well_although_it_tells_everybody_its_status(
    overseerr: Overseerr,
) -> None:
    kind = types()["overseerr"]
    assert requests.get(f"{overseerr.url}/api/v1/status", timeout=5).ok
    assert look(kind, client_of("overseerr", overseerr.url)).healthy
    for key in ("another key", None):
        found = look(kind, client_of("overseerr", overseerr.url, key=key))
        assert not found.healthy
        said = "mine answered 403: You do not have permission to access this endpoint. Its api_key may not do this."
        assert found.problem == f"{said} It was asked at {overseerr.url}."
