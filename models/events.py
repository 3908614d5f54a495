"""What happens after a commit: doorbells for workers, events for watchers, ends of jobs for the figures.

All are registered on the session and leave it only once its transaction is durable, so nobody is told of a row
that a rollback took back. Neither is needed for correctness: the reclaimer rings again and sockets re-read versions.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import redis
from sqlalchemy.orm import Session

from models import redis_keys
from models.metrics import families

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Doorbell:
    """Wakes ``count`` workers of a lane for a job; a doubled or lost one is harmless."""

    lane: str
    kind: str
    job_id: str
    count: int = 1


@dataclass(frozen=True)
class Event:
    """News of a job: ``job.progress`` or ``job.finished``; one that only ``moves`` the bar may be thinned out."""

    name: str
    job_id: str
    data: dict[str, Any] = field(default_factory=dict)
    moves: bool = False


@dataclass(frozen=True)
class Ended:
    """A job came to its end, which is counted; ``waited_seconds`` None of one that never began."""

    kind: str
    state: str
    waited_seconds: float | None
    ran_seconds: float | None


Signal = Doorbell | Event | Ended
Deliver = Callable[[list[Signal]], None]


def after_commit(session: Session, signal: Signal) -> None:
    """Sends ``signal`` when, and only when, the session's transaction has been committed."""
    session.info.setdefault("signals", []).append(signal)


def count(ended: Ended) -> None:
    """Adds the end of a job to the figures."""
    families.JOBS_ENDED.add(ended.kind, ended.state)
    if ended.waited_seconds is not None:
        families.JOB_WAITED.observe(ended.kind, seconds=ended.waited_seconds)
    if ended.ran_seconds is not None:
        families.JOB_RAN.observe(ended.kind, seconds=ended.ran_seconds)


def publish(client: redis.Redis, events: Iterable[Event]) -> None:
    """Publishes events in one round trip; of a job's progress at most four a second pass, over all workers."""
    events = list(events)
    if not events:
        return
    try:
        gates = {event.job_id for event in events if event.moves}
        opened = dict.fromkeys(gates, True)
        if gates:
            with client.pipeline(transaction=False) as pipe:
                for job_id in gates:
                    pipe.set(redis_keys.progress_gate(job_id), 1, nx=True, px=redis_keys.PROGRESS_GAP_MILLISECONDS)
                opened = dict(zip(gates, pipe.execute(), strict=True))
        with client.pipeline(transaction=False) as pipe:
            for event in events:
                _mark(pipe, event)
                if not event.moves or opened[event.job_id]:
                    pipe.publish(redis_keys.JOB_EVENTS, json.dumps({"name": event.name, **event.data}))
            pipe.execute()
    except redis.RedisError as fault:
        # Sockets repair themselves from Postgres within five seconds.
        log.warning("Events were not published: %s", fault)


def _mark(pipe: Any, event: Event) -> None:
    """Leaves a mark for the worker of a job that was cancelled, and removes it from one that is queued again."""
    state = event.data.get("state")
    if state == "cancelled":
        pipe.set(redis_keys.stopped(event.job_id), 1, ex=redis_keys.STOPPED_SECONDS)
    elif state == "queued":
        pipe.delete(redis_keys.stopped(event.job_id))


def was_stopped(client: redis.Redis, job_id: str) -> bool:
    """Whether a job was cancelled a while ago; a mark that was lost is found by its worker's next report instead."""
    try:
        return bool(client.exists(redis_keys.stopped(job_id)))
    except redis.RedisError:
        return False
