"""A stand-in for Label Studio 1.23: a real server on a port of this machine that answers as it does.

What it claims is checked against a real one by ``make test-labelstudio``.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

LEGACY = "0123456789abcdef0123456789abcdef01234567"
PERSONAL = "a-personal.access.token"
CONFIG = """<View>
  <Audio name="sound" value="$audio"/>
  <TextArea name="said" toName="sound" rows="4" editable="true" maxSubmissions="1"/>
</View>"""


@dataclass(frozen=True)
class Asked:
    """One request that came in, and what it was answered."""

    method: str
    path: str
    query: dict[str, list[str]]
    authorization: str
    status: int


class StandIn:
    """One project, number 1; ``asked`` is what it was asked, in order.

    Attributes:
        status: Every request of the API but for tokens is answered so, where it is set.
        after_seconds: How long every answer takes.
        breaks_after_writing: So many annotations are written, and their answers never come.
        paths: Answered with these statuses, before all else.
        redirects: Paths that send elsewhere.
        bearer_seconds: So long a token is good that was made from a personal one.
        page: Somebody before it answers everything with this.
        before, after: Called with the method and path of a request before it is done, and before it is answered.
    """

    def __init__(self, port: int = 0) -> None:
        self.tasks: dict[int, dict[str, Any]] = {}
        self.annotations: dict[int, list[dict[str, Any]]] = {}
        self.media: dict[str, bytes] = {}
        self.asked: list[Asked] = []
        self.config = CONFIG
        self.status: int | None = None
        self.after_seconds = 0.0
        self.breaks_after_writing = 0
        self.paths: dict[str, int] = {}
        self.redirects: dict[str, str] = {}
        self.bearer_seconds = 300.0
        self.page: bytes | None = None
        self.before: Callable[[str, str], None] = lambda method, path: None
        self.after: Callable[[str, str], None] = lambda method, path: None
        self._bearers: dict[str, float] = {}
        self._numbers = 0
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self.port = port
        self.come_back()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def add(self, *sounds: bytes, draft: str | None = None, labeled: bool = False, **data: Any) -> list[int]:
        """The numbers of new tasks, each with its sound."""
        made = []
        for sound in sounds:
            number = self._next()
            path = f"/data/upload/1/{number:08x}-take_{number}.wav"
            self.media[path] = sound
            prediction = {"result": [_part(draft)], "model_version": "a recogniser"}
            self.tasks[number] = {
                "id": number,
                "data": {"audio": path} | data,
                "is_labeled": labeled,
                "predictions": [prediction] if draft is not None else [],
            }
            self.annotations[number] = []
            made.append(number)
        return made

    def forget(self, *numbers: int) -> None:
        """Tasks that somebody deletes there."""
        for number in numbers:
            del self.tasks[number], self.annotations[number]

    def label(self, number: int, text: str = "by hand") -> None:
        """A task that somebody labels there by hand."""
        self.annotations[number].append({"id": self._next(), "unique_id": None, "result": [_part(text)]})
        self.tasks[number]["is_labeled"] = True

    def texts(self, number: int) -> list[str]:
        """What was written of a task."""
        return [each["result"][0]["value"]["text"][0] for each in self.annotations[number]]

    def times(self, method: str, path: str) -> int:
        """How often it was asked so."""
        return sum(each.method == method and each.path == path for each in self.asked)

    def go_away(self) -> None:
        """Nobody listens there any more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def come_back(self) -> None:
        """It listens (again), where it was."""
        studio = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with suppress(ConnectionError):
                    studio._answer(self)

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def _next(self) -> int:
        with self._lock:
            self._numbers += 1
            return self._numbers

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", "0")))
        parts = urlsplit(request.path)
        credential = request.headers.get("Authorization", "")
        query = parse_qs(parts.query)
        time.sleep(self.after_seconds)
        self.before(request.command, parts.path)
        status, said = self._decide(request.command, parts.path, query, credential, body)
        self.after(request.command, parts.path)
        self.asked.append(Asked(request.command, parts.path, query, credential, status))
        if status == 201 and self.breaks_after_writing:
            self.breaks_after_writing -= 1
            request.close_connection = True
            return
        content = said if isinstance(said, bytes) else json.dumps(said).encode()
        request.send_response(status)
        if status in (302, 303, 307):
            request.send_header("Location", self.redirects[parts.path])
        request.send_header("Content-Type", "application/json" if not isinstance(said, bytes) else "audio/x-wav")
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    def _decide(
        self, method: str, path: str, query: dict[str, list[str]], credential: str, body: bytes
    ) -> tuple[int, Any]:
        if path in self.redirects:
            return 307, {}
        if path in self.paths:
            return self.paths[path], {"detail": "As the test says."}
        if path == "/api/token/refresh/":
            return self._refreshed(json.loads(body))
        if self.page is not None:
            return 200, self.page
        if self.status is not None:
            return self.status, {"detail": "As the test says."}
        if not self._is_known(credential):
            return 401, {"detail": "Invalid token."}
        if path in self.media:
            return 200, self.media[path]
        if path.startswith("/data/upload/"):
            # It fails over files that it does not have.
            return 500, {"detail": "'NoneType' object has no attribute 'has_permission'"}
        kind, number, rest = (*path.strip("/").split("/")[1:], "", "", "")[:3]
        if kind == "projects" and number in ("", "1"):
            done = sum(task["is_labeled"] for task in self.tasks.values())
            counts = {"task_number": len(self.tasks), "finished_task_number": done}
            project = {"id": 1, "title": "Voices", "label_config": self.config} | counts
            project["total_annotations_number"] = sum(map(len, self.annotations.values()))
            return 200, project if number else {"count": 1, "next": None, "previous": None, "results": [project]}
        if kind == "tasks" and not number:
            return self._listed(query)
        if kind == "tasks" and number.isdigit() and int(number) in self.tasks:
            if rest == "annotations":
                return self._annotations(method, int(number), body)
            return 200, self.tasks[int(number)] | {"annotations": _shown(*self.annotations[int(number)])}
        return 404, {"detail": "Not found."}

    def _refreshed(self, body: Any) -> tuple[int, Any]:
        if body.get("refresh") != PERSONAL:
            return 401, {"detail": "Token is invalid or expired", "code": "token_not_valid"}
        bearer = f"bearer.{self._next()}.token"
        self._bearers[bearer] = time.monotonic() + self.bearer_seconds
        return 200, {"access": bearer}

    def _is_known(self, credential: str) -> bool:
        scheme, _, token = credential.partition(" ")
        if scheme == "Bearer":
            return time.monotonic() < self._bearers.get(token, 0.0)
        return scheme == "Token" and token == LEGACY

    def _listed(self, query: dict[str, list[str]]) -> tuple[int, Any]:
        if query["project"] != ["1"]:
            return 404, {"detail": "Not found."}
        page, size = int(query["page"][0]), int(query["page_size"][0])
        order = json.loads(query["query"][0])["ordering"]
        found = sorted(self.tasks.values(), key=lambda task: task["id"], reverse=order == ["-tasks:id"])
        some = found[(page - 1) * size : page * size]
        if not some and page > 1:
            return 404, {"detail": "Invalid page."}
        return 200, {"total": len(found), "tasks": some}

    def _annotations(self, method: str, number: int, body: bytes) -> tuple[int, Any]:
        if method == "GET":
            return 200, _shown(*self.annotations[number])
        said = json.loads(body)
        try:
            uuid.UUID(said["unique_id"])
        except ValueError:
            return 500, {"detail": f"['“{said['unique_id']}” is not a valid UUID.']"}
        with self._lock:
            held = [each["unique_id"] for listed in self.annotations.values() for each in listed]
            if said.get("unique_id") in held:
                return 409, {"detail": "Annotation with this unique id already exists"}
            self._numbers += 1
            made = said | {"id": self._numbers, "task": number}
            self.annotations[number].append(made)
            self.tasks[number]["is_labeled"] = True
        return 201, _shown(made)[0]


def _shown(*annotations: dict[str, Any]) -> list[dict[str, Any]]:
    """Annotations as answers show them: what is unique of them is in exports only."""
    return [{name: value for name, value in each.items() if name != "unique_id"} for each in annotations]


def _part(text: str | None) -> dict[str, Any]:
    return {"from_name": "said", "to_name": "sound", "type": "textarea", "value": {"text": [text]}}


@contextmanager
def label_studio() -> Iterator[StandIn]:
    """A Label Studio, as long as the block runs."""
    running = StandIn()
    try:
        yield running
    finally:
        running.go_away()
