"""What managers do: they look at how people work, decide where two texts differ, pay, and take the results away."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from decimal import Decimal, InvalidOperation
from typing import Any

from flask import Response
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validates_schema

from app import context
from app.api.transcribing import MAX_ID, MAX_REASON, MAX_TRANSCRIPTION
from app.api.transcription_agents import AgentStats, shown
from app.api.transcription_tasks import TaskShown, task_shown
from app.http.access import OPERATOR
from app.http.answers import Answer, Shown, page_of
from app.http.parsing import Count, Moment, Paging, Text, Whole, one_of
from app.surfaces import TRANSCRIPTION, SurfaceBlueprint
from app.transcript_exports import FORMATS, safe_cell
from models.base import iso
from models.transcription import agents, ledger, quality
from models.transcription.ledger import Statement
from models.transcription.tables import Agent, Entry

blueprint = SurfaceBlueprint("transcription_managing", surface=TRANSCRIPTION, description="Running transcription")

MOST_MONEY = Decimal(1000000)


class Money(fields.Decimal):
    """An amount with at most four places after the point, as a number or a text."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Decimal:
        try:
            amount = Decimal(str(value))
        except InvalidOperation:
            amount = Decimal("NaN")
        if isinstance(value, bool) or not amount.is_finite() or amount != round(amount, 4) or abs(amount) > MOST_MONEY:
            raise ValidationError(f"{value!r:.60} is no amount up to {MOST_MONEY} with four places after the point")
        return amount


class Reason(Schema):
    """Why."""

    reason = Text(required=True, minimum=1, maximum=MAX_REASON)


class Bonus(Schema):
    """What is given, or with a negative amount taken, beside what texts earned."""

    amount = Money(required=True)
    note = Text(load_default=None, allow_none=True, maximum=MAX_REASON)


class Payout(Schema):
    """What was paid; all that is due unless an amount is named."""

    amount = Money(load_default=None, allow_none=True)
    note = Text(load_default=None, allow_none=True, maximum=MAX_REASON)


class Decision(Schema):
    """What is right: a text, or that of one of the annotations."""

    transcription = Text(load_default=None, allow_none=True, maximum=MAX_TRANSCRIPTION, spoken=True)
    annotation_id = Whole(1, MAX_ID, load_default=None, allow_none=True)

    @validates_schema
    def one_of_both(self, data: dict[str, Any], **_: Any) -> None:
        """Exactly one is given."""
        if (data["transcription"] is None) == (data["annotation_id"] is None):
            raise ValidationError("give either transcription or annotation_id", "transcription")


class Period(Schema):
    """Of which time, of whom, and in which form."""

    class Meta:
        unknown = EXCLUDE

    since = Moment(load_default=None)
    until = Moment(load_default=None)
    agent_id = Count(load_default=None, clip=MAX_ID)
    format = Text(load_default="json", maximum=10, validate=one_of(["json", "csv"]))


class Export(Schema):
    """In which format."""

    class Meta:
        unknown = EXCLUDE

    format = Text(load_default="json", maximum=20, validate=one_of(list(FORMATS)))


class AgentShown(AgentStats):
    """How an agent works: `accuracy` is that of the last known tasks, `real_time_factor` work for a second of sound."""

    paused = fields.String(allow_none=True)
    balance = fields.Float()
    known_tasks = fields.Integer()
    accuracy = fields.Float(allow_none=True)
    real_time_factor = fields.Float(allow_none=True)


class EntryShown(Shown):
    """A line of the ledger."""

    id = fields.Integer()
    agent_id = fields.Integer()
    kind = fields.String()
    amount = fields.Float()
    note = fields.String(allow_none=True)
    created_at = fields.DateTime()


class StatementShown(Shown):
    """What an agent did and got in the period, and has to get at its end."""

    agent_id = fields.Integer()
    tasks = fields.Integer()
    duration_seconds = fields.Float()
    earned = fields.Float()
    bonus = fields.Float()
    paid_out = fields.Float()
    balance = fields.Float()


class Statements(Shown):
    """A statement for each agent."""

    statements = fields.List(fields.Nested(StatementShown))


class TextOfTask(Shown):
    """One of a task's texts."""

    annotation_id = fields.Integer()
    agent_id = fields.Integer()
    transcription = fields.String()


class ToReview(TaskShown):
    """A task whose two texts differ: by these shares of words and of characters."""

    word_difference = fields.Float()
    character_difference = fields.Float()
    annotations = fields.List(fields.Nested(TextOfTask))


@blueprint.endpoint("/api/transcription/agents", access=OPERATOR, answers={200: page_of("agents", AgentShown)})
@blueprint.arguments(Paging, location="query")
def list_agents(query: dict[str, Any]) -> dict[str, Any]:
    """Everybody who transcribes, how well and how fast."""
    with context.current().database.snapshot() as session:
        found, total = agents.page(session, **query)
        rows = [
            shown(agent.id, agent)
            | {"paused": agent.paused, "balance": ledger.shown(ledger.balance(session, agent.id))}
            | asdict(quality.figures(session, agent))
            for agent in found
        ]
    return {"agents": rows, "total": total, **query}


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


