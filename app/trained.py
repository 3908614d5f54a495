"""What becomes of an adapter: merged with its base model into a whole one, and given to an Ollama."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from app import finetuning
from app.context import Context
from models.accounts import Caller
from models.errors import Conflict, Invalid
from models.gateway import services
from models.jobs.tables import Job
from models.llm import merged, sessions
from models.llm.workers import LANE
from tasks import submit

HANDOVER, HANDOVER_LANE = "llm.handover", "io"
OLLAMA = "ollama"


def merge(
    here: Context, caller: Caller, session_id: str, *, dtype: str, callback_url: str | None
) -> dict[str, Any] | None:
    """The model that is made of a session's adapter and its base model, as far as it is; one is made at a time.

    Raises:
        NotFound: there is no such session.
        Conflict: it has no adapter; its base model is not here; it is being merged in another type.
        Unavailable: nobody trains language models here.
    """
    with here.database.reading() as session:
        found = sessions.get(session, session_id, visible_to=None)
        report = found.row.detail.get("report") or {}
    base = finetuning.base_of(here, found.row.base_model)
    # Exactly the one that the adapter was made on.
    base |= {"sha256": (report.get("base_model") or {}).get("sha256")}
    with here.database.transaction() as session:
        row = merged.wanted(session, session_id, dtype)
        if row is not None:
            adapter = {name: each["file"] for name, each in row.files.items()}
            params = {"session_id": session_id, "base_model": base, "adapter": adapter, "dtype": dtype}
            job, _ = submit.submit(
                session,
                merged.KIND,
                lane=LANE,
                params=params,
                account_id=caller.account_id,
                callback_url=callback_url,
            )
            merged.begin(row, job_id=job.id, dtype=dtype)
        return merged.status(session, sessions.get(session, session_id, visible_to=None).row)


def model(session: Session, session_id: str) -> dict[str, Any]:
    """The files of a session's whole model, by their names.

    Raises:
        NotFound: there is no such session.
        Conflict: it has no whole model, or none yet.
    """
    files = (sessions.get(session, session_id, visible_to=None).row.merged or {}).get("files")
    if not files:
        raise Conflict(f"Training session {session_id} has no merged model; merge it first.", code="not_merged")
    found: dict[str, Any] = files
    return found


def hand_over(
    here: Context, caller: Caller, session_id: str, *, service_id: int, model_name: str, callback_url: str | None
) -> Job:
    """The job that gives a session's whole model to an Ollama, under this name; one that is at it already is joined.

    Raises:
        NotFound: there is no such session, or no such service.
        Invalid: the service is no Ollama.
        Conflict: the session has no whole model; the service is switched off.
        Unavailable: nobody does it.
    """
    with here.database.transaction() as session:
        files = model(session, session_id)
        service = services.usable(services.get(session, service_id))
        if service.type != OLLAMA:
            raise Invalid(f"service_id: service {service_id} is of type {service.type}, not {OLLAMA}.")
        params = {
            "session_id": session_id,
            "service_id": service_id,
            "model": model_name,
            "files": {each: about["file"] for each, about in files.items()},
        }
        job, _ = submit.submit(
            session,
            HANDOVER,
            lane=HANDOVER_LANE,
            params=params,
            account_id=caller.account_id,
            dedupe=(session_id, service_id, model_name),
            callback_url=callback_url,
        )
        return job
