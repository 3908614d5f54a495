"""``python -m bench.label_studio_storm``: whether a storm costs a text or a hundredth, proved with a real Label Studio.

50 agents at 2,000 tasks, while web processes and workers are killed and Label Studio is killed or held up; then all is
compared: Postgres, what Label Studio exports, and what the product answers. ``LABEL_STUDIO_HOME`` names the environment
with a Label Studio. Writes ``bench/results/label-studio-storm-<time>.json``; its status is 1 where anything is wrong.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import sys
import tempfile
import threading
import time
import wave
from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import requests
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from bench import record, storm_checks
from bench.service import Service, free_port
from bench.storm_checks import RATE, Verdict, Watch
from bench.studio import TOKEN, Studio
from bench.transcribers import Room, Transcriber
from models.db import Database

PACKAGES = ("flask", "sqlalchemy", "psycopg", "gunicorn", "gevent", "celery")
SECRET = "a secret of the bench's webhook"
# Between two kills, and between two outages; how long these are. A request that is held up longer than its patience
# (30 s) is given up, though it is done later.
KILL_EVERY, OUTAGE_EVERY, GONE_FOR, HELD_FOR, HELD_TOO_LONG = (4.0, 10.0), (15.0, 45.0), (5.0, 20.0), (2.0, 8.0), 34.0
# The storm is over by then, whatever is done; and the whole of it is.
STORM_SECONDS, MOST_SECONDS = 720.0, 2400.0
KILLED = {"web": 0.4, "io@": 0.3, "imports@": 0.15, "upkeep@": 0.15}
_HERTZ = 8000


class Storm(threading.Thread):
    """Kills one process after another; Label Studio's outages are another's, since they last."""

    def __init__(self, name: str, strike: Callable[[random.Random], str], every_seconds: tuple[float, float]) -> None:
        super().__init__(name=name)
        self._strike, self._every = strike, every_seconds
        self._random = random.Random(name)
        self._over = threading.Event()
        self.struck: Counter[str] = Counter()
        self.faults: list[str] = []

    def run(self) -> None:
        """Strikes."""
        while not self._over.wait(self._random.uniform(*self._every)):
            try:
                self.struck[self._strike(self._random)] += 1
            except (psutil.Error, StopIteration, IndexError):
                # It is being started again.
                self.struck["(not there)"] += 1
            except Exception as fault:
                self.faults.append(f"{self.name}: {fault!r}")
                raise

    def finish(self) -> None:
        """It is calm; what was struck last is up again."""
        self._over.set()
        self.join()


def kill(service: Service, generator: random.Random) -> str:
    """What was killed."""
    (kind,) = generator.choices(list(KILLED), list(KILLED.values()))
    process = generator.choice(service.web_processes()) if kind == "web" else service.worker(kind)
    process.kill()
    return kind.rstrip("@")


def outage(studio: Studio, generator: random.Random) -> str:
    """How Label Studio was away."""
    draw = generator.random()
    if draw < 0.5:
        studio.kill()
        time.sleep(generator.uniform(*GONE_FOR))
        studio.start()
        return "Label Studio killed"
    if draw < 0.8:
        studio.hold(generator.uniform(*HELD_FOR))
        return "Label Studio held up"
    studio.hold(HELD_TOO_LONG)
    return "Label Studio held up for longer than anybody waits"


def sounds(count: int) -> tuple[dict[str, bytes], dict[str, Decimal]]:
    """Distinct sounds by name, and how many seconds each lasts: to the hundredth, so that nothing is rounded."""
    generator = random.Random(count)
    made: dict[str, bytes] = {}
    seconds: dict[str, Decimal] = {}
    for number in range(count):
        name, hundredths = f"take_{number:04}.wav", generator.randint(31, 120)
        file = io.BytesIO()
        with wave.open(file, "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(_HERTZ)
            sound.writeframes(generator.randbytes(2 * hundredths * _HERTZ // 100))
        made[name], seconds[name] = file.getvalue(), Decimal(hundredths) / 100
    return made, seconds


def key_of(service: Service, agent_id: int) -> str:
    """A key that acts as this agent alone."""
    port, admin = service.address
    body = {"name": f"agent {agent_id}", "role": "agent", "agent_id": agent_id}
    answer = requests.post(
        f"http://127.0.0.1:{port}/api/auth/keys", json=body, headers={"X-API-Key": admin}, timeout=60
    )
    answer.raise_for_status()
    return str(answer.json()["key"])


def lapse(database: Database, task_id: int, agent_id: int) -> None:
    """Ends the agent's time with a task, as a quarter of an hour would."""
    ended = "UPDATE transcription_assignments SET lease_until = now() - interval '1 second'"
    with database.transaction() as session:
        session.execute(
            text(f"{ended} WHERE task_id = :task AND agent_id = :agent AND state = 'active'"),
            {"task": task_id, "agent": agent_id},
        )