@blueprint.endpoint(
    "/api/transcription/agents/<int:agent_id>/bonus",
    access=OPERATOR,
    methods=("POST",),
    answers={201: Answer(schema=EntryShown)},
    audited=True,
)
@blueprint.arguments(Bonus)
def add_bonus(body: dict[str, Any], agent_id: int) -> tuple[dict[str, Any], int]:
    """Adds a line to the ledger that no text earned."""
    with context.current().database.transaction() as session:
        agents.present(session, agents.get(session, agent_id).id)
        return _entry(ledger.add_bonus(session, agent_id, body["amount"], body["note"])), 201


@blueprint.endpoint(
    "/api/transcription/agents/<int:agent_id>/payout",
    access=OPERATOR,
    methods=("POST",),
    answers={201: Answer(schema=EntryShown)},
    refuses=(409,),
    audited=True,
)
@blueprint.arguments(Payout)
def pay_out(body: dict[str, Any], agent_id: int) -> tuple[dict[str, Any], int]:
    """Notes that an agent was paid; no more than they have to get."""
    with context.current().database.transaction() as session:
        return _entry(ledger.pay_out(session, agent_id, body["amount"], body["note"])), 201


@blueprint.endpoint(
    "/api/transcription/statements",
    access=OPERATOR,
    answers={200: Answer(media_types=("application/json", "text/csv"), schema=Statements)},
)
@blueprint.arguments(Period, location="query")
def list_statements(query: dict[str, Any]) -> Any:
    """What each agent did and got in a period, as JSON or CSV, amounts rounded to hundredths."""
    named = [] if query["agent_id"] is None else [query["agent_id"]]
    with context.current().database.reading() as session:
        found = ledger.statements(session, since=query["since"], until=query["until"], agent_ids=named)
    rows = [_statement(each) for each in found]
    if query["format"] == "json":
        return {"statements": rows}
    table = io.StringIO()
    writer = csv.DictWriter(table, fieldnames=list(StatementShown().fields))
    writer.writeheader()
    writer.writerows({name: safe_cell(value) for name, value in row.items()} for row in rows)
    return Response(table.getvalue(), mimetype="text/csv")


@blueprint.endpoint(
    "/api/transcription/review", access=OPERATOR, answers={200: page_of("tasks", ToReview, "ToReviewPage")}
)
@blueprint.arguments(Paging, location="query")
def list_review(query: dict[str, Any]) -> dict[str, Any]:
    """Tasks whose two texts differ, those that differ most first; `…/tasks/{id}/decide` says what is right."""
    with context.current().database.snapshot() as session:
        found, total = quality.to_review(session, **query)
        rows = [
            task_shown(task)
            | {"word_difference": task.word_difference, "character_difference": task.character_difference}
            | {
                "annotations": [
                    {"annotation_id": each.id, "agent_id": each.agent_id, "transcription": each.text} for each in texts
                ]
            }
            for task, texts in found
        ]
    return {"tasks": rows, "total": total, **query}


@blueprint.endpoint(
    "/api/transcription/tasks/<int:task_id>/decide",
    access=OPERATOR,
    methods=("POST",),
    answers={200: Answer(schema=TaskShown)},
    refuses=(409,),
    audited=True,
)
@blueprint.arguments(Decision)
def decide_task(body: dict[str, Any], task_id: int) -> dict[str, Any]:
    """Says what is right where two texts differ, or where one is wrong; what was earned stays."""
    with context.current().database.transaction() as session:
        task = quality.decide(session, task_id, text=body["transcription"], annotation_id=body["annotation_id"])
        return task_shown(task)


@blueprint.endpoint(
    "/api/transcription/export",
    access=OPERATOR,
    answers={
        200: Answer(media_types=("application/json", "application/zip", "text/csv"), description="The transcripts")
    },
)
@blueprint.arguments(Export, location="query")
def export(query: dict[str, Any]) -> Response:
    """Every task that is done and decided: `json`, `csv`, a `kaldi` folder, Hugging Face's `audiofolder`, `webvtt`."""
    here, chosen = context.current(), FORMATS[query["format"]]
    response = Response(chosen.write(here.database, here.files), mimetype=chosen.media_type)
    response.headers["Content-Disposition"] = f"attachment; filename={chosen.file_name}"
    return response


def _paused(agent_id: int, why: str | None) -> dict[str, Any]:
    with context.current().database.transaction() as session:
        agent: Agent = agents.pause(session, agent_id, why)
        return shown(agent_id, agent)


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "agent_id": entry.agent_id,
        "kind": entry.kind,
        "amount": float(entry.amount),
        "note": entry.note,
        "created_at": iso(entry.created_at),
    }


def _statement(found: Statement) -> dict[str, Any]:
    return {
        "agent_id": found.agent_id,
        "tasks": found.tasks,
        "duration_seconds": float(found.duration_seconds),
        **{name: ledger.shown(getattr(found, name)) for name in ("earned", "bonus", "paid_out", "balance")},
    }
