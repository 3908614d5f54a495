"""What a speech worker holds in memory, and whether it grows with what it has spoken."""

from __future__ import annotations

from bench.room import ENGINES, Figures, Room
from bench.service import Client
from bench.texts import mixed

_FEW = 100
_AFTER = 200


def memory(room: Room) -> Figures:
    """Megabytes of a worker after a hundred texts of 1 to 60 words by each engine; growth from 200 to ``mixed`` each.

    The largest worker counts, with all that it shares with others.
    """
    ours, client = room.ours, room.ours.client()
    for engine in ENGINES:
        live = ours.speaker(engine)
        for text in mixed(_FEW):
            live.speak(text)
        _speak(client, mixed(_FEW * 2), engine)
    found = {"memory_mb.ours": _largest(room), "memory_mb.ours_all": ours.tree.memory_bytes() / 1e6}
    for peer in room.peers:
        speaker = peer.speaker()
        for text in mixed(_FEW):
            speaker.speak(text)
        found[f"memory_mb.{peer.name}"] = peer.tree.memory_bytes() / 1e6
    for engine in ENGINES:
        # The bulk workers share a course.
        workers = len(ours.speech_workers()) - 1
        _speak(client, mixed(_AFTER * workers), engine)
        found[f"memory_mb.{engine}.after_200"] = _largest(room)
        _speak(client, mixed((room.mixed - _AFTER) * workers), engine)
        found[f"memory_mb.{engine}.after_all"] = _largest(room)
    return found


def _speak(client: Client, texts: list[str], engine: str) -> None:
    job = client.wait(client.prefetch(client.store_course(texts), engine))
    assert job["items"]["succeeded"] == len(texts), job


def _largest(room: Room) -> float:
    return max(process.memory_info().rss for process in room.ours.speech_workers()) / 1e6
