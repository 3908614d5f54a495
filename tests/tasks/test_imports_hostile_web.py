"""Addresses that are never asked, and servers that harm: each through the whole import, with what is answered."""

from __future__ import annotations

import dataclasses
import functools
import gzip
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask.testing import FlaskClient

from app import create_app
from models import imports
from models.db import Database
from tasks import imports as bodies
from tasks.process import Process
from tests.described import DescribedClient
from tests.standing_in import Page, Site
from tests.tasks.importing import courses, left, start, taken
from tests.workers.importers.building_hostile import MIB, PAGE
from workers.clients import http

pytestmark = pytest.mark.usefixtures("outside")

# --- Addresses that are not asked ------------------------------------------------------------------------------------

PRIVATE = [
    *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "localhost", "0.0.0.0"),
    *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[fd00::1]", "[fe80::1]", "[64:ff9b::7f00:1]"),
    *("10.0.0.1", "10.255.255.255", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254"),
    *("[::ffff:169.254.169.254]", "2852039166", "224.0.0.1", "255.255.255.255"),
]
NO_URLS = [
    *("file:///etc/passwd", "ftp://example.org/a.zip", "gopher://example.org/", "javascript:1", "data:text/plain,x"),
    *("http://me:secret@example.org/", "http://me@example.org/", "http://", "http://[::1", "course"),
]


