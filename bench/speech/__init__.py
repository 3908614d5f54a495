"""Speech, measured: a theme a file. Each measure is one repeat and gives figures by name."""

from __future__ import annotations

from collections.abc import Callable

from bench.room import Figures, Room
from bench.speech.cached import cached
from bench.speech.first_audio import first_audio, lone_sentence
from bench.speech.identical import identical
from bench.speech.jobs import no_ops, starting
from bench.speech.lanes import interactive
from bench.speech.leaving import leaving
from bench.speech.liveness import liveness
from bench.speech.memory import memory
from bench.speech.million import million
from bench.speech.throughput import neighbour, throughput
from bench.speech.warm import warm
from bench.speech.watching import watching

Measure = Callable[[Room], Figures]

# In turns, as often as is asked for.
REPEATED: tuple[Measure, ...] = (
    throughput,
    neighbour,
    first_audio,
    lone_sentence,
    interactive,
    identical,
    cached,
    liveness,
    leaving,
    starting,
    no_ops,
    warm,
    watching,
)
# At the end of a run: they take minutes, and tell of what has grown.
ONCE: tuple[Measure, ...] = (memory, million)
MEASURES = (*REPEATED, *ONCE)
