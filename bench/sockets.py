"""``python -m bench.sockets [--sockets 1000] [--kill]``: does each of many sockets see every state of every job?

A course of 42 segments is spoken ahead, and 20 short texts beside it. ``--kill`` breaks the web processes' lines to
Redis in the middle: then single states may be missing, but never the last.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import redis

from bench import record
from bench.service import Service
from bench.texts import short_sentence, ten_seconds
from models import redis_keys

SEGMENTS, LIVE = 42, 20
PACKAGES = ("flask", "flask-sock", "gevent", "gunicorn", "redis", "simple-websocket")
CHECKER = "bench"
# State, version, time, and of a watcher the items done.
Told = list[tuple[Any, ...]]


class Published:
    """What was published of each job, by its id; heard beside the web processes, as they hear it."""

    def __init__(self, redis_url: str) -> None:
        self.jobs: dict[str, Told] = {}
        self._ended = threading.Event()
        self._pubsub = redis.Redis.from_url(redis_url, client_name=CHECKER).pubsub(  # type: ignore[no-untyped-call]
            ignore_subscribe_messages=True
        )
        self._pubsub.subscribe(redis_keys.JOB_EVENTS)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Hears no more."""
        self._ended.set()
        self._thread.join()

    def _listen(self) -> None:
        while not self._ended.is_set():
            message = self._pubsub.get_message(timeout=0.2)
            if message is not None:
                data = json.loads(message["data"])
                self.jobs.setdefault(data["id"], []).append((data["state"], data["version"], time.time()))


def main() -> None:
    """Measures, prints and writes ``bench/results/sockets-<time>.json``."""
    parser = argparse.ArgumentParser(prog="python -m bench.sockets", description=__doc__)
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=2, help="processes of clients")
    parser.add_argument("--kill", action="store_true")
    arguments = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    load_before = os.getloadavg()
    with Service() as service:
        figures = _measure(service, arguments)
    result, _ = record.write(
        {"sockets": arguments.sockets, "line_killed": arguments.kill, "figures": figures},
        packages=PACKAGES,
        load_before=load_before,
        name="sockets-",
    )
    print(json.dumps(result, indent=1))
    wrong = figures["sockets_that_missed_a_state"] if not arguments.kill else figures["sockets_that_missed_an_end"]
    sys.exit(bool(wrong or figures["versions_that_fell"] or figures["sockets_closed"]))


def _measure(service: Service, arguments: argparse.Namespace) -> dict[str, float]:
    port, key = service.address
    queue = redis.Redis.from_url(service.redis_url)
    client = service.client()
    web = service.web_processes()
    memory_before = sum(each.memory_full_info().uss for each in web)
    course = client.store_course([ten_seconds() for _ in range(SEGMENTS)])
    cpu_of_idle_web = _cpu_of(web, idle_seconds=5)
    published = Published(service.redis_url)
    cpu = _cpu(web)
    share = arguments.sockets // arguments.processes
    watchers = [
        subprocess.Popen(
            [sys.executable, "-m", "bench.watchers", str(port), key, str(share)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(arguments.processes)
    ]
    connected = max(json.loads(watcher.stdout.readline())["seconds"] for watcher in watchers if watcher.stdout)
    cpu_to_connect = _cpu(web) - cpu
    time.sleep(2)
    cpu_of_silent_sockets = _cpu_of(web, idle_seconds=10)
    memory_with = sum(each.memory_full_info().uss for each in web)
    counted = client.stats()["clients_connected"]
    cpu, began = _cpu(web), time.monotonic()
    job_ids = [client.prefetch(course)]
    with ThreadPoolExecutor(4) as pool:
        speaking = [pool.submit(service.client().speak, short_sentence()) for _ in range(LIVE)]
        if arguments.kill:
            time.sleep(1.0)
            # Not the line of the one who checks.
            for connection in queue.client_list(_type="pubsub"):
                if connection["name"] != CHECKER:
                    queue.client_kill_filter(_id=connection["id"])
        for each in speaking:
            each.result().raise_for_status()
    ended = client.wait(job_ids[0])
    seconds = time.monotonic() - began
    # The repair may take its time after a kill.
    time.sleep(8 if arguments.kill else 2)
    cpu = _cpu(web) - cpu
    told: list[dict[str, Any]] = []
    for watcher in watchers:
        said, _ = watcher.communicate(timeout=120)
        told += json.loads(said)
    assert ended["state"] == "succeeded", ended
    published.end()
    finished = {job_id: client.job(job_id)["finished_at"] for job_id in published.jobs}
    return _judge(told, published.jobs, finished) | {
        "connect_all_seconds": connected,
        "counted_as_connected": counted,
        "jobs_seconds": seconds,
        "web_memory_bytes_before": memory_before,
        "web_memory_bytes_a_socket": (memory_with - memory_before) / arguments.sockets,
        "web_cpu_of_idle_processes": cpu_of_idle_web,
        "web_cpu_of_silent_sockets": cpu_of_silent_sockets,
        "web_cpu_seconds_to_connect": cpu_to_connect,
        "web_cpu_seconds_of_jobs": cpu,
    }


def _judge(told: list[dict[str, Any]], published: dict[str, Told], finished: dict[str, str]) -> dict[str, float]:
    expected = {job_id: _states(sorted(news, key=lambda each: each[1])) for job_id, news in published.items()}
    missed = missed_ends = fell = lost = 0
    lateness: list[float] = []
    for each in told:
        jobs: dict[str, Told] = each["jobs"]
        seen = {job_id: _states(news) for job_id, news in jobs.items()}
        lost = max(lost, sum(len(states) - len(seen.get(job_id, ())) for job_id, states in expected.items()))
        missed += any(seen.get(job_id) != states for job_id, states in expected.items())
        missed_ends += any(seen.get(job_id, [""])[-1] != states[-1] for job_id, states in expected.items())
        for job_id, news in jobs.items():
            versions = [each[1] for each in news]
            fell += versions != sorted(set(versions))
            if job_id in finished:
                lateness.append(news[-1][2] - datetime.fromisoformat(finished[job_id]).timestamp())
    lateness.sort()
    kinds: dict[str, int] = {}
    for name, count in itertools.chain.from_iterable(each["kinds"].items() for each in told):
        kinds[name] = kinds.get(name, 0) + count
    return {
        "jobs": len(expected),
        "state_changes_a_socket": sum(len(states) for states in expected.values()),
        "sockets_closed": sum(each["closed"] is not None for each in told),
        "sockets_that_missed_a_state": missed,
        "states_missed_by_one_socket_at_most": lost,
        "sockets_that_missed_an_end": missed_ends,
        "versions_that_fell": fell,
        "finished_lateness_p50_ms": statistics.median(lateness) * 1000,
        "finished_lateness_p99_ms": lateness[int(len(lateness) * 0.99)] * 1000,
        "finished_lateness_max_ms": lateness[-1] * 1000,
        **{f"messages_{name}": count for name, count in sorted(kinds.items())},
    }


def _states(news: Iterable[tuple[Any, ...]]) -> list[str]:
    return [state for state, _ in itertools.groupby(each[0] for each in news)]


def _cpu(processes: list[Any]) -> float:
    times = [each.cpu_times() for each in processes]
    return sum(each.user + each.system for each in times)


def _cpu_of(processes: list[Any], *, idle_seconds: float) -> float:
    """The share of one core that the processes take while nothing happens."""
    before = _cpu(processes)
    time.sleep(idle_seconds)
    return (_cpu(processes) - before) / idle_seconds


if __name__ == "__main__":
    main()
