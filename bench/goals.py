"""What the figures of ``make bench`` are to be, and beside what; a bar that is missed stays in the table."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

# Rows of a table that are called flat take so many times as long with a million rows, at most.
_FLAT = 1.5


@dataclass(frozen=True)
class Goal:
    """A bar for a figure, or (``beside``) for how many times another one it is.

    ``more`` means that it is to be at least the bar, otherwise at most. ``row`` is the number of its theme.
    """

    row: int
    engine: str
    about: str
    ours: str
    bar: float
    beside: str = ""
    more: bool = False


@dataclass(frozen=True)
class Judged:
    """A goal and what was measured: medians over repeats, ``low`` and ``high`` of what is judged."""

    goal: Goal
    ours: float
    beside: float | None
    value: float
    low: float
    high: float

    @property
    def met(self) -> bool:
        """Whether the median reaches the bar."""
        return self.value >= self.goal.bar if self.goal.more else self.value <= self.goal.bar


def judge(figures: Mapping[str, Sequence[float]], goals: Iterable[Goal] | None = None) -> Iterable[Judged]:
    """The goals (by default ``GOALS``) whose figures were measured, repeat by repeat."""
    for goal in GOALS if goals is None else goals:
        if goal.ours not in figures or (goal.beside and goal.beside not in figures):
            continue
        ours = figures[goal.ours]
        beside = figures[goal.beside] if goal.beside else None
        # Within a repeat both met the same machine.
        values = [a / b for a, b in zip(ours, beside, strict=True)] if beside else list(ours)
        yield Judged(
            goal,
            statistics.median(ours),
            statistics.median(beside) if beside else None,
            statistics.median(values),
            min(values),
            max(values),
        )


def _lanes(engine: str) -> tuple[Goal, ...]:
    busy, idle = (f"interactive_{state}_p95_ms.{engine}" for state in ("busy", "idle"))
    return (
        Goal(5, engine, "p95 during bulk, of idle", busy, 1.25, idle),
        Goal(5, engine, "live and bulk, of bulk alone", f"bulk_and_live.{engine}", 0.92, f"bulk_alone.{engine}", True),
    )


def _leaving(engine: str) -> tuple[Goal, ...]:
    return tuple(
        goal
        for way in ("dropped", "cancelled")
        for goal in (
            Goal(9, engine, f"{way}: worker free, ms", f"{way}.{engine}.free_ms", 100),
            Goal(9, engine, f"{way}: wasted CPU-s", f"{way}.{engine}.cpu_seconds", 0.1),
        )
    )


def _growth(engine: str) -> Goal:
    after_few, after_all = (f"memory_mb.{engine}.after_{when}" for when in ("200", "all"))
    return Goal(11, engine, "MB after 2,000, of after 200", after_all, 1.05, after_few)


def _cached(name: str, about: str) -> tuple[Goal, ...]:
    return (
        Goal(7, "any", f"30 s as WAV{about}: p50, ms", f"{name}.wav.p50_ms", 4),
        Goal(7, "any", f"30 s as WAV{about}: p99, ms", f"{name}.wav.p99_ms", 12),
        Goal(7, "any", f"up to 250 KB{about}: answers/s", f"{name}.opus.a_second", 1000, more=True),
        Goal(7, "any", f"as WAV{about}: answers/s", f"{name}.wav.a_second", 500, more=True),
    )


_P, _H = "throughput.piper", "throughput.hibari"
_CP, _CH = "throughput_cpu.piper", "throughput_cpu.hibari"
GOALS: tuple[Goal, ...] = (
    Goal(1, "piper", "8 clients, audio-s/s, of best peer", f"{_P}.ours", 1.05, f"{_P}.best_peer", True),
    Goal(1, "piper", "… beside a busy process", "neighbour.piper.ours", 2, "neighbour.piper.best_peer", True),
    Goal(1, "piper", "… of two bare", f"{_P}.ours", 0.93, f"{_P}.bare", True),
    Goal(1, "hibari", "… of best piper peer", f"{_H}.ours", 6, f"{_P}.best_peer", True),
    Goal(1, "hibari", "single requests, of two bare", f"{_H}.ours", 0.65, f"{_H}.bare", True),
    Goal(1, "hibari", "prefetch, of two bare", f"{_H}.prefetch", 0.90, f"{_H}.bare", True),
    Goal(2, "piper", "CPU-s per audio-s, of best peer", f"{_CP}.ours", 0.92, f"{_CP}.best_peer"),
    Goal(2, "piper", "CPU-s per audio-s, of bare", f"{_CP}.ours", 1.08, f"{_CP}.bare"),
    Goal(2, "hibari", "CPU-s per audio-s in bulk, of bare", f"{_CH}.prefetch", 1.10, f"{_CH}.bare"),
    Goal(2, "hibari", "CPU-s per audio-s single, of bare", f"{_CH}.ours", 1.4, f"{_CH}.bare"),
    Goal(3, "piper", "first audio, ms, of wyoming", "first_ms.piper.ours", 0.55, "first_ms.piper.wyoming"),
    Goal(3, "piper", "first audio, ms, of http_server", "first_ms.piper.ours", 0.08, "first_ms.piper.http_server"),
    Goal(3, "piper", "whole 30 s, ms, of best peer", "whole_ms.piper.ours", 1.0, "whole_ms.piper.best_peer"),
    Goal(3, "hibari", "first audio, ms, of wyoming", "first_ms.hibari.ours", 0.35, "first_ms.piper.wyoming"),
    Goal(4, "piper", "first audio in engine, of uncut", "lone.engine.first_ms", 0.20, "lone.engine.uncut_ms"),
    Goal(4, "piper", "first audio over HTTP, of uncut", "lone.http.first_ms", 0.25, "lone.engine.uncut_ms"),
    Goal(4, "piper", "total in engine, of uncut", "lone.engine.total_ms", 1.10, "lone.engine.uncut_ms"),
    Goal(4, "piper", "samples differ from uncut by", "lone.engine.difference", 1e-5),
    Goal(4, "hibari", "whole 10 s sentence, ms", "lone.hibari_ms", 75),
    *_lanes("piper"),
    *_lanes("hibari"),
    Goal(6, "both", "engine runs of 64 requests", "identical.runs", 1),
    Goal(6, "both", "different answers of 64", "identical.bodies", 1),
    Goal(6, "piper", "CPU-ms of each one more", "identical.piper.cpu_more_ms_each", 1),
    Goal(6, "hibari", "CPU-ms of each one more", "identical.hibari.cpu_more_ms_each", 1),
    Goal(6, "hibari", "runs beside bulk's own", "identical.beside_bulk.runs", 0),
    Goal(6, "hibari", "answers beside bulk's own", "identical.beside_bulk.bodies", 1),
    *_cached("cached", ""),
    *_cached("million", ", 1 M clips"),
    Goal(7, "any", "nginx, ≤ 250 KB, of ours", "cached.opus.nginx_a_second", 2, "cached.opus.a_second", True),
    Goal(7, "any", "nginx, WAV, of ours", "cached.wav.nginx_a_second", 2, "cached.wav.a_second", True),
    Goal(8, "piper", "p99 ms, of max(20, 1.5 × echo)", "liveness_p99_ms.piper", 1, "liveness_limit_ms.piper"),
    Goal(8, "hibari", "p99 ms, of max(20, 1.5 × echo)", "liveness_p99_ms.hibari", 1, "liveness_limit_ms.hibari"),
    *_leaving("piper"),
    *_leaving("hibari"),
    Goal(10, "hibari", "row to claim p50, ms", "start_p50_ms", 6),
    Goal(10, "hibari", "row to claim p99, ms", "start_p99_ms", 15),
    Goal(10, "none", "no-op jobs/s, of Celery solo", "jobs_a_second.single", 0.45, "jobs_a_second.celery", True),
    Goal(10, "none", "… as items, of Celery solo", "jobs_a_second.items", 3, "jobs_a_second.celery", True),
    *(
        Goal(10, "none", f"{verb}, ms, 1 M rows of 1 k", f"rows.{verb}_ms.1m", _FLAT, f"rows.{verb}_ms.1k")
        for verb in ("list", "claim", "ring")
    ),
    Goal(11, "both", "MB a worker, of http_server", "memory_mb.ours", 0.35, "memory_mb.http_server"),
    _growth("piper"),
    _growth("hibari"),
    Goal(12, "piper", "first ms, of steady", "warm.piper.first_ms", 1.2, "warm.piper.steady_ms"),
    Goal(12, "hibari", "first ms, of steady", "warm.hibari.first_ms", 1.2, "warm.hibari.steady_ms"),
    Goal(13, "hibari", "p95 ms, 100 of 1,000 sockets", "watching.hundred_p95_ms", 25),
    Goal(13, "hibari", "p95 ms, 1,000 watchers", "watching.thousand_p95_ms", 60),
    Goal(13, "hibari", "watchers that missed the end", "watching.missed", 0),
    Goal(13, "hibari", "… of those that came back", "watching.missed_after_reconnect", 0),
)
