"""What must be true of a run, and whether it was."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.load import recovery
from bench.load.arrivals import NEW_SPEECH
from bench.load.asking import Who
from bench.load.ledger import NOT_NOW, Ahead, Asked, Ledger
from bench.load.recovery import Recovery
from bench.load.sampling import POSTGRES, Held, Sample

# The last fifth of a run may have so much of what the second fifth had. The first is for warming up.
MEMORY_MOST, DESCRIPTORS_MOST = 1.05, 1.1
# Of what somebody modest asks for, or of an equal share where that is less.
FAIR = 0.8
_FIFTH_OF_SAMPLES = 2


@dataclass(frozen=True)
class Verdict:
    """One of them: what it is about, what was wanted, what was found."""

    about: str
    wanted: str
    found: str
    met: bool


@dataclass(frozen=True)
class Share:
    """Of one credential: what it asked for and what it got, in answers or in segments."""

    asked: int
    got: int

    def of(self, equal: float) -> float:
        """What it got, of what it asked for or of an equal share, whichever is less; 1 where it asked for nothing."""
        due = min(self.asked, equal)
        return self.got / due if due else 1.0


def of_queues(samples: list[Sample], *, waiting_max: int, share_max: int) -> list[Verdict]:
    """Whether what waits is bounded."""
    waiting = max((sample.waiting for sample in samples), default=0)
    of_one = max((sample.waiting_of_one for sample in samples), default=0)
    return [
        Verdict("live requests waiting, at most", f"<= {waiting_max}", str(waiting), waiting <= waiting_max),
        Verdict("of them of one credential, at most", f"<= {share_max}", str(of_one), of_one <= share_max),
    ]


def of_answers(rows: list[Asked], ledger: Ledger) -> list[Verdict]:
    """Whether everybody was answered, and as they should be."""
    statuses = Counter(row.status for row in rows)
    refused = sum(statuses[status] for status in NOT_NOW)
    five = sum(count for status, count in statuses.items() if status >= 500 and status not in NOT_NOW)
    four = sum(count for status, count in statuses.items() if 300 <= status < 500 and status not in NOT_NOW)
    without, broken = sum(ledger.without_retry_after.values()), statuses[0]
    torn = sum(count for what, count in ledger.sockets.items() if what != "opened")
    return [
        Verdict("it was more than could be done: refused", "> 0", str(refused), refused > 0),
        Verdict("5xx other than 503", "0", str(five), five == 0),
        Verdict("429 and 503 without Retry-After", "0", str(without), without == 0),
        Verdict("other answers that nobody should get", "0", str(four), four == 0),
        Verdict("requests without a whole answer", "0", str(broken), broken == 0),
        Verdict("sockets that were closed or broke off", "0", str(torn), torn == 0),
    ]


def growth(samples: list[Sample], what: Callable[[str, Held], int]) -> dict[str, float]:
    """By process, the median of the last fifth of the run over that of the second; of those that lived through both."""
    fifth = len(samples) // 5
    if fifth < _FIFTH_OF_SAMPLES:
        return {}
    early, late = samples[fifth : 2 * fifth], samples[-fifth:]
    names = set.intersection(*(set(sample.processes) for sample in early + late))

    def median(of: list[Sample], name: str) -> float:
        return statistics.median(what(name, sample.processes[name]) for sample in of)

    return {name: round(median(late, name) / max(1.0, median(early, name)), 4) for name in sorted(names)}


def memory_of(name: str, held: Held) -> int:
    """What counts: of Postgres what its processes do not share, since its buffers fill once and are in each of them."""
    return held.own if name == POSTGRES else held.resident


def of_processes(samples: list[Sample]) -> tuple[list[Verdict], dict[str, dict[str, float]]]:
    """Whether memory and open files are flat, and how they grew by process."""
    grown = {
        "memory": growth(samples, memory_of),
        "descriptors": growth(samples, lambda _, held: held.descriptors),
    }
    found = []
    for what, most in (("memory", MEMORY_MOST), ("descriptors", DESCRIPTORS_MOST)):
        over = sorted(((ratio, name) for name, ratio in grown[what].items()), reverse=True)
        shown = ", ".join(f"{name} {ratio:.3f}" for ratio, name in over[:3]) or "too short a run"
        met = bool(over) and over[0][0] <= most
        found.append(Verdict(f"{what}, last fifth over second", f"<= {most}", shown, met))
    gone = sorted(set(samples[0].processes) - set(samples[-1].processes)) if samples else []
    found.append(Verdict("processes that ended", "none", ", ".join(gone) or "none", not gone))
    return found, grown


def speech_shares(rows: list[Asked], people: list[Who]) -> dict[str, Share]:
    """New speech: requests, and answers with all of the sound."""
    asked, got = Counter[str](), Counter[str]()
    for row in rows:
        if row.kind in NEW_SPEECH:
            asked[row.who] += 1
            got[row.who] += row.status == 200
    return {who.name: Share(asked[who.name], got[who.name]) for who in people}


def ahead_shares(ahead: list[Ahead], refused: Counter[str], people: list[Who]) -> dict[str, Share]:
    """Segments for later: asked for, and done when the load stopped."""
    asked, got = defaultdict[str, int](int, refused), Counter[str]()
    for each in ahead:
        asked[each.who] += each.segments
        got[each.who] += each.done
    return {who.name: Share(asked[who.name], got[who.name]) for who in people}


def of_shares(what: str, shares: dict[str, Share], people: list[Who]) -> Verdict:
    """Whether the modest ones get theirs; of nothing there are no fair shares."""
    if not any(share.got for share in shares.values()):
        return Verdict(f"{what}: of what is due to the modest", f">= {FAIR}", "nothing was done for anybody", False)
    equal = sum(share.got for share in shares.values()) / len(shares)
    modest = {who.name: round(shares[who.name].of(equal), 3) for who in people if who.times == 1}
    shown = ", ".join(f"{name} {share:.2f}" for name, share in modest.items())
    return Verdict(f"{what}: of what is due to the modest", f">= {FAIR}", shown, min(modest.values()) >= FAIR)


def of_recovery(found: Recovery, idle_milliseconds: float, waited_seconds: float) -> Verdict:
    """Whether it was soon idle again; for ``waited_seconds`` those who had asked during the load were still waiting."""
    goal = recovery.GOAL_SECONDS
    shown = "never" if found.seconds is None else f"{found.seconds} s"
    shown += f"; live requests waited for {waited_seconds:.0f} s"
    about = f"until a short sentence takes {recovery.GOAL_TIMES} x {idle_milliseconds:.0f} ms again"
    return Verdict(about, f"<= {goal:.0f} s", shown, found.seconds is not None and found.seconds <= goal)


def of_work(jobs: Counter[str], drained_seconds: float | None) -> Verdict:
    """Whether everything that was accepted was done, if after the load."""
    shown = ", ".join(f"{count} {state}" for state, count in sorted(jobs.items())) or "no jobs"
    after = "" if drained_seconds is None else f", {drained_seconds:.0f} s after the load"
    met = drained_seconds is not None and set(jobs) == {"succeeded"}
    return Verdict("work for later in the end", "all succeeded", f"{shown}{after}", met)


def as_rows(shares: dict[str, Share]) -> dict[str, Any]:
    """As JSON."""
    return {name: {"asked": share.asked, "got": share.got} for name, share in shares.items()}
