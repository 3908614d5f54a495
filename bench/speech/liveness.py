"""How long the cheapest question takes while sixteen syntheses run, beside a bare server that only answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from bench.asking import Echo, Question, at_once
from bench.room import ENGINES, Figures, Room
from bench.speakers import Speaker
from bench.texts import ten_seconds

CLIENTS = 16
_SECONDS = 8.0
_FLOOR_MS = 20.0


def liveness(room: Room) -> Figures:
    """The slowest hundredth, on each of two connections, of which the slower one counts (two processes may answer)."""
    found: Figures = {}
    port = room.ours.address[0]
    with Echo() as echo:
        for engine in ENGINES:
            asked = Question("http", port, "/health/live")
            taken, bare = _while_speaking(partial(room.ours.speaker, engine), asked, echo)
            found |= {
                f"liveness_p50_ms.{engine}": taken[len(taken) // 2],
                f"liveness_p99_ms.{engine}": _p99(taken),
                f"liveness_echo_p99_ms.{engine}": _p99(bare),
                f"liveness_limit_ms.{engine}": max(_FLOOR_MS, 1.5 * _p99(bare)),
            }
        paths = {"http_server": "/info", "local_tts_studio": "/api/health", "wyoming": ""}
        for peer in room.peers:
            path = paths[peer.name]
            asked = Question("http" if path else "wyoming", peer.port, path)
            taken, bare = _while_speaking(peer.speaker, asked, echo)
            found[f"liveness_p99_ms.piper.{peer.name}"] = _p99(taken)
            found[f"liveness_echo_p99_ms.piper.{peer.name}"] = _p99(bare)
    return found


def _while_speaking(new: Callable[[], Speaker], asked: Question, echo: Echo) -> tuple[list[float], list[float]]:
    stop = threading.Event()

    def speak(speaker: Speaker) -> None:
        while not stop.is_set():
            speaker.speak(ten_seconds())

    with ThreadPoolExecutor(CLIENTS) as pool:
        speaking = [pool.submit(speak, new()) for _ in range(CLIENTS)]
        # Past the first sentences, when all of them wait.
        time.sleep(1.0)
        *taken, bare = at_once([asked, asked, echo.question], _SECONDS)
        stop.set()
        for each in speaking:
            each.result()
    return max(taken, key=_p99), bare


def _p99(taken: list[float]) -> float:
    return taken[int(len(taken) * 0.99)]
