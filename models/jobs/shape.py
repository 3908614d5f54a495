"""A job as the world is shown it: in lists, and in the messages of webhooks."""

from __future__ import annotations

from typing import Any

from models.base import iso
from models.jobs.queries import eta_seconds


def shown(job: Any) -> dict[str, Any]:
    """A job (a ``Job``, or its row) as lists show it; nothing of whose it is, nor what was asked."""
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "progress": round(job.progress, 4),
        "phase": job.phase,
        "items": counts(job),
        "error": {"code": job.error_code, "message": job.error_message} if job.error_code else None,
        "eta_seconds": eta_seconds(job),
        "version": job.version,
        "created_at": iso(job.created_at),
        "started_at": iso(job.started_at),
        "finished_at": iso(job.finished_at),
    }


def counts(job: Any) -> dict[str, int]:
    """How many items a job has, and how they ended."""
    return {"total": job.items_total, "succeeded": job.items_succeeded, "failed": job.items_failed}
