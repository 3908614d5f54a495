"""Somebody's service: a real server on a port of this machine that answers as its class says, over TLS if asked to."""

from __future__ import annotations

import json
import ssl
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

KEY = "a-key-of-0123456789abcdef"
Service = TypeVar("Service", bound="Outside")


@dataclass(frozen=True)
class Asked:
    """One request that came in; the names of headers in small letters."""

    method: str
    path: str
    raw_query: str
    headers: dict[str, str]
    content: bytes

    @property
    def query(self) -> dict[str, str]:
        """The query, each name once."""
        return dict(parse_qsl(self.raw_query, keep_blank_values=True))

    @property
    def body(self) -> Any:
        """What was sent as JSON."""
        return json.loads(self.content)

    @property
    def line(self) -> str:
        """How it is told of."""
        return f"{self.method} {self.path}"


@dataclass
class Answer:
    """What it is answered, piece by piece; ``length`` is what is said of it, None for nothing. It may break off."""

    pieces: Iterable[bytes] = ()
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    breaks_off: bool = False


def plain(content: bytes, status: int = 200, kind: str = "text/html", **headers: str) -> Answer:
    """An answer that is all there; in the names of headers "_" stands for "-"."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer([content], status, {"Content-Type": kind} | named, len(content))


def as_json(value: Any, status: int = 200, **headers: str) -> Answer:
    """An answer in JSON."""
    return plain(json.dumps(value).encode(), status, "application/json; charset=utf-8", **headers)


class Outside:
    """A service; ``asked`` is what it was asked, in order."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.asked: list[Asked] = []
        outside = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with suppress(OSError):
                    outside._serve(self)

            def do_POST(self) -> None:
                self.do_GET()

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_PUT(self) -> None:
                self.do_GET()

            def do_PATCH(self) -> None:
                self.do_GET()

            def do_DELETE(self) -> None:
                self.do_GET()

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                # Who hangs up does not like our certificate, as a rule; all else is a fault of the stand-in.
                if not isinstance(sys.exc_info()[1], OSError):
                    super().handle_error(request, client_address)

        self._server = Server((host, 0), Handler)
        self.port: int = self._server.server_address[1]
        if tls is not None:
            # Agreed on by the thread of a connection, not by the one that accepts them.
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"{'http' if tls is None else 'https'}://{host}:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, asked: Asked) -> Answer:
        """What a request is answered."""
        raise NotImplementedError

    def lines(self) -> list[str]:
        """The method and path of each request."""
        return [each.line for each in self.asked]

    def close(self) -> None:
        """Nobody listens there any more."""
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(request.path)
        content = request.rfile.read(int(request.headers.get("Content-Length", "0")))
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = Asked(request.command, parts.path, parts.query, headers, content)
        self.asked.append(asked)
        answer = self.answer(asked)
        if answer.status:
            request.send_response(answer.status)
            for name, value in answer.headers.items():
                request.send_header(name, value)
            if answer.length is None:
                request.send_header("Connection", "close")
            else:
                request.send_header("Content-Length", str(answer.length))
            request.end_headers()
        for piece in answer.pieces:
            request.wfile.write(piece)
            request.wfile.flush()
        if answer.length is None or answer.breaks_off:
            request.close_connection = True


@contextmanager
def running(service: Service) -> Iterator[Service]:
    """The service, as long as the block runs."""
    try:
        yield service
    finally:
        service.close()
