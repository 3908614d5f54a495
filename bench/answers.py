"""``python -m bench.answers CONNECTIONS SECONDS``: the same request again and again, and as little beside it as may be.

The request comes on standard input (``{"port": …, "request": …}``). Prints as JSON how many answers came a second, how
large they are, and the milliseconds of each, sorted. A process of its own: what it takes of the machine, it takes from
whoever answers.
"""

from __future__ import annotations

import json
import selectors
import socket
import subprocess
import sys
import time
from typing import Any

_BUFFER_BYTES = 2**20


class Line:
    """One connection, kept."""

    def __init__(self, port: int, request: bytes) -> None:
        self._request = request
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._left = -1
        self.size = 0
        self._head = b""

    def ask(self) -> None:
        """Sends the request."""
        self._left, self._head = -1, b""
        self.began = time.perf_counter()
        self.socket.sendall(self._request)

    def hear(self, buffer: bytearray) -> bool:
        """Takes in what has come; whether the answer is whole."""
        count = self.socket.recv_into(buffer)
        assert count, "the server hung up"
        if self._left < 0:
            self._head += bytes(buffer[:count])
            head, found, body = self._head.partition(b"\r\n\r\n")
            if not found:
                return False
            assert head.startswith(b"HTTP/1.1 200"), head[:200]
            at = head.lower().index(b"content-length:") + len(b"content-length:")
            self.size = int(head[at:].split(b"\r\n")[0])
            self._left = self.size - len(body)
        else:
            self._left -= count
        return self._left == 0


def ask(port: int, request: bytes, *, connections: int, seconds: float) -> dict[str, Any]:
    """``a_second``, ``size_bytes`` and ``p50_ms``, ``p99_ms`` of a process of its own."""
    argv = [sys.executable, "-m", "bench.answers", str(connections), str(seconds)]
    said = json.dumps({"port": port, "request": request.decode()})
    ran = subprocess.run(argv, input=said, stdout=subprocess.PIPE, text=True, check=True, timeout=seconds + 120)
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def main() -> None:
    """Asks on all connections for so long."""
    connections, seconds = int(sys.argv[1]), float(sys.argv[2])
    asked = json.loads(sys.stdin.read())
    lines = [Line(asked["port"], asked["request"].encode()) for _ in range(connections)]
    ready = selectors.DefaultSelector()
    buffer = bytearray(_BUFFER_BYTES)
    for line in lines:
        ready.register(line.socket, selectors.EVENT_READ, line)
        line.ask()
    taken: list[float] = []
    began = now = time.perf_counter()
    while now - began < seconds:
        for key, _ in ready.select():
            if key.data.hear(buffer):
                now = time.perf_counter()
                taken.append((now - key.data.began) * 1000)
                key.data.ask()
    taken.sort()
    found = {"a_second": len(taken) / (now - began), "size_bytes": lines[0].size}
    print(json.dumps(found | {"p50_ms": taken[len(taken) // 2], "p99_ms": taken[int(len(taken) * 0.99)]}))


if __name__ == "__main__":
    main()