def counted(database: Database) -> dict[str, int]:
    """Tasks by state, and how many texts are on their way."""
    with database.reading() as session:
        rows = session.execute(text("SELECT state, count(*) FROM transcription_tasks GROUP BY state"))
        found = {str(state): int(count) for state, count in rows}
        pending = session.scalar(text("SELECT count(*) FROM transcription_annotations WHERE state = 'pending'"))
        return found | {"pending": int(pending or 0)}


def work(room: Room, service: Service, studio: Studio, database: Database, agents: int, tasks: int) -> dict[str, Any]:
    """Until everything is done and written; how it went."""
    people = [Transcriber(room, number, key_of(service, number)) for number in range(1, agents + 1)]
    watch = Watch(database)
    storms = [
        Storm("kills", lambda generator: kill(service, generator), KILL_EVERY),
        Storm("outages", lambda generator: outage(studio, generator), OUTAGE_EVERY),
    ]
    began = time.monotonic()
    for thread in (watch, *people, *storms):
        thread.start()
    client = requests.Session()
    client.headers["X-API-Key"] = service.address[1]
    unparked, calm = 0, None
    try:
        while True:
            time.sleep(2)
            now, seconds = counted(database), time.monotonic() - began
            print(f"{seconds:5.0f} s  {now}", file=sys.stderr, flush=True)
            unparked += unpark(client, room.url) if now.get("parked") else 0
            done = now.get("done", 0) >= tasks
            # The storm goes on over the last texts, too, but for those it keeps from being written.
            if calm is None and (seconds > STORM_SECONDS or (done and now["pending"] <= tasks * 0.1)):
                for storm in storms:
                    storm.finish()
                calm = {"after_seconds": round(time.monotonic() - began), **counted(database)}
            if done and not now["pending"] and calm is not None:
                break
            assert seconds < MOST_SECONDS, f"it does not end: {now}"
    finally:
        room.over.set()
        for storm in storms:
            storm.finish()
    for person in people:
        person.join()
    # Leases that were let lapse are taken back, and counts that are kept for half a minute are new.
    time.sleep(35)
    watch.finish()
    return {
        "seconds": round(time.monotonic() - began),
        "calm": calm,
        "strikes": dict(sum((storm.struck for storm in storms), Counter())),
        "faults_of_the_bench": [fault for storm in storms for fault in storm.faults] + watch.faults,
        "looks": watch.looks,
        "wrong_in_a_look": dict(watch.wrong),
        "unparked": unparked,
        "what_agents_saw": dict(room.said.most_common()),
        "deviations": room.deviations,
    }


def unpark(client: requests.Session, url: str) -> int:
    """Gives out again, as a manager does, what many skipped; how many these were."""
    try:
        parked = client.get(f"{url}/api/transcription/tasks?state=parked&limit=200", timeout=20).json()["tasks"]
        ids = [task["id"] for task in parked]
        return sum(client.post(f"{url}/api/transcription/tasks/{task}/unpark", timeout=20).ok for task in ids)
    except (requests.RequestException, ValueError):
        return 0


