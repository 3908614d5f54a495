"""Short ways to make and read what tests are about: jobs, clips, workers, and threads that start together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from models import curricula, speech_clips, speech_pins, speech_renditions, workers
from models.base import new_id
from models.curricula import NewSegment, NewTopic
from models.db import Database
from models.jobs import lifecycle, work
from models.jobs.lifecycle import NewItem, NewJob
from models.jobs.tables import Job, JobItem
from models.speech_clips import ClipSpec, SpeechClip
from models.speech_renditions import Form, MadeFile
from models.workers import Presence

# A lane that no worker of ours serves.
LANE = "test"
KIND = "test.job"
Value = TypeVar("Value")


def new_job(*, items: int | Sequence[NewItem] = (), **fields: Any) -> NewJob:
    """A job to be submitted, with so many items numbered ``n``, or with those given."""
    numbered = [NewItem({"n": n}) for n in range(items)] if isinstance(items, int) else items
    defaults: dict[str, Any] = {"id": new_id(), "kind": KIND, "lane": LANE, "params": {}, "resolution": {}}
    return NewJob(**defaults | {"sliced": bool(numbered)} | fields, items=numbered)


def submit(database: Database, *, doorbells: int = 1, items: int | Sequence[NewItem] = (), **fields: Any) -> Job:
    """A stored job on a lane that nobody serves."""
    with database.transaction() as session:
        return lifecycle.submit(session, new_job(items=items, **fields), doorbells=doorbells)[0]


def read(database: Database, job: Job) -> Job:
    """The job's row as it is now."""
    with database.transaction() as session:
        return session.get_one(Job, job.id)


def read_items(database: Database, job: Job) -> list[JobItem]:
    """The items of a job as they are now, in order."""
    with database.transaction() as session:
        return list(session.scalars(select(JobItem).where(JobItem.job_id == job.id).order_by(JobItem.position)))


def claim(database: Database, job: Job, *, node: str = "a", lease_seconds: float = 60.0) -> Job:
    """The job, claimed; a negative lease has run out already."""
    with database.transaction() as session:
        claimed = work.claim_job(session, job.id, node=node, lease_seconds=lease_seconds)
    assert claimed is not None
    return claimed


def claim_items(
    database: Database, job: Job, limit: int = 1, *, node: str = "a", lease_seconds: float = 60.0
) -> list[JobItem]:
    """At most ``limit`` items of the job, claimed."""
    with database.transaction() as session:
        return work.claim_items(session, job.id, limit=limit, node=node, lease_seconds=lease_seconds)


def finish(database: Database, unit: Job | JobItem, result: dict[str, Any] | None = None) -> None:
    """The unit, finished by the one who holds it."""
    with database.transaction() as session:
        work.finish(session, unit, result or {})


def fail(database: Database, unit: Job | JobItem, *, code: str = "broken", again_in: float | None = None) -> None:
    """The unit, failed by the one who holds it."""
    with database.transaction() as session:
        work.fail(session, unit, code=code, message=f"It was {code}.", retry_in_seconds=again_in)


def end_well(database: Database, job: Job) -> None:
    """The job, claimed and finished."""
    finish(database, claim(database, job))


def change(database: Database, job: Job, **values: Any) -> None:
    """The job's row with other values, past every rule; for what would take hours to come about."""
    with database.transaction() as session:
        session.execute(update(Job).where(Job.id == job.id).values(**values))


def change_items(database: Database, job: Job, **values: Any) -> None:
    """All items of a job with other values, past every rule."""
    with database.transaction() as session:
        session.execute(update(JobItem).where(JobItem.job_id == job.id).values(**values))


def row(unit: object) -> dict[str, Any]:
    """All columns of a row, to see that nothing at all was written."""
    return {column.name: getattr(unit, column.key) for column in unit.__table__.columns}  # type: ignore[attr-defined]


def spec(text: str = "Hello.", **fields: Any) -> ClipSpec:
    """What decides how a clip sounds."""
    return ClipSpec(**{"text": text, "engine": "hibari", "voice": "heart", "voice_revision": "1"} | fields)


def store_clip(session: Session, key: str, token: str, *files: MadeFile) -> bool:
    """What a worker stores of a clip of 1.5 s that it made; whether somebody waits for it."""
    awaited = speech_clips.made(session, key, token, duration_seconds=1.5, sample_rate_hz=24000)
    for file in files:
        speech_renditions.add(session, key, file)
    return awaited


def make_clip(database: Database, wanted: ClipSpec, *files: MadeFile, **values: Any) -> str:
    """The key of a clip that is ready, with these files (one of 100 bytes when none is named)."""
    stored = files or (MadeFile(Form("wav"), wanted.key, 100),)
    with database.transaction() as session:
        token = speech_clips.claim(session, wanted, node="a", lease_seconds=60)
        assert token is not None
        store_clip(session, wanted.key, token, *stored)
        if values:
            session.execute(update(SpeechClip).where(SpeechClip.key == wanted.key).values(**values))
    return wanted.key


def course(database: Database, texts: Sequence[str]) -> str:
    """The id of a course of one topic with these segments."""
    topic = NewTopic(title="Only", segments=[NewSegment(text) for text in texts])
    with database.transaction() as session:
        return curricula.create(session, title="A course", description="", topics=[topic], extra={}, account_id=None).id


def pin(database: Database, key: str) -> None:
    """Some job holds the clip."""
    job = submit(database)
    with database.transaction() as session:
        speech_pins.pin(session, job.id, [key])


def register(database: Database, node: str, *lanes: str, **fields: Any) -> None:
    """A worker that says it is there."""
    presence = Presence(**{"node": node, "host": "here", "pid": 1, "device": "cpu", "lanes": lanes} | fields)
    with database.transaction() as session:
        workers.register(session, presence)


def somebody_waits(database: Database) -> bool:
    """Whether some transaction waits for another's lock."""
    waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    with database.transaction() as session:
        return bool(session.scalar(text(waiting)))


def at_once(count: int, act: Callable[[int], Value]) -> list[Value]:
    """What ``act`` gives in each of ``count`` threads that start together; a failure in one fails the test."""
    gate = threading.Barrier(count)

    def run(number: int) -> Value:
        gate.wait(10)
        return act(number)

    with ThreadPoolExecutor(count) as pool:
        return [future.result(60) for future in [pool.submit(run, number) for number in range(count)]]
