"""Jobs as tools: what is being done, how far it is, what came of it, and an end to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.api.jobs import JobList, detailed, listed, reserved
from app.http.access import CLIENT, visible_to
from app.http.parsing import MAX_PAGE
from app.speaking import found_by
from app.speech_ended import location
from app.tools.own import Asked, OwnTool
from app.tools.reading import administer, read
from models.jobs import lifecycle, queries
from models.jobs.tables import STATES, SUCCEEDED, Job
from tasks import kinds

_ID = {
    "job_id": {
        "type": "string",
        "minLength": 1,
        "maxLength": 100,
        "required": True,
        "description": "The id of the job, as the tool that began it gave it",
    }
}


def _get(asked: Asked, arguments: Mapping[str, Any]) -> Any:
    with asked.here.database.reading() as session:
        job = queries.get(session, arguments["job_id"], visible_to=visible_to(asked.caller))
        return detailed(session, job) | {"result": _result(job)}


def _result(job: Job) -> Any:
    """What a job made, as far as it has ended well; of a spoken text where it is heard."""
    if job.state != SUCCEEDED:
        return None
    if job.kind != "speech.speak" or job.result is None:
        return job.result
    found = found_by(job.result)
    return {
        "url": location(found),
        "duration_seconds": round(found.duration_seconds, 3),
        "cache": "hit" if job.result["cached"] else "miss",
    }


def _list(asked: Asked, arguments: Mapping[str, Any]) -> Any:
    return listed(asked.here, asked.caller, read(JobList(), arguments))


def _cancel(asked: Asked, arguments: Mapping[str, Any]) -> Any:
    with asked.here.database.transaction() as session:
        job = queries.get(session, arguments["job_id"], visible_to=visible_to(asked.caller))
        administer(asked.caller, reserved(job))
        return detailed(session, lifecycle.cancel(session, job.id))


TOOLS = (
    OwnTool(
        "job_status",
        "Tells how far a job is, whether it failed and why, and what came of it.",
        _ID,
        _get,
        access=CLIENT,
    ),
    OwnTool(
        "jobs_list",
        "Lists your jobs, the newest first; next_cursor continues after the last one.",
        {
            "kind": {
                "type": "string",
                "enum": sorted(kinds.KINDS),
                "description": "Only jobs of this kind",
            },
            "state": {"type": "string", "enum": list(STATES), "description": "Only jobs in this state"},
            "limit": {
                "type": "integer",
                "minimum": 1,
                "maximum": MAX_PAGE,
                "default": 50,
                "description": "How many jobs at most",
            },
            "cursor": {
                "type": "string",
                "minLength": 1,
                "maxLength": 100,
                "description": "next_cursor of the page before",
            },
        },
        _list,
        access=CLIENT,
    ),
    OwnTool(
        "job_cancel",
        "Cancels a job that has not ended; what is in flight is finished and kept, and nothing more is begun.",
        _ID,
        _cancel,
        read_only=False,
        access=CLIENT,
    ),
)
