"""Somebody hangs up or cancels: when the engine is free again, and what it did for nobody."""

from __future__ import annotations

import time
from collections.abc import Callable

import requests

from bench.processes import working_on
from bench.room import ENGINES, Figures, Room
from bench.service import VOICES
from bench.texts import ten_seconds

_TIMES = 4
_TIMES_AT_PEERS = 2
# Long enough that it would go on for seconds.
_SENTENCES = {"piper": 12, "hibari": 120}
_AFTER_SECONDS = 0.4


def leaving(room: Room) -> Figures:
    """Milliseconds that the speaking processes still work (the slowest time of four), and processor seconds."""
    found: Figures = {}
    pids = [process.pid for process in room.ours.speech_workers()]
    for engine in ENGINES:
        for way, ask in (("dropped", _dropped), ("cancelled", _cancelled)):
            gone = [working_on(pids, ask(room, engine)) for _ in range(_TIMES)]
            found[f"{way}.{engine}.free_ms"] = max(seconds for seconds, _ in gone) * 1000
            found[f"{way}.{engine}.cpu_seconds"] = max(cpu for _, cpu in gone)
    for peer in room.peers:
        gone = []
        for _ in range(_TIMES_AT_PEERS):
            hang_up = peer.speaker().hang_up(_text("piper"), _AFTER_SECONDS)
            gone.append(working_on(peer.pids(), hang_up))
        found[f"dropped.piper.{peer.name}.free_ms"] = max(seconds for seconds, _ in gone) * 1000
        found[f"dropped.piper.{peer.name}.cpu_seconds"] = max(cpu for _, cpu in gone)
    return found


def _dropped(room: Room, engine: str) -> Callable[[], None]:
    return room.ours.speaker(engine, streamed=True).hang_up(_text(engine), _AFTER_SECONDS)


def _cancelled(room: Room, engine: str) -> Callable[[], None]:
    port, key = room.ours.address
    body = {"text": _text(engine), "provider": engine, "voice_id": VOICES[engine]}
    session = requests.Session()
    session.headers.update({"X-API-Key": key, "Prefer": "respond-async"})
    accepted = session.post(f"http://127.0.0.1:{port}/api/tts", json=body, timeout=60).json()
    time.sleep(_AFTER_SECONDS)
    url = f"http://127.0.0.1:{port}/api/jobs/{accepted['job_id']}/cancel"
    return lambda: session.post(url, timeout=60).raise_for_status()


def _text(engine: str) -> str:
    return " ".join(ten_seconds() for _ in range(_SENTENCES[engine]))
