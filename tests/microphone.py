"""A client of the socket that listens for wake words."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import websocket

from tests.alexa import RATE, pcm
from tests.conftest import CLIENT_KEY

KEY = [f"X-API-Key: {CLIENT_KEY}"]
PIECE = RATE * 8 // 100
Message = dict[str, Any]


class Microphone:
    """A client of the socket."""

    def __init__(self, connection: websocket.WebSocket) -> None:
        self.connection = connection

    def say(self, **fields: Any) -> None:
        self.connection.send(json.dumps(fields))

    def audio(self, content: bytes, **fields: Any) -> None:
        self.say(type="audio", data=base64.b64encode(content).decode(), **fields)

    def speak(self, samples: np.ndarray, piece: int = PIECE) -> None:
        """Sends samples as binary frames, as fast as they are taken."""
        for start in range(0, len(samples), piece):
            self.connection.send_binary(pcm(samples[start : start + piece]))

    def next(self) -> Message:
        opcode, said = self.connection.recv_data()
        assert opcode == websocket.ABNF.OPCODE_TEXT, (opcode, said)
        message: Message = json.loads(said)
        return message

    def until_heard(self, seconds: float) -> list[Message]:
        """Every detection until so much sound was listened to."""
        told = []
        while not told or told[-1]["time_seconds"] < seconds:
            told.append(self.next())
            assert told[-1]["type"] == "detection", told[-1]
        return told

    def closed(self) -> int:
        while True:
            opcode, said = self.connection.recv_data()
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                return int.from_bytes(said[:2], "big")


Open = Callable[..., AbstractContextManager[Microphone]]


def fired(told: list[Message]) -> list[float]:
    """When the word was heard."""
    return [message["time_seconds"] for message in told if message["detected"]]
