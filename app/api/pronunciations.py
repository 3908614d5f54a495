"""How words are said: entries for every text, and for the texts of one course; by entry and as a file."""

from __future__ import annotations

import csv
import io
from typing import Any

from flask import Response, request
from marshmallow import EXCLUDE, Schema, fields

from app import context
from app.http.access import CLIENT, OPERATOR
from app.http.answers import MESSAGE, Answer, Message, Shown, page_of
from app.http.parsing import Paging, Text
from app.surfaces import MANAGEMENT, SurfaceBlueprint
from models import pronunciations
from models.errors import Invalid
from models.pronunciations import MAX_ENTRIES, MAX_SPOKEN_CHARACTERS, MAX_WRITTEN_CHARACTERS, Pronunciation

blueprint = SurfaceBlueprint("pronunciations", surface=MANAGEMENT, description="How words are said")


class Scope(Schema):
    """Whose entries: those of a course, else those for every text."""

    class Meta:
        unknown = EXCLUDE

    curriculum_id = Text(load_default=None, maximum=200)


class Page(Paging):
    """Whose entries, and which of them."""

    curriculum_id = Text(load_default=None, maximum=200)


class Entry(Schema):
    """A written word or phrase, and how it is said: other words, or IPA between slashes."""

    written = Text(required=True, minimum=1, maximum=MAX_WRITTEN_CHARACTERS, spoken=True)
    spoken = Text(required=True, minimum=1, maximum=MAX_SPOKEN_CHARACTERS, spoken=True)
    curriculum_id = Text(load_default=None, allow_none=True, maximum=200)


class EntryShown(Shown):
    """An entry."""

    id = fields.String()
    written = fields.String()
    spoken = fields.String()
    curriculum_id = fields.String(allow_none=True)


class Stored(Message):
    """How many entries a file had."""

    stored = fields.Integer()


# The file as it is sent and taken.
CSV = {"text/csv": {"schema": {"type": "string"}, "example": "written,spoken\nVaughan,Vawn\n"}}


@blueprint.endpoint("/api/pronunciations", access=CLIENT, answers={200: page_of("pronunciations", EntryShown)})
@blueprint.arguments(Page, location="query")
def page(query: dict[str, Any]) -> dict[str, Any]:
    """The entries of a scope."""
    with context.current().database.reading() as session:
        found, total = pronunciations.page(session, **query)
    listed = [_shown(entry) for entry in found]
    return {"pronunciations": listed, "total": total, "limit": query["limit"], "offset": query["offset"]}


@blueprint.endpoint(
    "/api/pronunciations",
    access=OPERATOR,
    methods=("POST",),
    answers={201: Answer(schema=EntryShown)},
    refuses=(404,),
)
@blueprint.arguments(Entry)
def put(body: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Stores an entry, in the place of one with the same written form."""
    with context.current().database.transaction() as session:
        (stored,) = pronunciations.put(session, body["curriculum_id"], {body["written"]: body["spoken"]})
    return _shown(stored), 201


@blueprint.endpoint(
    "/api/pronunciations/<pronunciation_id>", access=OPERATOR, methods=("DELETE",), answers={200: MESSAGE}
)
def remove(pronunciation_id: str) -> dict[str, Any]:
    """The entry counts no more."""
    with context.current().database.transaction() as session:
        pronunciations.remove(session, pronunciation_id)
    return {"message": f"Pronunciation {pronunciation_id} was removed."}


@blueprint.endpoint("/api/pronunciations/file", access=CLIENT, answers={200: Answer(("text/csv",))})
@blueprint.arguments(Scope, location="query")
def download(query: dict[str, Any]) -> Response:
    """The entries of a scope as CSV: written, spoken."""
    with context.current().database.reading() as session:
        found, _ = pronunciations.page(session, query["curriculum_id"])
    response = Response(to_csv(found), mimetype="text/csv")
    response.headers["Content-Disposition"] = "attachment; filename=pronunciations.csv"
    return response


@blueprint.endpoint(
    "/api/pronunciations/file",
    access=OPERATOR,
    methods=("PUT",),
    answers={200: Answer(schema=Stored)},
    refuses=(404, 413),
)
@blueprint.doc(requestBody={"required": True, "content": CSV})
@blueprint.arguments(Scope, location="query")
def upload(query: dict[str, Any]) -> dict[str, Any]:
    """Stores the entries of a CSV file (the body) beside those that are there; all of them, or none."""
    with context.current().database.transaction() as session:
        stored = pronunciations.put(session, query["curriculum_id"], from_csv(request.get_data()))
    return {"message": f"{len(stored)} pronunciations were stored.", "stored": len(stored)}


def to_csv(entries: list[Pronunciation]) -> str:
    """The entries as a file that ``from_csv`` reads."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["written", "spoken"])
    writer.writerows((entry.written, entry.spoken) for entry in entries)
    return file.getvalue()


def from_csv(content: bytes) -> dict[str, str]:
    """The entries of a file; a first line ``written,spoken`` and empty lines count as nothing.

    Raises:
        Invalid: it is not UTF-8, or a line is no entry.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise Invalid(f"The file is not UTF-8: {fault.reason} at byte {fault.start}.") from None
    if "\0" in text:
        raise Invalid("The file holds the character NUL, which cannot be stored.")
    found: dict[str, str] = {}
    lines = csv.reader(io.StringIO(text, newline=""))
    try:
        for number, row in enumerate(lines, 1):
            if not row or (number == 1 and [field.strip().lower() for field in row] == ["written", "spoken"]):
                continue
            if len(row) != 2:
                raise Invalid(f"{','.join(row)[:60]!r} has {len(row)} fields, not 2")
            written, spoken = (field.strip() for field in row)
            pronunciations.check(written, spoken)
            found[written] = spoken
            if len(found) > MAX_ENTRIES:
                raise Invalid(f"there may be {MAX_ENTRIES} pronunciations at most")
    except (csv.Error, Invalid) as fault:
        raise Invalid(f"line {lines.line_num}: {fault}") from None
    return found


def _shown(entry: Pronunciation) -> dict[str, Any]:
    return {
        "id": entry.id,
        "written": entry.written,
        "spoken": entry.spoken,
        "curriculum_id": entry.curriculum_id,
    }
