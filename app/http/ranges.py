"""Stored files as answers: ETag, conditional requests, one byte range."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from flask import Response, request, send_file
from werkzeug.wsgi import FileWrapper

_ONE_RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))")

# gunicorn's own reader, and gevent's sendfile, take 8 KiB at a time: for a minute of speech 350 system calls.
_BLOCK_BYTES = 256 * 1024


class _LargeBlocks(FileWrapper):
    """A file as blocks for the socket."""

    def __init__(self, file: IO[bytes], _: int = 0) -> None:
        super().__init__(file, _BLOCK_BYTES)


def send_stored(path: Path, *, name: str, media_type: str, etag: str) -> Response:
    """The file, whole or the one range asked for; a malformed or multiple range counts as none.

    ``name`` is what a browser saves it as.

    Raises:
        werkzeug.exceptions.RequestedRangeNotSatisfiable: the range lies outside.
        FileNotFoundError: the file is gone.
    """
    asked = _usable_range(etag, path.stat().st_size)
    request.environ.pop("HTTP_RANGE", None)
    if asked is not None:
        request.environ["HTTP_RANGE"] = asked
    request.environ["wsgi.file_wrapper"] = _LargeBlocks
    response = send_file(path, mimetype=media_type, download_name=name, conditional=True, etag=etag, max_age=86400)
    response.headers["Accept-Ranges"] = "bytes"
    # What was spoken may be private; a shared cache must not keep it.
    response.cache_control.public = False
    response.cache_control.private = True
    return response


def read_from(path: Path, offset: int) -> Iterator[bytes]:
    """The bytes of a file from ``offset`` on.

    Raises:
        FileNotFoundError: the file is gone.
    """
    with path.open("rb") as file:
        file.seek(offset)
        while block := file.read(_BLOCK_BYTES):
            yield block


def _usable_range(etag: str, size_bytes: int) -> str | None:
    """The ``Range`` to obey, None where the whole file (or none of it) is the answer; Werkzeug sees to the rest."""
    found = _ONE_RANGE.fullmatch(request.headers.get("Range", ""))
    # A range of what is made on request means nothing.
    if found is None or request.method == "POST":
        return None
    first, last, from_end = found.groups()
    if last and int(last) < int(first):
        return None
    # Not modified comes before any part, and a weak validator cannot promise equal bytes (RFC 9110, 13.1.5, 13.2.2).
    if request.if_none_match.contains_weak(etag) or request.headers.get("If-Range", "").startswith("W/"):
        return None
    if from_end and int(from_end) > size_bytes:
        return "bytes=0-"
    return found.group()
