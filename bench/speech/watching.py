"""When a watching client hears that a segment is there: of a hundred among a thousand sockets, and of a thousand."""

from __future__ import annotations

import itertools
import json
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import requests
import websocket
from sqlalchemy import text

from bench.room import Figures, Room
from bench.service import Service
from bench.texts import ten_seconds
from models.db import Database

SOCKETS = 1000
_SEGMENTS = 100
_COMING_BACK = 20
_AWAY_SECONDS = 0.3


def watching(room: Room) -> Figures:
    """Milliseconds from a segment's row to the news of it at a client, and who missed the end of a job."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    hundred, missed, lost = _watched(room.ours, 100, SOCKETS - 100)
    thousand, missed_too, lost_too = _watched(room.ours, SOCKETS, 0)
    return {
        "watching.hundred_p50_ms": hundred[len(hundred) // 2],
        "watching.hundred_p95_ms": hundred[int(len(hundred) * 0.95)],
        "watching.thousand_p50_ms": thousand[len(thousand) // 2],
        "watching.thousand_p95_ms": thousand[int(len(thousand) * 0.95)],
        "watching.missed": missed + missed_too,
        "watching.missed_after_reconnect": lost + lost_too,
    }


def _watched(service: Service, watchers: int, others: int) -> tuple[list[float], int, int]:
    """Sorted lateness of all news, how many watchers missed the end, and how many that had come back."""
    job, idle = (_paused(service, [ten_seconds() for _ in range(_SEGMENTS)]) for _ in range(2))
    crowds = [_crowd(service, watchers // 2, job) for _ in range(2)]
    if others:
        crowds += [_crowd(service, others // 2, idle) for _ in range(2)]
    for crowd in crowds:
        assert crowd.stdout is not None
        crowd.stdout.readline()
    with ThreadPoolExecutor(_COMING_BACK) as pool:
        coming_back = [pool.submit(_lost_something, service, job) for _ in range(_COMING_BACK)]
        _change(service, job, "resume")
        service.client().wait(job)
        lost = sum(each.result() for each in coming_back)
    time.sleep(1.0)
    landed = _landed(service, job)
    lateness, missed = [], 0
    for crowd in crowds[:2]:
        said, _ = crowd.communicate(timeout=120)
        for watcher in json.loads(said):
            news = watcher["jobs"].get(job, [["none", 0, 0.0, 0]])
            missed += news[-1][0] != "succeeded"
            lateness += [
                (heard_at - landed[done - 1]) * 1000
                for (*_, before), (_, _, heard_at, done) in itertools.pairwise(news)
                if done > before
            ]
    for crowd in crowds[2:]:
        crowd.communicate(timeout=120)
    _change(service, idle, "cancel")
    return sorted(lateness), missed, lost


def _paused(service: Service, segments: list[str]) -> str:
    client = service.client()
    job = client.prefetch(client.store_course(segments), "hibari")
    _change(service, job, "pause")
    return job


def _change(service: Service, job: str, verb: str) -> None:
    port, key = service.address
    answer = requests.post(f"http://127.0.0.1:{port}/api/jobs/{job}/{verb}", headers={"X-API-Key": key}, timeout=60)
    answer.raise_for_status()


def _crowd(service: Service, count: int, job: str) -> subprocess.Popen[str]:
    port, key = service.address
    argv = [sys.executable, "-m", "bench.watchers", str(port), key, str(count), f"/ws/jobs/{job}"]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _lost_something(service: Service, job: str) -> bool:
    """Watches, hangs up in the middle, comes back: whether it was told less than there was, or not of the end."""
    known, state = 0, ""
    for visit in range(2):
        with closing(_socket(service, job)) as line:
            heard = 0
            while message := _next(line):
                if message["version"] < known:
                    return True
                known, state, heard = message["version"], message["state"], heard + 1
                if visit == 0 and heard == 4:
                    break
        time.sleep(_AWAY_SECONDS)
    return state != "succeeded"


def _socket(service: Service, job: str) -> websocket.WebSocket:
    port, key = service.address
    address = f"ws://127.0.0.1:{port}/ws/jobs/{job}"
    return websocket.create_connection(address, header=[f"X-API-Key: {key}"], suppress_origin=True, timeout=60)


def _next(line: websocket.WebSocket) -> dict[str, Any] | None:
    try:
        said = line.recv()
    except websocket.WebSocketConnectionClosedException:
        return None
    found: dict[str, Any] | None = json.loads(said)["data"] if said else None
    return found


def _landed(service: Service, job: str) -> list[float]:
    database = Database(service.database_url, lambda signals: None)
    try:
        with database.reading() as session:
            when = text("select extract(epoch from finished_at) from job_items where job_id = :job order by 1")
            return [float(each) for each in session.scalars(when, {"job": job})]
    finally:
        database.dispose()
