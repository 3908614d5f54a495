"""Transcription as tools: how much there is to do, the tasks and their results, who does them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.api import transcription_agents, transcription_tasks
from app.api.transcribing import counted
from app.api.transcription_tasks import STATES, TaskList
from app.http.access import OPERATOR, TRANSCRIBER
from app.http.parsing import MAX_PAGE, Paging
from app.tools.own import Asked, OwnTool
from app.tools.reading import read
from app.transcript_exports import FORMATS

_PAGING = {
    "limit": {
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_PAGE,
        "default": 50,
        "description": "How many at most",
    },
    "offset": {
        "type": "integer",
        "minimum": 0,
        "default": 0,
        "description": "How many of the list to pass over",
    },
}


def _counts(asked: Asked, _: Mapping[str, Any]) -> Any:
    return counted(asked.here)


def _tasks(asked: Asked, arguments: Mapping[str, Any]) -> Any:
    found = transcription_tasks.listed(asked.here, **read(TaskList(), arguments))
    return found | {"export_urls": {name: f"/api/transcription/export?format={name}" for name in FORMATS}}


def _agents(asked: Asked, arguments: Mapping[str, Any]) -> Any:
    return transcription_agents.listed(asked.here, **read(Paging(), arguments))


TOOLS = (
    OwnTool(
        "transcription_counts",
        "Counts the recordings that wait to be transcribed, and those that transcribers have in hand.",
        {},
        _counts,
        access=TRANSCRIBER,
    ),
    OwnTool(
        "transcription_tasks",
        "Lists the recordings that are to be transcribed, or were, with the URLs at which all finished transcripts are "
        "had, one for each format.",
        {
            "state": {"type": "string", "enum": list(STATES), "description": "Only tasks in this state"},
            **_PAGING,
        },
        _tasks,
        access=OPERATOR,
    ),
    OwnTool(
        "transcription_agents",
        "Lists the transcribers with what each did and earned, how accurate and how fast they are.",
        _PAGING,
        _agents,
        access=OPERATOR,
    ),
)
