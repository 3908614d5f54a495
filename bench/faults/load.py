"""What people do meanwhile: they have things spoken, made, imported, trained, and remember what they were promised."""

from __future__ import annotations

import hashlib
import io
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import requests
import soundfile
import websocket
from sqlalchemy.exc import DBAPIError

from bench.faults.place import Place
from tests.journeys.product import API_KEY
from tests.journeys.texts import text, texts
from tests.receiving import Receiver
from tests.standing_in import files_of, zipped
from tests.waking import sound

_TIMEOUT_SECONDS = 45.0
# Of each kind at once; on a busy machine they ask for less.
OPEN_MOST = 3
# Answers that say "not now": somebody who means it asks again.
_NOT_NOW = {409, 429, 502, 503, 504}
_ONES = "zero one two three four five six seven eight nine".split()
VOICES = ({"voice_id": "nova"}, {"voice_id": "heart", "speed": 1.2, "format": "mp3"})


@dataclass(frozen=True)
class Promise:
    """A job that was accepted; ``texts`` is what it is to speak, in order, once for each of its ``forms``."""

    job_id: str
    what: str
    texts: tuple[str, ...] = ()
    forms: int = 1
    told: bool = False


@dataclass
class Memory:
    """What all of them remember.

    Attributes:
        promised: Every job whose request was answered that it is accepted.
        heard: What a text sounded like, as a hash, by text and form.
        seen: The last state that a socket told of each job that was watched to its end.
        said: Answers and broken lines, counted.
        wrong: What should never be.
    """

    promised: list[Promise] = field(default_factory=list)
    heard: dict[tuple[str, str], str] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)
    said: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, what: str) -> None:
        """One more of it."""
        with self._lock:
            self.said[what] += 1

    def fault(self, what: str) -> None:
        """Something that should never be."""
        with self._lock:
            self.wrong.append(what)

    def hear(self, words: str, form: str, content: bytes) -> None:
        """A text was heard; it sounds the same each time."""
        digest = hashlib.sha256(content).hexdigest()
        with self._lock:
            known = self.heard.setdefault((words, form), digest)
        if known != digest:
            self.fault(f"a text sounds otherwise as {form} than before: {words[:60]!r}")


class Somebody(threading.Thread):
    """One who does one thing over and over, with a pause; ``chance`` decides what, so that a seed gives it again."""

    def __init__(self, load: Load, name: str, act: Callable[[Somebody, int], None], every: tuple[float, float]) -> None:
        super().__init__(name=name, daemon=True)
        self.load, self.chance = load, random.Random(f"{load.seed} {name}")
        self._act, self._every = act, every

    def run(self) -> None:
        """Until the load is over."""
        number = 0
        while not self.load.over.wait(self.chance.uniform(*self._every)):
            number += 1
            try:
                self._act(self, number)
            except GaveUp as fault:
                self.load.memory.count(f"gave up: {fault}")
            except DBAPIError:
                self.load.memory.count("Postgres was away when the bench looked")
            except Exception as fault:
                self.load.memory.fault(f"fault of the bench, {self.name}: {fault!r}")

    def post(self, path: str, **kwargs: Any) -> Any:
        """The accepted answer, asked for under one idempotency key until there is one."""
        headers = {"X-API-Key": API_KEY, "Idempotency-Key": f"{self.load.seed}-{self.name}-{self.chance.random()}"}
        for wait in (0.2, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 5.0, 5.0, 5.0):
            answer = self.load.ask("POST", path, headers=headers, **kwargs)
            if answer is not None and answer.status_code < 300:
                return answer.json()
            if answer is not None and answer.status_code < 500 and answer.status_code not in _NOT_NOW:
                self.load.memory.fault(f"{path} was refused: {answer.status_code} {answer.text[:200]}")
                break
            if self.load.over.wait(wait):
                break
        raise GaveUp(path)


