"""People who transcribe: each asks for a task, hears some of it, and hands it in, skips it or walks away from it."""

from __future__ import annotations

import random
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import requests

SKIPS, LEAVES, LEAVES_AND_COMES_BACK = 0.05, 0.03, 0.03
# How often a text is sent again though its answer was heard, and how often twice at the same time.
AGAIN, TWICE_AT_ONCE = 0.1, 0.03
_PAUSES_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)
_TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True)
class Acknowledged:
    """A text that was answered with 200."""

    annotation_id: int
    task_id: int
    agent_id: int
    text: str


@dataclass
class Room:
    """What all of them share.

    Attributes:
        url: Of the product.
        sounds: What is to be heard, by the name of its file.
        seconds: How long each is.
        lapse: Makes the agent's time with a task run out, as a quarter of an hour would.
        think_seconds: The shortest and the longest time over a task.
    """

    url: str
    sounds: Mapping[str, bytes]
    seconds: Mapping[str, float]
    lapse: Callable[[int, int], None]
    think_seconds: tuple[float, float]
    over: threading.Event = field(default_factory=threading.Event)
    acknowledged: list[Acknowledged] = field(default_factory=list)
    file_names: dict[int, str] = field(default_factory=dict)
    said: Counter[str] = field(default_factory=Counter)
    deviations: list[str] = field(default_factory=list)
    _hands: defaultdict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def taken(self, task_id: int, agent_id: int, file_name: str) -> None:
        """The agent heard that the task is theirs; nobody else may believe so now."""
        with self._lock:
            others = self._hands[task_id] - {agent_id}
            self._hands[task_id].add(agent_id)
            known = self.file_names.setdefault(task_id, file_name)
        if others:
            self.wrong(f"task {task_id} was given to {agent_id} while {others} had it")
        if known != file_name:
            self.wrong(f"task {task_id} is {file_name} and {known}")

    def let_go(self, task_id: int, agent_id: int) -> None:
        """From now on somebody else may get it; called before the agent says so."""
        with self._lock:
            self._hands[task_id].discard(agent_id)

    def count(self, what: str) -> None:
        """One more of it."""
        with self._lock:
            self.said[what] += 1

    def acknowledge(self, heard: Acknowledged) -> None:
        """A text was taken."""
        with self._lock:
            self.acknowledged.append(heard)

    def wrong(self, what: str) -> None:
        """Something that should never be."""
        with self._lock:
            self.deviations.append(what)


