"""Somebody's server that is told of jobs: a real one on a port of this machine, which answers as a test says."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.conftest import eventually


@dataclass(frozen=True)
class Told:
    """One request that came in, and when."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def message(self) -> dict[str, Any]:
        """What the body says."""
        said: dict[str, Any] = json.loads(self.body)
        return said


# A status, what headers go with it, and how long it takes.
@dataclass(frozen=True)
class Reply:
    """How the receiver answers."""

    status: int = 204
    headers: tuple[tuple[str, str], ...] = ()
    after_seconds: float = 0.0


class Receiver:
    """What it was told, in order; the replies that it was given, then 204 for ever."""

    def __init__(self, port: int = 0, *, family: int | None = None, host: str = "127.0.0.1") -> None:
        self.told: list[Told] = []
        self.replies: list[Reply] = []
        # How many are being answered, now and at most.
        self.busy = self.busiest = 0
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver._answer(self)

            def do_GET(self) -> None:
                receiver._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            address_family = family or ThreadingHTTPServer.address_family
            daemon_threads = True
            request_queue_size = 128

        self._server = Server((host, port), Handler)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def url(self, path: str = "/told", host: str = "127.0.0.1") -> str:
        """Where it is reached."""
        return f"http://{host}:{self.port}{path}"

    def paths(self) -> list[str]:
        """The path of each request."""
        return [told.path for told in self.told]

    def first(self, *, within_seconds: float = 15.0) -> Told:
        """What it was told first."""
        eventually(lambda: self.told, within_seconds=within_seconds)
        return self.told[0]

    def close(self) -> None:
        """It is away."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", "0")))
        with self._lock:
            self.told.append(Told(request.path, dict(request.headers), body, time.monotonic()))
            reply = self.replies.pop(0) if self.replies else Reply()
            self.busy += 1
            self.busiest = max(self.busiest, self.busy)
        time.sleep(reply.after_seconds)
        with self._lock:
            self.busy -= 1
        try:
            request.send_response(reply.status)
            for name, value in reply.headers:
                request.send_header(name, value)
            request.send_header("Content-Length", "0")
            request.end_headers()
        except OSError:
            # Whoever asked has gone.
            pass


@contextmanager
def receiving(replies: Sequence[Reply] = (), **where: Any) -> Iterator[Receiver]:
    """A receiver, as long as the block runs."""
    receiver = Receiver(**where)
    receiver.replies += replies
    try:
        yield receiver
    finally:
        receiver.close()
