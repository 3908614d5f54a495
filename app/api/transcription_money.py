"""What transcribers are paid: bonuses, what was paid out, and statements of it all."""

from __future__ import annotations

import csv
import io
import re
from decimal import Decimal
from typing import Any

from flask import Response
from marshmallow import EXCLUDE, Schema, ValidationError, fields

from app import context
from app.api.transcribing import MAX_REASON
from app.http.access import OPERATOR
from app.http.answers import Answer, Shown
from app.http.parsing import MAX_EXACT_INTEGER, Count, Moment, Text, one_of
from app.surfaces import TRANSCRIPTION, SurfaceBlueprint
from app.transcript_exports import safe_cell
from models.base import iso
from models.transcription import ledger
from models.transcription.ledger import Statement
from models.transcription.tables import Entry

blueprint = SurfaceBlueprint("transcription_money", surface=TRANSCRIPTION, description="What transcribers are paid")

MOST_MONEY = Decimal(1000000)
_AMOUNT = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,4})?")


class Money(fields.Decimal):
    """An amount with at most four places after the point, as a number or a text."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Decimal:
        said = repr(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
        if not isinstance(said, str) or not _AMOUNT.fullmatch(said) or not 0 < abs(Decimal(said)) <= MOST_MONEY:
            shown = repr(value)[:60]
            raise ValidationError(f"{shown} is no amount up to {MOST_MONEY}, with at most four places after the point")
        return Decimal(said)


class Bonus(Schema):
    """What is given, or with a negative amount taken, beside what texts earned."""

    amount = Money(required=True)
    note = Text(load_default=None, allow_none=True, maximum=MAX_REASON)


class Payout(Schema):
    """What was paid; all that is due unless an amount is named."""

    amount = Money(load_default=None, allow_none=True)
    note = Text(load_default=None, allow_none=True, maximum=MAX_REASON)


class Period(Schema):
    """Of which time, of whom, and in which form."""

    class Meta:
        unknown = EXCLUDE

    since = Moment(load_default=None)
    until = Moment(load_default=None)
    agent_id = Count(load_default=None, clip=MAX_EXACT_INTEGER)
    format = Text(load_default="json", maximum=10, validate=one_of(["json", "csv"]))


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
