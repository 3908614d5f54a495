"""``python -m bench.load [--minutes 30] [--seed 1]``: everything at once, for longer than it can be done at once.

New and repeated speech, courses, work for later, imports, transcribers and sockets, from four accounts of which one
asks for ten times as much as each of the others, and from three transcribers; then nothing, until it is idle again.
Writes ``bench/results/load-<time>.json`` and a picture beside it; its status is 1 where a verdict is not met.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from collections import Counter, defaultdict
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import record
from bench.load import series, traffic, verdicts
from bench.load.arrivals import NEW_SPEECH
from bench.load.asking import somebody
from bench.load.ledger import Asked, Ledger, latencies
from bench.load.recovery import Prober
from bench.load.sampling import Sampler
from bench.load.traffic import SHARE_MAX, WAITING_MAX, Traffic
from bench.processes import busy_and_all, share_of_others
from bench.service import Service

PACKAGES = ("flask", "gunicorn", "gevent", "celery", "redis", "sqlalchemy", "psycopg", "hibari-tts", "onnxruntime")
# How long it is asked beforehand how much can be done: a twentieth of the run, within these.
_CALIBRATION_SECONDS = (5.0, 20.0)


def main() -> int:
    """Loads, shows, writes."""
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    said = parser.parse_args()
    load_before = os.getloadavg()
    # Each request that waits holds a connection.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with Service(LIVE_WAITING_MAX=str(WAITING_MAX), LIVE_WAITING_SHARE=str(SHARE_MAX)) as service:
        figures, lines = measure(service, said.seed, 60 * said.minutes)
    figures |= {"minutes": said.minutes, "seed": said.seed, "series": lines}
    result, path = record.write(figures, packages=PACKAGES, load_before=load_before, name="load-")
    console = Console()
    _show(console, result)
    picture = path.with_suffix(".png")
    drawn = series.draw(lines, picture)
    console.print(f"Written to {path}", f"and {picture}" if drawn else "(no picture: make train installs matplotlib)")
    return 0 if all(each["met"] for each in result["verdicts"]) else 1


def measure(service: Service, seed: int, seconds: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """Every figure, and the lines over time."""
    service.await_all_workers()
    _say("preparing")
    stage = traffic.prepare(service, seed)
    prober = Prober(somebody(service, "prober"), seed)
    idle = prober.idle()
    least, most = _CALIBRATION_SECONDS
    capacity = traffic.capacity(service, stage, seed, min(most, max(least, seconds / 20)))
    _say(f"a short sentence takes {idle:.0f} ms, and {capacity:.1f} new texts can be spoken a second")
    ledger = Ledger()
    sampler = Sampler(service, ledger)
    load = Traffic(service, stage, ledger, seed=seed, capacity_a_second=capacity)
    own, ours, machine = time.process_time(), service.cpu_seconds(), busy_and_all()
    sampler.start()
    load.run(seconds)
    ended = ledger.second()
    ahead = ledger.ahead_now()
    own, ours = time.process_time() - own, service.cpu_seconds() - ours
    others = share_of_others(machine, own + ours)
    _say("the load has stopped")
    recovered = prober.until_idle(idle)
    drained = load.leave()
    sampler.stop()
    rows, during = ledger.rows(), [sample for sample in sampler.samples if sample.second <= ended]
    speech = verdicts.speech_shares(rows, stage.people)
    later = verdicts.ahead_shares(ahead, ledger.refused_ahead, stage.people)
    waited = max((sample.second - ended for sample in sampler.samples if sample.waiting), default=0.0)
    jobs = Counter(each.state or "unheard of" for each in ledger.ahead_now())
    flat, grown = verdicts.of_processes(during)
    judged = [
        *verdicts.of_queues(sampler.samples, waiting_max=WAITING_MAX, share_max=SHARE_MAX),
        *verdicts.of_answers(rows, ledger),
        *flat,
        verdicts.of_shares("speech", speech, stage.people),
        verdicts.of_shares("work for later", later, stage.people),
        verdicts.of_recovery(recovered, idle, max(0.0, waited)),
        verdicts.of_work(jobs, drained),
    ]
    return {
        "idle_ms": round(idle, 1),
        "capacity_a_second": round(capacity, 2),
        "asked_a_second": {name: round(rate, 2) for name, rate in load.speech_a_second.items()},
        "verdicts": [asdict(each) for each in judged],
        "latency": latencies(rows),
        "latency_of_speech_by_credential": latencies([row for row in rows if row.kind in NEW_SPEECH], "who"),
        "statuses": _statuses(rows),
        "without_retry_after": dict(ledger.without_retry_after),
        "examples": ledger.examples,
        "speech": verdicts.as_rows(speech),
        "work_for_later": verdicts.as_rows(later),
        "jobs_for_later": dict(jobs),
        "sockets": dict(ledger.sockets),
        "not_sent_by_the_bench": dict(ledger.not_sent),
        "grown": grown,
        "oldest_waiting_seconds": _oldest(sampler),
        "recovery": asdict(recovered) | {"live_requests_waited_seconds": round(max(0.0, waited), 1)},
        "cores_used": {"ours": round(ours / ended, 2), "bench": round(own / ended, 2)},
        "share_of_others": round(others, 3),
    }, series.of(rows, sampler.samples, ended)


def _statuses(rows: list[Asked]) -> dict[str, dict[str, int]]:
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        found[row.kind][str(row.status or "no whole answer")] += 1
    return {kind: dict(sorted(counts.items())) for kind, counts in sorted(found.items())}


def _oldest(sampler: Sampler) -> dict[str, float]:
    oldest: defaultdict[str, float] = defaultdict(float)
    for sample in sampler.samples:
        for lane, (_, age) in sample.lanes.items():
            oldest[lane] = max(oldest[lane], age)
    return dict(oldest)


def _show(console: Console, result: dict[str, Any]) -> None:
    table = Table("asked for", "answers", "p50 ms", "p95 ms", "p99 ms", "by status")
    for kind, statuses in result["statuses"].items():
        found = result["latency"].get(kind, {})
        taken = (str(found.get(name, "")) for name in ("answers", "p50_ms", "p95_ms", "p99_ms"))
        table.add_row(kind, *taken, ", ".join(f"{status}: {count}" for status, count in statuses.items()))
    console.print(table)
    table = Table("credential", "speech asked", "got", "p50 ms", "p95 ms", "segments for later", "done")
    for name, share in result["speech"].items():
        found, later = result["latency_of_speech_by_credential"].get(name, {}), result["work_for_later"][name]
        taken = (str(found.get(each, "")) for each in ("p50_ms", "p95_ms"))
        table.add_row(name, str(share["asked"]), str(share["got"]), *taken, str(later["asked"]), str(later["got"]))
    console.print(table)
    for name in ("oldest_waiting_seconds", "cores_used", "share_of_others", "not_sent_by_the_bench", "examples"):
        console.print({name: result[name]})
    table = Table("verdict", "wanted", "found", "met")
    for each in result["verdicts"]:
        table.add_row(each["about"], each["wanted"], each["found"], "yes" if each["met"] else "NO")
    console.print(table)


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
