"""Nobody is waited for without end: a body that trickles in and an answer that nobody takes give up their places."""

from __future__ import annotations

import io
from typing import IO, Any

from flask import Flask, request
from werkzeug.exceptions import RequestTimeout

# The slowest line that is worth a place: 0.8 KiB a second. A body that was sent is there at once.
_BLOCK_BYTES, _BLOCK_SECONDS = 16 * 1024, 20.0
# Of what is sent, for as much as is handed over in one go (256 KiB of a file, 32 KiB of a stream): nginx has 60. Also a
# player that pauses holds its line so long; it then asks for the rest.
_SEND_SECONDS = 80.0


class Patient(io.RawIOBase):
    """A body that is read block by block, each of which has to be there in time; for cooperative processes."""

    def __init__(self, body: IO[bytes], seconds: float = _BLOCK_SECONDS) -> None:
        self._body = body
        self._seconds = seconds

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """At most a block.

        Raises:
            RequestTimeout: it does not come.
        """
        import gevent

        late = RequestTimeout(f"The body stops coming: there was no more of it for {self._seconds:g} s.")
        with gevent.Timeout(self._seconds, late):
            block = self._body.read(min(len(buffer), _BLOCK_BYTES))
        buffer[: len(block)] = block
        return len(block)


def install(app: Flask) -> None:
    """Limits how long a client may take, where gunicorn serves, which limits only how long headers take."""

    @app.before_request
    def limit() -> None:
        connection = request.environ.get("gunicorn.socket")
        if connection is not None:
            connection.settimeout(_SEND_SECONDS)
            request.environ["wsgi.input"] = Patient(request.environ["wsgi.input"])
