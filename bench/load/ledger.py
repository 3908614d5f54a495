"""What was asked, how it was answered, and what was worked off ahead; many threads write, one reads in the end."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

# What shows that it waits its turn, and is no fault.
NOT_NOW = (429, 503)
# No answer, or one that broke off.
BROKEN = 0
_EXAMPLES = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: when it was sent, in seconds since the ledger's first, and how long until the last byte."""

    second: float
    kind: str
    who: str
    milliseconds: float
    status: int


@dataclass
class Ahead:
    """A job that speaks ahead: how many segments it has, how many are done, and how it ended."""

    who: str
    segments: int
    done: int = 0
    state: str = ""


class Ledger:
    """All of it."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.asked: list[Asked] = []
        self.ahead: dict[str, Ahead] = {}
        self.refused_ahead: Counter[str] = Counter()
        self.without_retry_after: Counter[str] = Counter()
        self.sockets: Counter[str] = Counter()
        self.not_sent: Counter[str] = Counter()
        self.examples: list[str] = []
        self._lock = threading.Lock()

    def second(self) -> float:
        """Seconds since it began."""
        return time.perf_counter() - self.began

    def answered(self, asked: Asked, *, retry_after: bool, said: str) -> None:
        """A request was answered; ``said`` is kept of a few that were answered as nobody should be."""
        with self._lock:
            self.asked.append(asked)
            if asked.status in NOT_NOW and not retry_after:
                self.without_retry_after[f"{asked.kind}: {asked.status}"] += 1
                self._example(asked, said)
            elif not (200 <= asked.status < 300 or asked.status in NOT_NOW):
                self._example(asked, said)

    def accepted(self, job_id: str, ahead: Ahead) -> None:
        """A job was accepted."""
        with self._lock:
            self.ahead[job_id] = ahead

    def refused(self, who: str, segments: int) -> None:
        """Segments were asked for ahead, and refused."""
        with self._lock:
            self.refused_ahead[who] += segments

    def socket(self, what: str) -> None:
        """Something happened to a socket."""
        with self._lock:
            self.sockets[what] += 1

    def unsent(self, who: str) -> None:
        """The bench had no connection left to send it by."""
        with self._lock:
            self.not_sent[who] += 1

    def rows(self) -> list[Asked]:
        """What was answered until now."""
        with self._lock:
            return list(self.asked)

    def ahead_now(self) -> list[Ahead]:
        """How far everything ahead is, as it is told at this moment."""
        with self._lock:
            return [replace(each) for each in self.ahead.values()]

    def _example(self, asked: Asked, said: str) -> None:
        if len(self.examples) < _EXAMPLES:
            self.examples.append(f"{asked.kind} of {asked.who}: {asked.status} {said[:300]}")


def quantile(sorted_values: list[float], share: float) -> float:
    """The value below which that share of them lies."""
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))]


def latencies(rows: list[Asked], key: str = "kind") -> dict[str, dict[str, Any]]:
    """By kind (or by who): how many answers with what was asked for, and how long they took."""
    good = sorted((row for row in rows if 200 <= row.status < 300), key=lambda row: str(getattr(row, key)))
    found = {}
    for name, group in groupby(good, key=lambda row: str(getattr(row, key))):
        taken = sorted(row.milliseconds for row in group)
        shares = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}
        found[name] = {"answers": len(taken)} | {each: round(quantile(taken, at), 1) for each, at in shares.items()}
    return found
