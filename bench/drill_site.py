"""An installation of the restore drill: a folder, the commands that docs/operations.md names, and a client."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import requests

from bench.service import free_port

PASSWORD = "the password of the drill"
_ROOT = Path(__file__).parents[1]
_START_SECONDS = 120.0


class Site:
    """One installation, with these variables in its environment.

    Attributes:
        folder: Its ``VAR_DIR``.
        key: What its client is known by: a key or an access token.
    """

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder, self.key = folder, ""
        folder.mkdir(mode=0o750)
        self.port = free_port()
        self._console = folder.parent / f"{folder.name}.log"
        ours = ("DATABASE_URL", "REDIS_URL", "STREAM_REDIS_URL", "SECRET_KEY", "VOICEWORKS_API_KEY")
        self._env = {name: value for name, value in os.environ.items() if name not in ours} | {
            "VAR_DIR": str(folder),
            "HOST": "127.0.0.1",
            "PORTS": str(self.port),
            "FLOWER_PORT": str(free_port()),
            "MCP_PORT": str(free_port()),
            "RATE_LIMITS": "off",
            **variables,
        }

    @contextmanager
    def serving(self) -> Iterator[Site]:
        """All of it, until the block ends."""
        with self._running("serve"):
            self._until(self._serves)
            yield self

    @contextmanager
    def releasing(self) -> Iterator[Site]:
        """Its servers and an empty database, until the block ends."""
        with self._running("run", "release"):
            self._until(lambda: "release done" in self._console.read_text())
            yield self

    def sign_in(self) -> dict[str, Any]:
        """The tokens of the administrator, who asks from now on."""
        body = {"username": "admin", "password": PASSWORD}
        tokens: dict[str, Any] = self.good("POST", "/api/auth/login", json=body).json()
        self.key = tokens["access_token"]
        return tokens

    def good(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        """The answer to a request, which has to be a good one."""
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        url = f"http://127.0.0.1:{self.port}{path}"
        answer = requests.request(method, url, headers=headers, timeout=120, **kwargs)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text[:300]}"
        return answer

    def until(self, path: str, status: str, *, within_seconds: float) -> dict[str, Any]:
        """What is shown once it has this status."""
        ends = time.monotonic() + within_seconds
        while True:
            shown: dict[str, Any] = self.good("GET", path).json()
            if shown["status"] == status:
                return shown
            assert time.monotonic() < ends, f"{path} is {shown['status']} after {within_seconds} s"
            time.sleep(0.2)

    @contextmanager
    def _running(self, *arguments: str) -> Iterator[None]:
        with self._console.open("w") as console:
            command = [sys.executable, "-m", "app", *arguments]
            process = subprocess.Popen(command, cwd=_ROOT, env=self._env, stdout=console, stderr=subprocess.STDOUT)
        self._process = process
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(120)

    def _until(self, happens: Any) -> None:
        ends = time.monotonic() + _START_SECONDS
        while not happens():
            said = self._console.read_text()[-2000:]
            assert self._process.poll() is None, f"it did not start: {said}"
            assert time.monotonic() < ends, f"it did not start within {_START_SECONDS} s: {said}"
            time.sleep(0.1)

    def _serves(self) -> bool:
        with suppress(requests.RequestException):
            return requests.get(f"http://127.0.0.1:{self.port}/health/ready", timeout=5).ok
        return False
