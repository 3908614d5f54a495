"""How much is spoken a second by all together, and what it costs: eight clients, on a quiet machine and a busy one."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from bench.bare import share_out
from bench.room import Figures, Room
from bench.speakers import together
from bench.texts import ten_seconds

CLIENTS = 8
_IDLE_SECONDS = 3.0


def throughput(room: Room) -> Figures:
    """Eight clients with texts of their own: audio seconds a second, and processor seconds an audio second."""
    cpu, began = room.ours.cpu_seconds(), time.perf_counter()
    time.sleep(_IDLE_SECONDS)
    idle = (room.ours.cpu_seconds() - cpu) / (time.perf_counter() - began)
    return {"idle_cores.ours": idle, **_piper(room, "throughput", each=3), **_hibari(room)}


def neighbour(room: Room) -> Figures:
    """The same with piper, beside one process that takes all it gets of a core."""
    with _busy_process():
        return _piper(room, "neighbour", each=2)


def _piper(room: Room, name: str, *, each: int) -> Figures:
    texts = [[ten_seconds() for _ in range(each)] for _ in range(CLIENTS)]
    found: Figures = {}
    for system, server, new in room.all_with_piper():
        cpu = server.tree.cpu_seconds()
        crowd = together(new, texts)
        found[f"{name}.piper.{system}"] = crowd.audio_seconds / crowd.seconds
        found[f"{name}_cpu.piper.{system}"] = (server.tree.cpu_seconds() - cpu) / crowd.audio_seconds
    alone = share_out(room.bare("piper"), [text for mine in texts for text in mine])
    found[f"{name}.piper.bare"] = alone.audio_seconds / alone.seconds
    found[f"{name}_cpu.piper.bare"] = alone.cpu_seconds / alone.audio_seconds
    names = [peer.name for peer in room.peers]
    found[f"{name}.piper.best_peer"] = max(found[f"{name}.piper.{peer}"] for peer in names)
    found[f"{name}_cpu.piper.best_peer"] = min(found[f"{name}_cpu.piper.{peer}"] for peer in names)
    return found


def _hibari(room: Room) -> Figures:
    texts = [[ten_seconds() for _ in range(12)] for _ in range(CLIENTS)]
    flat = [text for mine in texts for text in mine]
    cpu = room.ours.cpu_seconds()
    crowd = together(lambda: room.ours.speaker("hibari"), texts)
    cpu = room.ours.cpu_seconds() - cpu
    alone = share_out(room.bare("hibari"), flat)
    again = [ten_seconds() for _ in flat]
    seconds, bulk_cpu = prefetch(room, "hibari", again)
    # The same kind of texts, whose length the engine alone tells.
    audio = share_out(room.bare("hibari"), again).audio_seconds
    return {
        "throughput.hibari.ours": crowd.audio_seconds / crowd.seconds,
        "throughput_cpu.hibari.ours": cpu / crowd.audio_seconds,
        "throughput.hibari.bare": alone.audio_seconds / alone.seconds,
        "throughput_cpu.hibari.bare": alone.cpu_seconds / alone.audio_seconds,
        "throughput.hibari.prefetch": audio / seconds,
        "throughput_cpu.hibari.prefetch": bulk_cpu / audio,
    }


def prefetch(room: Room, engine: str, texts: list[str]) -> tuple[float, float]:
    """How many seconds a course takes to be spoken ahead, and processor seconds."""
    client = room.ours.client()
    course = client.store_course(texts)
    cpu = room.ours.cpu_seconds()
    job = client.wait(client.prefetch(course, engine))
    cpu = room.ours.cpu_seconds() - cpu
    assert job["items"]["succeeded"] == len(texts), job
    return span(job["created_at"], job["finished_at"]), cpu


def span(start: str, end: str) -> float:
    """Seconds from one written moment to another."""
    began, ended = (datetime.fromisoformat(moment) for moment in (start, end))
    return (ended - began).total_seconds()


@contextmanager
def _busy_process() -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
    try:
        yield
    finally:
        process.kill()
        process.wait()
