"""``python -m bench.transcription``: the bars of transcription, measured on servers of its own.

Claims among 100,000 tasks of which 30 % are in the agent's cooldown, against a real web process; the first byte of
ranges in a file of 100 MB, and what it costs in memory; and 50 agents at 2,000 tasks while web processes are killed.
Writes ``bench/results/transcription-<time>.json``.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import requests
from rich.console import Console
from rich.table import Table
from sqlalchemy import func, insert, select, text

from bench import record
from config import embedded
from config.child import Child
from models import accounts, migrations
from models.db import Database
from models.files import FileStore
from models.transcription import agents, ledger
from models.transcription.tables import Agent, Annotation, Assignment, Entry, Task

KEY = "vw_a_key_of_the_bench_0123456789"
TASKS, COOLDOWN_SHARE, CLAIMS = 100_000, 0.3, 300
BIG_BYTES, RANGES = 100 << 20, 200
AGENTS, WORK = 50, 2_000
SECONDS = Decimal("4.20")
RATE = Decimal("0.05")
PACKAGES = ("flask", "sqlalchemy", "psycopg", "gunicorn", "gevent")


class House:
    """Servers and a web process in a folder of their own."""

    def __init__(self, folder: Path, servers: embedded.Servers) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self.database = Database(servers.database_url, lambda signals: None, pool_size=5)
        self.files = FileStore(folder / "files")
        migrations.upgrade(self.database.engine)
        with self.database.transaction() as session:
            accounts.ensure_admin(session, password="a password of the bench", api_key=KEY)
        self.env = {
            "VAR_DIR": str(folder),
            "DATABASE_URL": servers.database_url,
            "REDIS_URL": servers.redis_url,
            "STREAM_REDIS_URL": servers.stream_redis_url,
            "PORTS": str(self.port),
            "RATE_LIMITS": "off",
            "LOG_LEVEL": "ERROR",
        }

    @contextmanager
    def web(self) -> Iterator[Child]:
        """Two web processes, as production has them."""
        child = Child(
            name="web",
            argv=[sys.executable, "-m", "gunicorn", "--config", "config/gunicorn.py", "app:create_app()"],
            log_path=self.folder / "web.log",
            env=self.env,
            cwd=Path(__file__).parents[1],
            probe=self._answers,
        )
        child.start()
        try:
            assert child.ready(timeout_seconds=60), child.log_tail()
            yield child
        finally:
            child.ask_to_stop()
            child.finish()

    def _answers(self) -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/health/live", timeout=0.4).ok
        except requests.RequestException:
            return False

    def client(self) -> requests.Session:
        """A connection with the key."""
        session = requests.Session()
        session.headers["X-API-Key"] = KEY
        return session

    def url(self, path: str) -> str:
        """The address of a path."""
        return f"http://127.0.0.1:{self.port}{path}"


def percentile(values: list[float], share: float) -> float:
    """The value below which that share of them lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def fill(house: House, count: int) -> None:
    """So many tasks that can be had."""
    row = {"source": "built_in", "state": "open", "file": "0" * 64, "media_type": "audio/wav", "slots": 1, "taken": 0}
    with house.database.transaction() as session:
        for start in range(0, count, 5_000):
            rows = [
                row | {"file_name": f"take_{number}.wav", "duration_seconds": SECONDS}
                for number in range(start, min(count, start + 5_000))
            ]
            session.execute(insert(Task), rows)
        session.execute(text("analyze transcription_tasks"))


def cool(house: House, agent_id: int, *, share: float, at_head: bool) -> int:
    """How many tasks the agent has now skipped a minute ago: the first ones, or any."""
    order = "id" if at_head else "random()"
    with house.database.transaction() as session:
        agents.present(session, agent_id)
        made = session.execute(
            text(
                "insert into transcription_assignments"
                " (task_id, agent_id, slot, state, started_at, lease_until, ended_at)"
                " select id, :agent, 1, 'skipped', now() - interval '2 minutes', now(), now() - interval '1 minute'"
                f" from (select id from transcription_tasks order by {order} limit :count) picked"
            ),
            {"agent": agent_id, "count": int(TASKS * share)},
        )
        session.execute(text("analyze transcription_assignments"))
        return int(made.rowcount)  # type: ignore[attr-defined]


def claims(house: House, agent_id: int) -> list[float]:
    """How long each request for a task took, in ms; each is skipped so that the next is another."""
    took = []
    with house.client() as client:
        for _ in range(CLAIMS):
            began = time.perf_counter()
            given = client.post(house.url("/api/tasks/request"), json={"agent_id": agent_id}, timeout=30).json()
            took.append((time.perf_counter() - began) * 1000)
            assert given["task_id"] is not None
            client.post(
                house.url(f"/api/tasks/{given['task_id']}/skip"), json={"agent_id": agent_id}, timeout=30
            ).raise_for_status()
    return took


