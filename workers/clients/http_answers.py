"""What a server answered: its body in a file, what is said of it, or why there is none."""

from __future__ import annotations

import threading
from collections.abc import Callable
from email.message import Message
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import requests

from workers.clients import hardened
from workers.clients.http_cache import Known
from workers.clients.whole_files import drafted
from workers.errors import BadInput, RetryLater

_CHUNK_BYTES = 64 * 1024
# What says that another time might do.
_BUSY = (408, 425, 429)


def check(answer: requests.Response, url: str) -> None:
    """Refuses an answer that is no file.

    Raises:
        BadInput: ``not_found_there``, ``refused_there``.
        RetryLater: the server is busy or broken.
    """
    status = answer.status_code
    if status == 200:
        return
    if status >= 500 or status in _BUSY:
        raise RetryLater(f"{url} answered {status}; it is asked again later.", code="source_unavailable")
    if status in (404, 410):
        raise BadInput(f"{url} does not exist there ({status}).", code="not_found_there")
    raise BadInput(f"{url} is not given to us (it answered {status}).", code="refused_there")


def store(
    answer: requests.Response,
    into: Path,
    most_bytes: int,
    url: str,
    tell: Callable[[float], None],
    late: threading.Event,
) -> int:
    """How many bytes of the body now lie in ``into``; ``late`` says whether it was cut by its time.

    Raises:
        BadInput: they are more than ``most_bytes`` (``file_too_large``).
        TimeoutError: it was cut, which can look like its end.
    """
    said = answer.headers.get("Content-Length", "")
    total = int(said) if said.isdecimal() else 0
    too_large = BadInput(f"{url} is larger than the {most_bytes:,} bytes that may be imported.", code="file_too_large")
    if total > most_bytes:
        raise too_large
    size = 0
    with drafted(into) as draft, draft.open("xb") as file:
        for piece in answer.raw.stream(_CHUNK_BYTES, decode_content=True):
            size += len(piece)
            if size > most_bytes:
                raise too_large
            file.write(piece)
            tell(min(1.0, size / total) if total else 0.0)
        # Before the file is there under its name.
        if late.is_set():
            raise TimeoutError
    return size


def known(answer: requests.Response, url: str, size_bytes: int) -> Known:
    """What the headers say of a file."""
    headers = answer.headers
    return Known(
        url=url,
        name=_name(headers.get("Content-Disposition", ""), url),
        media_type=headers.get("Content-Type", ""),
        size_bytes=size_bytes,
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


def refusal(fault: Exception, url: str, late_seconds: float | None) -> BadInput | RetryLater:
    """Why there was no answer; ``late_seconds`` is how long one waited, where that was too long."""
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
