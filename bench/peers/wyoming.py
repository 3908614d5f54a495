"""wyoming-piper: Home Assistant's protocol over TCP, which sends each sentence when it is spoken."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

from bench.peers.server import VOICE, Peer, voices_of_peers
from bench.speakers import WAIT_SECONDS, Heard, Speaker


class Wyoming(Peer):
    """``wyoming-piper``."""

    name = "wyoming"

    def arguments(self) -> list[str]:
        """Of its interpreter."""
        where = ["--data-dir", str(voices_of_peers()), "--download-dir", str(self.folder)]
        return ["-m", "wyoming_piper", "--voice", VOICE, *where, "--uri", f"tcp://127.0.0.1:{self.port}"]

    def speaker(self) -> Speaker:
        """A client with a connection of its own."""
        return WyomingSpeaker(self.port)


class WyomingSpeaker:
    """One line of JSON an event, its data and its sound behind it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._line: socket.socket | None = None

    def speak(self, text: str) -> Heard:
        """Has a text spoken and listens to the end."""
        began, first, sound, rate = time.perf_counter(), 0.0, bytearray(), 0
        self._say("synthesize", {"text": text})
        for kind, data, payload in self._events():
            assert kind != "error", data
            if kind == "audio-chunk":
                first = first or time.perf_counter() - began
                sound += payload
                rate = data["rate"]
            elif kind == "audio-stop":
                break
        seconds = time.perf_counter() - began
        return Heard(first, seconds, len(sound) / 2 / rate, bytes(sound))

    def hang_up(self, text: str, after_seconds: float) -> Callable[[], None]:
        """Asks for a text and waits so long; what it gives hangs up."""
        self._close()
        self._say("synthesize", {"text": text})
        time.sleep(after_seconds)
        return self._close

    def ask(self) -> None:
        """What there is."""
        self._say("describe", {})
        kind, _, _ = next(self._events())
        assert kind == "info", kind

    def _say(self, kind: str, data: dict[str, Any]) -> None:
        if self._line is None:
            self._line = socket.create_connection(("127.0.0.1", self._port), timeout=WAIT_SECONDS)
            self._line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._file = self._line.makefile("rb")
        self._line.sendall(json.dumps({"type": kind, "data": data}).encode() + b"\n")

    def _events(self) -> Iterator[tuple[str, dict[str, Any], bytes]]:
        while line := self._file.readline():
            head = json.loads(line)
            data = head.get("data") or {}
            data |= json.loads(self._file.read(head["data_length"])) if head.get("data_length") else {}
            payload = self._file.read(head["payload_length"]) if head.get("payload_length") else b""
            yield head["type"], data, payload
        raise ConnectionError("wyoming-piper hung up")

    def _close(self) -> None:
        if self._line is not None:
            self._file.close()
            self._line.close()
            self._line = None
