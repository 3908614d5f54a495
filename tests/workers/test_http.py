"""Files from a real server of this machine: whole or not at all, politely, and never from private addresses."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.versions import VERSION
from tests.standing_in import Page, Site, standing_in
from workers.clients.http import Got, Http, canonical
from workers.errors import BadInput, RetryLater, Stopped

MOST = 100_000


@pytest.fixture
def site() -> Iterator[Site]:
    """Somebody's server."""
    with standing_in() as running:
        yield running


def client(
    cache: Path | None = None, *, allow_private: bool = True, pause_seconds: float = 0.0, whole_seconds: float = 20.0
) -> Http:
    return Http(
        allow_private=allow_private,
        most_bytes=MOST,
        cache=cache,
        pause_seconds=pause_seconds,
        whole_seconds=whole_seconds,
    )


def get(site: Site, path: str, folder: Path, **kwargs: object) -> Got:
    return client(**kwargs).get(f"{site.url}{path}", folder / "file")  # type: ignore[arg-type]


def refusal(url: str, folder: Path, **kwargs: object) -> BadInput:
    with pytest.raises(BadInput) as caught:
        client(**kwargs).get(url, folder / "file")  # type: ignore[arg-type]
    assert list(folder.iterdir()) == []
    return caught.value


def test_a_file_comes_whole_with_its_name_and_type(site: Site, tmp_path: Path) -> None:
    body = b"0123456789" * 5000
    site.pages["/a%20course.txt?of=1"] = Page(body, headers={"Content-Type": "text/plain; charset=latin-1"})
    told: list[float] = []
    got = client().get(f"{site.url}/a course.txt?of=1", tmp_path / "file", told.append)
    assert got.path.read_bytes() == body
    assert (got.name, got.media_type, got.size_bytes) == ("a course.txt", "text/plain; charset=latin-1", len(body))
    assert (told, told[-1]) == (sorted(told), 1.0)
    assert f"Voiceworks/{VERSION}" in site.headers[0]["User-Agent"]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ('attachment; filename="my course.epub"', "my course.epub"),
        ("attachment; filename*=UTF-8''f%C3%BCr.zip", "für.zip"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        (r'attachment; filename="C:\\x\\y.zip"', "y.zip"),
        ("", "page"),
    ],
)
def test_the_name_is_what_the_server_says_without_any_folder(site: Site, tmp_path: Path, said: str, name: str) -> None:
    site.pages["/page"] = Page(b"x", headers={"Content-Disposition": said} if said else {})
    assert get(site, "/page", tmp_path).name == name


def test_a_redirect_is_followed_five_times_and_no_more(site: Site, tmp_path: Path) -> None:
    for number in range(7):
        site.pages[f"/{number}"] = Page(status=302, headers={"Location": f"/{number + 1}"})
    site.pages["/6"] = Page(b"there")
    got = get(site, "/1", tmp_path)
    assert (got.url, got.path.read_bytes()) == (f"{site.url}/6", b"there")
    got.path.unlink()
    assert refusal(f"{site.url}/0", tmp_path).code == "too_many_redirects"


# --- How much -----------------------------------------------------------------------------------------------------


def test_a_file_that_says_it_is_too_large_is_not_begun(site: Site, tmp_path: Path) -> None:
    site.pages["/"] = Page(b"x", length=MOST + 1)
    fault = refusal(f"{site.url}/", tmp_path)
    assert (fault.code, "100,000" in fault.message) == ("file_too_large", True)


def test_what_swells_while_it_is_unpacked_is_cut_off(site: Site, tmp_path: Path) -> None:
    site.pages["/"] = Page(gzip.compress(b"\0" * 50 * MOST), headers={"Content-Encoding": "gzip"})
    assert refusal(f"{site.url}/", tmp_path).code == "file_too_large"
    # We do not ask for it.
    assert site.headers[0]["Accept-Encoding"] == "identity"


def test_a_file_that_breaks_off_is_none(site: Site, tmp_path: Path) -> None:
    site.pages["/"] = Page(b"half", headers={"Connection": "close"}, length=1000)
    with pytest.raises(RetryLater):
        get(site, "/", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_drips_is_cut_off(site: Site, tmp_path: Path) -> None:
    held = threading.Event()
    site.pages["/"] = Page(b"0123456789", gate=lambda: (held.wait(10), None)[1])
    began = time.monotonic()
    with pytest.raises(RetryLater, match="took longer than 1 s"):
        get(site, "/", tmp_path, whole_seconds=1.0)
    assert time.monotonic() - began < 3
    held.set()
    assert list(tmp_path.iterdir()) == []


def test_whoever_does_not_want_it_any_more_stops_it(site: Site, tmp_path: Path) -> None:
    site.pages["/"] = Page(b"x" * MOST)

    def stop(share: float) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        client().get(f"{site.url}/", tmp_path / "file", stop)
    assert list(tmp_path.iterdir()) == []


# --- What is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (404, "not_found_there"),
        (410, "not_found_there"),
        (401, "refused_there"),
        (403, "refused_there"),
        (204, "refused_there"),
    ],
)
def test_what_is_not_there_or_not_for_us_is_a_refusal(site: Site, tmp_path: Path, status: int, code: str) -> None:
    site.pages["/"] = Page(b"", status)
    fault = refusal(f"{site.url}/", tmp_path)
    assert (fault.code, str(status) in fault.message) == (code, True)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_server_that_is_busy_is_asked_again_later(site: Site, tmp_path: Path, status: int) -> None:
    site.pages["/"] = Page(b"", status)
    with pytest.raises(RetryLater, match=str(status)):
        get(site, "/", tmp_path)


