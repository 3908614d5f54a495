"""Work for later: courses spoken ahead, deployments and imports of small files, each watched over a websocket."""

from __future__ import annotations

import json
import random
import threading
import time
from typing import Any

import websocket

from bench.load.asking import Line, Who, refused
from bench.load.ledger import Ahead, Ledger
from bench.load.words import Words
from tests.standing_in import files_of, zipped

# Of a modest person's jobs; whoever asks ten times as much may have ten times as many open.
_OPEN_MOST = 1
_EVERY_SECONDS = (4.0, 12.0)
_SHARES = {"prefetch": 5, "deployment": 3, "import": 2}
ENDED = ("succeeded", "failed", "cancelled")
_PATIENCE_SECONDS = 10.0


class Planner(threading.Thread):
    """One person who has things made for later, and watches them."""

    def __init__(self, who: Who, ledger: Ledger, over: threading.Event, gone: threading.Event, seed: int) -> None:
        super().__init__(name=f"plans of {who.name}", daemon=True)
        self._who, self._ledger, self._over, self._gone = who, ledger, over, gone
        self._chance, self._words = random.Random(f"{seed} {who.name} plans"), Words(seed, f"{who.name} later")
        self._line = Line(who, ledger)
        self._watchers: list[threading.Thread] = []

    def run(self) -> None:
        """Until it is over; what was accepted is watched on."""
        least, most = (seconds / self._who.times for seconds in _EVERY_SECONDS)
        while not self._over.wait(self._chance.uniform(least, most)):
            self._watchers = [watcher for watcher in self._watchers if watcher.is_alive()]
            if len(self._watchers) < _OPEN_MOST * self._who.times:
                (kind,) = self._chance.choices(list(_SHARES), list(_SHARES.values()))
                self._ask(kind)

    def _ask(self, kind: str) -> None:
        if kind == "import":
            pages = range(1, self._chance.randint(3, 6))
            lectures = {f"lecture-{page}": (f"Lecture {page}", self._words.passage(3)) for page in pages}
            content = zipped(dict(files_of(lectures)))
            files = {"source": (None, "file"), "file": ("course.zip", content, "application/zip")}
            answer, segments = self._line.ask(kind, "POST", "/api/imports", files=files), 0
        else:
            course = [self._words.sentence() for _ in range(self._chance.randint(4, 8))]
            body: dict[str, Any] = {"title": "Load", "content": [{"title": "All of it", "segments": course}]}
            stored = self._line.ask("new course", "POST", "/api/curriculum", json=body)
            if stored is None or not stored.ok:
                return
            body, segments = {"curriculum_id": stored.json()["id"]}, len(course)
            if kind == "deployment":
                body["voice_configs"] = [{"voice_id": "nova"}]
            path = "/api/deployments" if kind == "deployment" else "/api/tts/prefetch/topic"
            answer = self._line.ask(kind, "POST", path, json=body)
        if answer is not None and answer.ok:
            told = answer.json()
            self._watch(str(told.get("job_id") or told["id"]), Ahead(self._who.name, segments))
        elif refused(answer):
            self._ledger.refused(self._who.name, segments)

    def _watch(self, job_id: str, ahead: Ahead) -> None:
        self._ledger.accepted(job_id, ahead)
        watcher = threading.Thread(target=self._follow, args=(job_id, ahead), name=job_id, daemon=True)
        self._watchers.append(watcher)
        watcher.start()

    def _follow(self, job_id: str, ahead: Ahead) -> None:
        while ahead.state not in ENDED and not self._gone.is_set():
            try:
                self._listen(job_id, ahead)
            except (OSError, websocket.WebSocketException) as fault:
                self._ledger.socket(f"broke off: {type(fault).__name__}")
                self._gone.wait(1.0)

    def _listen(self, job_id: str, ahead: Ahead) -> None:
        line = connect(self._who, f"/ws/jobs/{job_id}")
        self._ledger.socket("opened")
        try:
            while ahead.state not in ENDED and not self._gone.is_set():
                try:
                    opcode, said = line.recv_data()
                except websocket.WebSocketTimeoutException:
                    continue
                if opcode != websocket.ABNF.OPCODE_TEXT:
                    self._ledger.socket("closed by the other side")
                    self._gone.wait(1.0)
                    return
                data = json.loads(said).get("data", {})
                if "items" in data and "state" in data:
                    ahead.done, ahead.state = data["items"]["succeeded"], data["state"]
        finally:
            line.close(timeout=1)


class Standing(threading.Thread):
    """A socket that is open all the time, and told of everything that its owner may see."""

    def __init__(self, who: Who, ledger: Ledger, gone: threading.Event) -> None:
        super().__init__(name=f"a socket of {who.name}", daemon=True)
        self._who, self._ledger, self._gone = who, ledger, gone

    def run(self) -> None:
        """Hears and forgets."""
        while not self._gone.is_set():
            try:
                line = connect(self._who, "/ws")
                self._ledger.socket("opened")
                self._hear(line)
            except (OSError, websocket.WebSocketException) as fault:
                self._ledger.socket(f"broke off: {type(fault).__name__}")
                self._gone.wait(1.0)

    def _hear(self, line: Any) -> None:
        try:
            while not self._gone.is_set():
                try:
                    opcode, _ = line.recv_data()
                except websocket.WebSocketTimeoutException:
                    continue
                if opcode != websocket.ABNF.OPCODE_TEXT:
                    self._ledger.socket("closed by the other side")
                    self._gone.wait(1.0)
                    return
        finally:
            line.close(timeout=1)


def connect(who: Who, path: str) -> Any:
    """An open socket, which answers pings while it is read."""
    url = f"ws://127.0.0.1:{who.port}{path}"
    line = websocket.create_connection(url, timeout=60, header=[who.header], suppress_origin=True)
    line.settimeout(_PATIENCE_SECONDS)
    return line


def wait_for_all(ledger: Ledger, at_most_seconds: float) -> bool:
    """Whether every accepted job has ended in that time."""
    ends = time.monotonic() + at_most_seconds
    while any(each.state not in ENDED for each in ledger.ahead_now()):
        if time.monotonic() > ends:
            return False
        time.sleep(0.2)
    return True
