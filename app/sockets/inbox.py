"""What a client says on a socket, heard while it is being answered."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any

from simple_websocket import ConnectionClosed

MAX_CHARACTERS = 64 * 1024
# Far more than a client asks for before it has an answer; one that does not listen is let go.
MAX_WAITING = 1000


class Inbox:
    """Messages in order, until the client is gone. Those of a ``stopping`` type are noticed as soon as they arrive."""

    def __init__(self, ws: Any, *, stopping: tuple[str, ...]) -> None:
        self._ws = ws
        self._stopping = stopping
        self._waiting: deque[dict[str, Any] | None] = deque()
        self._arrived = threading.Event()
        self._stops = 0
        self._gone = False
        threading.Thread(target=self._hear, name="socket-inbox", daemon=True).start()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Each message; one that is no JSON object has only a ``fault``."""
        while True:
            while not self._waiting:
                self._arrived.wait()
                self._arrived.clear()
            message = self._waiting.popleft()
            if message is None:
                return
            if message.get("type") in self._stopping:
                self._stops -= 1
            yield message

    def stops(self) -> bool:
        """Whether what is being done is not wanted any more: the client is gone, or said something that stops it."""
        return self._gone or self._stops > 0

    def _hear(self) -> None:
        try:
            while len(self._waiting) < MAX_WAITING:
                message = _read(self._ws.receive())
                if message.get("type") in self._stopping:
                    self._stops += 1
                self._waiting.append(message)
                self._arrived.set()
        except (ConnectionClosed, OSError):
            pass
        self._gone = True
        self._waiting.append(None)
        self._arrived.set()


def _read(said: str | bytes) -> dict[str, Any]:
    if not isinstance(said, str) or len(said) > MAX_CHARACTERS:
        return {"fault": "Text messages of at most 64 KiB are expected."}
    try:
        message = json.loads(said)
    except (ValueError, RecursionError):
        return {"fault": "The message is not valid JSON."}
    return (
        message
        if isinstance(message, dict) and isinstance(message.get("type"), str)
        else {"fault": "A message is an object with a type."}
    )
