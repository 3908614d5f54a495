"""Everybody who wants something, all at once, for as long as it lasts."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from bench.label_studio_storm import key_of
from bench.load import ahead, arrivals
from bench.load.ahead import Planner, Standing
from bench.load.arrivals import Arrivals, Menu
from bench.load.asking import Who, somebody
from bench.load.ledger import Ledger
from bench.load.typists import TYPISTS, Bringer, Typist
from bench.load.words import Words
from bench.service import Service

# One asks ten times as much as each of the others.
NAMES = {"anna": 1, "bruno": 1, "clara": 1, "greedy": 10}
# Of what can be done, a modest one asks for so much new speech: less than a quarter, and all of them for half as much
# again as can be done.
MODEST_OF_CAPACITY = 0.12
# As the product has them where nothing else is said.
WAITING_MAX, SHARE_MAX = 256, 128
# Beyond what may wait of one credential there is what is being spoken, answered or refused at the moment.
_OPEN_MOST = SHARE_MAX + 48
_SOCKETS_EACH = 3
_POPULAR, _COURSES, _SEGMENTS = 40, 5, 12
_CAPACITY_CLIENTS = 8
_DRAIN_SECONDS = 120.0


@dataclass(frozen=True)
class Stage:
    """What is there before the load begins."""

    people: list[Who]
    popular: list[str]
    courses: list[str]


def prepare(service: Service, seed: int) -> Stage:
    """Accounts, a few courses to read, and texts that are spoken already."""
    words, client = Words(seed, "everybody"), service.client()
    popular = [words.sentence() for _ in range(_POPULAR)]
    for text in popular:
        client.speak(text).raise_for_status()
    courses = [client.store_course([words.sentence() for _ in range(_SEGMENTS)]) for _ in range(_COURSES)]
    return Stage([somebody(service, name, times) for name, times in NAMES.items()], popular, courses)


def capacity(service: Service, stage: Stage, seed: int, seconds: float) -> float:
    """New speech a second, while eight clients want nothing else."""
    calibrator = somebody(service, "calibrator")
    menu = Menu(seed, calibrator.name, stage.popular, stage.courses)
    return arrivals.capacity(calibrator, menu, clients=_CAPACITY_CLIENTS, seconds=seconds)


class Traffic:
    """All of them."""

    def __init__(self, service: Service, stage: Stage, ledger: Ledger, *, seed: int, capacity_a_second: float) -> None:
        self.over, self._gone, self._ledger = threading.Event(), threading.Event(), ledger
        self.speech_a_second = {who.name: who.times * MODEST_OF_CAPACITY * capacity_a_second for who in stage.people}
        wanting = threading.Event()
        port, admin = service.address
        self._asking: list[threading.Thread] = []
        for who in stage.people:
            # Full from the beginning, whatever can be done in a second.
            at_once = SHARE_MAX if who.times > 1 else 0
            rate = self.speech_a_second[who.name] / arrivals.NEW_OF_ALL
            menu = Menu(seed, who.name, stage.popular, stage.courses)
            self._asking += [
                Arrivals(who, ledger, menu, self.over, seed=seed, a_second=rate, open_most=_OPEN_MOST, at_once=at_once),
                Planner(who, ledger, self.over, self._gone, seed),
            ]
        for number in range(1, TYPISTS + 1):
            typist = Who(f"typist {number}", port, key_of(service, number))
            self._asking.append(Typist(typist, number, ledger, self.over, wanting, seed))
        self._asking.append(Bringer(Who("bringer", port, admin), ledger, self.over, wanting, seed))
        self._sockets = [Standing(who, ledger, self._gone) for who in stage.people for _ in range(_SOCKETS_EACH)]

    def run(self, seconds: float) -> None:
        """They ask for so long; what they have asked for then goes on."""
        for thread in (*self._sockets, *self._asking):
            thread.start()
        time.sleep(seconds)
        self._stopped = time.monotonic()
        self.over.set()

    def leave(self) -> float | None:
        """Seconds from the end of the load until all that was accepted has ended, None where some has not in time.

        Then all hang up.
        """
        for thread in self._asking:
            thread.join()
        ended = ahead.wait_for_all(self._ledger, _DRAIN_SECONDS)
        done = time.monotonic() - self._stopped if ended else None
        self._gone.set()
        for socket in self._sockets:
            socket.join()
        return done
