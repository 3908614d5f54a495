"""``cleanup``: has everything removed that nobody needs any more, for plain cron."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from contextlib import suppress

from app.api.cleanup import begin
from app.cli import FAILED, OK, progress, reach
from app.cli.output import show_json
from models import accounts, cleanups
from models.base import iso
from models.db import Database
from models.errors import Conflict
from models.jobs import lifecycle, queries
from models.jobs.tables import ENDED, QUEUED, SUCCEEDED, Job


def cleanup(arguments: Namespace) -> int:
    """Waits for a cleanup and shows what it did as JSON; one that nobody takes, or Ctrl-C, cancels it."""
    with reach.application() as here:
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
    show_json({"timestamp": iso(ended.created_at), **cleanups.report(ended)})
    if ended.state == SUCCEEDED:
        return OK
    print(f"Cleanup {ended.id} {ended.state}: {_why(ended, arguments.wait)}", file=sys.stderr)
    return FAILED


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
