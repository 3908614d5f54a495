"""``python -m bench.asking http|wyoming PORT PATH SECONDS``: how long a cheap question takes, 200 times a second.

A process of its own, so that what else the bench does is not measured with it. ``echo`` instead of the first is a bare
server to be asked beside: what the machine itself lets wait.
"""

from __future__ import annotations

import json
import socketserver
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from types import TracebackType

_PAUSE_SECONDS = 0.005
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@dataclass(frozen=True)
class Question:
    """What is asked, and whom."""

    protocol: str
    port: int
    path: str


def at_once(questions: Sequence[Question], seconds: float) -> list[list[float]]:
    """The milliseconds that each question takes, sorted; each is asked by a process of its own."""
    asking = [
        subprocess.Popen(
            [sys.executable, "-m", "bench.asking", each.protocol, str(each.port), each.path, str(seconds)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for each in questions
    ]
    found = []
    for process in asking:
        said, _ = process.communicate(timeout=600)
        assert process.returncode == 0, process.returncode
        found.append(json.loads(said))
    return found


class Echo:
    """A bare server in a process of its own, which answers every request alike."""

    def __enter__(self) -> Echo:
        argv = [sys.executable, "-m", "bench.asking", "echo"]
        self._process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.question = Question("http", int(self._process.stdout.readline()), "/")
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()


class _Answers(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while line := self.rfile.readline():
            if line == b"\r\n":
                self.wfile.write(_ANSWER)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


def _serve() -> None:
    with _Server(("127.0.0.1", 0), _Answers) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


def _http(port: int, path: str) -> Callable[[], None]:
    connection = HTTPConnection("127.0.0.1", port, timeout=120)

    def ask() -> None:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status

    return ask


def _wyoming(port: int, _: str) -> Callable[[], None]:
    from bench.peers.wyoming import WyomingSpeaker

    return WyomingSpeaker(port).ask


def _taken_ms(ask: Callable[[], None], seconds: float) -> list[float]:
    found = []
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        began = time.perf_counter()
        ask()
        found.append((time.perf_counter() - began) * 1000)
        time.sleep(_PAUSE_SECONDS)
    return sorted(found)


def main() -> None:
    """Asks, and prints the milliseconds as JSON; or serves."""
    protocol, *rest = sys.argv[1:]
    if protocol == "echo":
        _serve()
        return
    port, path, seconds = rest
    ask = {"http": _http, "wyoming": _wyoming}[protocol](int(port), path)
    print(json.dumps(_taken_ms(ask, float(seconds))))


if __name__ == "__main__":
    main()
