"""What is told of a job when it changes: to those who watch, and, at its end, to the URLs that asked for it."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from models import error_reports, webhooks
from models.events import Ended, Event, after_commit
from models.jobs.tables import ENDED, FAILED


def announce(session: Session, job: Any, *, moves: bool = False) -> None:
    """Tells watchers of a job (a ``Job``, or its row) after the commit; ``moves`` when only its bar moved."""
    # An item that was in flight at a cancel is still counted after it: the end has the time of its own transaction.
    if job.state in ENDED and job.finished_at == job.updated_at:
        after_commit(session, _ended(job))
        if job.state == FAILED:
            error_reports.note_failure(session, job)
        if job.callback_urls:
            webhooks.write(session, job)
    name = "job.finished" if job.state in ENDED else "job.progress"
    after_commit(session, Event(name, job.id, summary(job), moves=moves and job.state not in ENDED))


def _ended(job: Any) -> Ended:
    began = job.started_at
    return Ended(
        job.kind,
        job.state,
        waited_seconds=None if began is None else (began - job.created_at).total_seconds(),
        ran_seconds=None if began is None else (job.finished_at - began).total_seconds(),
    )


def summary(job: Any) -> dict[str, Any]:
    """What watchers are told of a job (a ``Job``, or its row).

    ``account_id`` and ``result`` are for the web process, which does not show them.
    """
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "progress": round(job.progress, 4),
        "phase": job.phase,
        "version": job.version,
        "items": {"total": job.items_total, "succeeded": job.items_succeeded, "failed": job.items_failed},
        "error": {"code": job.error_code, "message": job.error_message} if job.error_code else None,
        # Whoever waits for live work answers with this, and need not read the row again.
        "result": job.result if job.live else None,
        "account_id": job.account_id,
    }
