"""Imports: courses from elsewhere, as jobs of six stages; what there is to import from is told, too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import g, request
from marshmallow import Schema, fields
from sqlalchemy.orm import Session
from webargs import missing

from app import context
from app.callbacks import CallbackUrl, is_private
from app.context import Context
from app.http import uploads
from app.http.access import CLIENT, OWN, OWN_LISTED, visible_to
from app.http.answers import Answer, page_of
from app.http.offload import offload
from app.http.parsing import BodyParser, Paging, Text, one_of, refuse_bad_text
from app.http.uploads import MULTIPART
from app.imports_shown import ImportShown, SourceList, shown
from app.surfaces import MANAGEMENT, SurfaceBlueprint
from config.settings import Settings
from models import curricula, imports
from models.accounts import Caller
from models.base import new_id
from models.errors import Invalid
from models.imports import KIND
from models.jobs import lifecycle
from models.jobs.tables import ENDED, Job
from tasks import submit
from workers.clients.http import canonical
from workers.errors import BadInput
from workers.importers.source import FORMATS, SOURCES, Source

# Where courses are read; nobody waits for it.
LANE = "imports"


class FormParser(BodyParser):
    """Takes the fields of a form, too, where a file comes with them; those that nobody knows are passed over."""

    def load_json(self, req: Any, schema: Any) -> Any:
        """The body as JSON, or the fields of a form.

        Raises:
            Invalid: it is neither, or holds text that cannot be stored.
        """
        if req.mimetype != MULTIPART:
            return super().load_json(req, schema)
        found = {name: value for name, value in req.form.items() if name in schema.fields}
        for name, value in found.items():
            refuse_bad_text(value, name)
        return found or missing


blueprint = SurfaceBlueprint("imports", surface=MANAGEMENT, description="Courses from elsewhere")
blueprint.ARGUMENTS_PARSER = FormParser()


class NewImport(Schema):
    """What is imported, from where, and what becomes of it. A file comes as the part ``file`` of a form."""

    source = Text(required=True, minimum=1, maximum=50, validate=one_of(list(SOURCES)))
    course_id = Text(load_default=None, allow_none=True, minimum=1, maximum=300, spoken=True)
    url = Text(load_default=None, allow_none=True, minimum=1, maximum=2000, metadata={"format": "uri"})
    title = Text(load_default=None, allow_none=True, minimum=1, maximum=500, spoken=True)
    curriculum_id = Text(
        load_default=None,
        allow_none=True,
        minimum=1,
        maximum=200,
        metadata={
            "description": "Into which course; without it a new one, or the one that came of the same source before, "
            "if nobody has changed it since"
        },
    )
    accept_license = fields.Boolean(
        load_default=False, metadata={"description": "Imports a course whose licence is not clear"}
    )
    dry_run = fields.Boolean(
        load_default=False, metadata={"description": "Shows what would be stored, and stores nothing"}
    )
    callback_url = CallbackUrl()


class NewUpload(NewImport):
    """An import as a form, with the file itself."""

    file = fields.Raw(metadata={"type": "string", "format": "binary"})


class ImportList(Paging):
    """Which imports."""

    status = Text(maximum=30, validate=one_of(list(imports.STATUS.values())))


IMPORT = Answer(schema=ImportShown)
CANCELLED = Answer(description="The import, cancelled; where it had ended, a message that it was removed")


blueprint.before_request(uploads.allow)


@blueprint.endpoint("/api/imports", access=CLIENT, whose=OWN_LISTED, answers={200: page_of("imports", ImportShown)})
@blueprint.arguments(ImportList, location="query")
def list_imports(query: dict[str, Any]) -> dict[str, Any]:
    """The newest imports first, previews without their outlines."""
    paging = {name: query[name] for name in ("limit", "offset")}
    with context.current().database.transaction(durable=False) as session:
        found, total = imports.page(session, word=query.get("status"), visible_to=visible_to(g.caller), **paging)
    return {"imports": [shown(job) for job in found], "total": total, **paging}


@blueprint.endpoint("/api/imports/sources", access=CLIENT, answers={200: Answer(schema=SourceList)})
def list_sources() -> dict[str, Any]:
    """Where courses can be imported from, with what each is asked, and which formats are read."""
    return {
        "sources": [
            {
                "name": source.name,
                "title": source.title,
                "description": source.description,
                "parameters": [vars(parameter) for parameter in source.parameters],
            }
            for source in SOURCES.values()
        ],
        "formats": [vars(each) | {"endings": list(each.endings)} for each in FORMATS],
    }


@blueprint.endpoint("/api/imports", access=CLIENT, methods=("POST",), answers={202: IMPORT}, refuses=(404,))
@blueprint.arguments(NewImport)
@blueprint.doc(requestBody={"content": {MULTIPART: {"schema": NewUpload}}})
def start(body: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Begins an import. A file (``source=file``) is sent as a form: at most ``MAX_UPLOAD_MB``, with a key 16 MiB."""
    source = SOURCES[body["source"]]
    asked = _asked(source, body)
    into = body["curriculum_id"]
    with context.current().database.transaction(durable=False) as session:
        if into is not None:
            curricula.get(session, into)
    kept = _keep_upload(source, asked)
    try:
        return begin(context.current(), g.caller, source, asked, body), 202
    except BaseException:
        if kept is not None:
            kept.unlink(missing_ok=True)
        raise


