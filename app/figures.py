"""The figures of the whole system at one moment, of which the JSON and the Prometheus page are two views."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from app import machine
from app.context import Context
from app.machine import Space
from config.versions import VERSION
from models import workers
from models.jobs import figures
from models.jobs.figures import Depth
from models.metrics import families, reading
from models.metrics.reading import Counts
from models.workers import Worker

# Rates and latencies are those of the last so many whole minutes and the one that has begun.
WINDOW_MINUTES = 5


@dataclass(frozen=True)
class State:
    """What the tables say: jobs by kind and state, what waits by lane, and the workers that live."""

    jobs: Mapping[tuple[str, str], int]
    lanes: Mapping[str, Depth]
    workers: Sequence[Worker]


@dataclass(frozen=True)
class Figures:
    """Everything; ``lately`` is what was counted in the last ``window_seconds``.

    The machine is that which answers, its disk the one that holds ``VAR_DIR``.
    """

    version: str
    total: Counts
    lately: Counts
    window_seconds: float
    state: State
    cpu_percent: float
    memory: Space
    disk: Space
    sockets: int
    clips: int
    clip_bytes: int


def state(session: Session) -> State:
    """What the tables say now."""
    lanes = figures.depths(session)
    alive = workers.alive(session)
    idle = {lane: Depth(0, 0.0) for worker in alive for lane in worker.lanes}
    session.expunge_all()
    return State(figures.by_kind_and_state(session), dict(sorted((idle | lanes).items())), alive)


def collect(here: Context) -> Figures:
    """The figures now; what the tables say may be some seconds old, so that nobody is slowed by those who ask."""
    clips, clip_bytes = here.cached_speech(None)
    return Figures(
        version=VERSION,
        total=reading.total(here.redis),
        lately=reading.lately(here.redis, WINDOW_MINUTES),
        window_seconds=60 * WINDOW_MINUTES + time.time() % 60,
        state=here.state(None),
        cpu_percent=machine.cpu_percent(),
        memory=machine.memory(),
        disk=machine.disk(here.settings.var_dir),
        sockets=here.hub.clients_connected(),
        clips=clips,
        clip_bytes=clip_bytes,
    )


def errors_answered(counts: Counts) -> int:
    """How many of the counted requests were answered with an error."""
    return sum(
        value for series, value in counts.items() if series[0] == families.REQUESTS.name and series[-1][:1] in "45"
    )
