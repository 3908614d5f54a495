"""``python -m bench [--repeats 5] [measure …]``: runs the measures in turns and writes the medians as JSON."""

from __future__ import annotations

import argparse
import os
import statistics

from rich.console import Console
from rich.table import Table

from bench import record
from bench.bare import Bare
from bench.measures import MEASURES, Figures
from bench.service import Service

# Figure, goal, whether it is met; a goal that is not met stays in the table.
GOALS = {
    "miss_over_bare_ms": ("<= 25", lambda value: value <= 25),
    "first_frame_over_bare_ms": ("<= 40", lambda value: value <= 40),
    "hit_p50_ms": ("<= 5", lambda value: value <= 5),
    "prefetch_of_bare": (">= 0.75", lambda value: value >= 0.75),
    "identical_bodies": ("= 1", lambda value: value == 1),
    "identical_misses": ("<= 1", lambda value: value <= 1),
    "identical_beside_bulk_bodies": ("= 1", lambda value: value == 1),
    "identical_beside_bulk_misses": ("= 0", lambda value: value == 0),
    "interactive_p95_ratio": ("<= 1.5", lambda value: value <= 1.5),
    "liveness_busy_p99_ms": ("<= 20", lambda value: value <= 20),
}
PACKAGES = ("celery", "flask", "gevent", "gunicorn", "hibari-tts", "onnxruntime", "sqlalchemy", "psycopg", "redis")


def main() -> None:
    """Measures, prints a table, writes ``bench/results/<time>.json``."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("measures", nargs="*", choices=[[], *(measure.__name__ for measure in MEASURES)])
    arguments = parser.parse_args()
    chosen = [measure for measure in MEASURES if not arguments.measures or measure.__name__ in arguments.measures]
    console = Console()
    repeats: list[Figures] = []
    load_before = os.getloadavg()
    with Service() as service, Bare() as bare:
        console.print(f"Started in {service.start_seconds:.1f} s.")
        for repeat in range(arguments.repeats):
            figures: Figures = {"start_seconds": service.start_seconds}
            for measure in chosen:
                console.print(f"repeat {repeat + 1} of {arguments.repeats}: {measure.__name__} …")
                figures |= measure(service, bare)
            repeats.append(figures)
    medians = {name: statistics.median(each[name] for each in repeats) for name in repeats[0]}
    measured = {"medians": medians, "repeats": repeats}
    _, path = record.write(measured, packages=PACKAGES, load_before=load_before)
    _show(console, repeats)
    console.print(f"Load average before {load_before[0]:.2f}, after {os.getloadavg()[0]:.2f}. Written to {path}.")


def _show(console: Console, repeats: list[Figures]) -> None:
    table = Table("figure", "median", "min", "max", "goal", "")
    for name in repeats[0]:
        values = [each[name] for each in repeats]
        median = statistics.median(values)
        goal, met = GOALS.get(name, ("", None))
        verdict = "" if met is None else "met" if met(median) else "not met"
        table.add_row(name, *(f"{value:.4g}" for value in (median, min(values), max(values))), goal, verdict)
    console.print(table)


if __name__ == "__main__":
    main()