def test_nobody_there_and_nobody_of_that_name_are_said(tmp_path: Path) -> None:
    with standing_in() as gone:
        url = gone.url
    with pytest.raises(RetryLater, match="refused the connection"):
        client().get(url, tmp_path / "file")
    with pytest.raises(RetryLater, match="nobody has this name"):
        client().get("http://nobody.invalid/", tmp_path / "file")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "course",
        "ftp://example.org/",
        "http://",
        "http://me:secret@example.org/",
        "http://[::1",
        "javascript:1",
    ],
)
def test_what_is_no_url_is_refused_by_name(url: str) -> None:
    with pytest.raises(BadInput) as caught:
        canonical(url)
    assert caught.value.code == "bad_url"
    assert "secret" not in caught.value.message


def test_other_letters_are_encoded() -> None:
    assert canonical("http://bücher.example/für alle#teil") == "http://xn--bcher-kva.example/f%C3%BCr%20alle"


def lead_to(monkeypatch: pytest.MonkeyPatch, names: dict[str, list[str]]) -> list[str]:
    """Has these names lead to these addresses, one after another; gives what was looked up."""
    real, looked_up = socket.getaddrinfo, []

    def look_up(host: str, *args: object, **kwargs: object) -> object:
        looked_up.append(host)
        answers = names.get(host)
        if answers is None:
            return real(host, *args, **kwargs)  # type: ignore[arg-type]
        return real(answers.pop(0) if len(answers) > 1 else answers[0], *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return looked_up


def test_a_name_is_looked_up_once_so_that_it_cannot_lead_elsewhere_the_second_time(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected: list[object] = []

    def connect(self: object, address: object) -> None:
        connected.append(address)
        raise ConnectionRefusedError

    looked_up = lead_to(monkeypatch, {"rebinding.example": ["203.0.114.1", "127.0.0.1"]})
    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(RetryLater):
        client(allow_private=False).get(f"http://rebinding.example:{site.port}/", tmp_path / "file")
    assert looked_up.count("rebinding.example") == 1
    assert connected == [("203.0.114.1", site.port)]


# --- Manners ------------------------------------------------------------------------------------------------------


def test_what_has_not_changed_is_not_sent_again(site: Site, tmp_path: Path) -> None:
    site.pages["/"] = Page(b"the course", headers={"Content-Disposition": 'attachment; filename="c.txt"'})
    cache = tmp_path / "cache"
    first = get(site, "/", tmp_path, cache=cache)
    again = client(cache).get(f"{site.url}/", tmp_path / "again")
    assert [status for _, status in site.asked] == [200, 304]
    assert (first.unchanged, again.unchanged) == (False, True)
    assert again.path.read_bytes() == b"the course"
    assert (again.name, again.size_bytes) == (first.name, first.size_bytes)
    site.pages["/"] = Page(b"the course, changed")
    assert client(cache).get(f"{site.url}/", tmp_path / "third").path.read_bytes() == b"the course, changed"
    assert client(cache).get(f"{site.url}/", tmp_path / "fourth").unchanged


def test_a_kept_file_that_is_damaged_is_fetched_anew(site: Site, tmp_path: Path) -> None:
    site.pages["/"] = Page(b"the course")
    cache = tmp_path / "cache"
    get(site, "/", tmp_path, cache=cache)
    (body,) = cache.glob("*.body")
    body.unlink()
    body.write_bytes(b"the")
    assert client(cache).get(f"{site.url}/", tmp_path / "again").path.read_bytes() == b"the course"
    assert [status for _, status in site.asked] == [200, 200]


@pytest.mark.parametrize("headers", [{"Cache-Control": "private, no-store"}, {}])
def test_what_may_not_be_kept_or_cannot_be_asked_after_is_not_kept(
    site: Site, tmp_path: Path, headers: dict[str, str]
) -> None:
    site.pages["/"] = Page(b"the course", headers=headers, tagged=bool(headers))
    get(site, "/", tmp_path, cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_one_server_is_asked_once_in_a_while(site: Site, tmp_path: Path) -> None:
    site.pages["/"] = Page(b"x")
    asking = client(pause_seconds=0.3)
    began = time.monotonic()
    for _ in range(3):
        asking.get(f"{site.url}/", tmp_path / "file")
    assert 0.6 <= time.monotonic() - began < 2