@pytest.fixture
def guarded(process: Process, outside: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """This worker as it is where nobody allowed it private addresses; a file may have one MiB."""
    changed = {"import_allow_private": False, "import_max_download_mb": 1}
    monkeypatch.setattr(process, "settings", dataclasses.replace(process.settings, **changed))


def refused(database: Database, folders: imports.Folders, url: str) -> tuple[str | None, str]:
    """The code and the words with which an import of an address ends; nothing is left of it."""
    job = taken(database, start(database, "url", {"url": url}))
    assert job.state == "failed"
    assert (courses(database), left(folders)) == ([], set())
    assert not folders.cache.exists()
    return job.error_code, job.error_message or ""


@pytest.mark.parametrize("host", PRIVATE)
@pytest.mark.usefixtures("guarded")
def test_a_private_address_is_not_asked_in_any_spelling(
    database: Database, folders: imports.Folders, site: Site, host: str
) -> None:
    code, says = refused(database, folders, f"http://{host}:{site.port}/latest/meta-data/")
    assert (code, "IMPORT_ALLOW_PRIVATE" in says) == ("private_address", True)
    assert site.asked == []


@pytest.mark.parametrize("url", NO_URLS)
@pytest.mark.usefixtures("guarded")
def test_what_is_no_public_url_is_not_asked(database: Database, folders: imports.Folders, site: Site, url: str) -> None:
    code, says = refused(database, folders, url)
    assert (code, "secret" in says) == ("bad_url", False)


@pytest.fixture
def web(process: Process, guarded: None, database: Database) -> Iterator[FlaskClient]:
    """The API of the same machine."""
    app = create_app(process.settings)
    app.test_client_class = DescribedClient
    yield app.test_client()
    app.extensions["voiceworks"].hub.stop()
    app.extensions["voiceworks"].database.dispose()


def test_the_api_takes_none_of_them(
    web: FlaskClient, clean: None, customer: dict[str, str], folders: imports.Folders
) -> None:
    for url in [*(f"http://{host}/" for host in PRIVATE), *NO_URLS]:
        answer = web.post("/api/imports", json={"source": "url", "url": url}, headers=customer)
        assert (url, answer.status_code, "secret" in answer.text) == (url, 400, False)
        assert answer.get_json()["error"].startswith("url: ")
    assert web.get("/api/imports", headers=customer).get_json()["total"] == 0
    assert not folders.root.exists()


def lead_to(monkeypatch: pytest.MonkeyPatch, names: dict[str, str]) -> None:
    """Has these names lead to these addresses."""
    real = socket.getaddrinfo

    def look_up(host: str, *args: object, **kwargs: object) -> object:
        return real(names.get(host, host), *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.1.2.3", "::1", "::ffff:10.0.0.1"])
@pytest.mark.usefixtures("guarded")
def test_a_public_name_with_a_private_address_is_not_asked(
    database: Database, folders: imports.Folders, site: Site, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    lead_to(monkeypatch, {"public.example": address})
    code, says = refused(database, folders, f"http://public.example:{site.port}/")
    assert (code, "public.example" in says, site.asked) == ("private_address", True, [])


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("http://169.254.169.254/latest/meta-data/", "private_address"),
        ("http://inside.example/", "private_address"),
        ("//127.0.0.1/", "private_address"),
        ("file:///etc/passwd", "bad_url"),
        ("ftp://example.org/", "bad_url"),
        ("//me:secret@example.org/", "bad_url"),
    ],
)
@pytest.mark.usefixtures("guarded")
def test_a_public_server_does_not_lead_into_our_network(
    database: Database, folders: imports.Folders, site: Site, monkeypatch: pytest.MonkeyPatch, location: str, code: str
) -> None:
    site.pages["/"] = Page(status=302, headers={"Location": location})
    # As if the first were public: only where it leads is looked at by the filter.
    real, first = http.hardened.session, iter([True])

    def session(*, allow_private: bool, **kwargs: object) -> object:
        return real(allow_private=next(first, allow_private), **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(http.hardened, "session", session)
    lead_to(monkeypatch, {"inside.example": "10.0.0.7"})
    assert refused(database, folders, f"{site.url}/")[0] == code
    assert site.paths() == ["/"]


# --- Servers that harm -----------------------------------------------------------------------------------------------


@contextmanager
def answering(head: bytes, piece: bytes, *, pause_seconds: float = 0.0) -> Iterator[str]:
    """A server whose answer has no end."""
    listening = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def answer() -> None:
        try:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(head)
                while not over.wait(pause_seconds):
                    connection.sendall(piece)
        except OSError:
            return

    threading.Thread(target=answer, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        over.set()
        listening.close()


@pytest.fixture
def small(process: Process, outside: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """This worker, which takes files of one MiB, in one second, from this machine, too."""
    monkeypatch.setattr(process, "settings", dataclasses.replace(process.settings, import_max_download_mb=1))
    monkeypatch.setattr(bodies, "Http", functools.partial(bodies.Http, whole_seconds=1.0))


PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
ENDLESS = [
    ("without an end", PLAIN + b"Connection: close\r\n\r\n", b"x" * 65536),
    ("in chunks without an end", PLAIN + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n"),
    ("longer than is taken", PLAIN + b"Content-Length: 2000000\r\n\r\n", b"x" * 65536),
    (
        "that swells when unpacked",
        PLAIN + b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n",
        gzip.compress(bytes(20 * MIB)),
    ),
]


@pytest.mark.parametrize(("head", "piece"), [row[1:] for row in ENDLESS], ids=[row[0] for row in ENDLESS])
@pytest.mark.usefixtures("small")
def test_an_answer_is_cut_off_that_is(database: Database, folders: imports.Folders, head: bytes, piece: bytes) -> None:
    with answering(head, piece) as url:
        assert refused(database, folders, url)[0] == "file_too_large"


SLOW = "took longer than 1 s"
LATER = [
    pytest.param(PLAIN + b"Content-Length: 1000\r\n\r\n", b"x", 0.1, SLOW, id="that drips"),
    pytest.param(PLAIN + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", 0.1, SLOW, id="that drips in chunks"),
    pytest.param(PLAIN + b"Connection: close\r\n\r\n", b"x", 0.1, SLOW, id="that drips to no known end"),
    pytest.param(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n", 0.1, SLOW, id="with heads that drip"),
    pytest.param(b"", b"", 0.1, SLOW, id="that says nothing"),
    pytest.param(b"SSH-2.0-OpenSSH\r\n\r\n", b"x" * 65536, 0.0, "broke off", id="that is no HTTP"),
]


@pytest.mark.parametrize(("head", "piece", "pause_seconds", "says"), LATER)
@pytest.mark.usefixtures("small")
def test_a_server_is_asked_again_later(
    database: Database, folders: imports.Folders, head: bytes, piece: bytes, pause_seconds: float, says: str
) -> None:
    began = time.monotonic()
    with answering(head, piece, pause_seconds=pause_seconds) as url:
        job = taken(database, start(database, "url", {"url": url}))
    assert (job.state, job.error_code, says in (job.error_message or "")) == ("queued", "source_unavailable", True)
    assert time.monotonic() - began < 5
    assert (courses(database), list(folders.of_job(job.id).iterdir())) == ([], [])


@pytest.mark.usefixtures("small")
def test_an_answer_shorter_than_it_said_is_none(database: Database, site: Site, folders: imports.Folders) -> None:
    site.pages["/a.md"] = Page(PAGE.encode(), headers={"Connection": "close"}, length=5000)
    job = taken(database, start(database, "url", {"url": f"{site.url}/a.md"}))
    assert (job.state, job.error_code, courses(database)) == ("queued", "source_unavailable", [])
    assert list(folders.of_job(job.id).iterdir()) == []


@pytest.mark.parametrize(
    ("status", "code"),
    [(404, "not_found_there"), (410, "not_found_there"), (403, "refused_there"), (204, "refused_there")],
)
@pytest.mark.usefixtures("small")
def test_a_page_that_is_not_given_is_a_refusal(
    database: Database, site: Site, folders: imports.Folders, status: int, code: str
) -> None:
    site.pages["/"] = Page(b"", status)
    assert refused(database, folders, f"{site.url}/")[0] == code


@pytest.mark.usefixtures("small")
def test_a_server_that_leads_in_a_circle_is_left(database: Database, site: Site, folders: imports.Folders) -> None:
    site.pages["/"] = Page(status=302, headers={"Location": "/"})
    assert refused(database, folders, f"{site.url}/")[0] == "too_many_redirects"
    assert len(site.asked) == 6
