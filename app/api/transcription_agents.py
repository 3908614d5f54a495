"""Transcribers: what each did and earned, whether they get tasks, and what they are paid."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from marshmallow import Schema, fields

from app import context
from app.api.transcribing import MAX_REASON
from app.context import Context
from app.http.access import OPERATOR, OWN_NUMBER, TRANSCRIBER
from app.http.answers import Answer, Shown, page_of
from app.http.parsing import Paging, Text
from app.surfaces import TRANSCRIPTION, SurfaceBlueprint
from app.transcribers import act_as
from models.base import iso
from models.transcription import agents, ledger, quality
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


class AgentShown(AgentStats):
    """How an agent works: `accuracy` is that of the last known tasks, `real_time_factor` work for a second of sound."""

    paused = fields.String(allow_none=True)
    balance = fields.Float()
    known_tasks = fields.Integer()
    accuracy = fields.Float(allow_none=True)
    real_time_factor = fields.Float(allow_none=True)


class Reason(Schema):
    """Why."""

    reason = Text(required=True, minimum=1, maximum=MAX_REASON)


@blueprint.endpoint(
    "/api/agents/<int:agent_id>/stats", access=TRANSCRIBER, whose=OWN_NUMBER, answers={200: Answer(schema=AgentStats)}
)
def agent_stats(agent_id: int) -> dict[str, Any]:
    """What an agent did and earned; zeros for one who has done nothing yet."""
    act_as(agent_id)
    with context.current().database.reading() as session:
        return shown(agent_id, agents.find(session, agent_id))


@blueprint.endpoint("/api/transcription/agents", access=OPERATOR, answers={200: page_of("agents", AgentShown)})
@blueprint.arguments(Paging, location="query")
def list_agents(query: dict[str, Any]) -> dict[str, Any]:
    """Everybody who transcribes, how well and how fast."""
    return listed(context.current(), **query)


def listed(here: Context, *, limit: int, offset: int) -> dict[str, Any]:
    """A page of those who transcribe."""
    with here.database.snapshot() as session:
        found, total = agents.page(session, limit=limit, offset=offset)
        rows = [
            shown(agent.id, agent)
            | {"paused": agent.paused, "balance": ledger.shown(ledger.balance(session, agent.id))}
            | asdict(quality.figures(session, agent))
            for agent in found
        ]
    return {"agents": rows, "total": total, "limit": limit, "offset": offset}


@blueprint.endpoint(
    "/api/transcription/agents/<int:agent_id>/pause",
    access=OPERATOR,
    methods=("POST",),
    answers={200: Answer(schema=AgentStats)},
    audited=True,
)
@blueprint.arguments(Reason)
def pause_agent(body: dict[str, str], agent_id: int) -> dict[str, Any]:
    """Gives an agent no more tasks; what they have they may finish."""
    return _paused(agent_id, body["reason"])


@blueprint.endpoint(
    "/api/transcription/agents/<int:agent_id>/resume",
    access=OPERATOR,
    methods=("POST",),
    answers={200: Answer(schema=AgentStats)},
    audited=True,
)
def resume_agent(agent_id: int) -> dict[str, Any]:
    """Gives an agent tasks again."""
    return _paused(agent_id, None)


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


def _paused(agent_id: int, why: str | None) -> dict[str, Any]:
    with context.current().database.transaction() as session:
        agent: Agent = agents.pause(session, agent_id, why)
        return shown(agent_id, agent)
