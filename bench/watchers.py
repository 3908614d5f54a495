"""``python -m bench.watchers PORT KEY COUNT [PATH]``: so many open sockets in one process, with little work for each.

Says on a line of its own when all are connected, and, once its input ends, as JSON what each of them was told.
"""

from __future__ import annotations

import base64
import json
import os
import selectors
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import Any

_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10


class Watcher:
    """One socket: ``jobs`` holds, by id, the states, versions, times and items done of what it was told."""

    def __init__(self, port: int, key: str, path: str = "/ws") -> None:
        self.jobs: dict[str, list[tuple[str, int, float, int]]] = {}
        self.kinds: dict[str, int] = {}
        self.closed: int | None = None
        self.greeted_at = 0.0
        self._buffer = b""
        self._upgraded = False
        self.line = socket.create_connection(("127.0.0.1", port), timeout=60)
        nonce = base64.b64encode(os.urandom(16)).decode()
        self.line.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {nonce}\r\nSec-WebSocket-Version: 13\r\nX-API-Key: {key}\r\n\r\n".encode()
        )
        self.line.setblocking(False)

    def read(self) -> float:
        """Takes in what has arrived, to be understood later; the time when it had."""
        try:
            arrived = self.line.recv(2**18)
        except BlockingIOError:
            return 0.0
        except OSError:
            arrived = b""
        if not arrived:
            self.closed = self.closed or 1006
            return 0.0
        self._buffer += arrived
        return time.time()

    def understand(self, now: float) -> None:
        """What has arrived until ``now``."""
        if not self._upgraded:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            assert b" 101 " in head.split(b"\r\n")[0], head
            self._upgraded, self._buffer = True, rest
        while (frame := self._next()) is not None:
            self._hear(*frame, now)

    def _next(self) -> tuple[int, bytes] | None:
        if len(self._buffer) < 2:
            return None
        length, at = self._buffer[1], 2
        if length >= 126:
            at = 4 if length == 126 else 10
            if len(self._buffer) < at:
                return None
            length = int.from_bytes(self._buffer[2:at], "big")
        if len(self._buffer) < at + length:
            return None
        frame = self._buffer[0] & 15, self._buffer[at : at + length]
        self._buffer = self._buffer[at + length :]
        return frame

    def _hear(self, opcode: int, said: bytes, now: float) -> None:
        if opcode == _PING:
            # Under a mask of zeros, as a client must.
            with suppress(OSError):
                self.line.send(bytes((0x80 | _PONG, 0x80 | len(said))) + bytes(4) + said)
        elif opcode == _CLOSE:
            self.closed = int.from_bytes(said[:2], "big")
        elif opcode == _TEXT:
            message: dict[str, Any] = json.loads(said)
            kind, data = message["type"], message["data"]
            self.kinds[kind] = self.kinds.get(kind, 0) + 1
            self.greeted_at = self.greeted_at or now
            if kind.startswith("job."):
                self.jobs.setdefault(data["id"], []).append(
                    (data["state"], data["version"], now, data["items"]["succeeded"])
                )


def main() -> None:
    """Connects, listens until standard input ends, and tells."""
    port, key, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    path = sys.argv[4] if len(sys.argv) > 4 else "/ws"
    ended = threading.Event()
    began = time.time()
    lines = selectors.DefaultSelector()
    watchers = []
    for _ in range(count):
        watcher = Watcher(port, key, path)
        watchers.append(watcher)
        lines.register(watcher.line, selectors.EVENT_READ, watcher)
    told = False

    def await_end() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=await_end, daemon=True).start()
    while not ended.is_set():
        # First all that has arrived, with its times; understanding it takes longer.
        arrived = [(selected, selected.data.read()) for selected, _ in lines.select(0.2)]
        for selected, now in arrived:
            selected.data.understand(now)
            if selected.data.closed:
                lines.unregister(selected.fileobj)
        if not told and all(watcher.greeted_at for watcher in watchers):
            told = True
            print(json.dumps({"seconds": max(watcher.greeted_at for watcher in watchers) - began}), flush=True)
    print(json.dumps([{"jobs": each.jobs, "kinds": each.kinds, "closed": each.closed} for each in watchers]))


if __name__ == "__main__":
    main()
