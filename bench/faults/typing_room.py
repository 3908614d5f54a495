"""Those who transcribe meanwhile, and those who bring them sound; what is true of their texts and their pay after."""

from __future__ import annotations

import io
import time
import zipfile
from dataclasses import dataclass, field
from decimal import Decimal
from typing import cast

import requests

from bench import storm_checks
from bench.faults.load import Load, Promise, Somebody
from bench.label_studio_storm import key_of, lapse, sounds, unpark
from bench.service import Service
from bench.storm_checks import Verdict, Watch
from bench.transcribers import Room, Transcriber
from tests.journeys.product import API_KEY

AGENTS = 4
THINK_SECONDS = (2.0, 6.0)
# So many sounds come in one archive.
AT_ONCE = 12
# What somebody had in their hands when the clock jumped they have handed in, or lost, by then.
_EXCUSED_SECONDS = 90.0
# Asked of Label Studio's texts only.
_ELSEWHERE = ("texts that are written",)


@dataclass
class Excusing(Room):
    """A room whose clock jumps: for a while after, people find that a task is not theirs any more."""

    excused_until: float = 0.0
    excused: list[str] = field(default_factory=list)

    def jumped(self) -> None:
        """All that anybody holds may be somebody else's now."""
        with self._lock:
            self._hands.clear()
            self.excused_until = time.monotonic() + _EXCUSED_SECONDS

    def wrong(self, what: str) -> None:
        """Something that should never be, unless the clock has just jumped."""
        if time.monotonic() < self.excused_until:
            with self._lock:
                self.excused.append(what)
        else:
            super().wrong(what)


class TypingRoom:
    """The room, the agents, and who brings sound while there is load."""

    def __init__(self, load: Load, tasks: int) -> None:
        self._load = load
        files, seconds = sounds(-(-tasks // AT_ONCE) * AT_ONCE)
        # As Label Studio names files: with letters of its own before a hyphen.
        self._to_bring = [
            {f"a-{name}": files[name] for name in list(files)[at : at + AT_ONCE]}
            for at in range(0, len(files), AT_ONCE)
        ]
        self.seconds: dict[str, Decimal] = seconds
        lengths = {name: float(length) for name, length in seconds.items()}
        database = load.place.silent
        self.room = Excusing(
            load.place.url(""), files, lengths, lambda task, agent: lapse(database, task, agent), THINK_SECONDS
        )
        self._watch = Watch(database)
        self._tried = False
        self._agents: list[Transcriber] = []
        self._bringer = Somebody(load, "bringer of sound", self._bring, (5.0, 15.0))

    def begin(self) -> None:
        """They begin."""
        keys = [key_of(cast(Service, self._load.place), number) for number in range(1, AGENTS + 1)]
        self._agents = [Transcriber(self.room, number, key) for number, key in enumerate(keys, start=1)]
        for thread in (self._watch, self._bringer, *self._agents):
            thread.daemon = True
            thread.start()

    def bring_the_rest(self) -> None:
        """What has not been brought under faults is brought now."""
        self._bringer.join()
        while self._to_bring:
            self._bring(self._bringer, 0)
            time.sleep(0.5)

    def finish(self, within_seconds: float) -> None:
        """Waits until everything is transcribed; then all go home."""
        ends = time.monotonic() + within_seconds
        place, done = self._load.place, 0
        client = requests.Session()
        client.headers["X-API-Key"] = API_KEY
        try:
            while done < len(self.seconds):
                done = int(place.value("select count(*) from transcription_tasks where state = 'done'"))
                unpark(client, place.url(""))
                if time.monotonic() > ends:
                    self._load.memory.fault(f"{done} of {len(self.seconds)} sounds are transcribed")
                    return
                time.sleep(1)
        finally:
            self.room.over.set()
            for agent in self._agents:
                agent.join(60)
            self._watch.finish()

    def verdict(self) -> Verdict:
        """Every question about texts and money, with its answer."""
        verdict, database = Verdict(), self._load.place.silent
        # Leases that were let lapse are taken back by the reclaimer.
        time.sleep(12)
        found = storm_checks.of_postgres(verdict, database, self.seconds, self.room.acknowledged)
        storm_checks.of_money(verdict, database, found, self.seconds)
        verdict.ask("moments at which something did not add up", {}, dict(self._watch.wrong))
        verdict.ask("answers to agents that should not be", [], self.room.deviations)
        broken = [said for said in self.room.said if said.startswith("answered 500")]
        verdict.ask("answers to agents that say 500", [], broken)
        verdict.rows = [row for row in verdict.rows if row[0] not in _ELSEWHERE]
        return verdict

    def _bring(self, who: Somebody, _: int) -> None:
        if not self._to_bring or (self._tried and self._came()):
            return
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w") as archive:
            for name, content in self._to_bring[0].items():
                archive.writestr(name, content)
        self._tried = True
        files = {"file": ("takes.zip", held.getvalue(), "application/zip")}
        answer = who.post("/api/transcription/import", files=files)
        if job_id := answer.get("job_id"):
            self._load.promise(Promise(str(job_id), "sound"), watched=False)
        self._next()

    def _came(self) -> bool:
        """Whether what nobody answered for is there all the same; one who waits for an answer looks first."""
        place, names = self._load.place, list(self._to_bring[0])
        open_jobs = "select count(*) from jobs where kind = 'transcription.import' and state in ('queued', 'running')"
        if place.value(open_jobs):
            return True
        there = place.value("select count(*) from transcription_tasks where file_name = any(:names)", names=names)
        if there not in (0, len(names)):
            self._load.memory.fault(f"of an archive of {len(names)} sounds {there} are tasks")
        if there:
            self._next()
        return bool(there)

    def _next(self) -> None:
        self._to_bring.pop(0)
        self._tried = False
