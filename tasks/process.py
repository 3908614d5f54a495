"""What one worker process has: its settings, its connections, its name, and the leases it keeps alive."""

from __future__ import annotations

import atexit
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import psutil
import redis
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from config import settings
from config.settings import Settings
from models import workers
from models.db import Database
from models.files import FileStore
from models.metrics import counting
from models.workers import HEARTBEAT_SECONDS, Presence
from tasks import submit
from workers.usage import GpuUse, ProcessorUse

log = logging.getLogger(__name__)

COUNT_SECONDS = 1.0

# Extends what is held under these tokens, and says which of them still hold.
Renew = Callable[[Session, Iterable[str], float], set[str]]


@dataclass(frozen=True)
class _Lease:
    renew: Renew
    seconds: float


class Process:
    """One worker process; ``current()`` is this one."""

    def __init__(self, configured: Settings, node: str | None = None) -> None:
        self.settings = configured
        self.redis: redis.Redis = submit.open_redis(configured.redis_url)
        self.streams: redis.Redis = submit.open_redis(configured.stream_redis_url)
        # A worker does one thing at a time, beside its heartbeat.
        self.database: Database = submit.open_database(configured, self.redis, pool_size=2)
        self.files = FileStore(configured.var_dir / "files")
        self.node = node or f"process{os.getpid()}@{socket.gethostname()}"
        self.current_unit: str | None = None
        self._leases: dict[str, _Lease] = {}
        self._lost: set[str] = set()
        self._lock = threading.Lock()
        self._leaving = threading.Event()
        self._processor = ProcessorUse()
        self._gpu: GpuUse | None = None
        # None before it is ready, and once it leaves.
        self._presence: Presence | None = None

    @contextmanager
    def holding(self, token: str, renew: Renew, seconds: float) -> Iterator[None]:
        """Keeps a lease alive while the block runs; ``lost`` says if that failed."""
        with self._lock:
            self._leases[token] = _Lease(renew, seconds)
        try:
            yield
        finally:
            with self._lock:
                self._leases.pop(token, None)
                self._lost.discard(token)

    def lost(self, token: str | None) -> bool:
        """Whether a lease was found to be somebody else's at the last heartbeat."""
        return token in self._lost

    def start_heartbeat(self) -> None:
        """Renews leases and the entry in the register every ``HEARTBEAT_SECONDS``, as long as the process lives.

        Once a second, and at its end, it writes what it has counted.
        """
        threading.Thread(target=self._beat_for_ever, name="heartbeat", daemon=True).start()
        threading.Thread(target=self._count_for_ever, name="metrics", daemon=True).start()
        atexit.register(self._write_counts)

    def register(self, *, device: str, lanes: list[str], engines: dict[str, str]) -> None:
        """Says that this process is ready for work."""
        presence = Presence(
            node=self.node,
            host=socket.gethostname(),
            pid=os.getpid(),
            device=device,
            lanes=lanes,
            engines=engines,
            memory_bytes=psutil.Process().memory_info().rss,
        )
        self._gpu = GpuUse(device)
        self._presence = presence
        self.database.persist(lambda session: workers.register(session, presence))

    def leave(self) -> None:
        """No new work is meant for this process; what it holds it still finishes. Safe in a signal handler."""
        self._leaving.set()

    @property
    def leaving(self) -> bool:
        """Whether it was asked to stop: what takes minutes is better left to the next process."""
        return self._leaving.is_set()

    def _beat_for_ever(self) -> None:
        leaving = told = False
        while True:
            if leaving:
                # The event is set for good and no longer paces the loop.
                time.sleep(HEARTBEAT_SECONDS)
            else:
                leaving = self._leaving.wait(HEARTBEAT_SECONDS)
            try:
                if leaving and not told:
                    with self.database.transaction(durable=False) as session:
                        workers.leave(session, self.node)
                    self._presence = None
                    told = True
                self.beat()
            except (SQLAlchemyError, redis.RedisError) as fault:
                # Leases outlive several missed beats; the next one may succeed.
                log.warning("Heartbeat of %s failed: %s", self.node, fault)

    def _count_for_ever(self) -> None:
        while True:
            time.sleep(COUNT_SECONDS)
            self._write_counts()

    def _write_counts(self) -> None:
        try:
            counting.flush(self.redis)
        except redis.RedisError as fault:
            log.warning("Figures of %s are written later: %s", self.node, fault)

    def beat(self) -> None:
        """One heartbeat: every lease held is extended, those that are gone are marked lost."""
        with self._lock:
            leases = dict(self._leases)
        memory, busy = psutil.Process().memory_info().rss, self._processor.percent()
        with self.database.transaction(durable=False) as session:
            known = workers.beat(
                session,
                self.node,
                current_unit=self.current_unit,
                memory_bytes=memory,
                cpu_percent=busy,
                gpu=self._gpu.latest() if self._gpu else None,
            )
            if not known and self._presence is not None:
                # Its row went while it lives: the database is an older one now, or the machine slept for a day.
                workers.register(session, self._presence)
        kept: set[str] = set()
        for lease in set(leases.values()):
            tokens = [token for token, other in leases.items() if other == lease]
            # Each in a transaction of its own: together with the main thread, which finishes a clip and then its
            # unit, one that renewed several tables could lock them the other way round.
            with self.database.transaction(durable=False) as session:
                kept |= lease.renew(session, tokens, lease.seconds)
        with self._lock:
            self._lost |= (set(leases) - kept) & set(self._leases)


_node: str | None = None


def name(node: str) -> None:
    """Gives this process the name under which it holds leases; before ``current`` is first used."""
    global _node
    _node = node


@cache
def current() -> Process:
    """This worker process; connections are opened on first use, after any fork."""
    return Process(settings.load(), _node)