def ranges(house: House, web: Child) -> dict[str, float]:
    """First bytes of ranges anywhere in a large file, in ms, and how much the web processes grew, in MiB."""
    block = os.urandom(1 << 20)
    name = house.files.put(block * (BIG_BYTES >> 20))
    with house.database.transaction() as session:
        task = Task(
            source="built_in", state="open", file=name, media_type="audio/wav", file_name="long.wav",
            duration_seconds=Decimal(1000), queued_at=func.now() - text("interval '1 year'"),
        )  # fmt: skip
        session.add(task)
    assert web.pid is not None
    processes = psutil.Process(web.pid).children()
    generator = random.Random(1)
    with house.client() as client:
        given = client.post(house.url("/api/tasks/request"), json={"agent_id": 9}, timeout=30).json()
        before = sum(process.memory_info().rss for process in processes)
        first: dict[str, list[float]] = {"part": [], "rest": []}
        for number in range(RANGES):
            start = generator.randrange(BIG_BYTES)
            # As browsers ask: from here to the end; most of it is not wanted.
            kind = "rest" if number % 2 else "part"
            asked = f"bytes={start}-" if kind == "rest" else f"bytes={start}-{min(BIG_BYTES - 1, start + 65535)}"
            began = time.perf_counter()
            with client.get(given["audio_url"], headers={"Range": asked}, stream=True, timeout=30) as answer:
                assert answer.status_code == 206
                piece = next(answer.iter_content(1024))
                first[kind].append((time.perf_counter() - began) * 1000)
                position = start % (1 << 20)
                expected = (block + block)[position : position + len(piece)]
                assert piece == expected[: BIG_BYTES - start]
        began = time.perf_counter()
        with client.get(given["audio_url"], stream=True, timeout=60) as answer:
            size = sum(len(piece) for piece in answer.iter_content(1 << 18))
        whole = time.perf_counter() - began
        assert size == BIG_BYTES
        after = sum(process.memory_info().rss for process in processes)
    return {
        **{f"first_byte_{kind}_p50_ms": statistics.median(took) for kind, took in first.items()},
        **{f"first_byte_{kind}_p95_ms": percentile(took, 0.95) for kind, took in first.items()},
        "first_byte_p95_ms": percentile(first["part"] + first["rest"], 0.95),
        "whole_file_seconds": whole,
        "grown_mib": (after - before) / 2**20,
    }


def muddle(house: House) -> dict[str, Any]:
    """50 agents at 2,000 tasks, a web process killed every few seconds; then everything is added up."""
    with house.database.transaction() as session:
        for table in ("ledger", "annotations", "assignments", "tasks", "agents"):
            session.execute(text(f"delete from transcription_{table}"))
    fill(house, WORK)
    stopped = threading.Event()
    kills = 0
    answers = {"accepted": 0, "skipped": 0, "broken": 0}
    lock = threading.Lock()

    def agent(number: int) -> None:
        generator = random.Random(number)
        client = house.client()
        while not stopped.is_set():
            try:
                given = client.post(house.url("/api/tasks/request"), json={"agent_id": number}, timeout=10).json()
                if given.get("task_id") is None:
                    if "message" in given:
                        time.sleep(0.2)
                    continue
                task_id, kind = given["task_id"], "accepted"
                if generator.random() < 0.05:
                    kind, path, body = "skipped", "skip", {"agent_id": number, "reason": "noise"}
                else:
                    path, body = "submit", {"agent_id": number, "transcription": f"text of {number}"}
                answer = client.post(house.url(f"/api/tasks/{task_id}/{path}"), json=body, timeout=10)
                if generator.random() < 0.1:
                    # As a client does that did not hear the answer.
                    client.post(house.url(f"/api/tasks/{task_id}/{path}"), json=body, timeout=10)
                with lock:
                    answers[kind if answer.ok else "broken"] += 1
            except (requests.RequestException, ValueError):
                with lock:
                    answers["broken"] += 1
                client = house.client()
                time.sleep(0.05)

    began = time.monotonic()
    with house.web() as web, ThreadPoolExecutor(AGENTS) as pool:
        futures = [pool.submit(agent, number + 1) for number in range(AGENTS)]
        generator = random.Random(7)
        while time.monotonic() - began < 300:
            time.sleep(generator.uniform(4.0, 7.0))
            with house.database.reading() as session:
                # Those that many skipped are parked.
                left = session.scalar(select(func.count()).where(Task.state == "open")) or 0
            if not left:
                break
            if left > 50 and web.pid is not None:
                children = psutil.Process(web.pid).children()
                if children:
                    generator.choice(children).send_signal(signal.SIGKILL)
                    kills += 1
        stopped.set()
        for future in futures:
            future.result()
    return added_up(house) | {"kills": kills, "seconds": time.monotonic() - began, "answers": answers}


