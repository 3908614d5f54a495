"""Clients of speech servers, alike for all: what is heard, when, and that somebody hangs up."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse, RemoteDisconnected
from typing import Any, Protocol

WAIT_SECONDS = 180.0
# Of a WAV file: what comes before its sound.
_WAV_HEADER_BYTES, _RATE_AT = 44, 24
_SAMPLE_BYTES = 2


@dataclass(frozen=True)
class Heard:
    """An answer: seconds to its first sound and to its end; ``sound`` is without header, 16 bits a sample."""

    first_seconds: float
    seconds: float
    audio_seconds: float
    sound: bytes
    status: str = ""


class Speaker(Protocol):
    """One client with a connection of its own."""

    def speak(self, text: str) -> Heard:
        """Has a text spoken and listens to the end."""
        ...

    def hang_up(self, text: str, after_seconds: float) -> Callable[[], None]:
        """Asks for a text and waits so long; what it gives hangs up."""
        ...

    def ask(self) -> None:
        """The cheapest question that the server answers."""
        ...


class HttpSpeaker:
    """A client of a server that answers a POST with a WAV file, whole or bit by bit."""

    def __init__(
        self, port: int, path: str, body: Callable[[str], dict[str, Any]], *, asks: str, key: str | None = None
    ) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=WAIT_SECONDS)
        self._path = path
        self._body = body
        self._asks = asks
        self._headers = {"Content-Type": "application/json"} | ({"X-API-Key": key} if key else {})

    def speak(self, text: str) -> Heard:
        """Has a text spoken and listens to the end."""
        began, answer = self._post(text)
        content = bytearray()
        first = 0.0
        while piece := answer.read1(65536):
            content += piece
            if not first and len(content) > _WAV_HEADER_BYTES:
                first = time.perf_counter() - began
        seconds = time.perf_counter() - began
        # Read to the last byte, the client library still holds it for unfinished.
        answer.close()
        rate = int.from_bytes(content[_RATE_AT : _RATE_AT + 4], "little")
        sound = bytes(content[_WAV_HEADER_BYTES:])
        status = answer.headers.get("X-TTS-Cache-Status", "")
        return Heard(first, seconds, len(sound) / _SAMPLE_BYTES / rate, sound, status)

    def hang_up(self, text: str, after_seconds: float) -> Callable[[], None]:
        """Asks for a text and waits so long; what it gives hangs up."""
        self._connection.close()
        self._connection.request("POST", self._path, json.dumps(self._body(text)), self._headers)
        time.sleep(after_seconds)
        return self._connection.close

    def ask(self) -> None:
        """The cheapest question that the server answers."""
        answer = self._sent("GET", self._asks)
        answer.read()
        assert answer.status == 200, answer.status

    def _post(self, text: str) -> tuple[float, HTTPResponse]:
        began = time.perf_counter()
        answer = self._sent("POST", self._path, json.dumps(self._body(text)))
        if answer.status != 200:
            raise AssertionError(f"{self._path} answered {answer.status}: {answer.read()[:300]!r}")
        return began, answer

    def _sent(self, method: str, path: str, body: str | None = None) -> HTTPResponse:
        try:
            self._connection.request(method, path, body, self._headers)
            return self._connection.getresponse()
        except (RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            # A connection that was idle for long, which the server closed meanwhile.
            self._connection.close()
            self._connection.request(method, path, body, self._headers)
            return self._connection.getresponse()


@dataclass(frozen=True)
class Crowd:
    """What several clients heard in so many seconds."""

    heard: list[Heard]
    seconds: float

    @property
    def audio_seconds(self) -> float:
        """Of all of them."""
        return sum(each.audio_seconds for each in self.heard)


def together(new: Callable[[], Speaker], texts: Sequence[Sequence[str]]) -> Crowd:
    """So many clients at once, each of whom has its own texts spoken one after the other."""

    def one(speaker: Speaker, mine: Sequence[str]) -> list[Heard]:
        return [speaker.speak(text) for text in mine]

    speakers = [new() for _ in texts]
    with ThreadPoolExecutor(len(texts)) as pool:
        began = time.perf_counter()
        heard = [each for found in pool.map(one, speakers, texts) for each in found]
        return Crowd(heard, time.perf_counter() - began)
