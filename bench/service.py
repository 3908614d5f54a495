"""The whole product, started for the purpose on a folder and ports of its own, and a client for it."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import requests
import websocket

from config import embedded

_ROOT = Path(__file__).parents[1]
_START_SECONDS = 60.0


class Service:
    """Voiceworks as ``make serve`` runs it, with these variables in its environment."""

    def __init__(self, **variables: str) -> None:
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
        self._wait_until_it_speaks(began)
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

    def cpu_seconds(self) -> float:
        """Processor time of the whole process tree so far."""
        total = 0.0
        for process in [psutil.Process(self._process.pid), *psutil.Process(self._process.pid).children(recursive=True)]:
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
        return total

    def _wait_until_it_speaks(self, began: float) -> None:
        while True:
            assert self._process.poll() is None, "it did not start"
            assert time.monotonic() - began < _START_SECONDS, "it did not start in time"
            try:
                if self.client().speak("Ready.").ok:
                    return
            except requests.ConnectionError:
                pass
            time.sleep(0.05)


class Client:
    """One keep-alive connection."""

    def __init__(self, port: int, key: str) -> None:
        self._url = f"http://127.0.0.1:{port}"
        self._key = key
        self._session = requests.Session()
        self._session.headers["X-API-Key"] = key
        # For the figures beside the judged ones: what of an answer's time is the client library's own.
        self._bare = HTTPConnection("127.0.0.1", port, timeout=120)
        self._headers = {"X-API-Key": key, "Content-Type": "application/json"}

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

    def timed_bare(self, text: str) -> tuple[float, HTTPResponse]:
        """The same over a bare connection, without the client library."""
        body = json.dumps({"text": text})
        began = time.perf_counter()
        self._bare.request("POST", "/api/tts", body, self._headers)
        answer = self._bare.getresponse()
        answer.read()
        seconds = time.perf_counter() - began
        assert answer.status == 200, answer.status
        return seconds, answer

    def store_course(self, segments: list[str]) -> str:
        """The id of a new course of one topic."""
        body = {"title": "Bench", "content": [{"title": "All", "segments": segments}]}
        answer = self._session.post(f"{self._url}/api/curriculum", json=body, timeout=60)
        answer.raise_for_status()
        return str(answer.json()["id"])

    def first_frame(self, curriculum_id: str) -> float:
        """Seconds from asking for a course's first segment to the first frame of its sound; hears it to the end."""
        made = self._session.post(f"{self._url}/api/sessions", json={"curriculum_id": curriculum_id}, timeout=60)
        made.raise_for_status()
        address = f"{self._url.replace('http', 'ws', 1)}/ws/audio?binary=1&session_id={made.json()['id']}"
        line = websocket.create_connection(address, header=[f"X-API-Key: {self._key}"], suppress_origin=True)
        try:
            began = time.perf_counter()
            line.send(json.dumps({"type": "request_audio", "segment_index": 0}))
            assert json.loads(line.recv())["cache_hit"] is False
            # The header of a WAV file has no sound in it.
            heard = 0
            while heard <= 44:
                heard += len(line.recv())
            seconds = time.perf_counter() - began
            while isinstance(said := line.recv(), bytes):
                pass
            assert json.loads(said)["type"] == "audio_end", said
        finally:
            line.close()
        return seconds

    def prefetch(self, curriculum_id: str) -> str:
        """The id of the job that speaks a course."""
        body = {"curriculum_id": curriculum_id}
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
