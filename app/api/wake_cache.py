"""The negative cache: human speech without any wake word, made ready once and used by every training."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import g
from marshmallow import EXCLUDE, Schema, fields
from sqlalchemy.orm import Session

from app import context
from app.callbacks import CallbackUrl
from app.http.access import ADMIN, CLIENT
from app.http.answers import MESSAGE, Answer, Message, Shown
from app.http.offload import offload
from app.http.parsing import QueryWhole
from app.surfaces import WAKEWORDS, SurfaceBlueprint
from app.wake_starting import unable
from models import wake_trainings, workers
from models.base import iso
from models.errors import Conflict
from models.wake_trainings import LANE, NEGATIVES
from tasks import submit

if TYPE_CHECKING:
    from workers.wakeword.negatives import CacheInfo

blueprint = SurfaceBlueprint("wake_cache", surface=WAKEWORDS, description="The sound that no wake word is in")


class Building(Schema):
    """How it is built."""

    class Meta:
        unknown = EXCLUDE

    max_workers = QueryWhole(1, 64, load_default=4, metadata={"description": "Threads that read sound"})
    callback_url = CallbackUrl()


class SourceShown(Shown):
    """Where some of it comes from, and on what terms."""

    name = fields.String()
    language = fields.String()
    speaker = fields.String()
    licence = fields.String()
    credit = fields.String()
    split = fields.String()
    chunks = fields.Integer()
    hours = fields.Float()
    size_bytes = fields.Integer()
    unreadable = fields.Integer()


class CacheShown(Shown):
    """What is in the cache; ``job_id`` is of a build that is unfinished."""

    promised = frozenset({"available", "chunk_count", "size_mb", "last_built"})

    available = fields.Boolean()
    chunk_count = fields.Integer()
    size_mb = fields.Integer()
    last_built = fields.DateTime(allow_none=True)
    hours = fields.Float()
    sources = fields.List(fields.Nested(SourceShown))
    job_id = fields.String(allow_none=True)


class BuildStarted(Message):
    """A build that was accepted."""

    promised = frozenset({"message", "estimated_time"})

    estimated_time = fields.String()
    job_id = fields.String()


@blueprint.endpoint("/api/cache/info", access=CLIENT, answers={200: Answer(schema=CacheShown)})
def info() -> dict[str, Any]:
    """What is in the cache, where it comes from, and on what terms."""
    here = context.current()
    found = offload(_info, wake_trainings.folders(here.settings.var_dir).negatives)
    with here.database.reading() as session:
        building = wake_trainings.negatives_in_use(session, building=True)
    built = None if found.built_at is None else datetime.fromtimestamp(found.built_at, UTC)
    return {
        "available": found.chunks > 0,
        "chunk_count": found.chunks,
        "size_mb": -(-found.size_bytes // 10**6),
        "last_built": iso(built),
        "hours": round(found.hours, 3),
        "sources": [
            {name: getattr(each, name) for name in SourceShown().fields if name != "hours"}
            | {"hours": round(each.seconds / 3600, 3)}
            for each in found.sources
        ],
        "job_id": building.id if building else None,
    }


@blueprint.endpoint(
    "/api/cache/build",
    access=ADMIN,
    methods=("POST",),
    answers={200: Answer(schema=BuildStarted)},
    refuses=(409, 503),
)
@blueprint.arguments(Building, location="query")
def build(query: dict[str, Any]) -> dict[str, Any]:
    """Begins to build the cache, or to bring it up to date: Debian's prompts, and the folders of the settings."""
    with context.current().database.transaction() as session:
        if not workers.able(session, LANE):
            raise unable("Nobody here builds the negative cache")
        _require_unused(session)
        job, _ = submit.submit(
            session,
            NEGATIVES,
            lane=LANE,
            params={"max_workers": query["max_workers"]},
            account_id=g.caller.account_id,
            callback_url=query["callback_url"],
        )
    return {
        "message": "Cache build started",
        "estimated_time": "Several minutes (depends on system)",
        "job_id": job.id,
    }


@blueprint.endpoint("/api/cache", access=ADMIN, methods=("DELETE",), answers={200: MESSAGE}, refuses=(409,))
def clear() -> dict[str, str]:
    """Empties the cache."""
    here = context.current()
    # Held until it is empty: whoever wants to begin something that reads it waits for that.
    with here.database.transaction() as session:
        _require_unused(session)
        offload(_clear, wake_trainings.folders(here.settings.var_dir).negatives)
    return {"message": "Cache cleared successfully"}


def _require_unused(session: Session) -> None:
    wake_trainings.hold_negatives(session)
    using = wake_trainings.negatives_in_use(session)
    if using is not None:
        what = "built" if using.kind == NEGATIVES else "read"
        raise Conflict(f"The negative cache is being {what} by job {using.id}.", job_id=using.id)


# Both load what reads sound, which a web process does without until somebody asks.


def _info(folder: Path) -> CacheInfo:
    from workers.wakeword.negatives import NegativeCache

    return NegativeCache(folder).info()


def _clear(folder: Path) -> None:
    from workers.wakeword.negatives import NegativeCache

    NegativeCache(folder).clear()
