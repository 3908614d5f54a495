"""Everything that was configured, as one file: taken along, brought back, and seen before. Administrators only."""

from __future__ import annotations

import json
from typing import Any

from flask import Response, g, request
from marshmallow import Schema, ValidationError, fields, validates_schema

from app import context
from app.backup import making, restoring
from app.backup.restoring import Wanted
from app.http import uploads
from app.http.access import ADMIN, Forbidden, is_anybody
from app.http.answers import Answer, Shown
from app.http.offload import offload
from app.http.parsing import Flag, Text
from app.surfaces import GATEWAY, SurfaceBlueprint
from models.backup.sections import BY_DEFAULT, NAMES, everything
from models.base import utc_now
from models.errors import Invalid

blueprint = SurfaceBlueprint("backup", surface=GATEWAY, description="Everything that was configured, as one file")

MIN_PASSPHRASE, MAX_PASSPHRASE = 8, 1000


class Passphrase(fields.String):
    """What secrets are encrypted under; no error quotes it."""

    def __init__(self, minimum: int = 1, **kwargs: Any) -> None:
        limits = {"minLength": minimum, "maxLength": MAX_PASSPHRASE, "format": "password"}
        super().__init__(metadata=limits, **kwargs)
        self._minimum = minimum

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError("it is not a text")
        if not self._minimum <= len(value) <= MAX_PASSPHRASE:
            raise ValidationError(f"it has {len(value)} characters; {self._minimum} to {MAX_PASSPHRASE} are taken")
        return value


_ASKED = {name: Flag(metadata={"description": f"Whether the file has `{name}`"}) for name in NAMES}


class Export(Schema.from_dict(_ASKED, name="Sections")):  # type: ignore[misc]
    """Which sections; when none is named, all but ``wake_models``. With a passphrase the file has secrets, too."""

    passphrase = Passphrase(MIN_PASSPHRASE, load_default=None, allow_none=True)


class Options(Schema):
    """``merge_mode`` adds and updates, and removes nothing; ``dry_run`` only says what would be done."""

    merge_mode = Flag(load_default=False)
    dry_run = Flag(load_default=False)


class Import(Schema):
    """A file as it was exported, or only its ``version`` and ``data``, or the name of a ``snapshot``."""

    version = Text(minimum=1, maximum=20)
    data = fields.Dict(keys=fields.String())
    options = fields.Nested(Options, load_default=lambda: Options().load({}))
    passphrase = Passphrase(load_default=None, allow_none=True)
    snapshot = Text(minimum=1, maximum=100)
    checksums = fields.Dict(keys=fields.String(), values=fields.String())
    counts = fields.Dict(keys=fields.String(), values=fields.Integer(strict=True))
    secrets = fields.Dict(keys=fields.String())
    # Said for people.
    created_at = fields.String()
    generator = fields.String()
    sections = fields.List(fields.String())

    @validates_schema
    def refuse_neither(self, data: dict[str, Any], **_: Any) -> None:
        """Either a file or a snapshot."""
        if "snapshot" in data:
            if "data" in data or "version" in data:
                raise ValidationError("a snapshot is a file of its own; give one of the two", "snapshot")
            return
        for name in ("version", "data"):
            if name not in data:
                raise ValidationError("Missing data for required field", name)


class FileShown(Shown):
    """A backup."""

    version = fields.String()
    created_at = fields.DateTime()
    generator = fields.String()
    sections = fields.List(fields.String())
    counts = fields.Dict(keys=fields.String(), values=fields.Integer())
    checksums = fields.Dict(keys=fields.String(), values=fields.String())
    secrets = fields.Dict()
    data = fields.Dict(keys=fields.String(), values=fields.List(fields.Dict()))


class Changed(Shown):
    """A record that changes, and which of its fields."""

    record = fields.String()
    fields_ = fields.List(fields.String(), data_key="fields")


class Difference(Shown):
    """What becomes of a section; records by their names."""

    added = fields.List(fields.String())
    changed = fields.List(fields.Nested(Changed))
    removed = fields.List(fields.String())
    unchanged = fields.Integer()


class Imported(Shown):
    """What was done, or (``dry_run``) would be; ``snapshot`` is what was there before."""

    message = fields.String()
    version = fields.String()
    merge_mode = fields.Boolean()
    dry_run = fields.Boolean()
    diff = fields.Dict(keys=fields.String(), values=fields.Nested(Difference))
    warnings = fields.List(fields.String())
    snapshot = fields.String(allow_none=True)


