"""Plex: that the stand-in is one, by somebody else's client, and that ours sees what that one sees."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from plexapi.exceptions import Unauthorized
from plexapi.server import PlexServer

from tests.outside.calling import call, client_of
from tests.outside.plex import Plex
from tests.outside.server import KEY, running
from workers.clients.looking import look
from workers.clients.service import Refused
from workers.clients.types import types
from workers.errors import BadInput


@pytest.fixture
def plex() -> Iterator[Plex]:
    with running(Plex()) as service:
        yield service


@pytest.fixture
def theirs(plex: Plex) -> PlexServer:
    return PlexServer(plex.url, KEY, timeout=5)


def ours(plex: Plex, tool: str, **arguments: Any) -> Any:
    return call(client_of("plex", plex.url), tool, **arguments)


# --- The stand-in, by plexapi ----------------------------------------------------------------------------------------


def test_plexapi_takes_the_stand_in_for_a_server(plex: Plex, theirs: PlexServer) -> None:
    assert (theirs.friendlyName, theirs.version) == ("Home", "1.43.3")
    assert [section.title for section in theirs.library.sections()] == ["Movies", "Series", "Music"]
    film = theirs.library.section("Movies").all()[0]
    assert (film.title, film.year, film.duration) == ("The Matrix", 1999, 8_160_000)
    with pytest.raises(Unauthorized):
        PlexServer(plex.url, "another token", timeout=5)


# --- Ours sees what theirs does --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "kinds"),
    [("movie", ["movie"]), ("show", ["show", "episode"]), ("music", ["artist", "album", "track"])],
)
def test_a_search_finds_what_plexapi_finds(plex: Plex, theirs: PlexServer, wanted: str, kinds: list[str]) -> None:
    found = ours(plex, "plex_search", query="matrix", type=wanted)["results"]
    expected = [each for kind in kinds for each in theirs.search("matrix", mediatype=kind) or []]
    assert [(each["id"], each["title"]) for each in found] == [(str(each.ratingKey), each.title) for each in expected]
    assert found


def test_a_search_without_a_type_finds_all_that_can_be_played_and_no_people(plex: Plex) -> None:
    found = ours(plex, "plex_search", query="matrix")["results"]
    kinds = ["movie", "movie", "episode", "artist", "album", "track"]
    assert [each["type"] for each in found] == kinds


def test_what_a_thing_is_part_of_is_said(plex: Plex) -> None:
    found = {each["type"]: each for each in ours(plex, "plex_search", query="matrix")["results"]}
    episode = {"show": "The Expanse", "season": 2, "episode": 3, "library": "Series", "year": 2017}
    assert found["episode"].items() >= episode.items()
    assert found["track"].items() >= {"artist": "The Matrix Orchestra", "album": "Matrix Songs"}.items()
    assert found["album"]["artist"] == "The Matrix Orchestra"
    assert len(found["movie"]["summary"]) <= 500


def test_more_than_the_three_that_plex_shows_by_itself_are_found(plex: Plex) -> None:
    assert len(ours(plex, "plex_search", query="part", type="movie")["results"]) == 6


def test_what_a_query_may_hold_is_not_read_as_more_of_the_request(plex: Plex) -> None:
    found = ours(plex, "plex_search", query="Amélie & <Friends>")["results"]
    assert [each["title"] for each in found] == ["Amélie & <Friends>"]


def test_an_empty_search_is_refused_before_plex_is_asked(plex: Plex) -> None:
    with pytest.raises(BadInput, match="query"):
        ours(plex, "plex_search", query="  ")
    assert plex.asked == []


def test_nothing_found_is_an_empty_list(plex: Plex) -> None:
    assert ours(plex, "plex_search", query="nothing like it") == {"results": []}
    assert ours(plex, "plex_now_playing") == {"sessions": []}


def test_the_libraries_are_those_that_plexapi_sees(plex: Plex, theirs: PlexServer) -> None:
    found = ours(plex, "plex_list_libraries")["libraries"]
    expected = [{"id": each.key, "title": each.title, "type": each.type} for each in theirs.library.sections()]
    assert found == expected


def test_who_watches_what_is_what_plexapi_sees(plex: Plex, theirs: PlexServer) -> None:
    plex.playing[22] = 61_500
    (session,) = ours(plex, "plex_now_playing")["sessions"]
    (expected,) = theirs.sessions()
    assert session["user"] == expected.usernames[0] == "ada"
    assert session["player"] == expected.player.title
    assert session["state"] == expected.player.state == "playing"
    assert session["item"]["title"] == expected.title
    assert session["position_seconds"] == expected.viewOffset / 1000 == 61.5
    assert session["duration_seconds"] == expected.duration / 1000


def test_the_newest_are_those_that_plexapi_sees_and_no_more_than_asked_for(plex: Plex, theirs: PlexServer) -> None:
    found = ours(plex, "plex_recently_added", limit=4)["items"]
    expected = theirs.library.recentlyAdded()[:4]
    assert [each["title"] for each in found] == [each.title for each in expected]
    assert found[0]["added_at"] == "2023-11-14T22:15:05Z"
    assert expected[0].addedAt.timestamp() == 1_700_000_105
    of_series = ours(plex, "plex_recently_added", library_id=2)["items"]
    assert [each["title"] for each in of_series] == ["The Matrix of Leadership", "The Expanse"]


# --- Well or not -----------------------------------------------------------------------------------------------------


def test_the_token_is_in_a_header_only(plex: Plex) -> None:
    ours(plex, "plex_list_libraries")
    (asked,) = plex.asked
    assert asked.headers["x-plex-token"] == KEY
    assert KEY not in asked.raw_query


def test_a_server_that_does_not_take_the_token_is_not_well(plex: Plex) -> None:
    kind = types()["plex"]
    assert look(kind, client_of("plex", plex.url)).healthy
    found = look(kind, client_of("plex", plex.url, key="another token"))
    said = f"mine answered 401. Its api_key may be missing or wrong. It was asked at {plex.url}."
    assert (found.healthy, found.problem) == (False, said)
    with pytest.raises(Refused) as caught:
        call(client_of("plex", plex.url, key="another token"), "plex_list_libraries")
    assert caught.value.code == "upstream_unauthorized"
