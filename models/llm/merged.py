"""Whole models, made of a base model and a session's adapter: each by a job of its own, the latest is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session
from sqlalchemy.sql.expression import cast

from models.errors import Conflict
from models.jobs.tables import SUCCEEDED, Job
from models.llm.sessions import STATUS, get
from models.llm.tables import TrainingSession

KIND = "llm.merge"


def wanted(session: Session, session_id: str, dtype: str) -> TrainingSession | None:
    """The session, locked, whose model is to be made; None where one in this type is there, or being made.

    Raises:
        NotFound: there is no such session.
        Conflict: it has no adapter, or is being merged in another type.
    """
    found = get(session, session_id, visible_to=None, lock=True)
    if not found.row.files:
        raise Conflict(f"Training session {session_id} is {found.status}; it has no adapter.", status=found.status)
    now = status(session, found.row)
    if now is None or now["status"] in ("failed", "cancelled"):
        return found.row
    if now["dtype"] == dtype:
        return None
    if now["status"] != STATUS[SUCCEEDED]:
        message = f"Training session {session_id} is being merged in {now['dtype']}; cancel job {now['job_id']} first."
        raise Conflict(message, job_id=now["job_id"])
    return found.row


def begin(row: TrainingSession, *, job_id: str, dtype: str) -> None:
    """Notes the job that makes the model; what another made before is let go."""
    row.merged = {"job_id": job_id, "dtype": dtype}


def complete(session: Session, session_id: str, *, job_id: str, files: Mapping[str, Any]) -> None:
    """Keeps the model, if the session is still there and wants this job's."""
    made = TrainingSession.merged.op("||")(cast({"files": dict(files)}, JSONB))
    mine = (TrainingSession.id == session_id) & (TrainingSession.merged["job_id"].astext == job_id)
    session.execute(update(TrainingSession).where(mine).values(merged=made))


def status(session: Session, row: TrainingSession) -> dict[str, Any] | None:
    """How far the model is; None where nobody has asked for it."""
    if row.merged is None:
        return None
    files = row.merged.get("files")
    job = session.get(Job, row.merged["job_id"])
    word = STATUS[SUCCEEDED] if files else STATUS[job.state] if job is not None else "failed"
    return {
        "job_id": row.merged["job_id"],
        "dtype": row.merged["dtype"],
        "status": "merging" if word == "training" else word,
        "progress": 100.0 if files else round(100 * job.progress, 1) if job is not None else 0.0,
        "size_bytes": sum(each["size_bytes"] for each in files.values()) if files else None,
        "error": {"code": job.error_code.upper(), "message": job.error_message} if job and job.error_code else None,
    }
