"""Stored files as answers: ETag, conditional requests, one byte range; sent by us, or by the nginx in front of us."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from flask import Response, request, send_file
from werkzeug.exceptions import PreconditionFailed
from werkzeug.wsgi import FileWrapper

from app import context

_ONE_RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))")

# gunicorn's own reader, and gevent's sendfile, take 8 KiB at a time: for a minute of speech 350 system calls.
_BLOCK_BYTES = 256 * 1024

# What nginx would decide otherwise than we do, or what keeps an answer (app/http/idempotency.py); all of it is rare.
_OURS_TO_JUDGE = ("If-Match", "If-Range", "If-Unmodified-Since", "Idempotency-Key")


class _LargeBlocks(FileWrapper):
    """A file as blocks for the socket."""

    def __init__(self, file: IO[bytes], _: int = 0) -> None:
        super().__init__(file, _BLOCK_BYTES)


def send_stored(path: Path, *, name: str, media_type: str, etag: str) -> Response:
    """The file, whole or the one range asked for; a malformed or multiple range counts as none.

    ``name`` is what a browser saves it as.

    Raises:
        werkzeug.exceptions.RequestedRangeNotSatisfiable: the range lies outside.
        werkzeug.exceptions.PreconditionFailed: it is not the one that `If-Match` names.
        FileNotFoundError: the file is gone.
    """
    if request.if_match and not request.if_match.contains(etag):
        raise PreconditionFailed
    location = _location_in_proxy(path)
    # It was judged; Werkzeug takes `*` for an ETag that this is not.
    request.environ.pop("HTTP_IF_MATCH", None)
    said, asked = request.headers.get("Range"), _usable_range(etag, path.stat().st_size)
    request.environ.pop("HTTP_RANGE", None)
    if asked is not None:
        request.environ["HTTP_RANGE"] = asked
    request.environ["wsgi.file_wrapper"] = _LargeBlocks
    response = send_file(path, mimetype=media_type, download_name=name, conditional=True, etag=etag, max_age=86400)
    response.headers["Accept-Ranges"] = "bytes"
    # What was spoken may be private; a shared cache must not keep it.
    response.cache_control.public = False
    response.cache_control.private = True
    if response.status_code in (200, 206) and said == asked and location:
        _hand_over(response, location)
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


def _location_in_proxy(path: Path) -> str | None:
    """Where the proxy that this request came through has the file; None where it came another way, or must not."""
    here = context.current()
    prefix = here.settings.x_accel_prefix
    # Said by the proxy in every request it passes on: whoever comes past it gets the file itself.
    if not prefix or request.headers.get("X-Accel-Prefix") != prefix:
        return None
    stored = here.files.root
    if not path.is_relative_to(stored) or ".." in path.parts or any(name in request.headers for name in _OURS_TO_JUDGE):
        return None
    return prefix + path.relative_to(stored).as_posix()


def _hand_over(response: Response, location: str) -> None:
    """Leaves the sending, and the cutting of the range, to the proxy; the headers stay as they are."""
    response.close()
    response.direct_passthrough = False
    response.response = []
    response.status_code = 200
    response.headers.pop("Content-Range", None)
    if "Range" not in request.headers:
        # Said by nginx of a whole file, and only then.
        response.headers.pop("Accept-Ranges", None)
    response.headers["Content-Length"] = "0"
    response.headers["X-Accel-Redirect"] = location


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
