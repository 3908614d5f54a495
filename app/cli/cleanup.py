"""``cleanup``: has everything removed that nobody needs any more, for plain cron."""

from __future__ import annotations

import signal
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from app.api.cleanup import begin
from app.cli import FAILED, OK, progress, reach
from app.cli.output import Terminated, show_json
from models import accounts, cleanups
from models.base import iso
from models.db import Database
from models.errors import Conflict
from models.jobs import lifecycle, queries
from models.jobs.tables import ENDED, QUEUED, SUCCEEDED, Job


def cleanup(arguments: Namespace) -> int:
    """Waits for a cleanup and shows what it did as JSON; one that nobody takes, Ctrl-C or SIGTERM cancels it."""
    with _terminable(), reach.application() as here:
        database = here.database
        with database.transaction() as session:
            admin = accounts.find(session, "admin")
            job = begin(
                session,
                target=arguments.target,
                max_age_hours=arguments.max_age_hours,
                dry_run=arguments.dry_run,
                account_id=admin.id if admin else None,
                # What nobody takes is cancelled below.
                certain=True,
            )
        try:
            ended = _wait(database, job.id, arguments.wait)
        except KeyboardInterrupt:
            _cancel(database, job.id)
            raise
    report = cleanups.report(ended)
    failures = report["error_count"]
    went_well = ended.state == SUCCEEDED and not failures
    if not (went_well and arguments.quiet):
        show_json({"timestamp": iso(ended.created_at), **report})
    if went_well:
        return OK
    if ended.state == SUCCEEDED:
        why = f"{failures} {'thing' if failures == 1 else 'things'} failed, the rest was done: {report['errors'][0]}"
        print(f"Cleanup {ended.id}: {why}", file=sys.stderr)
    else:
        print(f"Cleanup {ended.id} {ended.state}: {_why(ended, arguments.wait)}", file=sys.stderr)
    return FAILED


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends what is waited for as Ctrl-C does: ``timeout`` and systemd send it."""

    def end(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _wait(database: Database, job_id: str, taken_within_seconds: float) -> Job:
    """The job when it has ended, or was cancelled because nobody had begun it in time."""
    gives_up = time.monotonic() + taken_within_seconds
    while True:
        with database.reading() as session:
            job = queries.get(session, job_id)
        if job.state in ENDED:
            return job
        if job.state == QUEUED and job.started_at is None and time.monotonic() > gives_up:
            return _cancel(database, job_id)
        time.sleep(progress.POLL_SECONDS)


def _cancel(database: Database, job_id: str) -> Job:
    # It may have ended at this very moment.
    with suppress(Conflict), database.transaction() as session:
        lifecycle.cancel(session, job_id)
    with database.reading() as session:
        return queries.get(session, job_id)


def _why(job: Job, taken_within_seconds: float) -> str:
    if job.error_message:
        return job.error_message
    if job.started_at is None:
        return f"no worker of lane {job.lane} took it within {taken_within_seconds:g} s."
    return "somebody stopped it."