class GaveUp(Exception):
    """Nobody accepted it."""


class Load:
    """All of them, until ``finish``."""

    def __init__(self, place: Place, seed: int, receiver: Receiver) -> None:
        self.place, self.seed, self.receiver = place, seed, receiver
        self.memory, self.over = Memory(), threading.Event()
        self._watchers: list[threading.Thread] = []
        self._open: set[str] = set()
        self._people = [
            Somebody(self, "listener 1", _listen, (0.1, 0.8)),
            Somebody(self, "listener 2", _listen, (0.1, 0.8)),
            Somebody(self, "streamer", _stream, (0.5, 2.0)),
            Somebody(self, "prefetcher", _prefetch, (2.0, 6.0)),
            Somebody(self, "deployer", _deploy, (5.0, 12.0)),
            Somebody(self, "importer", _import, (6.0, 14.0)),
            Somebody(self, "trainer", _train, (6.0, 14.0)),
        ]

    def begin(self) -> None:
        """They begin."""
        threading.Thread(target=self._look, name="how much is open", daemon=True).start()
        for person in self._people:
            person.start()

    def finish(self) -> None:
        """They ask for nothing new."""
        self.over.set()
        for person in self._people:
            person.join()

    def join_watchers(self, within_seconds: float) -> None:
        """Waits for those who watch a job to its end; who is not told of it is named."""
        ends = time.monotonic() + within_seconds
        for watcher in self._watchers:
            watcher.join(max(0.0, ends - time.monotonic()))
            if watcher.is_alive():
                self.memory.fault(f"a socket was never told of the end of {watcher.name}")

    def ask(self, method: str, path: str, **kwargs: Any) -> requests.Response | None:
        """The answer; None where the line broke."""
        headers = {"X-API-Key": API_KEY, **kwargs.pop("headers", {})}
        try:
            answer = requests.request(method, self.place.url(path), headers=headers, timeout=_TIMEOUT_SECONDS, **kwargs)
        except requests.RequestException as fault:
            self.memory.count(f"{path.partition('?')[0]}: {type(fault).__name__}")
            return None
        self.memory.count(f"{path.partition('?')[0]}: {answer.status_code}")
        if answer.status_code == 500:
            request = answer.headers.get("X-Request-ID")
            self.memory.fault(f"answered 500: {method} {path} ({request}) {answer.text[:200]}")
        if answer.status_code in (429, 503) and "Retry-After" not in answer.headers:
            self.memory.fault(f"{answer.status_code} without Retry-After: {path} {answer.text[:200]}")
        return answer

    def promise(self, promise: Promise, *, watched: bool) -> None:
        """A job was accepted."""
        self.memory.promised.append(promise)
        if watched:
            watcher = threading.Thread(target=self._watch, args=(promise.job_id,), name=promise.job_id, daemon=True)
            self._watchers.append(watcher)
            watcher.start()

    def has_room(self, what: str) -> bool:
        """Whether so little of that kind is open that more may be asked for."""
        ours = (promise.job_id for promise in self.memory.promised if promise.what == what)
        return sum(job_id in self._open for job_id in ours) < OPEN_MOST

    def _look(self) -> None:
        while not self.over.wait(1.0):
            with suppress(DBAPIError):
                rows = self.place.rows("select id from jobs where state in ('queued', 'running') and not live")
                self._open = {row.id for row in rows}

    def _watch(self, job_id: str) -> None:
        while self.memory.seen.get(job_id) not in ("succeeded", "failed", "cancelled"):
            with suppress(OSError, websocket.WebSocketException), self.place.socket(f"/ws/jobs/{job_id}") as line:
                line.connection.settimeout(30)
                for state in _states(line):
                    self.memory.seen[job_id] = state
                    if state in ("succeeded", "failed", "cancelled"):
                        return
            time.sleep(0.3)


