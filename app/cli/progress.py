"""Following a job: its row is read a few times a second, which needs no listener and misses no end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from sqlalchemy import Double, cast, func, select
from sqlalchemy.orm import Session

from app.cli.output import counted, duration
from models.db import Database
from models.jobs import queries
from models.jobs.tables import ENDED, PAUSED, QUEUED, SUCCEEDED, Job, JobItem

# As often as progress is published (models/redis_keys.py); a read takes a third of a millisecond.
POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Spoken:
    """What the finished items of a speech job are: seconds of sound made for it, and how many were there already."""

    seconds: float = 0.0
    found: int = 0


def follow(database: Database, job_id: str) -> Iterator[tuple[Job, Spoken]]:
    """The job now, and whenever it has changed, until it has ended.

    Raises:
        NotFound: there is no such job.
    """
    version = -1
    while True:
        with database.transaction(durable=False) as session:
            job = queries.get(session, job_id)
            changed = job.version > version
            done = spoken(session, job_id) if changed and job.items_total else Spoken()
        if changed:
            version = job.version
            yield job, done
        if job.state in ENDED:
            return
        time.sleep(POLL_SECONDS)


def spoken(session: Session, job_id: str) -> Spoken:
    """What the finished items of a job hold; nothing for a job that is not about speech."""
    seconds, cached = JobItem.result["duration_seconds"].astext, JobItem.result["cached"].astext
    query = select(
        func.coalesce(func.sum(cast(seconds, Double)).filter(cached == "false"), 0.0),
        func.count().filter(cached == "true"),
    ).where(JobItem.job_id == job_id, JobItem.state == SUCCEEDED)
    made, found = session.execute(query).one()
    return Spoken(made, found)


def show(database: Database, job_id: str, console: Console, title: str) -> tuple[Job, str]:
    """The job once it has ended, and a sentence on how it went; a bar moves meanwhile where somebody watches.

    Raises:
        NotFound: there is no such job.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=32),
        TextColumn("{task.fields[count]}"),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[note]}", style="dim"),
    )
    began = time.monotonic()
    first: Spoken | None = None
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(title, total=None, count="", note="")
        for job, done in follow(database, job_id):
            first = first or done
            took = time.monotonic() - began
            made = done.seconds - first.seconds
            _move(progress, bar, job, _pace(made, took), done)
    return job, _sentence(job, done, made, took)


def _move(progress: Progress, bar: TaskID, job: Job, pace: str, done: Spoken) -> None:
    if job.items_total:
        completed, total = job.items_succeeded + job.items_failed, job.items_total
        progress.update(bar, completed=completed, total=total, count=f"{completed}/{total}")
    else:
        progress.update(bar, completed=job.progress, total=1.0, count=f"{job.progress:.0%}")
    notes = [
        job.state if job.state in (QUEUED, PAUSED) else job.phase,
        pace,
        f"{done.found} found ready" if done.found else "",
        f"{job.items_failed} failed" if job.items_failed else "",
    ]
    progress.update(bar, note=", ".join(filter(None, notes)))


def _pace(made_seconds: float, took_seconds: float) -> str:
    return f"{made_seconds / took_seconds:.0f} × real time" if made_seconds and took_seconds > 1 else ""


def _sentence(job: Job, done: Spoken, made: float, took: float) -> str:
    if job.state != SUCCEEDED:
        return f"Job {job.id} {job.state}" + (f": {job.error_message}" if job.error_message else ".")
    if not job.items_total:
        return f"Job {job.id} succeeded."
    parts = [f"{counted(job.items_succeeded, 'item')} done"]
    if made:
        parts = [f"{counted(job.items_succeeded, 'segment')} spoken", f"{duration(made)} of speech in {duration(took)}"]
        parts += [pace] if (pace := _pace(made, took)) else []
    if done.found:
        parts.append(f"{done.found} found ready")
    if job.items_failed:
        parts.append(f"{job.items_failed} failed (`python -m app jobs retry {job.id}` tries them again)")
    return ", ".join(parts) + "."
