"""``python -m bench.faults --seed 1 --faults 170``: a real Voiceworks under real load, broken every few seconds.

What breaks, when, and what is asked for follow from the seed. In the end it is calm, and everything is compared: the
promises that were made, Postgres, the files, what was told. Writes ``bench/results/faults-<seed>-<time>.json``; its
status is 1 where anything is wrong. Needs root for its small disks, and for the second host.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import record
from bench.faults import calm, invariants
from bench.faults.kinds import KINDS, Kind, NothingThere, Scene
from bench.faults.load import Load
from bench.faults.place import Place
from bench.faults.typing_room import TypingRoom
from tests.receiving import receiving

PACKAGES = ("flask", "sqlalchemy", "psycopg", "gunicorn", "gevent", "celery", "redis")
PAUSE_SECONDS = (0.3, 4.0)
# The load has begun by then.
BEGINNING_SECONDS = 8.0


@dataclass(frozen=True)
class Struck:
    """A fault that hit, and when."""

    second: float
    kind: str
    what: str


class Storm:
    """All faults of a run, one after the other."""

    def __init__(self, place: Place, load: Load, room: TypingRoom, seed: int) -> None:
        self._place, self._load = place, load
        self._chance = random.Random(seed)
        self.scene = Scene(place, self._chance, jumped=lambda seconds: room.room.jumped())
        self.struck: list[Struck] = []
        self.missed: Counter[str] = Counter()
        self.gave_up: list[str] = []
        self._began = time.monotonic()

    def rage(self, faults: int, kinds: tuple[Kind, ...]) -> None:
        """So many faults that hit."""
        shares = [kind.share for kind in kinds]
        while len(self.struck) < faults:
            self._wait(self._chance.uniform(*PAUSE_SECONDS))
            (kind,) = self._chance.choices(kinds, shares)
            # Of its own: how often something is looked for takes nothing from those after it.
            self.scene.chance = random.Random(self._chance.random())
            try:
                what = kind.strike(self.scene)
            except NothingThere:
                self.missed[kind.name] += 1
                continue
            second = round(time.monotonic() - self._began, 1)
            self.struck.append(Struck(second, kind.name, what))
            print(f"{second:6.1f} s  {len(self.struck):3}  {what}", file=sys.stderr, flush=True)

    def _wait(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self.scene.tend()
            if self._place.bare():
                said = self._place.said()[-1500:]
                self.gave_up.append(f"after {len(self.struck)} faults: {said}")
                print(f"the supervisor gave up: {said}", file=sys.stderr, flush=True)
                self.scene.tend(all_of_it=True)
                self._place.again()
            time.sleep(0.05)


def main() -> int:
    """Raises the storm, compares, shows, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=int, default=170)
    parser.add_argument("--only", default="", help="faults whose names hold this")
    parser.add_argument("--keep", action="store_true", help="leave logs behind")
    said = parser.parse_args()
    load_before = os.getloadavg()
    # However it is asked to end, nothing is left mounted or running.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="vw-faults-") as folder:
        place = Place(Path(folder), hosts=True)
        try:
            figures = storm(place, said)
        finally:
            place.demolish()
            if said.keep:
                kept = Path(tempfile.mkdtemp(prefix="vw-faults-logs-"))
                for path in [*(place.var_dir / "log").glob("*"), *Path(folder).glob("*.log")]:
                    (kept / path.name).write_bytes(path.read_bytes())
                print(f"Logs: {kept}", file=sys.stderr)
            place.unmount()
    _, path = record.write(figures, packages=PACKAGES, load_before=load_before, name=f"faults-{said.seed}-")
    _show(figures, path)
    return 1 if figures["violations"] else 0


def storm(place: Place, said: argparse.Namespace) -> dict[str, Any]:
    """How it went, and what is wrong then."""
    began = time.monotonic()
    place.start()
    with receiving() as receiver:
        load = Load(place, said.seed, receiver)
        room = TypingRoom(load, tasks=max(24, said.faults))
        raging = Storm(place, load, room, said.seed)
        room.begin()
        load.begin()
        time.sleep(BEGINNING_SECONDS)
        raging.rage(said.faults, tuple(kind for kind in KINDS if said.only in kind.name))
        stormed = time.monotonic() - began
        print("calm", file=sys.stderr, flush=True)
        raging.scene.tend(all_of_it=True)
        load.finish()
        violations = {"it is up again": calm.settle(place), "the supervisor stays": raging.gave_up}
        room.bring_the_rest()
        calm.end(place)
        load.join_watchers(60)
        calm.tell(place)
        calm.listen_again(load)
        ended = time.monotonic() - began
        violations |= invariants.check(place, load)
        # It has been told; what comes is of the second life of what failed.
        load.memory.wrong.clear()
        reasons, again = calm.ask_again(place, load)
        violations["what failed is done when it is asked for again"] = again
        room.finish(within_seconds=300)
        verdict = room.verdict()
        rows = [
            f"{what}: {found!r:.300} and not {right!r:.300}" for what, right, found in verdict.rows if right != found
        ]
        violations["texts and money"] = rows
        jobs_of_a_second_life = ("who asked to be told was told once what is true", "sockets told last what is true")
        for name, found in invariants.check(place, load).items():
            if name not in jobs_of_a_second_life:
                violations[f"in the end, {name}"] = found
        violations["cleanups"] = calm.clean(place, load)
        violations |= invariants.left_over(place)
        logged = calm.errors_logged(place.var_dir / "log")
        violations["it stops in good order"] = stop(place)
        return {
            "seed": said.seed,
            "faults": len(raging.struck),
            "seconds": {"storm": round(stormed), "ended": round(ended), "all": round(time.monotonic() - began)},
            "by_kind": dict(sorted(Counter(each.kind for each in raging.struck).items())),
            "nothing_to_hit": dict(raging.missed),
            "violations": {name: found for name, found in violations.items() if found},
            "promised": dict(Counter(promise.what for promise in load.memory.promised)),
            "jobs_that_failed_at_first": reasons,
            "heard": len(load.memory.heard),
            "texts": len(room.seconds),
            "answers": dict(sorted(load.memory.said.items())),
            "agents_saw": dict(room.room.said.most_common(30)),
            "excused_after_a_jump": room.room.excused[:20],
            "errors_logged": logged,
            "struck": [asdict(each) for each in raging.struck],
        }


def stop(place: Place) -> list[str]:
    """What went wrong with stopping."""
    try:
        place.stop()
    except AssertionError as fault:
        return [str(fault)[:2000]]
    return []


def _show(figures: dict[str, Any], path: Path) -> None:
    table = Table("fault", "times")
    for name, times in figures["by_kind"].items():
        table.add_row(name, str(times))
    console = Console()
    console.print(table)
    for name in ("seed", "faults", "seconds", "promised", "jobs_that_failed_at_first", "nothing_to_hit"):
        console.print({name: figures[name]})
    for name, found in figures["violations"].items():
        console.print(f"WRONG: {name}", style="bold red", markup=False)
        for each in found:
            console.print(f"  {each}", markup=False)
    console.print("Nothing was lost or doubled." if not figures["violations"] else "See above.")
    console.print(f"Written to {path}")


if __name__ == "__main__":
    sys.exit(main())
