"""Webhooks: what was sent about a job, once more what was given up, and the key that signs it."""

from __future__ import annotations

from typing import Any

from flask import g
from marshmallow import fields, validate

from app import context
from app.api.jobs import mine
from app.http.access import CLIENT, OWN, SIGNED_IN, Forbidden
from app.http.answers import Answer, Shown
from app.surfaces import MANAGEMENT, SurfaceBlueprint
from models import users, webhooks
from models.base import iso
from models.webhooks import DELIVERED, EVENTS, FAILED, PENDING, WebhookDelivery

blueprint = SurfaceBlueprint("deliveries", surface=MANAGEMENT, description="What webhooks were told, and their key")


class Attempt(Shown):
    """One attempt: what the receiver answered, or what kept it from answering."""

    at = fields.DateTime()
    status = fields.Integer(allow_none=True)
    error = fields.String(allow_none=True)
    took_ms = fields.Integer()


class Delivery(Shown):
    """A message to one receiver, with its last attempts."""

    id = fields.String()
    url = fields.String()
    event = fields.String(validate=validate.OneOf(sorted(EVENTS.values())))
    state = fields.String(validate=validate.OneOf([PENDING, DELIVERED, FAILED]))
    attempts = fields.Integer()
    next_attempt_at = fields.DateTime(allow_none=True)
    created_at = fields.DateTime()
    finished_at = fields.DateTime(allow_none=True)
    log = fields.List(fields.Nested(Attempt))


class DeliveryList(Shown):
    """Every message about a job's end."""

    deliveries = fields.List(fields.Nested(Delivery))
    total = fields.Integer()


class WebhookSecret(Shown):
    """The key that signs messages."""

    secret = fields.String()


@blueprint.endpoint(
    "/api/jobs/<job_id>/deliveries", access=CLIENT, whose=OWN, answers={200: Answer(schema=DeliveryList)}
)
def list_deliveries(job_id: str) -> dict[str, Any]:
    """Every message about a job's end, oldest first, with its attempts."""
    with context.current().database.reading() as session:
        found = webhooks.of_job(session, mine(session, job_id).id)
    return {"deliveries": [_shown(row) for row in found], "total": len(found)}


@blueprint.endpoint(
    "/api/jobs/<job_id>/deliveries/<delivery_id>/retry",
    access=CLIENT,
    whose=OWN,
    methods=("POST",),
    answers={200: Answer(schema=Delivery)},
    refuses=(409,),
)
def retry(job_id: str, delivery_id: str) -> dict[str, Any]:
    """Sends a message that was given up once more."""
    with context.current().database.transaction() as session:
        return _shown(webhooks.retry(session, mine(session, job_id).id, delivery_id))


@blueprint.endpoint(
    "/api/auth/webhook-secret", access=SIGNED_IN, answers={200: Answer(schema=WebhookSecret)}, refuses=(404,)
)
def secret() -> dict[str, str]:
    """The key that signs the messages about one's own jobs; where the operator set one for all, for administrators."""
    here = context.current()
    with here.database.reading() as session:
        # Not on an open surface, where anybody counts as an administrator.
        account = users.get(session, g.caller.account_id or "")
    chosen = here.settings.voiceworks_webhook_secret
    if chosen and g.caller.role != "admin":
        raise Forbidden("One key signs for everybody here (VOICEWORKS_WEBHOOK_SECRET); an administrator can tell it.")
    return {"secret": webhooks.signing_key(here.settings.secret_key, chosen, account.id)}


def _shown(row: WebhookDelivery) -> dict[str, Any]:
    return {
        "id": row.id,
        "url": row.url,
        "event": row.payload["event"],
        "state": row.state,
        "attempts": row.attempts,
        "next_attempt_at": iso(row.due_at) if row.state == PENDING else None,
        "created_at": iso(row.created_at),
        "finished_at": iso(row.finished_at),
        "log": row.log,
    }
