"""Many who ask for the same at once: it is made once."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from bench.room import Figures, Room
from bench.speakers import Heard, Speaker
from bench.texts import ten_seconds, thirty_seconds

CROWD = 64
CROWD_OF_PEERS = 8
_TEXTS = 3


def identical(room: Room) -> Figures:
    """Engine runs, different answers and processor time of 64 equal requests; of 8 at peers, who make each anew."""
    found = {"identical.runs": 0.0, "identical.bodies": 0.0}
    for engine in ("piper", "hibari"):
        ones, crowds = [], []
        for _ in range(_TEXTS):
            ones.append(_cpu(room, partial(_ask, [room.ours.speaker(engine)], ten_seconds()))[0])
            cpu, heard = _cpu(room, partial(_at_once, room, engine, ten_seconds()))
            crowds.append(cpu)
            found["identical.runs"] = max(found["identical.runs"], sum(each.status == "miss" for each in heard))
            found["identical.bodies"] = max(found["identical.bodies"], len({each.sound for each in heard}))
        one = statistics.median(ones)
        found[f"identical.{engine}.cpu_one_ms"] = one * 1000
        found[f"identical.{engine}.cpu_more_ms_each"] = (statistics.median(crowds) - one) / CROWD * 1000
    for peer in room.peers:
        speaker, cpu = peer.speaker(), peer.tree.cpu_seconds()
        text = ten_seconds()
        speaker.speak(text)
        one = peer.tree.cpu_seconds() - cpu
        cpu = peer.tree.cpu_seconds()
        _ask([peer.speaker() for _ in range(CROWD_OF_PEERS)], text)
        found[f"identical.{peer.name}.cpu_of_8_of_one"] = (peer.tree.cpu_seconds() - cpu) / one
    return found | _beside_bulk(room)


def _beside_bulk(room: Room) -> Figures:
    client = room.ours.client()
    text = " ".join(thirty_seconds() for _ in range(20))
    job = client.prefetch(client.store_course([text]), "hibari")
    while client.job(job)["state"] == "queued":
        time.sleep(0.005)
    heard = _at_once(room, "hibari", text)
    client.wait(job)
    return {
        "identical.beside_bulk.runs": sum(each.status == "miss" for each in heard),
        "identical.beside_bulk.bodies": len({each.sound for each in heard}),
    }


def _cpu(room: Room, act: Callable[[], list[Heard]]) -> tuple[float, list[Heard]]:
    before = room.ours.cpu_seconds()
    heard = act()
    return room.ours.cpu_seconds() - before, heard


def _at_once(room: Room, engine: str, text: str) -> list[Heard]:
    return _ask([room.ours.speaker(engine) for _ in range(CROWD)], text)


def _ask(speakers: Sequence[Speaker], text: str) -> list[Heard]:
    barrier = threading.Barrier(len(speakers))

    def ask(speaker: Speaker) -> Heard:
        barrier.wait()
        return speaker.speak(text)

    with ThreadPoolExecutor(len(speakers)) as pool:
        return list(pool.map(ask, speakers))
