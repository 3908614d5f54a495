"""Who administered what."""

from __future__ import annotations

from typing import Any

from marshmallow import EXCLUDE, Schema, fields

from app import context
from app.api.errors import PageNumbers, page_numbers
from app.http.access import ADMIN
from app.http.answers import Answer, Shown
from app.http.parsing import MAX_INTEGER, QueryWhole
from app.surfaces import ADMINISTRATION, SurfaceBlueprint
from models import audit
from models.audit import AuditEntry
from models.base import iso

blueprint = SurfaceBlueprint("audit", surface=ADMINISTRATION, description="Who administered what")

MAX_ENTRIES = 500


class Page(Schema):
    """Which page."""

    class Meta:
        unknown = EXCLUDE

    limit = QueryWhole(1, MAX_ENTRIES, load_default=50)
    page = QueryWhole(1, MAX_INTEGER, load_default=1)


class EntryShown(Shown):
    """A call: who, what, when, and how it was answered."""

    timestamp = fields.DateTime()
    account_id = fields.String(allow_none=True)
    username = fields.String(allow_none=True)
    method = fields.String()
    endpoint = fields.String()
    path = fields.String()
    status = fields.Integer()
    request_id = fields.String(allow_none=True)
    user_ip = fields.String(allow_none=True)


class AuditShown(Shown):
    """A page of calls, newest first."""

    entries = fields.List(fields.Nested(EntryShown))
    pagination = fields.Nested(PageNumbers)


@blueprint.endpoint("/api/v1/audit", access=ADMIN, answers={200: Answer(schema=AuditShown)})
@blueprint.arguments(Page, location="query")
def entries(query: dict[str, int]) -> dict[str, Any]:
    """Calls that only an administrator may make or that change a credential, newest first.

    Those that were refused are among the errors.
    """
    with context.current().database.snapshot() as session:
        found, total = audit.entries(session, **query)
    return {"entries": [_shown(entry, name) for entry, name in found], "pagination": page_numbers(query, total)}


def _shown(entry: AuditEntry, username: str | None) -> dict[str, Any]:
    return {
        "timestamp": iso(entry.at),
        "account_id": entry.account_id,
        # As it is called now; none of an account that is gone.
        "username": username,
        "method": entry.method,
        "endpoint": entry.endpoint,
        "path": entry.path,
        "status": entry.status,
        "request_id": entry.request_id,
        "user_ip": entry.user_ip,
    }
