"""Files from the web into a folder: from public addresses, over few redirects, capped, cached, and politely."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from config.versions import VERSION
from workers.clients import hardened, http_answers
from workers.clients.http_cache import Cache, Known
from workers.errors import BadInput

Report = Callable[[float], None]

MAX_REDIRECTS = 5
MAX_URL_CHARACTERS = 2000
# A server that does not take a connection within 10 s is down; one that says nothing for 30 s will not.
_TIMEOUT_SECONDS = (10.0, 30.0)
_REDIRECTS = (301, 302, 303, 307, 308)
_WAIT_SECONDS = 0.1
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.ENOENT)
_HEADERS = {
    "User-Agent": f"Voiceworks/{VERSION} (course import)",
    "Accept": "text/html, application/xhtml+xml, application/zip, application/epub+zip, */*;q=0.8",
    # Bytes as they are: what is counted is what comes over the wire, and nothing swells.
    "Accept-Encoding": "identity",
}


@dataclass(frozen=True)
class Got:
    """A file that came: where it lies, where it came from in the end, and what was said of it.

    ``media_type`` is the whole Content-Type, with its charset. ``unchanged`` says that it was here already.
    """

    path: Path
    url: str
    name: str
    media_type: str
    size_bytes: int
    unchanged: bool = False


class Http:
    """Gets files. ``cache`` is a folder for what servers can say is unchanged; None: nothing is kept.

    To one host goes one request in ``pause_seconds``; no file takes longer than ``whole_seconds``.
    """

    def __init__(
        self,
        *,
        allow_private: bool,
        most_bytes: int,
        cache: Path | None = None,
        pause_seconds: float = 1.0,
        whole_seconds: float = 600.0,
    ) -> None:
        self._allow_private = allow_private
        self._most_bytes = most_bytes
        self._cache = Cache(cache)
        self._pause_seconds = pause_seconds
        self._whole_seconds = whole_seconds
        self._asked_at: dict[str, float] = {}

    def get(self, url: str, into: Path, report: Report | None = None, *, most_bytes: int | None = None) -> Got:
        """The file at ``url``, stored as ``into``, which is there only when it is whole.

        Raises:
            BadInput: it cannot be had: ``bad_url``, ``private_address``, ``too_many_redirects``, ``file_too_large``,
                ``not_found_there``, ``refused_there``.
            RetryLater: the server is away, busy, too slow, or breaks off.
        """
        tell = report or (lambda share: None)
        most = min(most_bytes or self._most_bytes, self._most_bytes)
        kept = self._cache.find(url)
        ends = time.monotonic() + self._whole_seconds
        at = canonical(url)
        for _ in range(MAX_REDIRECTS + 1):
            self._take_turn(at, tell)
            with self._asked(at, kept, ends) as (answer, late):
                if answer.status_code in _REDIRECTS and answer.headers.get("Location"):
                    at = canonical(urljoin(at, answer.headers["Location"]))
                    continue
                if answer.status_code == 304 and kept is not None:
                    self._cache.take(url, into)
                    return _got(kept, into, unchanged=True)
                http_answers.check(answer, at)
                size = http_answers.store(answer, into, most, at, tell, late)
                known = http_answers.known(answer, at, size)
                self._cache.keep(url, known, answer.headers, into)
                return _got(known, into)
        raise BadInput(f"{url} leads on more than {MAX_REDIRECTS} times.", code="too_many_redirects")

    @contextmanager
    def _asked(self, url: str, kept: Known | None, ends: float) -> Iterator[tuple[requests.Response, threading.Event]]:
        """The answer to one request, and whether it was cut because it took too long."""
        headers = _HEADERS | (kept.conditions() if kept is not None and kept.url == url else {})
        late = threading.Event()
        left = max(0.0, ends - time.monotonic())
        with (
            hardened.session(allow_private=self._allow_private, timeout_seconds=_TIMEOUT_SECONDS) as (session, lines),
            hardened.cut_when_late(lines, late, left),
        ):
            try:
                with session.get(url, headers=headers, stream=True) as answer:
                    yield answer, late
            # ValueError of a name that cannot be looked up, and of a connection that was cut while it was read.
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as fault:
                if isinstance(fault, OSError) and fault.errno in _OF_THE_DISK:
                    raise
                raise http_answers.refusal(fault, url, self._whole_seconds if late.is_set() else None) from fault

    def _take_turn(self, url: str, tell: Report) -> None:
        host = urlsplit(url).netloc
        free_at = self._asked_at.get(host, 0.0) + self._pause_seconds
        while (wait := free_at - time.monotonic()) > 0 and host in self._asked_at:
            tell(0.0)
            time.sleep(min(wait, _WAIT_SECONDS))
        self._asked_at[host] = time.monotonic()


def _got(known: Known, path: Path, *, unchanged: bool = False) -> Got:
    return Got(path, known.url, known.name, known.media_type, known.size_bytes, unchanged)


def canonical(url: str) -> str:
    """``url`` as it is asked for: other letters encoded, as ``requests`` reads it and nobody else does.

    Raises:
        BadInput: it is none, is not of http or https, or holds credentials.
    """
    shown = repr(url if len(url) <= 100 else f"{url[:100]}…")
    try:
        prepared = requests.Request("GET", url).prepare().url or ""
        parts = urlsplit(prepared)
        port = parts.port
    except (requests.RequestException, ValueError):
        raise BadInput(f"{shown} is no URL.", code="bad_url") from None
    if parts.scheme not in ("http", "https"):
        raise BadInput(f"{shown} begins with neither http:// nor https://.", code="bad_url")
    if "@" in parts.netloc:
        raise BadInput(
            f"The URL of {parts.hostname} holds credentials; only what is public is imported.", code="bad_url"
        )
    if not parts.hostname or port == 0 or len(prepared) > MAX_URL_CHARACTERS:
        raise BadInput(f"{shown} is no URL that can be asked for.", code="bad_url")
    return prepared.partition("#")[0]
