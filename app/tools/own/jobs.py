"""Jobs as tools: what is being done, and how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.http.access import CLIENT, visible_to
from app.tools.own import Asked, OwnTool
from models.jobs import queries
from models.jobs.announcing import summary


def _get(asked: Asked, arguments: Mapping[str, Any]) -> Any:
    with asked.here.database.reading() as session:
        return summary(queries.get(session, arguments["job_id"], visible_to=visible_to(asked.caller)))


TOOLS = (
    OwnTool(
        "job_status",
        "How far a job of Voiceworks is, and what came of it",
        {"job_id": {"type": "string", "minLength": 1, "maxLength": 100, "required": True}},
        _get,
        access=CLIENT,
    ),
)
