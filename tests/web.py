"""A real web process: gunicorn with gevent on a free port, as ``Procfile`` starts it, and sockets into it."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import websocket

from config.child import Child

REPOSITORY = Path(__file__).parents[1]


@dataclass(frozen=True)
class Web:
    """Where it listens, and the process itself."""

    port: int
    child: Child

    def url(self, path: str) -> str:
        """The address of a path."""
        return f"http://127.0.0.1:{self.port}{path}"

    def get(self, path: str, **kwargs: Any) -> requests.Response:
        """GET, over a connection of its own."""
        return requests.get(self.url(path), timeout=30, **kwargs)

    def post(self, path: str, **kwargs: Any) -> requests.Response:
        """POST, over a connection of its own."""
        return requests.post(self.url(path), timeout=30, **kwargs)

    @contextmanager
    def socket(self, path: str, *, origin: str | None = None, **kwargs: Any) -> Iterator[Socket]:
        """An open websocket; a program's, which names no origin, unless one is given."""
        if origin is None:
            kwargs["suppress_origin"] = True
        connection = websocket.create_connection(
            f"ws://127.0.0.1:{self.port}{path}", timeout=10, origin=origin, **kwargs
        )
        try:
            yield Socket(connection)
        finally:
            connection.close(timeout=1)

    def close_code(self, path: str, **kwargs: Any) -> int:
        """The code with which a socket is closed that must not say anything."""
        with self.socket(path, **kwargs) as opened:
            return opened.closed()


class Socket:
    """A client's end of a websocket."""

    def __init__(self, connection: websocket.WebSocket) -> None:
        self.connection = connection

    def send(self, message: object) -> None:
        """Sends JSON."""
        self.connection.send(json.dumps(message))

    def next(self) -> dict[str, Any]:
        """The next message, whatever it is."""
        opcode, said = self.connection.recv_data()
        assert opcode == websocket.ABNF.OPCODE_TEXT, f"expected a message, got opcode {opcode}: {said!r}"
        message: dict[str, Any] = json.loads(said)
        return message

    def until(
        self, kind: str, fits: Callable[[dict[str, Any]], bool] = lambda data: True, *, within_seconds: float = 10.0
    ) -> dict[str, Any]:
        """The data of the next message of a kind that fits; others are passed over."""
        return self.collect(kind, fits, within_seconds=within_seconds)[-1]["data"]

    def collect(
        self, kind: str, fits: Callable[[dict[str, Any]], bool] = lambda data: True, *, within_seconds: float = 10.0
    ) -> list[dict[str, Any]]:
        """Every message up to the first of a kind that fits, with that one."""
        ends = time.monotonic() + within_seconds
        heard: list[dict[str, Any]] = []
        while not heard or heard[-1]["type"] != kind or not fits(heard[-1]["data"]):
            left = ends - time.monotonic()
            assert left > 0, f"no {kind} within {within_seconds} s, but {heard}"
            self.connection.settimeout(left)
            try:
                heard.append(self.next())
            except websocket.WebSocketTimeoutException:
                continue
        return heard

    @property
    def alive(self) -> bool:
        """Whether the server has not ended it; reads one message to find out."""
        try:
            opcode, _ = self.connection.recv_data()
        except (OSError, websocket.WebSocketException):
            return False
        return opcode != websocket.ABNF.OPCODE_CLOSE

    def closed(self) -> int:
        """The code of the close frame, which must come next."""
        opcode, said = self.connection.recv_data()
        assert opcode == websocket.ABNF.OPCODE_CLOSE, f"expected a close frame, got {said!r}"
        return int.from_bytes(said[:2], "big")


@contextmanager
def serving(log_path: Path, **env: str) -> Iterator[Web]:
    """A web process with these settings, ready to answer; on a free port unless ``PORTS`` names one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(env.get("PORTS", probe.getsockname()[1]))

    def answers() -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{port}/health", timeout=0.4).ok
        except requests.RequestException:
            return False

    child = Child(
        name="web",
        argv=[sys.executable, "-m", "gunicorn", "--config", "config/gunicorn.py", "app:create_app()"],
        log_path=log_path,
        env={"PORTS": str(port), "WEB_PROCESSES": "1", "HOST": "127.0.0.1", **env},
        cwd=REPOSITORY,
        probe=answers,
    )
    child.start()
    try:
        assert child.ready(timeout_seconds=30), child.log_tail()
        yield Web(port, child)
    finally:
        child.stop()
