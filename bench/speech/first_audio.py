"""When the first sound is heard, past any header: of a long text, and of one sentence alone."""

from __future__ import annotations

import statistics

from bench.room import ENGINES, Figures, Room
from bench.texts import five_seconds, ten_seconds

_TEXTS = 3


def first_audio(room: Room) -> Figures:
    """Eight sentences, about thirty seconds: milliseconds to the first sound, and to the last."""
    firsts: dict[str, list[float]] = {}
    wholes: dict[str, list[float]] = {}
    for _ in range(_TEXTS):
        text = " ".join(five_seconds() for _ in range(8))
        ours = [(f"{engine}.ours", room.ours.speaker(engine, streamed=True)) for engine in ENGINES]
        for name, speaker in [*ours, *((f"piper.{peer.name}", peer.speaker()) for peer in room.peers)]:
            heard = speaker.speak(text)
            firsts.setdefault(name, []).append(heard.first_seconds * 1000)
            wholes.setdefault(name, []).append(heard.seconds * 1000)
        for engine in ENGINES:
            found = room.bare(engine, 1)[0].speak([text])
            firsts.setdefault(f"{engine}.bare", []).append(found["first_seconds"][0] * 1000)
            wholes.setdefault(f"{engine}.bare", []).append(found["seconds"][0] * 1000)
    result = {f"first_ms.{name}": statistics.median(taken) for name, taken in firsts.items()}
    result |= {f"whole_ms.{name}": statistics.median(taken) for name, taken in wholes.items()}
    result["whole_ms.piper.best_peer"] = min(result[f"whole_ms.piper.{peer.name}"] for peer in room.peers)
    return result


def lone_sentence(room: Room) -> Figures:
    """One sentence of ten seconds, alone: in the engine, and over HTTP."""
    in_engine, over_http, hibari = [], [], []
    for _ in range(_TEXTS):
        text = ten_seconds()
        in_engine.append(room.lone_engine.speak(text))
        over_http.append(room.ours.speaker("piper", streamed=True).speak(text))
        hibari.append(room.ours.speaker("hibari").speak(ten_seconds()))
    uncut = statistics.median(each["uncut"] for each in in_engine) * 1000
    return {
        "lone.engine.uncut_ms": uncut,
        "lone.engine.first_ms": statistics.median(each["first"] for each in in_engine) * 1000,
        "lone.engine.total_ms": statistics.median(each["total"] for each in in_engine) * 1000,
        "lone.engine.difference": max(each["difference"] for each in in_engine),
        "lone.http.first_ms": statistics.median(each.first_seconds for each in over_http) * 1000,
        "lone.http.total_ms": statistics.median(each.seconds for each in over_http) * 1000,
        "lone.hibari_ms": statistics.median(each.seconds for each in hibari) * 1000,
    }
