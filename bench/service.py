"""The whole product, started for the purpose on a folder and ports of its own, and a client for it."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import requests

from bench.processes import Tree
from bench.speakers import HttpSpeaker
from config import embedded
from workers import device

_ROOT = Path(__file__).parents[1]
_START_SECONDS = 120.0
# They give way to everybody else on the machine, also while they start.
_BULK_START_SECONDS = 600.0
# The engine, and the voice that it speaks.
VOICES = {"piper": "joe", "vits": "joe", "hibari": "heart"}


class Service:
    """Voiceworks as ``make serve`` runs it, with these variables in its environment.

    ``ready_only``: nothing is spoken before it is handed over; it says that it is ready.
    """

    name = "ours"

    def __init__(self, *, ready_only: bool = False, **variables: str) -> None:
        self._ready_only = ready_only
        self._variables = variables

    def __enter__(self) -> Service:
        self._folder = tempfile.TemporaryDirectory(prefix="vw-bench-")
        self._key = secrets.token_urlsafe(32)
        self._port = free_port()
        env = os.environ | {
            "VAR_DIR": self._folder.name,
            "PORTS": str(self._port),
            "FLOWER_PORT": str(free_port()),
            "MCP_PORT": str(free_port()),
            "VOICEWORKS_API_KEY": self._key,
            "LIVE_WAITING_SHARE": "256",
            "RATE_LIMITS": "off",
            **self._variables,
        }
        for name in ("DATABASE_URL", "REDIS_URL", "STREAM_REDIS_URL"):
            env.pop(name, None)
        began = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "app", "serve"], cwd=_ROOT, env=env, stdout=subprocess.DEVNULL
        )
        self.tree = Tree(self._process.pid)
        self._wait(began)
        self.start_seconds = time.monotonic() - began
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(60)
        self._folder.cleanup()

    @property
    def database_url(self) -> str:
        """Where its Postgres is."""
        return embedded.postgres_url(Path(self._folder.name))

    @property
    def redis_url(self) -> str:
        """Where its queue is."""
        return embedded.valkey_url(Path(self._folder.name), "queue")

    @property
    def address(self) -> tuple[int, str]:
        """Its port, and the key of its administrator."""
        return self._port, self._key

    def web_processes(self) -> list[psutil.Process]:
        """The processes that answer requests and hold sockets, without the one that only watches them."""
        programs = psutil.Process(self._process.pid).children()
        masters = [each for each in programs if any("gunicorn" in word for word in each.cmdline())]
        return [worker for master in masters for worker in master.children()]

    def worker(self, node: str) -> psutil.Process:
        """The worker whose node's name begins so."""
        programs = psutil.Process(self._process.pid).children(recursive=True)
        return next(each for each in programs if any(f"--hostname={node}" in word for word in each.cmdline()))

    def client(self) -> Client:
        """A client with a connection of its own."""
        return Client(self._port, self._key)

    def speaker(self, engine: str, *, streamed: bool = False) -> HttpSpeaker:
        """A client who hears one engine, whole or as it is made."""
        path = "/api/tts?stream=1" if streamed else "/api/tts"

        def body(text: str) -> dict[str, Any]:
            return {"text": text, "provider": engine, "voice_id": VOICES[engine]}

        return HttpSpeaker(self._port, path, body, asks="/health/live", key=self._key)

    def speech_workers(self) -> list[psutil.Process]:
        """The processes that speak."""
        return [self.worker(node) for node in self._speech_nodes()]

    def await_all_workers(self) -> None:
        """Waits for the workers that speak for later, too, which come after those that somebody waits for."""
        began = time.monotonic()
        wanted = [self.folder / "run" / f"{node}.ready" for node in self._speech_nodes()]
        while not all(file.exists() for file in wanted):
            assert time.monotonic() - began < _BULK_START_SECONDS, "not all workers came in time"
            time.sleep(0.05)

    def _speech_nodes(self) -> list[str]:
        return ["live-neural", *(f"bulk{number}-neural" for number in range(device.cores()))]

    @property
    def folder(self) -> Path:
        """Where it keeps everything."""
        return Path(self._folder.name)

    @property
    def environment(self) -> dict[str, str]:
        """What a process of ours needs to be part of it."""
        return os.environ | {
            "VAR_DIR": self._folder.name,
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "STREAM_REDIS_URL": embedded.valkey_url(self.folder, "stream"),
        }

    def cpu_seconds(self) -> float:
        """Processor time of the whole process tree so far."""
        return self.tree.cpu_seconds()

    def _wait(self, began: float) -> None:
        while True:
            assert self._process.poll() is None, "it did not start"
            assert time.monotonic() - began < _START_SECONDS, "it did not start in time"
            try:
                if self._is_ready() if self._ready_only else self.client().speak("Ready.").ok:
                    return
            except (requests.ConnectionError, requests.Timeout):
                pass
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        return requests.get(f"http://127.0.0.1:{self._port}/health/ready", timeout=10).ok


class Client:
    """One keep-alive connection."""

    def __init__(self, port: int, key: str) -> None:
        self._url = f"http://127.0.0.1:{port}"
        self._session = requests.Session()
        self._session.headers["X-API-Key"] = key

    def speak(self, text: str, **more: Any) -> requests.Response:
        """``POST /api/tts``."""
        return self._session.post(f"{self._url}/api/tts", json={"text": text, **more}, timeout=120)

    def timed(self, text: str) -> tuple[float, requests.Response]:
        """Seconds until the last byte of the answer, and the answer; what the goals are judged by."""
        began = time.perf_counter()
        answer = self.speak(text)
        seconds = time.perf_counter() - began
        answer.raise_for_status()
        return seconds, answer

    def store_course(self, segments: list[str]) -> str:
        """The id of a new course of one topic."""
        body = {"title": "Bench", "content": [{"title": "All", "segments": segments}]}
        answer = self._session.post(f"{self._url}/api/curriculum", json=body, timeout=60)
        answer.raise_for_status()
        return str(answer.json()["id"])

    def prefetch(self, curriculum_id: str, engine: str = "hibari") -> str:
        """The id of the job that speaks a course."""
        body = {"curriculum_id": curriculum_id, "provider": engine, "voice_id": VOICES[engine]}
        answer = self._session.post(f"{self._url}/api/tts/prefetch/topic", json=body, timeout=60)
        answer.raise_for_status()
        return str(answer.json()["job_id"])

    def job(self, job_id: str) -> dict[str, Any]:
        """The job now."""
        found: dict[str, Any] = self._session.get(f"{self._url}/api/jobs/{job_id}", timeout=60).json()
        return found

    def stats(self) -> dict[str, Any]:
        """``GET /api/stats``."""
        found: dict[str, Any] = self._session.get(f"{self._url}/api/stats", timeout=60).json()
        return found

    def cancel(self, job_id: str) -> None:
        """Cancels a job."""
        self._session.post(f"{self._url}/api/jobs/{job_id}/cancel", timeout=60)

    def wait(self, job_id: str) -> dict[str, Any]:
        """The job once it has ended; asked ten times a second, so that asking costs little."""
        while (job := self.job(job_id))["state"] not in ("succeeded", "failed", "cancelled"):
            time.sleep(0.1)
        return job


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