class Snapshots(Shown):
    """Their names, newest first."""

    snapshots = fields.List(fields.String())


class Counts(Shown.from_dict({name: fields.Integer() for name in NAMES}, name="CountsOfSections")):  # type: ignore[misc]
    """How many records each section has."""

    promised = frozenset(("services", "user_mappings", "groups", "training_prompts", "training_workers"))


# Sections that nobody without a credential may take or give, also where the surface needs none.
CREDENTIALS = frozenset(("users", "api_keys"))
_ATTACHED = {"Content-Disposition": "The name to store it under"}


@blueprint.before_request
def allow_a_file() -> None:
    """A backup may be as large as an upload."""
    if request.path == "/api/backup/import":
        request.max_content_length = uploads.most_bytes()


@blueprint.endpoint(
    "/api/backup/export",
    access=ADMIN,
    methods=("POST",),
    answers={200: Answer(schema=FileShown, headers=_ATTACHED)},
    refuses=(409,),
)
@blueprint.arguments(Export)
def export(body: dict[str, Any]) -> Response:
    """A file with what was configured; secrets are encrypted under the passphrase, or left out."""
    passphrase = body.pop("passphrase")
    names = [name for name, asked in body.items() if asked] if body else BY_DEFAULT
    if is_anybody(g.caller):
        if asked := [name for name in names if name in CREDENTIALS and body.get(name)]:
            raise Forbidden(f"{asked[0]}: accounts and keys are only for those who sign in.")
        names = [name for name in names if name not in CREDENTIALS]
    file = making.export(context.current(), names, passphrase)
    response = Response(offload(_json, file), mimetype="application/json")
    response.headers["Content-Disposition"] = f"attachment; filename=voiceworks-backup-{utc_now():%Y-%m-%d}.json"
    # What is in it is nobody else's.
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.endpoint(
    "/api/backup/import",
    access=ADMIN,
    methods=("POST",),
    answers={200: Answer(schema=Imported)},
    refuses=(404, 409),
)
@blueprint.arguments(Import)
def restore(body: dict[str, Any]) -> dict[str, Any]:
    """Brings a file back: all of it, or nothing. What is not merged is replaced, after a snapshot of what was there."""
    here = context.current()
    options = body["options"]
    if is_anybody(g.caller) and ("snapshot" in body or CREDENTIALS & set(body["data"])):
        raise Forbidden("Accounts and keys, and snapshots, which hold them, are only for those who sign in.")
    if "snapshot" in body:
        file = offload(restoring.snapshots(here).read, body["snapshot"])
    else:
        file = body
    wanted = Wanted(file, body["passphrase"], merge=options["merge_mode"], rehearse=options["dry_run"])
    outcome = restoring.restore(here, wanted, g.caller)
    diff = {plan.section.name: plan.shown() for plan in outcome.plans}
    kinds = {kind: sum(len(each[kind]) for each in diff.values()) for kind in ("added", "changed", "removed")}
    done = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    return {
        "message": f"{'Nothing was written; it would be' if options['dry_run'] else 'Imported'}: {done}.",
        "version": outcome.version,
        **options,
        "diff": diff,
        "warnings": [warning for plan in outcome.plans for warning in plan.warnings],
        "snapshot": outcome.snapshot,
    }


@blueprint.endpoint("/api/backup/preview", access=ADMIN, answers={200: Answer(schema=Counts)})
def preview() -> dict[str, int]:
    """How many records of each section an export has."""
    here = context.current()
    with here.database.snapshot() as session:
        return {name: section.count(session) for name, section in everything(here.settings.secret_key).items()}


@blueprint.endpoint("/api/backup/snapshots", access=ADMIN, answers={200: Answer(schema=Snapshots)})
def snapshots() -> dict[str, list[str]]:
    """What was there before the last imports that replaced it."""
    return {"snapshots": offload(restoring.snapshots(context.current()).names)}


def _json(file: dict[str, Any]) -> bytes:
    try:
        return json.dumps(file, ensure_ascii=False, allow_nan=False).encode()
    except ValueError as fault:
        raise Invalid(f"What is stored cannot be written as JSON: {fault}") from None
