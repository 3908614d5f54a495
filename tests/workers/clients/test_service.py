"""Requests to outside services: bounded in time and size, led nowhere else, asked again only where that is harmless."""

from __future__ import annotations

import gzip
import itertools
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from config.versions import VERSION
from tests.outside.calling import client_of
from tests.outside.scripted import Scripted, broken_off, reach
from tests.outside.server import KEY, Answer, Asked, as_json, plain, running
from workers.clients import service
from workers.clients.service import NoAnswer, Refused, ServiceError
from workers.errors import BadInput

# --- What is asked ---------------------------------------------------------------------------------------------------


def test_each_method_sends_what_it_is_given_and_reads_json(site: Scripted) -> None:
    site.says("/api/things", lambda asked: as_json({"method": asked.method}))
    client = reach(site)
    assert client.get("api/things", term="a b&c=d", both=True, missing=None, each=[1, 2]) == {"method": "GET"}
    assert client.post("/api/things", {"name": "ä"}) == {"method": "POST"}
    assert client.put("api/things", {"name": "b"}) == {"method": "PUT"}
    assert client.delete("api/things", all=False) == {"method": "DELETE"}
    got, posted, put, deleted = site.asked
    # As every server reads it: neither "+" nor "True".
    assert got.raw_query == "term=a%20b%26c%3Dd&both=true&each=1&each=2"
    assert (posted.body, put.body, deleted.raw_query) == ({"name": "ä"}, {"name": "b"}, "all=false")
    assert got.headers["accept"] == "application/json"
    assert got.headers["user-agent"] == f"Voiceworks/{VERSION}"
    assert got.headers["x-api-key"] == KEY
    assert got.content == b""


def test_a_service_below_a_path_is_asked_there(site: Scripted) -> None:
    site.says("/radarr/api/v3/movie", as_json([]))
    for url in (f"{site.url}/radarr", f"{site.url}/radarr/"):
        assert client_of("generic_http", url).get("/api/v3/movie") == []


@pytest.mark.parametrize(
    ("content", "read"),
    [(b"", None), (b"  \n", None), (b"plain words", "plain words"), ("wörter".encode(), "wörter"), (b"[1, 2", "[1, 2")],
)
def test_what_is_no_json_is_text(site: Scripted, content: bytes, read: str | None) -> None:
    site.says("/", plain(content, kind="text/plain; charset=utf-8"))
    assert reach(site).get("/") == read


def test_json_that_is_nested_without_end_is_text(site: Scripted) -> None:
    site.says("/", plain(b"[" * 200_000, kind="application/json"))
    assert reach(site).get("/").startswith("[[[")


@pytest.mark.parametrize("path", ["http://elsewhere.example/x", "https://127.0.0.1/", "ftp:x"])
def test_a_path_that_leads_to_another_server_is_refused(site: Scripted, path: str) -> None:
    with pytest.raises(BadInput, match="leads away from mine"):
        reach(site).get(path)
    assert site.asked == []


# --- Time ------------------------------------------------------------------------------------------------------------


def test_whoever_does_not_answer_is_given_up_in_time_and_not_asked_again(site: Scripted) -> None:
    gate = threading.Event()

    def late(asked: Asked) -> Answer:
        gate.wait(10)
        return as_json({})

    site.says("/", late)
    began = time.monotonic()
    with pytest.raises(NoAnswer, match=r"^mine did not answer within 0\.4 s\.$") as caught:
        reach(site, seconds=0.4).get("/")
    assert time.monotonic() - began < 2
    gate.set()
    assert caught.value.code == "upstream_timeout"
    assert len(site.asked) == 1


@pytest.mark.parametrize("length", [None, 1_000_000], ids=["until it closes", "of a length"])
def test_a_server_that_drips_is_cut_off_when_the_time_for_all_is_over(site: Scripted, length: int | None) -> None:
    def drips() -> Iterator[bytes]:
        for _ in range(200):
            time.sleep(0.05)
            yield b" "

    site.says("/", lambda asked: Answer(drips(), length=length))
    began = time.monotonic()
    with pytest.raises(NoAnswer, match=r"within 0\.5 s") as caught:
        reach(site, seconds=0.5).get("/")
    assert 0.4 < time.monotonic() - began < 2
    assert caught.value.code == "upstream_timeout"


def test_headers_that_drip_are_cut_off_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            connection, _ = listening.accept()
            with connection:
                for _ in range(200):
                    try:
                        connection.sendall(b"HTTP/1.1 200 OK\r\nX: " if _ == 0 else b"x")
                    except OSError:
                        return
                    time.sleep(0.05)

        threading.Thread(target=drip, daemon=True).start()
        began = time.monotonic()
        with pytest.raises(NoAnswer) as caught:
            client_of("generic_http", f"http://127.0.0.1:{listening.getsockname()[1]}", seconds=0.5).get("/")
        assert time.monotonic() - began < 2
        assert caught.value.code == "upstream_timeout"


def test_nobody_there_is_told_apart_from_nobody_known() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(NoAnswer, match=r"^mine refused the connection\.$") as caught:
        client_of("generic_http", f"http://127.0.0.1:{port}").get("/")
    assert caught.value.code == "upstream_unavailable"
    with pytest.raises(NoAnswer, match="nobody has the name"):
        client_of("generic_http", "http://nobody.invalid").get("/")


