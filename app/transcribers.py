"""Whose hands a request is in: a transcriber's key acts as them alone, a system key as anybody."""

from __future__ import annotations

from flask import g

from app import context
from app.http.access import Forbidden
from config.settings import Settings
from models.accounts import Caller
from models.transcription.assigning import Choice
from models.transcription.tables import BUILT_IN, LABEL_STUDIO

NOT_ASSIGNED = "Task not assigned to this agent"


def act_as(agent_id: int) -> int:
    """The agent that the request names, if its credential may act as them.

    Raises:
        Forbidden: it is another agent's, or nobody's.
    """
    caller: Caller = g.caller
    if caller.role != "agent" or caller.agent_id == agent_id:
        return agent_id
    if caller.agent_id is None:
        raise Forbidden("This credential belongs to no agent: a key made with an agent_id does.")
    raise Forbidden(f"This key acts as agent {caller.agent_id}, not as agent {agent_id}.")


def source() -> str:
    """Whose tasks are given out."""
    return source_of(context.current().settings)


def source_of(settings: Settings) -> str:
    """Whose tasks are given out by these settings."""
    return LABEL_STUDIO if settings.label_studio_url else BUILT_IN


def choice() -> Choice:
    """How tasks are given out."""
    settings = context.current().settings
    return Choice(
        source=source(),
        gold_share=settings.transcription_gold_percent,
        park_after=settings.transcription_park_after,
    )
