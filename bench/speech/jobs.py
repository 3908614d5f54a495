"""What a job costs beside its work: until it starts, and how many that do nothing can be done a second."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import text

from bench.room import Figures, Room
from bench.service import Service
from bench.texts import short_sentence
from models.db import Database

# As bench/no_op.py has it, which is no module to be imported here: it is a worker.
_LANE = "bench"
_STARTS = 60
_SINGLES, _ITEMS = 1500, 4000
_COMMITS = 200


def starting(room: Room) -> Figures:
    """Milliseconds from a live job's row to its claim, one at a time; and what a commit on the disk costs."""
    speaker = room.ours.speaker("hibari")
    for _ in range(_STARTS):
        speaker.speak(short_sentence())
    database = Database(room.ours.database_url, lambda signals: None)
    try:
        newest = text(
            "select extract(epoch from started_at - created_at) from jobs where kind = 'speech.speak'"
            " order by created_at desc limit :count"
        )
        with database.reading() as session:
            taken = sorted(float(each) * 1000 for each in session.scalars(newest, {"count": _STARTS}))
        on_disk, in_memory = (_commit_ms(database, durable=durable) for durable in (True, False))
    finally:
        database.dispose()
    return {
        "start_p50_ms": taken[len(taken) // 2],
        "start_p99_ms": taken[int(len(taken) * 0.99)],
        "commit_ms.on_disk": on_disk,
        "commit_ms.in_memory": in_memory,
        "fsync_ms": on_disk - in_memory,
    }


def no_ops(room: Room) -> Figures:
    """Jobs a second of one worker, each a job and as items of one, beside Celery's own messages that do nothing."""
    service = room.ours
    bare = json.loads(_run(service, "bench.bare_celery", str(_SINGLES)))
    return {
        "jobs_a_second.celery": bare,
        "jobs_a_second.single": _done_a_second(service, "single", _SINGLES),
        "jobs_a_second.items": _done_a_second(service, "sliced", _ITEMS),
    }


def _done_a_second(service: Service, shape: str, count: int) -> float:
    ids = json.loads(_run(service, "bench.no_op", shape, str(count)))
    options = ["--pool=solo", f"--hostname={_LANE}@%h", f"--queues={_LANE}", "--without-gossip", "--without-mingle"]
    worker = subprocess.Popen(
        [sys.executable, "-m", "celery", "--app=bench.no_op", "worker", *options],
        env=service.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    database = Database(service.database_url, lambda signals: None)
    table = "jobs where id" if shape == "single" else "job_items where job_id"
    ended = text(
        f"select count(finished_at), extract(epoch from max(finished_at) - min(started_at)) from {table} = any(:ids)"
    )
    try:
        done, seconds, ends = 0, 0.0, time.monotonic() + 300
        while done < count:
            assert worker.poll() is None, "the worker ended"
            assert time.monotonic() < ends, f"only {done} of {count} were done"
            # Seldom, so that looking costs little.
            time.sleep(1.0)
            with database.reading() as session:
                done, seconds = session.execute(ended, {"ids": ids}).one()
        return count / float(seconds)
    finally:
        worker.terminate()
        worker.wait(60)
        database.dispose()


def _run(service: Service, module: str, *arguments: str) -> str:
    argv = [sys.executable, "-m", module, *arguments]
    ran = subprocess.run(argv, env=service.environment, capture_output=True, text=True, timeout=300, check=False)
    if ran.returncode:
        raise RuntimeError(f"{module} ended with {ran.returncode}: {ran.stderr[-1000:]}")
    # Celery has said other things before.
    return ran.stdout.splitlines()[-1]


def _commit_ms(database: Database, *, durable: bool) -> float:
    def write() -> None:
        with database.transaction(durable=durable) as session:
            session.execute(text("update jobs set phase = phase where id = (select id from jobs limit 1)"))

    return median_ms(write, _COMMITS)


def median_ms(act: Callable[[], Any], times: int) -> float:
    """The usual milliseconds of so many times."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        act()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1000