class Transcriber(threading.Thread):
    """One agent with a key of their own, until the work is over."""

    def __init__(self, room: Room, agent_id: int, key: str) -> None:
        super().__init__(name=f"agent {agent_id}")
        self._room, self._agent_id, self._key = room, agent_id, key
        self._random = random.Random(agent_id)

    def run(self) -> None:
        """Works."""
        while not self._room.over.is_set():
            answer, _ = self._ask("POST", "/api/tasks/request")
            if answer is None:
                return
            given = answer.json()
            if answer.status_code != 200:
                self._room.wrong(f"a request of {self._agent_id} was answered {answer.status_code} {given}")
            elif given["task_id"] is None:
                self._room.count("no task to be had")
                self._wait(1.0, 2.0)
            else:
                self._work_on(given)

    def _work_on(self, given: dict[str, Any]) -> None:
        room, task_id = self._room, given["task_id"]
        # Label Studio puts a few letters of its own before it.
        name = given["file_name"].partition("-")[2]
        room.taken(task_id, self._agent_id, name)
        if given["duration"] != room.seconds[name]:
            room.wrong(f"{name} is {room.seconds[name]} s long, and {given['duration']} were told")
        self._hear(task_id, room.sounds[name])
        self._wait(*room.think_seconds)
        text = f"Aufgabe {task_id} von {self._agent_id}: “{name}” 🎧\nzweite Zeile"
        draw = self._random.random()
        if draw < SKIPS:
            self._skip(task_id)
        elif draw < SKIPS + LEAVES + LEAVES_AND_COMES_BACK:
            room.let_go(task_id, self._agent_id)
            room.lapse(task_id, self._agent_id)
            room.count("walked away")
            self._wait(1.0, 15.0)
            if draw < SKIPS + LEAVES_AND_COMES_BACK:
                self._submit_late(task_id, text)
        else:
            self._submit(task_id, text)

    def _hear(self, task_id: int, sound: bytes) -> None:
        start = self._random.randrange(len(sound))
        end = self._random.randrange(start, len(sound))
        answer, _ = self._ask(
            "GET", f"/api/audio/stream/{task_id}/{self._agent_id}", headers={"Range": f"bytes={start}-{end}"}
        )
        if answer is not None and (answer.status_code, answer.content) != (206, sound[start : end + 1]):
            self._room.wrong(f"bytes {start}-{end} of task {task_id}: {answer.status_code}, or others")

    def _skip(self, task_id: int) -> None:
        self._room.let_go(task_id, self._agent_id)
        answer, tries = self._ask("POST", f"/api/tasks/{task_id}/skip", reason="noise")
        # The first may have been heard, though its answer was not.
        if answer is not None and answer.status_code != 200 and not (answer.status_code == 403 and tries > 1):
            self._room.wrong(f"a skip of {task_id} by {self._agent_id}: {answer.status_code} {answer.text}")
        self._room.count("skipped")

    def _submit(self, task_id: int, text: str) -> None:
        draw, times = self._random.random(), 1
        if draw < TWICE_AT_ONCE:
            with ThreadPoolExecutor(2) as pool:
                answers = [each[0] for each in pool.map(lambda _: self._send(task_id, text), range(2))]
            times = 2
        else:
            times += draw < TWICE_AT_ONCE + AGAIN
            answers = [self._send(task_id, text)[0] for _ in range(times)]
        self._room.let_go(task_id, self._agent_id)
        heard = [answer for answer in answers if answer is not None]
        for answer in heard:
            if answer.status_code != 200:
                self._room.wrong(f"the text of {task_id} by {self._agent_id}: {answer.status_code} {answer.text}")
        numbers = {answer.json().get("annotation_id") for answer in heard}
        if len(numbers) > 1:
            self._room.wrong(f"a text of task {task_id} by {self._agent_id} was taken as {numbers}")
        self._room.count("handed in" if times == 1 else "handed in twice")

    def _submit_late(self, task_id: int, text: str) -> None:
        answer, _ = self._send(task_id, text)
        if answer is None:
            return
        self._room.count(f"handed in late: {answer.status_code}")
        if answer.status_code in (400, 409):
            # It tells where the text is kept.
            path = answer.json()["detail"].rpartition("GET ")[2]
            kept, _ = self._ask("GET", path)
            if kept is not None and kept.json().get("transcription") != text:
                self._room.wrong(f"the late text of {task_id} by {self._agent_id} is not kept at {path}: {kept.text}")
        elif answer.status_code != 200:
            self._room.wrong(f"the late text of {task_id} by {self._agent_id}: {answer.status_code} {answer.text}")

    def _send(self, task_id: int, text: str) -> tuple[requests.Response | None, int]:
        answer, tries = self._ask("POST", f"/api/tasks/{task_id}/submit", transcription=text)
        if answer is not None and answer.status_code == 200:
            self._room.acknowledge(Acknowledged(answer.json()["annotation_id"], task_id, self._agent_id, text))
        return answer, tries

    def _ask(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **body: Any
    ) -> tuple[requests.Response | None, int]:
        """The answer, once there is one, and how often it was asked; None where the work is over before."""
        told = {"json": {"agent_id": self._agent_id, **body}} if method == "POST" else {}
        tries = 0
        while tries == 0 or not self._room.over.is_set():
            tries += 1
            try:
                answer = requests.request(
                    method,
                    f"{self._room.url}{path}",
                    headers={"X-API-Key": self._key, **(headers or {})},
                    timeout=_TIMEOUT_SECONDS,
                    **told,
                )
            except requests.RequestException as fault:
                self._room.count(f"not answered: {type(fault).__name__}")
            else:
                if answer.status_code < 500:
                    return answer, tries
                self._room.count(f"answered {answer.status_code}: {answer.text[:160]}")
            self._room.over.wait(_PAUSES_SECONDS[min(tries, len(_PAUSES_SECONDS)) - 1] * self._random.uniform(0.5, 1.5))
        return None, tries

    def _wait(self, least: float, most: float) -> None:
        self._room.over.wait(self._random.uniform(least, most))