def _states(line: Any) -> Iterator[str]:
    while True:
        opcode, said = line.connection.recv_data()
        if opcode != websocket.ABNF.OPCODE_TEXT:
            return
        if state := json.loads(said).get("data", {}).get("state"):
            yield str(state)


def _words(who: Somebody, number: int) -> str:
    return text(f"seed {who.load.seed}, {who.name}", number, sentences=who.chance.choice((1, 1, 2, 4)))


def _listen(who: Somebody, number: int) -> None:
    again = who.chance.random() < 0.3 and number > 1
    words = text(f"seed {who.load.seed}, again", number % 7) if again else _words(who, number)
    answer = who.load.ask("POST", "/api/tts", json={"text": words})
    if answer is not None and answer.status_code == 200:
        samples, _ = soundfile.read(io.BytesIO(answer.content))
        if len(samples) < 1000:
            who.load.memory.fault(f"{len(samples)} samples of {words[:60]!r}")
        who.load.memory.hear(words, "wav", answer.content)


def _stream(who: Somebody, number: int) -> None:
    words = text(f"seed {who.load.seed}, streamed", number, sentences=who.chance.choice((2, 4, 8)))
    body = {"model": "tts-1", "input": words, "voice": "nova", "response_format": "pcm"}
    answer = who.load.ask("POST", "/v1/audio/speech", json=body)
    if answer is not None and answer.status_code == 200:
        who.load.memory.hear(words, "pcm", answer.content)


def _course(who: Somebody, topic: str, count: int) -> tuple[str, list[str]]:
    course = texts(f"seed {who.load.seed}, {topic}", count, sentences=who.chance.choice((1, 1, 2)))
    content = [{"title": "All of it", "segments": course}]
    return str(who.post("/api/curriculum", json={"title": topic, "content": content})["id"]), course


def _prefetch(who: Somebody, number: int) -> None:
    if not who.load.has_room("prefetch"):
        return
    course_id, course = _course(who, f"prefetch {number}", who.chance.randint(4, 10))
    told = number % 2 == 0
    body = {"curriculum_id": course_id} | ({"callback_url": who.load.receiver.url("/prefetch")} if told else {})
    job_id = str(who.post("/api/tts/prefetch/topic", json=body)["job_id"])
    who.load.promise(Promise(job_id, "prefetch", tuple(course), told=told), watched=True)


def _deploy(who: Somebody, number: int) -> None:
    if not who.load.has_room("deployment"):
        return
    course_id, course = _course(who, f"deployment {number}", who.chance.randint(2, 5))
    body = {"curriculum_id": course_id, "voice_configs": VOICES, "callback_url": who.load.receiver.url("/deployment")}
    job_id = str(who.post("/api/deployments", json=body)["id"])
    who.load.promise(Promise(job_id, "deployment", tuple(course), forms=len(VOICES), told=True), watched=True)


def _import(who: Somebody, number: int) -> None:
    lectures = {
        f"lecture-{page}": (f"Lecture {page}", text(f"seed {who.load.seed}, import {number}", page, sentences=3))
        for page in range(1, who.chance.randint(2, 8))
    }
    files = {
        "source": (None, "file"),
        "callback_url": (None, who.load.receiver.url("/import")),
        "file": (f"course {number}.zip", zipped(dict(files_of(lectures))), "application/zip"),
    }
    job_id = str(who.post("/api/imports", files=files)["id"])
    who.load.promise(Promise(job_id, "import", told=True), watched=number % 2 == 0)


def _train(who: Somebody, number: int) -> None:
    word = f"hey {_ONES[number % 10]} {_ONES[number // 10 % 10]}"
    takes = [("audio_files", (f"take {take}.wav", sound(seed=number * 5 + take), "audio/wav")) for take in range(3)]
    job_id = str(who.post("/api/train/start", data={"wake_word": word}, files=takes)["job_id"])
    who.load.promise(Promise(job_id, "training"), watched=number % 2 == 0)
