"""Files from the web into a folder: from public addresses, over few redirects, capped, cached, and politely."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from email.message import Message
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import requests
import urllib3

from config.versions import VERSION
from workers.clients import hardened
from workers.errors import BadInput, RetryLater

Report = Callable[[float], None]

MAX_REDIRECTS = 5
MAX_URL_CHARACTERS = 2000
# A server that does not take a connection within 10 s is down; one that says nothing for 30 s will not.
_TIMEOUT_SECONDS = (10.0, 30.0)
_CHUNK_BYTES = 64 * 1024
_REDIRECTS = (301, 302, 303, 307, 308)
# What says that another time might do.
_BUSY = (408, 425, 429)
_WAIT_SECONDS = 0.1
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.ENOENT)


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


@dataclass(frozen=True)
class _Known:
    """What is kept of an answer beside its body."""

    url: str
    name: str
    media_type: str
    size_bytes: int
    etag: str | None
    modified: str | None


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
        self._cache = cache
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
        kept = self._kept(url)
        ends = time.monotonic() + self._whole_seconds
        at = canonical(url)
        for _ in range(MAX_REDIRECTS + 1):
            self._take_turn(at, tell)
            with self._asked(at, kept, ends) as answer:
                if answer.status_code in _REDIRECTS and answer.headers.get("Location"):
                    at = canonical(urljoin(at, answer.headers["Location"]))
                    continue
                if answer.status_code == 304 and kept is not None:
                    return self._again(url, kept, into)
                _check(answer, at)
                known = _known(answer, at)
                size = _store(answer, into, most, at, tell)
                known = _Known(**asdict(known) | {"size_bytes": size})
                self._keep(url, known, answer, into)
                return Got(into, known.url, known.name, known.media_type, size)
        raise BadInput(f"{url} leads on more than {MAX_REDIRECTS} times.", code="too_many_redirects")

    @contextmanager
    def _asked(self, url: str, kept: _Known | None, ends: float) -> Iterator[requests.Response]:
        headers = {
            "User-Agent": f"Voiceworks/{VERSION} (course import)",
            "Accept": "text/html, application/xhtml+xml, application/zip, application/epub+zip, */*;q=0.8",
            # Bytes as they are: what is counted is what comes over the wire, and nothing swells.
            "Accept-Encoding": "identity",
        }
        if kept is not None and kept.url == url:
            headers |= {"If-None-Match": kept.etag} if kept.etag else {}
            headers |= {"If-Modified-Since": kept.modified} if kept.modified else {}
        late = threading.Event()
        left = max(0.0, ends - time.monotonic())
        with (
            hardened.session(allow_private=self._allow_private, timeout_seconds=_TIMEOUT_SECONDS) as (session, lines),
            hardened.cut_when_late(lines, late, left),
        ):
            try:
                with session.get(url, headers=headers, stream=True) as answer:
                    yield answer
            # ValueError of a name that cannot be looked up, and of a connection that was cut while it was read.
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as fault:
                if isinstance(fault, OSError) and fault.errno in _OF_THE_DISK:
                    raise
                raise _refusal(fault, url, self._whole_seconds if late.is_set() else None) from fault

    def _take_turn(self, url: str, tell: Report) -> None:
        host = urlsplit(url).netloc
        free_at = self._asked_at.get(host, 0.0) + self._pause_seconds
        while (wait := free_at - time.monotonic()) > 0 and host in self._asked_at:
            tell(0.0)
            time.sleep(min(wait, _WAIT_SECONDS))
        self._asked_at[host] = time.monotonic()

    def _paths(self, url: str) -> tuple[Path, Path] | None:
        if self._cache is None:
            return None
        name = hashlib.sha256(url.encode()).hexdigest()
        return self._cache / f"{name}.json", self._cache / f"{name}.body"

    def _kept(self, url: str) -> _Known | None:
        """What is kept of ``url``, if all of it is there."""
        paths = self._paths(url)
        if paths is None:
            return None
        about, body = paths
        try:
            known = _Known(**json.loads(about.read_text()))
            return known if body.stat().st_size == known.size_bytes else None
        except (OSError, ValueError, TypeError):
            return None

    def _again(self, url: str, known: _Known, into: Path) -> Got:
        paths = self._paths(url)
        assert paths is not None
        place(paths[1], into)
        # As new: what is asked for is the last to go (``tasks.upkeep``).
        for path in paths:
            with suppress(OSError):
                os.utime(path)
        return Got(into, known.url, known.name, known.media_type, known.size_bytes, unchanged=True)

    def _keep(self, url: str, known: _Known, answer: requests.Response, body: Path) -> None:
        paths = self._paths(url)
        private = {"no-store", "private"} & set(answer.headers.get("Cache-Control", "").replace(",", " ").split())
        if paths is None or private or not (known.etag or known.modified):
            return
        about, kept = paths
        about.parent.mkdir(parents=True, exist_ok=True)
        # What is known of the old body is not true of the new one.
        about.unlink(missing_ok=True)
        place(body, kept)
        write_whole(about, json.dumps(asdict(known)))


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


def place(source: Path, target: Path) -> None:
    """Puts a file that nobody changes under another name, too, whole or not at all."""
    draft = _draft(target)
    try:
        try:
            os.link(source, draft)
        except OSError:
            # On another disk, or one without links.
            shutil.copyfile(source, draft)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def write_whole(target: Path, text: str) -> None:
    """Writes a file that is there only when it is whole."""
    draft = _draft(target)
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _draft(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}.{time.monotonic_ns()}")


def _store(answer: requests.Response, into: Path, most: int, url: str, tell: Report) -> int:
    """How many bytes of the body now lie in ``into``."""
    said = answer.headers.get("Content-Length", "")
    total = int(said) if said.isdecimal() else 0
    too_large = BadInput(f"{url} is larger than the {most:,} bytes that may be imported.", code="file_too_large")
    if total > most:
        raise too_large
    draft = _draft(into)
    size = 0
    try:
        with draft.open("xb") as file:
            for piece in answer.raw.stream(_CHUNK_BYTES, decode_content=True):
                size += len(piece)
                if size > most:
                    raise too_large
                file.write(piece)
                tell(min(1.0, size / total) if total else 0.0)
        draft.replace(into)
    finally:
        draft.unlink(missing_ok=True)
    return size


def _check(answer: requests.Response, url: str) -> None:
    status = answer.status_code
    if status == 200:
        return
    if status >= 500 or status in _BUSY:
        raise RetryLater(f"{url} answered {status}; it is asked again later.", code="source_unavailable")
    if status in (404, 410):
        raise BadInput(f"{url} does not exist there ({status}).", code="not_found_there")
    raise BadInput(f"{url} is not given to us (it answered {status}).", code="refused_there")


def _refusal(fault: Exception, url: str, late_seconds: float | None) -> BadInput | RetryLater:
    host = urlsplit(url).hostname
    if late_seconds is not None:
        return RetryLater(f"{host} took longer than {late_seconds:g} s.", code="source_unavailable")
    why = hardened.reason(fault)
    if why == "private":
        message = f"{host} has a private address, which only IMPORT_ALLOW_PRIVATE=1 allows."
        return BadInput(message, code="private_address")
    if isinstance(fault, requests.exceptions.InvalidURL):
        return BadInput(f"{url[:100]!r} is no URL that can be asked for.", code="bad_url")
    sentences = {
        "timeout": "does not answer",
        "insecure": "could not be reached securely (its certificate was not accepted, or it does not speak TLS)",
        "unknown": "was not found (nobody has this name)",
        "refused": "refused the connection",
    }
    return RetryLater(f"{host} {sentences.get(why or '', 'broke off')}.", code="source_unavailable")


def _known(answer: requests.Response, url: str) -> _Known:
    headers = answer.headers
    return _Known(
        url=url,
        name=_name(headers.get("Content-Disposition", ""), url),
        media_type=headers.get("Content-Type", ""),
        size_bytes=0,
        etag=headers.get("ETag"),
        modified=headers.get("Last-Modified"),
    )


def _name(disposition: str, url: str) -> str:
    """What the file is called, without any folder."""
    message = Message()
    message["Content-Disposition"] = disposition or "attachment"
    said: Any = message.get_filename() or unquote(urlsplit(url).path)
    name = PurePosixPath(str(said).replace("\\", "/")).name
    return "".join(letter for letter in name if letter.isprintable())[:200]
