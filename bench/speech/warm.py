"""The first request after a start: as fast as those after it, or does somebody wait for what was not loaded?"""

from __future__ import annotations

import statistics

from bench.peers import PEERS
from bench.room import ENGINES, Figures, Room
from bench.service import Service
from bench.speakers import Speaker
from bench.texts import short_sentence, ten_seconds, thirty_seconds

_STEADY = 4
# Another one is the first in each repeat.
_LENGTHS = (short_sentence, ten_seconds, thirty_seconds)


def warm(room: Room) -> Figures:
    """Milliseconds of the first request once the server says that it is ready, and of later ones of its length."""
    found: Figures = {}
    for engine in ENGINES:
        with Service(ready_only=True) as service:
            found |= _first_and_steady(room, f"warm.{engine}", service.speaker(engine))
            found["start_seconds.ours"] = service.start_seconds
    for kind in PEERS:
        with kind() as peer:
            found |= _first_and_steady(room, f"warm.piper.{peer.name}", peer.speaker())
    return found


def _first_and_steady(room: Room, name: str, speaker: Speaker) -> Figures:
    text = _LENGTHS[room.repeat % len(_LENGTHS)]
    # A sound of so many seconds takes so long: lengths differ a little from text to text.
    first = speaker.speak(text())
    later = [speaker.speak(text()) for _ in range(_STEADY)]
    steady = statistics.median(each.seconds / each.audio_seconds for each in later)
    return {
        f"{name}.first_ms": first.seconds * 1000,
        f"{name}.steady_ms": steady * first.audio_seconds * 1000,
    }