# --- Size ------------------------------------------------------------------------------------------------------------


def test_no_more_is_read_than_may_be(site: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_BYTES", 1 << 20)
    sent = itertools.count()

    def endless() -> Iterator[bytes]:
        for _ in range(10_000):
            next(sent)
            yield b"x" * 65_536

    site.says("/endless", lambda asked: Answer(endless()))
    site.says("/just", plain(b"x" * (1 << 20)))
    client = reach(site)
    assert len(client.get("just")) == 1 << 20
    with pytest.raises(Refused, match="more than 1 MiB"):
        client.get("endless")
    # What lies in buffers on the way was sent, no more.
    assert next(sent) < 2_000


def test_what_grows_when_it_is_unpacked_is_counted_as_it_comes_out(site: Scripted) -> None:
    bomb = gzip.compress(b"x" * (64 << 20))
    assert len(bomb) < 100_000
    site.says("/", plain(bomb, kind="text/plain", Content_Encoding="gzip"))
    with pytest.raises(Refused, match="more than 8 MiB"):
        reach(site).get("/")


def test_an_error_of_any_length_is_told_shortly(site: Scripted) -> None:
    site.says("/", as_json({"message": "no " * 10_000}, 400))
    with pytest.raises(Refused) as caught:
        reach(site).get("/")
    assert len(caught.value.message) < 350


# --- Redirects -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_on_the_same_server_a_read_is_led_on_with_its_key(site: Scripted, status: int) -> None:
    site.says("/old", plain(b"", status, Location="/new?page=2"))
    site.says("/new", as_json([1]))
    assert reach(site).get("old", page=1) == [1]
    assert [(each.path, each.raw_query) for each in site.asked] == [("/old", "page=1"), ("/new", "page=2")]
    assert site.asked[1].headers["x-api-key"] == KEY


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_nobody_is_led_to_another_server(site: Scripted, status: int) -> None:
    with running(Scripted()) as other:
        for to in (other.url, f"//127.0.0.1:{other.port}/x", other.url.replace("http://", "https://")):
            site.says("/", plain(b"", status, Location=to))
            with pytest.raises(Refused, match=r"which leads to 127\.0\.0\.1; its URL may be another"):
                reach(site).get("/")
        assert other.asked == []


def test_what_writes_is_not_led_anywhere(site: Scripted) -> None:
    site.says("/", plain(b"", 307, Location="/new"))
    for method in ("post", "put", "delete"):
        with pytest.raises(Refused, match="answered 307"):
            getattr(reach(site), method)("/")
    assert {each.path for each in site.asked} == {"/"}


def test_a_circle_ends(site: Scripted) -> None:
    site.says("/", plain(b"", 302, Location="/"))
    with pytest.raises(Refused, match=r"^mine leads on and on\.$"):
        reach(site).get("/")
    assert len(site.asked) == service.MAX_REDIRECTS + 1


def test_of_a_redirect_no_endless_body_is_read(site: Scripted) -> None:
    site.says("/", lambda asked: Answer(itertools.repeat(b"x" * 65_536, 10_000), 302, {"Location": "/new"}))
    site.says("/new", as_json([1]))
    began = time.monotonic()
    assert reach(site).get("/") == [1]
    assert time.monotonic() - began < 2


# --- Once more -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_read_is_tried_once_more_after_what_passes(site: Scripted, status: int) -> None:
    site.says("/", plain(b"", status), as_json([1]))
    assert reach(site).get("/") == [1]
    site.says("/", plain(b"", status))
    with pytest.raises(Refused) as caught:
        reach(site).get("/")
    assert (caught.value.status, len(site.asked)) == (status, 4)


def test_a_read_is_tried_once_more_after_a_connection_that_broke_off(site: Scripted) -> None:
    site.says("/", broken_off(), as_json([1]))
    assert reach(site).get("/") == [1]
    half = Answer([b'{"half": '], length=100, breaks_off=True)
    site.says("/", half, as_json([2]))
    assert reach(site).get("/") == [2]
    site.says("/", broken_off())
    with pytest.raises(NoAnswer, match=r"^mine broke off\.$"):
        reach(site).get("/")
    assert len(site.asked) == 6


@pytest.mark.parametrize("status", [400, 401, 404, 409, 429, 500])
def test_a_no_is_a_no(site: Scripted, status: int) -> None:
    site.says("/", as_json({"error": "No."}, status))
    hint = r" Its api_key may be missing or wrong\." if status == 401 else ""
    with pytest.raises(Refused, match=rf"^mine answered {status}: No\.{hint}$") as caught:
        reach(site).get("/")
    assert caught.value.code == ("upstream_unauthorized" if status == 401 else "upstream_error")
    assert len(site.asked) == 1


@pytest.mark.parametrize("method", ["post", "put", "delete"])
@pytest.mark.parametrize("answer", [plain(b"", 503), broken_off()], ids=["503", "broken"])
def test_what_writes_is_never_asked_twice(site: Scripted, method: str, answer: Answer) -> None:
    site.says("/", answer, as_json([1]))
    with pytest.raises(ServiceError):
        getattr(reach(site), method)("/")
    assert len(site.asked) == 1