def main() -> int:
    """Raises the storm, compares, shows, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=50)
    parser.add_argument("--tasks", type=int, default=2_000)
    parser.add_argument("--think", type=float, nargs=2, default=(4.0, 10.0), help="seconds over a task")
    said = parser.parse_args()
    load = os.getloadavg()
    files, seconds = sounds(said.tasks)
    with tempfile.TemporaryDirectory(prefix="vw-storm-") as place:
        studio = Studio(Path(os.environ["LABEL_STUDIO_HOME"]), Path(place, "studio"), free_port())
        try:
            studio.add(files)
            with Service(
                LABEL_STUDIO_URL=studio.url,
                LABEL_STUDIO_API_KEY=TOKEN,
                LABEL_STUDIO_PROJECT_ID=str(studio.project),
                LABEL_STUDIO_WEBHOOK_SECRET=SECRET,
                TRANSCRIPTION_RATE_PER_SECOND=str(RATE),
            ) as service:
                figures, verdict = storm(service, studio, files, seconds, said)
        finally:
            studio.kill()
    figures["questions"] = {what: _short(found) for what, _, found in verdict.rows}
    figures["wrong"] = {what: (_short(right), _short(found)) for what, right, found in verdict.rows if right != found}
    _, path = record.write(figures, packages=PACKAGES, load_before=load, name="label-studio-storm-")
    _show(figures, verdict, path)
    return 1 if verdict.wrong else 0


def storm(
    service: Service, studio: Studio, files: Mapping[str, bytes], seconds: Mapping[str, Decimal], said: Any
) -> tuple[dict[str, Any], Verdict]:
    """How it went, and what is true then."""
    url = f"http://127.0.0.1:{service.address[0]}"
    studio.tell(f"{url}/api/transcription/label-studio/webhook", SECRET)
    database = Database(service.database_url, lambda signals: None, pool_size=20)
    lengths = {name: float(length) for name, length in seconds.items()}
    room = Room(url, files, lengths, lambda task, agent: lapse(database, task, agent), tuple(said.think))
    try:
        figures = work(room, service, studio, database, said.agents, said.tasks)
        verdict = Verdict()
        found = storm_checks.of_postgres(verdict, database, seconds, room.acknowledged)
        storm_checks.of_studio(verdict, found, studio.exported(), studio.read_back())
        whole = storm_checks.of_money(verdict, database, found, seconds)
        with requests.Session() as client:
            client.headers["X-API-Key"] = service.address[1]
            storm_checks.of_answers(verdict, client, url, database, found)
    finally:
        database.dispose()
    verdict.ask(f"moments at which something did not add up, of {figures['looks']}", {}, figures["wrong_in_a_look"])
    verdict.ask("answers to agents that should not be", [], figures["deviations"])
    verdict.ask("faults of the bench", [], figures["faults_of_the_bench"])
    attempts = Counter(each.annotation.attempts for each in found)
    size = {"agents": said.agents, "tasks": said.tasks, "texts": len(found), "ledger": str(whole)}
    tries = {"attempts": dict(sorted(attempts.items())), "already_written": studio.refused_as_written()}
    return {**size, "label_studio": studio.version(), **tries, **figures}, verdict


def _short(value: Any) -> str:
    return str(value) if len(str(value)) <= 200 else f"{len(value)}: {str(value)[:160]} …"


def _show(figures: Mapping[str, Any], verdict: Verdict, path: Path) -> None:
    table = Table("what", "right", "found", "")
    for what, right, found in verdict.rows:
        words = [f"{len(each)} of them" if len(str(each)) > 40 else str(each) for each in (right, found)]
        table.add_row(what, *words, "as it should be" if right == found else "WRONG")
    console = Console()
    console.print(table)
    shown = ("seconds", "calm", "strikes", "attempts", "already_written", "unparked", "what_agents_saw")
    console.print({name: figures[name] for name in shown})
    console.print(f"Written to {path}")


if __name__ == "__main__":
    sys.exit(main())
