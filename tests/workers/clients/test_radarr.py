"""Radarr and Sonarr: that the stand-ins are such, by somebody else's client, and that ours does what that one does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pyarr import RadarrAPI, SonarrAPI
from pyarr.exceptions import PyarrBadRequest, PyarrResourceNotFound, PyarrUnauthorizedError

from tests.outside.arr import Radarr, Sonarr
from tests.outside.calling import call, client_of, tool_of
from tests.outside.server import KEY, Outside, running
from workers.clients.looking import look
from workers.clients.service import Refused
from workers.clients.types import types
from workers.errors import BadInput


@pytest.fixture
def radarr() -> Iterator[Radarr]:
    with running(Radarr()) as service:
        yield service


@pytest.fixture
def sonarr() -> Iterator[Sonarr]:
    with running(Sonarr()) as service:
        yield service


def ours(service: Outside, tool: str, **arguments: Any) -> Any:
    return call(client_of(tool.partition("_")[0], service.url), tool, **arguments)


# --- The stand-ins, by pyarr -----------------------------------------------------------------------------------------


def test_pyarr_takes_the_stand_in_for_radarr(radarr: Radarr) -> None:
    theirs = RadarrAPI(radarr.url, KEY)
    assert theirs.get_system_status()["appName"] == "Radarr"
    film = theirs.lookup_movie("tmdb:348")[0]
    added = theirs.add_movie(film, "/data/movie", 4, tags=[])
    assert theirs.get_movie(added["id"])["title"] == "Alien"
    with pytest.raises(PyarrBadRequest, match="already been added"):
        theirs.add_movie(film | {"id": 0}, "/data/movie", 4)
    with pytest.raises(PyarrBadRequest, match="Root folder"):
        theirs.add_movie(theirs.lookup_movie("dune")[0], "/nowhere", 4)
    assert theirs.get_queue()["records"] == []
    theirs.del_movie(added["id"], delete_files=True)
    assert (theirs.get_movie(), radarr.files_deleted) == ([], [1])
    with pytest.raises(PyarrResourceNotFound):
        theirs.del_movie(1)
    with pytest.raises(PyarrUnauthorizedError):
        RadarrAPI(radarr.url, "another key").get_movie()


def test_pyarr_takes_the_stand_in_for_sonarr(sonarr: Sonarr) -> None:
    theirs = SonarrAPI(sonarr.url, KEY)
    added = theirs.add_series(theirs.lookup_series(id_=334824)[0], 4, 1, "/data/series")
    assert [each["title"] for each in theirs.get_series()] == ["Dark"]
    theirs.del_series(added["id"])
    assert (theirs.get_series(), sonarr.files_deleted) == ([], [])


# --- Ours does what theirs does --------------------------------------------------------------------------------------


def test_a_search_finds_what_pyarr_finds(radarr: Radarr) -> None:
    found = ours(radarr, "radarr_search", query="dune: part")["movies"]
    expected = RadarrAPI(radarr.url, KEY).lookup_movie("dune: part")
    assert [each["tmdb_id"] for each in found] == [each["tmdbId"] for each in expected] == [693134]
    assert found[0] == {
        "id": None,
        "title": "Dune: Part Two",
        "year": 2024,
        "tmdb_id": 693134,
        "monitored": False,
        "has_file": False,
        "overview": "",
    }
    assert len(ours(radarr, "radarr_search", query="dune", limit=2)["movies"]) == 2
    assert all(len(each["overview"]) <= 500 for each in ours(radarr, "radarr_search", query="dune")["movies"])


def test_what_ours_adds_is_what_pyarr_adds(radarr: Radarr) -> None:
    theirs = RadarrAPI(radarr.url, KEY)
    theirs.add_movie(theirs.lookup_movie("tmdb:348")[0], "/data/movie", 4)
    by_pyarr = theirs.get_movie()[0]
    theirs.del_movie(by_pyarr["id"])
    assert ours(radarr, "radarr_add_movie", title="alien")["added"] is True
    by_us = theirs.get_movie()[0]
    # Neither is a default of Radarr's own said, nor tags.
    by_pyarr["addOptions"].pop("monitor")
    assert by_us == {name: value for name, value in by_pyarr.items() if name not in ("minimumAvailability", "tags")}


def test_what_ours_added_pyarr_and_ours_list(radarr: Radarr) -> None:
    theirs = RadarrAPI(radarr.url, KEY)
    ours(radarr, "radarr_add_movie", tmdb_id=438631, quality_profile_id=6, search_now=False)
    (listed,) = theirs.get_movie()
    assert (listed["year"], listed["qualityProfileId"], listed["rootFolderPath"]) == (2021, 6, "/data/movie")
    assert listed["addOptions"]["searchForMovie"] is False
    ours(radarr, "radarr_add_movie", title="alien")
    assert [each["title"] for each in ours(radarr, "radarr_list_movies")["movies"]] == ["Dune", "Alien"]
    (alien,) = ours(radarr, "radarr_list_movies", query="ALI")["movies"]
    assert (alien["id"], alien["monitored"]) == (2, True)


@pytest.mark.parametrize("said", [{"tmdb_id": 348}, {"title": "Alien"}])
def test_what_is_there_already_is_not_added_again(radarr: Radarr, said: dict[str, Any]) -> None:
    ours(radarr, "radarr_add_movie", tmdb_id=348)
    again = ours(radarr, "radarr_add_movie", **said)
    assert (again["added"], again["movie"]["id"]) == (False, 1)
    assert radarr.lines().count("POST /api/v3/movie") == 1


def test_what_nobody_knows_is_named(radarr: Radarr) -> None:
    with pytest.raises(BadInput, match=r"Radarr knows no film 'tmdb:1'\.") as caught:
        ours(radarr, "radarr_add_movie", tmdb_id=1)
    assert caught.value.code == "not_found"
    with pytest.raises(BadInput, match="one of title and tmdb_id"):
        ours(radarr, "radarr_add_movie")
    radarr.folders = []
    with pytest.raises(BadInput, match="no rootfolder yet"):
        ours(radarr, "radarr_add_movie", title="alien")
    assert radarr.library == {}


def test_radarrs_own_reason_is_told(radarr: Radarr) -> None:
    with pytest.raises(Refused, match=r"^mine answered 400: Root folder '/nowhere' does not exist$"):
        ours(radarr, "radarr_add_movie", title="alien", root_folder="/nowhere")
    with pytest.raises(Refused, match="does not exist") as caught:
        ours(radarr, "radarr_delete_movie", movie_id=7)
    assert caught.value.status == 404


@pytest.mark.parametrize(("said", "gone"), [({}, []), ({"delete_files": False}, []), ({"delete_files": True}, [1])])
def test_files_go_only_when_they_are_meant_to(radarr: Radarr, said: dict[str, bool], gone: list[int]) -> None:
    ours(radarr, "radarr_add_movie", tmdb_id=348)
    assert ours(radarr, "radarr_delete_movie", movie_id=1, **said) == {"deleted": 1}
    assert (radarr.library, radarr.files_deleted) == ({}, gone)


def test_the_queue_is_what_pyarr_sees(radarr: Radarr) -> None:
    row = {"id": 1, "title": "Alien.1979.1080p", "status": "downloading", "size": 4_000, "sizeleft": 1_000}
    radarr.queue = [row | {"timeleft": "00:10:00", "protocol": "torrent"}, row | {"id": 2, "errorMessage": "No space"}]
    first, second = ours(radarr, "radarr_queue")["downloads"]
    expected = RadarrAPI(radarr.url, KEY).get_queue()["records"]
    assert [first["title"], second["title"]] == [each["title"] for each in expected]
    assert (first["size_bytes"], first["left_bytes"], first["time_left"]) == (4_000, 1_000, "00:10:00")
    assert (first["problem"], second["problem"]) == (None, "No space")


def test_series_are_found_added_listed_and_deleted_as_pyarr_sees_them(sonarr: Sonarr) -> None:
    theirs = SonarrAPI(sonarr.url, KEY)
    found = ours(sonarr, "sonarr_search", query="dark")["series"]
    assert [each["tvdb_id"] for each in found] == [each["tvdbId"] for each in theirs.lookup_series("dark")]
    assert (found[0]["seasons"], found[0]["status"]) == (3, "ended")
    added = ours(sonarr, "sonarr_add_series", tvdb_id=334824, monitor="future", search_now=False)
    assert added["added"] is True
    (listed,) = theirs.get_series()
    assert listed["addOptions"] == {"monitor": "future", "searchForMissingEpisodes": False}
    assert (listed["seasonFolder"], listed["rootFolderPath"]) == (True, "/data/series")
    assert ours(sonarr, "sonarr_add_series", title="dark")["added"] is False
    assert [each["title"] for each in ours(sonarr, "sonarr_list_series")["series"]] == ["Dark"]
    assert ours(sonarr, "sonarr_queue") == {"downloads": []}
    ours(sonarr, "sonarr_delete_series", series_id=1, delete_files=True)
    assert (theirs.get_series(), sonarr.files_deleted) == ([], [1])


# --- What they are said to be ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "one"), [("radarr", "movie"), ("sonarr", "series")])
def test_only_what_removes_something_is_destructive(name: str, one: str) -> None:
    tools = types()[name].tools
    assert [tool.name for tool in tools if tool.destructive] == [f"{name}_delete_{one}"]
    assert [tool.name for tool in tools if not tool.read_only] == [f"{name}_add_{one}", f"{name}_delete_{one}"]
    assert all(tool.service_type == name for tool in tools)


def test_arguments_that_do_not_fit_are_named() -> None:
    with pytest.raises(BadInput, match=r"^movie_id: 0 is below 1$"):
        tool_of("radarr_delete_movie").check({"movie_id": 0})
    with pytest.raises(BadInput, match="query: it is needed"):
        tool_of("radarr_search").check({})
    with pytest.raises(BadInput, match="files: radarr_delete_movie takes no such argument"):
        tool_of("radarr_delete_movie").check({"movie_id": 1, "files": True})


def test_one_that_does_not_take_the_key_is_not_well(radarr: Radarr) -> None:
    kind = types()["radarr"]
    assert look(kind, client_of("radarr", radarr.url)).healthy
    found = look(kind, client_of("radarr", radarr.url, key="another key"))
    assert not found.healthy
    assert found.problem is not None
    assert found.problem.startswith("mine answered 401: Unauthorized. Its api_key may be missing or wrong. ")
