"""How long a new short sentence takes: when nothing else is asked for, and once the load has stopped."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

from bench.load.asking import Line, Who
from bench.load.ledger import Ledger
from bench.load.words import Words

GOAL_SECONDS, GOAL_TIMES = 10.0, 1.5
_WARM, _COUNT = 5, 20
_PAUSE_SECONDS = 0.25
# So many in a row, that one lucky sentence proves nothing.
_IN_A_ROW = 3
_GIVE_UP_SECONDS = 180.0


@dataclass(frozen=True)
class Recovery:
    """Seconds from the end of the load to the end of the first good sentence; None: it never came.

    Attributes:
        probes: Of each sentence, when it was asked for, in seconds after the load, and its milliseconds.
    """

    seconds: float | None
    probes: list[tuple[float, float]]


class Prober:
    """Somebody who asks for one short sentence after the other."""

    def __init__(self, who: Who, seed: int) -> None:
        self._line, self._words = Line(who, Ledger()), Words(seed, who.name)

    def idle(self) -> float:
        """The median, in milliseconds, on a machine where nobody asks for anything else."""
        taken = []
        for _ in range(_WARM + _COUNT):
            time.sleep(_PAUSE_SECONDS)
            if (milliseconds := self._one()) is not None:
                taken.append(milliseconds)
        assert len(taken) == _WARM + _COUNT, "not every sentence was spoken on an idle machine"
        return statistics.median(taken[_WARM:])

    def until_idle(self, idle_milliseconds: float) -> Recovery:
        """Asks until three in a row take no longer than they may."""
        began = time.monotonic()
        probes: list[tuple[float, float]] = []
        in_a_row: list[float] = []
        while len(in_a_row) < _IN_A_ROW and time.monotonic() - began < _GIVE_UP_SECONDS:
            asked = time.monotonic() - began
            milliseconds = self._one()
            ended = time.monotonic() - began
            if milliseconds is not None:
                probes.append((round(asked, 2), round(milliseconds, 1)))
            good = milliseconds is not None and milliseconds <= GOAL_TIMES * idle_milliseconds
            in_a_row = [*in_a_row, ended] if good else []
            time.sleep(_PAUSE_SECONDS)
        return Recovery(round(in_a_row[0], 2) if len(in_a_row) == _IN_A_ROW else None, probes)

    def _one(self) -> float | None:
        """Milliseconds; None where it was refused."""
        began = time.perf_counter()
        answer = self._line.ask("probe", "POST", "/api/tts", json={"text": self._words.short()})
        return (time.perf_counter() - began) * 1000 if answer is not None and answer.ok else None
