"""pytest-celery's nodes without Docker: what it calls a container is one of our child processes."""

from __future__ import annotations

import os
import signal as signals
from collections.abc import Callable
from typing import Any

import redis
from pytest_celery import CeleryTestContainer

from config.child import Child
from config.settings import Settings
from tasks.celery_app import broker_url
from tests.conftest import eventually


class ProcessContainer(CeleryTestContainer):
    """A process in the place of a Docker container, with the part of its interface that nodes use."""

    def __init__(self, child: Child, is_ready: Callable[[], bool]) -> None:
        # Not the parent's, which wraps an object of the Docker client.
        self.child = child
        self._is_ready = is_ready
        child.start()

    @property
    def name(self) -> str:
        """What logs call it."""
        return self.child.name

    @property
    def id(self) -> str:
        """Its process."""
        return str(self.child.pid)

    @property
    def status(self) -> str:
        """As Docker says it."""
        return "running" if self.child.alive else "exited"

    def ready(self) -> bool:
        """Whether it serves, as soon as it does."""
        eventually(lambda: self._is_ready() or not self.child.alive, within_seconds=30)
        assert self.child.alive, self.logs()
        return True

    def logs(self) -> str:
        """What it has written in all its lives."""
        return self.child.log_path.read_text(errors="replace")

    def kill(self, signal: str | int = "SIGKILL") -> None:
        """Sends a signal; waits for the end that SIGKILL is."""
        number = getattr(signals, signal) if isinstance(signal, str) else signals.Signals(signal)
        os.kill(int(self.id), number)
        if number == signals.SIGKILL:
            self.ended()

    def ended(self) -> int:
        """Its exit status, once it has ended."""
        eventually(lambda: not self.child.alive, within_seconds=20)
        return self.child.poll() or 0

    def reload(self) -> None:
        """Nothing is cached here."""

    def restart(self, timeout: int = 10) -> None:
        """Another life, that of the former one ended in good order if it has not."""
        self.child.stop()
        self.child.start()
        self.ready()

    def teardown(self) -> None:
        """Ends it."""
        self.child.stop()


class ValkeyContainer(ProcessContainer):
    """A broker: our embedded Valkey."""

    def __init__(self, child: Child, settings: Settings) -> None:
        self._settings = settings
        super().__init__(child, child.is_ready)

    @property
    def client(self) -> redis.Redis:
        """A client of its own."""
        return redis.Redis.from_url(self._settings.redis_url)

    @property
    def celeryconfig(self) -> dict[str, Any]:
        """Its URL, the same inside and outside."""
        url = broker_url(self._settings.redis_url)
        return {"url": url, "host_url": url, "hostname": "localhost", "port": 0, "vhost": "0"}


class WorkerContainer(ProcessContainer):
    """A worker: a real Celery process of ours."""

    @property
    def celeryconfig(self) -> dict[str, Any]:
        """It is asked for nothing."""
        return {}

    @classmethod
    def version(cls) -> str:
        """The Celery that is installed."""
        import celery

        return str(celery.__version__)

    @classmethod
    def log_level(cls) -> str:
        """As it is started."""
        return "INFO"

    @classmethod
    def worker_name(cls) -> str:
        """The first half of its node's name."""
        return "counting"

    @classmethod
    def worker_queue(cls) -> str:
        """Where it gets its work."""
        return "io"