def added_up(house: House) -> dict[str, Any]:
    """What Postgres says in the end."""
    with house.database.reading() as session:
        accepted = session.scalar(select(func.count()).where(Assignment.state == "accepted")) or 0
        twice = session.execute(
            select(Assignment.task_id)
            .where(Assignment.state.in_(("active", "accepted")))
            .group_by(Assignment.task_id)
            .having(func.count() > 1)
        ).all()
        figures = {
            "accepted": accepted,
            "annotations": session.scalar(select(func.count()).select_from(Annotation)) or 0,
            "tasks_in_two_hands": len(twice),
            "ledger": str(session.scalar(select(func.sum(Entry.amount))) or 0),
            "durations_times_rate": str(accepted * ledger.amount_of(SECONDS, RATE)),
            "totals_of_agents": str(session.scalar(select(func.sum(Agent.earnings))) or 0),
            "parked": session.scalar(select(func.count()).where(Task.state == "parked")) or 0,
            "open": session.scalar(select(func.count()).where(Task.state == "open")) or 0,
        }
    figures["exact"] = (
        figures["accepted"] == figures["annotations"]
        and Decimal(figures["ledger"])
        == Decimal(figures["durations_times_rate"])
        == Decimal(figures["totals_of_agents"])
        and not figures["tasks_in_two_hands"]
    )
    return figures


def main() -> None:
    """Measures, shows, writes."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    load = os.getloadavg()
    figures: dict[str, Any] = {}
    with (
        tempfile.TemporaryDirectory(prefix="vw-bench-") as place,
        embedded.running(Path(place), durable=True) as servers,
    ):
        house = House(Path(place), servers)
        fill(house, TASKS)
        head = cool(house, 1, share=COOLDOWN_SHARE, at_head=True)
        cool(house, 2, share=COOLDOWN_SHARE, at_head=False)
        with house.web() as web:
            for agent_id, name in (
                (3, "none in cooldown"),
                (2, "30 % in cooldown, anywhere"),
                (1, "30 %, all at the head"),
            ):
                took = claims(house, agent_id)
                figures[f"claim: {name}"] = {"p50_ms": statistics.median(took), "p95_ms": percentile(took, 0.95)}
            figures["ranges in 100 MB"] = ranges(house, web)
        figures["muddle"] = muddle(house)
        house.database.dispose()
    _, path = record.write(
        {"tasks": TASKS, "in_cooldown": head, **figures}, packages=PACKAGES, load_before=load, name="transcription-"
    )
    _show(figures, path)


def _show(figures: dict[str, Any], path: Path) -> None:
    table = Table("what", "goal", "measured", "")
    for name, found in figures.items():
        if name.startswith("claim"):
            met = "met" if found["p95_ms"] <= 50 else "not met"
            table.add_row(name, "p95 ≤ 50 ms", f"p50 {found['p50_ms']:.1f}, p95 {found['p95_ms']:.1f} ms", met)
    found = figures["ranges in 100 MB"]
    table.add_row(
        "first byte of a range in 100 MB",
        "p95 ≤ 50 ms",
        f"p50 {found['first_byte_part_p50_ms']:.1f} of a part, {found['first_byte_rest_p50_ms']:.1f} of the rest; "
        f"p95 {found['first_byte_p95_ms']:.1f} ms",
        "met" if found["first_byte_p95_ms"] <= 50 else "not met",
    )
    table.add_row("memory of the web processes", "flat", f"{found['grown_mib']:+.1f} MiB", "")
    found = figures["muddle"]
    table.add_row(
        f"{AGENTS} agents, {WORK} tasks, {found['kills']} kills",
        "exact",
        f"{found['accepted']} texts, {found['annotations']} annotations, {found['tasks_in_two_hands']} in two hands, "
        f"ledger {found['ledger']} = {found['durations_times_rate']}; {found['seconds']:.0f} s",
        "met" if found["exact"] else "not met",
    )
    console = Console()
    console.print(table)
    console.print(f"Written to {path}")


if __name__ == "__main__":
    main()
