"""A run as lines over time, and as one picture of them."""

from __future__ import annotations

import importlib.util
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.load.ledger import Asked, latencies
from bench.load.sampling import Held, Sample

# So many points a line: every ten seconds of half an hour.
_POINTS = 180
_MOST_LINES, _MOST_PROCESSES = 8, 18
_MB = 2**20


def of(rows: list[Asked], samples: list[Sample], seconds: float) -> dict[str, Any]:
    """Latency by kind, answers by status, queues by lane, and what each process held; ``step_seconds`` apart."""
    step = max(1.0, seconds / _POINTS)
    asked: defaultdict[int, list[Asked]] = defaultdict(list)
    for row in rows:
        asked[int((row.second + row.milliseconds / 1000) / step)].append(row)
    answers = [
        {
            "second": round(index * step, 1),
            "latency": latencies(asked[index]),
            "statuses": _statuses(asked[index], step),
        }
        for index in sorted(asked)
    ]
    looked: dict[int, Sample] = {}
    for sample in samples:
        looked.setdefault(int(sample.second / step), sample)
    return {
        "step_seconds": round(step, 2),
        "answers": answers,
        "queues": [
            {
                "second": sample.second,
                "live_waiting": sample.waiting,
                "live_waiting_of_one": sample.waiting_of_one,
                "lanes": {name: {"units": units, "oldest_s": age} for name, (units, age) in sample.lanes.items()},
            }
            for sample in looked.values()
        ],
        "processes": {
            "second": [sample.second for sample in looked.values()],
            "memory_mb": _lines(looked, lambda held: round(held.resident / _MB, 1)),
            "own_memory_mb": _lines(looked, lambda held: round(held.own / _MB, 1)),
            "descriptors": _lines(looked, lambda held: held.descriptors),
        },
    }


def draw(series: dict[str, Any], path: Path) -> bool:
    """Writes it as PNG; False where there is nothing to draw with (``make train`` installs it)."""
    if importlib.util.find_spec("matplotlib") is None:
        return False
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 17), dpi=110, layout="constrained")
    panels = figure.subplots(6, 1, sharex=True)
    for axes in panels:
        axes.set_prop_cycle(color=[colormaps["tab20"](number) for number in range(20)])
    latency, answers, waiting, queue, memory, files = panels
    for kind in _most(series["answers"]):
        points = [(each["second"], each["latency"].get(kind)) for each in series["answers"]]
        line = [(second, found["p95_ms"]) for second, found in points if found]
        latency.plot(*zip(*line, strict=True), label=kind)
    latency.set(title="latency, 95 of 100", ylabel="ms", yscale="log")
    for status in sorted({name for each in series["answers"] for name in each["statuses"]}):
        line = [(each["second"], each["statuses"].get(status, 0.0)) for each in series["answers"]]
        answers.plot(*zip(*line, strict=True), label=status)
    answers.set(title="answers by status", ylabel="a second")
    seconds = [each["second"] for each in series["queues"]]
    for name, label in (("live_waiting", "in all"), ("live_waiting_of_one", "of one credential")):
        waiting.plot(seconds, [each[name] for each in series["queues"]], label=label)
    waiting.set(title="live requests waiting")
    for lane in sorted({name for each in series["queues"] for name in each["lanes"]}):
        ages = [each["lanes"].get(lane, {"oldest_s": 0.0})["oldest_s"] for each in series["queues"]]
        if max(ages) > 0:
            queue.plot(seconds, ages, label=lane)
    queue.set(title="how long the first of a lane has waited", ylabel="s")
    held = series["processes"]
    for axes, name, title in ((memory, "memory_mb", "memory (MB)"), (files, "descriptors", "open files")):
        largest = sorted(held[name].items(), key=lambda each: -max(value or 0 for value in each[1]))
        for label, values in largest[:_MOST_PROCESSES]:
            axes.plot(held["second"], [float("nan") if value is None else value for value in values], label=label)
        axes.set(title=title, yscale="log")
    files.set_xlabel("seconds of load")
    for axes in panels:
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(path)
    return True


def _statuses(rows: list[Asked], step: float) -> dict[str, float]:
    counts: defaultdict[str, int] = defaultdict(int)
    for row in rows:
        counts[str(row.status or "no whole answer")] += 1
    return {status: round(count / step, 2) for status, count in sorted(counts.items())}


def _lines(looked: dict[int, Sample], value: Callable[[Held], float]) -> dict[str, list[float | None]]:
    names = sorted({name for sample in looked.values() for name in sample.processes})
    return {
        name: [value(sample.processes[name]) if name in sample.processes else None for sample in looked.values()]
        for name in names
    }


def _most(answers: list[dict[str, Any]]) -> list[str]:
    counts: defaultdict[str, int] = defaultdict(int)
    for each in answers:
        for kind, found in each["latency"].items():
            counts[kind] += found["answers"]
    return sorted(counts, key=lambda kind: -counts[kind])[:_MOST_LINES]
