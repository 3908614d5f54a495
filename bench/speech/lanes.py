"""Somebody who waits, while the machine is busy with work for later: live work goes before bulk."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from bench.room import ENGINES, Figures, Room
from bench.speakers import Heard, Speaker
from bench.speech.throughput import span
from bench.texts import short_sentence, ten_seconds

# So many segments take ten seconds or so on two cores.
_SEGMENTS = {"piper": 40, "hibari": 300}
_PAUSE_SECONDS = 0.1
_ASKED = 40
_ASKED_OF_PEERS = 20
_BULK_CLIENTS = 8


def interactive(room: Room) -> Figures:
    """Six words every 100 ms: how long the slowest twentieth waits, idle and beside bulk, and what bulk loses by it."""
    found: Figures = {}
    for engine in ENGINES:
        found |= _ours(room, engine)
    for peer in room.peers:
        idle = sorted(each.seconds for each in _paced(peer.speaker(), _ASKED_OF_PEERS))
        stop = threading.Event()
        with ThreadPoolExecutor(_BULK_CLIENTS) as pool:
            for _ in range(_BULK_CLIENTS):
                pool.submit(_speak_on, peer.speaker(), stop)
            time.sleep(1.0)
            busy = sorted(each.seconds for each in _paced(peer.speaker(), _ASKED_OF_PEERS))
            stop.set()
        found[f"interactive_idle_p95_ms.piper.{peer.name}"] = _p95(idle)
        found[f"interactive_busy_p95_ms.piper.{peer.name}"] = _p95(busy)
    return found


def _ours(room: Room, engine: str) -> Figures:
    idle = sorted(each.seconds for each in _paced(room.ours.speaker(engine), _ASKED))
    client = room.ours.client()
    alone = client.wait(client.prefetch(client.store_course(_course(engine)), engine))
    job_id = client.prefetch(client.store_course(_course(engine)), engine)
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        live = pool.submit(_paced, room.ours.speaker(engine), 10_000, stop)
        together = client.wait(job_id)
        stop.set()
    heard = live.result()
    bulk_audio = _audio_of(room, engine)
    alone_seconds = span(alone["created_at"], alone["finished_at"])
    together_seconds = span(together["created_at"], together["finished_at"])
    live_audio = sum(each.audio_seconds for each in heard)
    return {
        f"interactive_idle_p95_ms.{engine}": _p95(idle),
        f"interactive_busy_p95_ms.{engine}": _p95(sorted(each.seconds for each in heard)),
        f"bulk_alone.{engine}": bulk_audio / alone_seconds,
        f"bulk_and_live.{engine}": (bulk_audio + live_audio) / together_seconds,
        f"bulk_beside_live.{engine}": bulk_audio / together_seconds,
    }


def _course(engine: str) -> list[str]:
    return [ten_seconds() for _ in range(_SEGMENTS[engine])]


def _audio_of(room: Room, engine: str) -> float:
    """The length of such a course, by that of some sentences of its kind."""
    speaker = room.ours.speaker(engine)
    some = [speaker.speak(ten_seconds()).audio_seconds for _ in range(8)]
    return sum(some) / len(some) * _SEGMENTS[engine]


def _paced(speaker: Speaker, count: int, stop: threading.Event | None = None) -> list[Heard]:
    heard = []
    for _ in range(count):
        due = time.monotonic() + _PAUSE_SECONDS
        heard.append(speaker.speak(short_sentence()))
        if stop is not None and stop.is_set():
            break
        time.sleep(max(0.0, due - time.monotonic()))
    return heard


def _speak_on(speaker: Speaker, stop: threading.Event) -> None:
    while not stop.is_set():
        speaker.speak(ten_seconds())


def _p95(taken: list[float]) -> float:
    return taken[int(len(taken) * 0.95)] * 1000