def begin(
    here: Context, caller: Caller, source: Source, asked: Mapping[str, str], body: Mapping[str, Any]
) -> dict[str, Any]:
    """The new import as it is shown; ``body`` is a ``NewImport``."""
    with here.database.transaction() as session:
        job, _ = submit.submit(
            session,
            KIND,
            lane=LANE,
            params={
                "source": source.name,
                "asked": dict(asked),
                **{name: body[name] for name in ("title", "curriculum_id", "accept_license", "dry_run")},
            },
            account_id=caller.account_id,
            # It waits for whoever takes it, as it need not be at once.
            certain=True,
            callback_url=body["callback_url"],
        )
        return shown(job)


@blueprint.endpoint("/api/imports/<import_id>", access=CLIENT, whose=OWN, answers={200: IMPORT})
def get_import(import_id: str) -> dict[str, Any]:
    """An import, how far it is, and what came of it; a preview with its outline."""
    with context.current().database.transaction(durable=False) as session:
        return shown(mine(session, import_id), whole=True)


@blueprint.endpoint("/api/imports/<import_id>", access=CLIENT, whose=OWN, methods=("DELETE",), answers={200: CANCELLED})
def cancel(import_id: str) -> dict[str, Any]:
    """Cancels an import, and shows it; one that has ended is removed. A course that was stored stays."""
    with context.current().database.transaction() as session:
        job = mine(session, import_id)
        if job.state not in ENDED:
            return shown(lifecycle.cancel(session, job.id))
        lifecycle.delete(session, job.id)
    return {"message": f"Import {import_id} was removed."}


def mine(session: Session, import_id: str) -> Job:
    """The import, if the caller may see it.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    return imports.get(session, import_id, visible_to=visible_to(g.caller))


def _asked(source: Source, body: Mapping[str, Any]) -> dict[str, str]:
    """What the source is asked with.

    Raises:
        Invalid: something is missing, or is another source's.
    """
    own = [parameter.name for parameter in source.parameters]
    others = {each.name for other in SOURCES.values() for each in other.parameters if each.type != "file"} - set(own)
    for name in sorted(others):
        if body.get(name) is not None and request.mimetype != MULTIPART:
            raise Invalid(f"{name}: source {source.name} does not take it; it takes {', '.join(own)}")
    asked: dict[str, str] = {}
    for parameter in source.parameters:
        if parameter.type == "file":
            continue
        value = body.get(parameter.name)
        if value is None and parameter.required:
            raise Invalid(f"{parameter.name}: source {source.name} needs it", fields={parameter.name: ["is missing"]})
        if value is not None:
            asked[parameter.name] = public(value, context.current().settings) if parameter.type == "url" else value
    return asked


def public(url: str, settings: Settings) -> str:
    """The URL, unless it is private as it is written; a name is looked up when it is fetched.

    Raises:
        Invalid: it is none, or private.
    """
    try:
        at = canonical(url.strip())
    except BadInput as fault:
        raise Invalid(f"url: {fault.message}") from None
    host = urlsplit(at).hostname or ""
    if not settings.import_allow_private and is_private(host):
        raise Invalid(f"url: {host!r} is a private address, which only IMPORT_ALLOW_PRIVATE=1 allows")
    return at


def _keep_upload(source: Source, asked: dict[str, str]) -> Path | None:
    """Where the file of the request now lies, if the source takes one; ``asked`` is told of it.

    Raises:
        Invalid: there is none.
    """
    if not any(parameter.type == "file" for parameter in source.parameters):
        return None
    sent = request.files.get("file") if request.mimetype == MULTIPART else None
    if sent is None:
        raise Invalid(f"file: source {source.name} needs it, as a part of a body of type {MULTIPART}")
    name = Path((sent.filename or "").replace("\\", "/")).name[:200] or "file"
    refuse_bad_text(name, "file")
    here = context.current()
    target = imports.folders(here.settings.var_dir).uploads / new_id()
    offload(uploads.keep, sent, target, uploads.most_bytes(), "file")
    asked |= {"upload": target.name, "name": name, "media_type": (sent.content_type or "")[:200]}
    return target
