"""What is there already: how fast it is sent, on one connection and on many, by us and by nginx in front of us."""

from __future__ import annotations

import json

from bench.answers import ask
from bench.nginx import Nginx
from bench.room import Figures, Room
from bench.service import Service
from bench.texts import thirty_seconds

CONNECTIONS = 8
_SECONDS = 4.0
# Of thirty seconds the first is 1.4 MB, the second a fifth of that at most.
FORMATS = ("wav", "opus")


def cached(room: Room) -> Figures:
    """An answer of thirty seconds of sound: milliseconds on one connection, and answers a second on eight."""
    found: Figures = {}
    said = thirty_seconds()
    for kind in FORMATS:
        request = request_for(room.ours, said, kind)
        port = room.ours.address[0]
        ask(port, request, connections=1, seconds=0.2)
        one = ask(port, request, connections=1, seconds=_SECONDS / 2)
        many = ask(port, request, connections=CONNECTIONS, seconds=_SECONDS)
        with Nginx(room.ours) as nginx:
            before = ask(nginx.port, request, connections=CONNECTIONS, seconds=_SECONDS)
        found |= {
            f"cached.{kind}.size_bytes": one["size_bytes"],
            f"cached.{kind}.p50_ms": one["p50_ms"],
            f"cached.{kind}.p99_ms": one["p99_ms"],
            f"cached.{kind}.a_second": many["a_second"],
            f"cached.{kind}.nginx_a_second": before["a_second"],
        }
    return found


def request_for(service: Service, said: str, kind: str) -> bytes:
    """``POST /api/tts`` as it goes over the line."""
    port, key = service.address
    body = json.dumps({"text": said, "format": kind})
    head = f"POST /api/tts HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
