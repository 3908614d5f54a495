"""What Label Studio tells of itself, so that nobody waits for the next look at it."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import redis
from flask import request

from app import context
from app.http.access import PUBLIC, Unauthorized, same
from app.http.answers import MESSAGE
from app.surfaces import TRANSCRIPTION, SurfaceBlueprint
from models import redis_keys
from models.events import Doorbell
from models.transcription import delivering
from tasks import submit

blueprint = SurfaceBlueprint("transcription_webhook", surface=TRANSCRIPTION, description="What Label Studio tells")

SECRET_HEADER = "X-Voiceworks-Secret"
LANE, _SYNC = "imports", "transcription.sync"
_NEW = "TASKS_CREATED"


@blueprint.endpoint(
    "/api/transcription/label-studio/webhook", access=PUBLIC, methods=("POST",), answers={200: MESSAGE}, refuses=(401,)
)
def told() -> dict[str, Any]:
    """A webhook of Label Studio's; `LABEL_STUDIO_WEBHOOK_SECRET` has to come with it as `X-Voiceworks-Secret`.

    Nothing is taken from it but that there is something to look at; our own texts, which it tells of, too, are not.
    """
    if not same(request.headers.get(SECRET_HEADER, ""), context.current().settings.label_studio_webhook_secret):
        raise Unauthorized(f"Missing or invalid {SECRET_HEADER}")
    body = _body()
    action = str(body.get("action", ""))
    if not (action in (_NEW, "TASKS_DELETED") or action.startswith("ANNOTATION")) or _is_ours(body):
        return {"message": "Nothing to look at"}
    _look(whole=action != _NEW)
    return {"message": "Label Studio is looked at"}


def _body() -> dict[str, Any]:
    try:
        said = json.loads(request.get_data())
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _is_ours(body: dict[str, Any]) -> bool:
    """Whether it tells of a text that we wrote: four a second, in a good hour, and each would have all tasks read."""
    annotation = body.get("annotation")
    parts = annotation.get("result") if isinstance(annotation, dict) else None
    unique_ids = [name for part in parts if (name := _name(part))] if isinstance(parts, list) else []
    # What is done by hand to ours is no new text either: deleted there, it stays paid.
    with context.current().database.reading() as session:
        return bool(unique_ids) and delivering.is_ours(session, unique_ids)


def _name(part: Any) -> str:
    """What a part of an annotation is called, if it may be one of ours."""
    try:
        return str(UUID(part["id"]))
    except (TypeError, KeyError, ValueError, AttributeError):
        return ""


def _look(*, whole: bool) -> None:
    """Wakes who looks at Label Studio, once for a burst; what comes after that is seen by the clock's next look."""
    here = context.current()
    try:
        if whole:
            here.redis.delete(redis_keys.LABEL_STUDIO_LOOKED_AT)
        first = here.redis.set(redis_keys.LABEL_STUDIO_RUNG, 1, nx=True, ex=redis_keys.LABEL_STUDIO_RUNG_SECONDS)
    except redis.RedisError:
        return
    if first:
        submit.ring(Doorbell(LANE, _SYNC, ""))
