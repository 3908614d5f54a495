"""What the fine-tuning endpoints and their socket share: base models at hand, a start, and how a session is shown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from app.context import Context
from app.http.offload import offload
from app.prompt_files import kept
from models.accounts import Caller
from models.base import iso, utc_now
from models.errors import Conflict, Invalid, Unavailable
from models.jobs.tables import PAUSED, QUEUED, RUNNING
from models.llm import curves, prompts, sessions, workers
from models.llm.sessions import Found
from models.llm.tables import TrainingPrompt
from models.llm.workers import LANE, lane_of
from models.workers import Worker
from tasks import submit
from workers.errors import BadInput
from workers.llm import bases
from workers.llm.config import Config


def folder_of_bases(here: Context) -> Path | None:
    """Where an operator keeps base models."""
    return here.settings.llm_models


def check_base(base_id: str) -> None:
    """Refuses what no base model can be called.

    Raises:
        Invalid: it is neither ``name`` nor ``owner/name``.
    """
    if not bases.well_formed(base_id):
        raise Invalid(f"base_model: {base_id!r} is no model's id (name or owner/name)")


def start(
    here: Context,
    caller: Caller,
    session_id: str,
    *,
    worker_id: int | None,
    prompt_ids: list[int] | None,
    callback_url: str | None,
) -> None:
    """Begins a session's training: what it learns from is frozen, and its job queued.

    Raises:
        NotFound: there is no such session, or no such worker.
        Conflict: it was started before; the worker is offline or drained; the base model is not here.
        Invalid: there are no such prompts.
        Unavailable: nobody trains language models here.
    """
    with here.database.reading() as session:
        found = sessions.get(session, session_id, visible_to=None)
        if found.status != sessions.PENDING:
            raise Conflict(f"Training session {session_id} is {found.status}.", code="session_not_pending")
        if worker_id is not None:
            workers.usable(session, worker_id)
        elif not workers.anybody(session):
            raise Unavailable(
                "Nobody here trains language models: no worker of lane llm is running that is not drained. "
                "`make train` installs what one needs; then start Voiceworks again.",
                retry_after_seconds=60,
                lane=LANE,
            )
        chosen = prompts.chosen(session, prompt_ids)
    base = base_of(here, found.row.base_model)
    stored = frozen(here, chosen)
    dataset = {"file": stored, "sha256": stored, "prompt_ids": [each.id for each in chosen]}
    with here.database.transaction() as session:
        sessions.begin(session, session_id, worker_id=worker_id, dataset=dataset)
        submit.submit(
            session,
            sessions.KIND,
            lane=LANE if worker_id is None else lane_of(worker_id),
            params={"base_model": base, "rows": stored},
            account_id=caller.account_id,
            callback_url=callback_url,
            job_id=session_id,
        )


def frozen(here: Context, chosen: Sequence[TrainingPrompt]) -> str:
    """The stored file of what is learned from these prompts, which nobody changes any more."""
    rows = [{"prompt_id": each.id, "messages": kept(each).messages} for each in chosen]
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    return offload(here.files.put, content)


def base_of(here: Context, base_id: str) -> dict[str, Any]:
    """A base model as a plan names it.

    Raises:
        Conflict: it is not here, and may not be fetched.
    """
    folder = folder_of_bases(here)
    try:
        found = offload(bases.find, base_id, folder)
    except BadInput as fault:
        raise Conflict(f"The base model cannot be used: {fault.message}.", code="base_model_unavailable") from None
    if found is not None:
        return {"id": base_id, "path": str(found.path), "format": found.format, "licence": found.licence}
    if here.settings.llm_downloads and folder is not None and "/" in base_id:
        return {"id": base_id, "path": str(folder / base_id), "format": "hub"}
    there = ", ".join(each.id for each in offload(bases.at_hand, folder)) or "none"
    raise Conflict(
        f"The base model {base_id!r} is not here; there is {there}. LLM_MODELS names a folder of base models, and "
        "LLM_DOWNLOADS=1 lets them be fetched.",
        code="base_model_unavailable",
    )


def shown(found: Found) -> dict[str, Any]:
    """A session as every answer shows one."""
    row, job = found.row, found.job
    dataset = row.dataset or {}
    return {
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "base_model": row.base_model,
        "config": asdict(Config.of(row.config)) | row.config,
        "status": found.status,
        "progress": _percent(found),
        "worker_id": row.worker_id,
        "prompt_ids": dataset.get("prompt_ids"),
        "dataset_sha256": dataset.get("sha256"),
        "created_at": iso(row.created_at),
        "started_at": iso(row.started_at),
        "ended_at": iso(row.ended_at or (job.finished_at if job else None)),
        "error": _error(found),
    }


def progress_of(session: Session, found: Found) -> dict[str, Any]:
    """How far a session is, as its status and its socket show it."""
    row, job = found.row, found.job
    last = curves.last(session, row.id) or {}
    at_work = job is not None and job.state == RUNNING
    worker = session.get(Worker, job.lease_node) if job is not None and at_work and job.lease_node else None
    return {
        "session_id": row.id,
        "status": found.status,
        "progress": _percent(found),
        "current_epoch": last.get("epoch", 0),
        "total_epochs": last.get("total_epochs", Config.of(row.config).num_epochs),
        "loss": last.get("loss"),
        # Of the GPU that it is trained on; null on a processor.
        "gpu_utilization": (worker.gpu or {}).get("utilization_percent") if worker else None,
        "phase": job.phase if job is not None and job.state in (RUNNING, PAUSED, QUEUED) else None,
        "step": last.get("step"),
        "max_steps": last.get("max_steps"),
        "eta_seconds": _eta_seconds(found),
        "queue_position": sessions.position(session, job) if job is not None else None,
        "error": _error(found),
    }


def _percent(found: Found) -> float:
    if found.status == "completed":
        return 100.0
    return round(100 * found.job.progress, 1) if found.job is not None else 0.0


def _eta_seconds(found: Found) -> int | None:
    job = found.job
    if job is None or job.state != RUNNING or job.started_at is None or job.progress <= 0:
        return None
    taken = (utc_now() - job.started_at).total_seconds()
    return round(taken * (1 - job.progress) / job.progress)


def _error(found: Found) -> dict[str, Any] | None:
    job = found.job
    if found.status not in ("failed", "queued"):
        return None
    if job is None:
        error = found.row.error
        return error and {"code": error["code"].upper(), "message": error["message"]}
    return {"code": job.error_code.upper(), "message": job.error_message} if job.error_code else None
