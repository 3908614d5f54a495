"""Speech and courses, asked for at a rate that no answer slows down: as by many people who do not know each other."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

from bench.load.asking import Line, Who
from bench.load.ledger import Ledger
from bench.load.words import Words

Act = Callable[[Line], object]

NEW_SPEECH = ("whole speech", "streamed speech")
# How often each is asked for, in all sixteenths.
_SHARES = {"whole speech": 6, "streamed speech": 2, "repeated speech": 4, "course": 3, "courses": 1}
NEW_OF_ALL = sum(_SHARES[kind] for kind in NEW_SPEECH) / sum(_SHARES.values())
# Behind by more than that (the machine stood still), the bench does not make up for it.
_BEHIND_SECONDS = 1.0


class Menu:
    """What one person asks for next; ``popular`` are texts that are spoken already, ``courses`` their ids."""

    def __init__(self, seed: int, name: str, popular: list[str], courses: list[str]) -> None:
        self._chance, self._words = random.Random(f"{seed} {name} asks"), Words(seed, name)
        self._popular, self._courses = popular, courses

    def any(self) -> Act:
        """One of everything."""
        (kind,) = self._chance.choices(list(_SHARES), list(_SHARES.values()))
        if kind in NEW_SPEECH:
            return self._new(kind)
        if kind == "repeated speech":
            text = self._chance.choice(self._popular)
            return lambda line: line.ask(kind, "POST", "/api/tts", json={"text": text})
        path = f"/api/curriculum/{self._chance.choice(self._courses)}" if kind == "course" else "/api/curriculum"
        return lambda line: line.ask(kind, "GET", path)

    def new(self) -> Act:
        """New speech only, whole and streamed as among everything."""
        (kind,) = self._chance.choices(NEW_SPEECH, [_SHARES[kind] for kind in NEW_SPEECH])
        return self._new(kind)

    def _new(self, kind: str) -> Act:
        if kind == "whole speech":
            text = self._words.short() if self._chance.random() < 0.5 else self._words.sentence()
            return lambda line: line.ask(kind, "POST", "/api/tts", json={"text": text})
        text = self._words.passage(self._chance.randint(2, 4))
        body = {"model": "tts-1", "input": text, "voice": "nova", "response_format": "pcm"}
        return lambda line: line.ask(kind, "POST", "/v1/audio/speech", json=body)


class Arrivals(threading.Thread):
    """One person's requests, ``a_second`` of them on average, at most ``open_most`` unanswered at a time.

    ``at_once`` are the requests for new speech that they begin with.
    """

    def __init__(
        self,
        who: Who,
        ledger: Ledger,
        menu: Menu,
        over: threading.Event,
        *,
        seed: int,
        a_second: float,
        open_most: int,
        at_once: int,
    ) -> None:
        super().__init__(name=f"arrivals of {who.name}", daemon=True)
        self._who, self._ledger, self._menu, self._over = who, ledger, menu, over
        self._chance, self._a_second, self._open_most = random.Random(f"{seed} {who.name} comes"), a_second, open_most
        self._lines = threading.local()
        self._free, self._at_once = threading.Semaphore(open_most), at_once

    def run(self) -> None:
        """Until it is over and everything is answered."""
        due = time.monotonic()
        with ThreadPoolExecutor(self._open_most) as pool:
            for _ in range(self._at_once):
                self._send(pool, self._menu.new())
            while True:
                due = max(due + self._chance.expovariate(self._a_second), time.monotonic() - _BEHIND_SECONDS)
                if self._over.wait(max(0.0, due - time.monotonic())):
                    return
                self._send(pool, self._menu.any())

    def _send(self, pool: ThreadPoolExecutor, act: Act) -> None:
        if self._free.acquire(blocking=False):
            pool.submit(self._one, act)
        else:
            self._ledger.unsent(self._who.name)

    def _one(self, act: Act) -> None:
        try:
            if not hasattr(self._lines, "line"):
                self._lines.line = Line(self._who, self._ledger)
            act(self._lines.line)
        finally:
            self._free.release()


def capacity(who: Who, menu: Menu, *, clients: int, seconds: float) -> float:
    """How much new speech is answered a second while so many clients each ask as soon as they are answered."""
    ledger, ends = Ledger(), time.monotonic() + seconds

    def one() -> None:
        line = Line(who, ledger)
        while time.monotonic() < ends:
            act = menu.new()
            act(line)
        line.close()

    with ThreadPoolExecutor(clients) as pool:
        wait([pool.submit(one) for _ in range(clients)])
        spent = ledger.second()
    return sum(row.status == 200 and row.kind in NEW_SPEECH for row in ledger.rows()) / spent
