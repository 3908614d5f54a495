"""Transcribers: what each did and earned, whether they get tasks, and what they are paid."""

from __future__ import annotations

from typing import Any

from marshmallow import fields

from app import context
from app.http.access import TRANSCRIBER
from app.http.answers import Answer, Shown
from app.surfaces import TRANSCRIPTION, SurfaceBlueprint
from app.transcribers import act_as
from models.base import iso
from models.transcription import agents, ledger
from models.transcription.tables import Agent

blueprint = SurfaceBlueprint("transcription_agents", surface=TRANSCRIPTION, description="Transcribers")


class AgentStats(Shown):
    """What an agent did and earned."""

    agent_id = fields.Integer()
    total_tasks_completed = fields.Integer()
    total_tasks_skipped = fields.Integer()
    total_duration_seconds = fields.Float()
    total_earnings = fields.Float()
    last_active = fields.DateTime(allow_none=True)
    created_at = fields.DateTime(allow_none=True)


@blueprint.endpoint("/api/agents/<int:agent_id>/stats", access=TRANSCRIBER, answers={200: Answer(schema=AgentStats)})
def agent_stats(agent_id: int) -> dict[str, Any]:
    """What an agent did and earned; zeros for one who has done nothing yet."""
    act_as(agent_id)
    with context.current().database.reading() as session:
        return shown(agent_id, agents.find(session, agent_id))


def shown(agent_id: int, agent: Agent | None) -> dict[str, Any]:
    """An agent's figures, earnings rounded to hundredths."""
    if agent is None:
        agent = Agent(id=agent_id, tasks_completed=0, tasks_skipped=0, duration_seconds=0, earnings=ledger.NOTHING)
    return {
        "agent_id": agent_id,
        "total_tasks_completed": agent.tasks_completed,
        "total_tasks_skipped": agent.tasks_skipped,
        "total_duration_seconds": float(agent.duration_seconds),
        "total_earnings": ledger.shown(agent.earnings),
        "last_active": iso(agent.last_active),
        "created_at": iso(agent.created_at),
    }
