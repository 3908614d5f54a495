"""What a client says on a socket, heard while it is being answered."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

from flask import g
from simple_websocket import ConnectionClosed

from app.sockets.subscription import Subscription

MAX_CHARACTERS = 64 * 1024
# Nothing is missed by waiting longer.
_WAIT_SECONDS = 60.0


class Inbox:
    """Messages in order, until the client is gone. Those of a ``stopping`` type are noticed as soon as they arrive.

    ``subscription`` is where they wait, and where the hub says that the server stops.
    """

    def __init__(self, ws: Any, subscription: Subscription, *, stopping: tuple[str, ...]) -> None:
        self._ws = ws
        self._subscription = subscription
        self._stopping = stopping
        self._stops = 0
        self._gone = False
        subscription.caller = g.caller
        threading.Thread(target=self._hear, name="socket-inbox", daemon=True).start()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Each message; one that is no JSON object with a type has only a ``fault``.

        Raises:
            TooSlow: the client says far more than it waits to hear.
        """
        while True:
            news = self._subscription.get(_WAIT_SECONDS)
            if news is None:
                continue
            message = news["said"]
            if message is None:
                if "code" in news:
                    self._ws.close(news["code"], news["why"])
                return
            if message.get("type") in self._stopping:
                self._stops -= 1
            yield message

    def stops(self) -> bool:
        """Whether what is being done is not wanted any more: the client is gone, or said something that stops it."""
        return self._gone or self._stops > 0

    def _hear(self) -> None:
        try:
            while True:
                message = _read(self._ws.receive())
                if message.get("type") in self._stopping:
                    self._stops += 1
                self._subscription.put({"said": message})
        except (ConnectionClosed, OSError):
            self._gone = True
            self._subscription.put({"said": None})


def _read(said: str | bytes) -> dict[str, Any]:
    if not isinstance(said, str) or len(said) > MAX_CHARACTERS:
        return {"fault": "Text messages of at most 64 KiB are expected."}
    try:
        message = json.loads(said)
    except (ValueError, RecursionError):
        return {"fault": "The message is not valid JSON."}
    if isinstance(message, dict) and isinstance(message.get("type"), str):
        return message
    return {"fault": "A message is an object with a type."}
