"""Stored files as answers: ETag, conditional requests, one byte range."""

from __future__ import annotations

import re
from pathlib import Path

from flask import Response, request, send_file

_ONE_RANGE = re.compile(r"bytes=(\d{1,18}-\d{0,18}|-\d{1,18})\Z")


def send_stored(path: Path, *, name: str, media_type: str, etag: str) -> Response:
    """The file, whole or the one range asked for; a malformed or multiple range counts as none.

    ``name`` is what a browser saves it as.

    Raises:
        werkzeug.exceptions.RequestedRangeNotSatisfiable: the range lies outside.
        FileNotFoundError: the file is gone.
    """
    asked = request.headers.get("Range", "")
    if asked and not _ONE_RANGE.match(asked.replace(" ", "")):
        request.environ.pop("HTTP_RANGE")
    if request.method == "POST":
        # A range of what is made on request means nothing.
        request.environ.pop("HTTP_RANGE", None)
    response = send_file(path, mimetype=media_type, download_name=name, conditional=True, etag=etag, max_age=86400)
    response.headers["Accept-Ranges"] = "bytes"
    # What was spoken may be private; a shared cache must not keep it.
    response.cache_control.public = False
    response.cache_control.private = True
    return response
