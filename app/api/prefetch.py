"""Speech for later: the segments of a course, made in the background."""

from __future__ import annotations

from typing import Any

from flask import g
from marshmallow import fields, validate
from sqlalchemy.orm import Session

from app import context
from app.callbacks import CallbackUrl
from app.http.access import CLIENT, OWN, visible_to
from app.http.answers import Answer, Shown
from app.http.parsing import Number, Text, Voiced
from app.speaking import MAX_SPEED, MIN_SPEED
from app.surfaces import MANAGEMENT, SurfaceBlueprint
from config.voices import background_lane
from models import curricula, pronunciations, speech_clips, speech_voices, workers
from models.base import iso
from models.jobs import lifecycle, queries
from models.jobs.lifecycle import NewItem
from models.jobs.tables import CANCELLED, FAILED, PAUSED, QUEUED, RUNNING, SUCCEEDED, Job
from models.pronunciations import Lexicon
from tasks import submit

blueprint = SurfaceBlueprint("prefetch", surface=MANAGEMENT, description="Speech made before it is asked for")

KIND = "speech.prefetch"
_STATUS = {
    QUEUED: "pending",
    RUNNING: "in_progress",
    PAUSED: "paused",
    SUCCEEDED: "completed",
    FAILED: "failed",
    CANCELLED: "cancelled",
}


class Prefetch(Voiced):
    """Which course or topic, and in which voice."""

    curriculum_id = Text(required=True, minimum=1, maximum=200)
    topic_id = Text(load_default=None, allow_none=True, maximum=200)
    voice_id = Text(load_default=None, allow_none=True, maximum=100)
    provider = Text(load_default=None, allow_none=True, maximum=100)
    speed = Number(MIN_SPEED, MAX_SPEED, load_default=1.0)
    callback_url = CallbackUrl()


class PrefetchStarted(Shown):
    """The job that makes what is missing."""

    job_id = fields.String()
    status = fields.String(validate=validate.OneOf([*_STATUS.values(), "completed_with_errors"]))
    total_segments = fields.Integer()
    cached_segments = fields.Integer()


class PrefetchShown(PrefetchStarted):
    """How far it has come."""

    progress = fields.Float()
    completed_segments = fields.Integer()
    failed_segments = fields.Integer()
    curriculum_id = fields.String()
    topic_id = fields.String(allow_none=True)
    voice_id = fields.String()
    created_at = fields.DateTime()
    finished_at = fields.DateTime(allow_none=True)


SHOWN = Answer(schema=PrefetchShown)


@blueprint.endpoint(
    "/api/tts/prefetch/topic",
    access=CLIENT,
    methods=("POST",),
    answers={202: Answer(schema=PrefetchStarted)},
    refuses=(404, 503),
)
@blueprint.arguments(Prefetch)
def start(body: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Queues the segments of a topic, or of the whole course, that are not there yet."""
    with context.current().database.transaction() as session:
        job = prefetch(session, account_id=g.caller.account_id, **body)
    return started(job), 202


def started(job: Job) -> dict[str, Any]:
    """A new one, as whoever began it is shown it."""
    return {
        "job_id": job.id,
        "status": _STATUS[job.state],
        "total_segments": job.items_total,
        "cached_segments": job.params["cached_segments"],
    }


@blueprint.endpoint("/api/tts/prefetch/<job_id>", access=CLIENT, whose=OWN, answers={200: SHOWN})
def status(job_id: str) -> dict[str, Any]:
    """How far it has come."""
    with context.current().database.transaction(durable=False) as session:
        return _shown(_mine(session, job_id))


@blueprint.endpoint(
    "/api/tts/prefetch/<job_id>", access=CLIENT, whose=OWN, methods=("DELETE",), answers={200: SHOWN}, refuses=(409,)
)
def cancel(job_id: str) -> dict[str, Any]:
    """Cancels it; what was made stays."""
    with context.current().database.transaction() as session:
        return _shown(lifecycle.cancel(session, _mine(session, job_id).id))


def prefetch(
    session: Session,
    *,
    account_id: str | None,
    curriculum_id: str,
    topic_id: str | None = None,
    voice_id: str | None = None,
    provider: str | None = None,
    speed: float = 1.0,
    callback_url: str | None = None,
) -> Job:
    """The job that makes the missing segments; each segment is an item, those that are there are done already.

    Raises:
        NotFound: no such course or topic.
        Invalid: unknown voice or provider.
        Unavailable: no worker can speak it.
    """
    resolution = speech_voices.resolve(workers.engines(session), voice_id, provider)
    segments = curricula.segments(session, curriculum_id, topic_id)
    lexicon = Lexicon(pronunciations.entries(session, curriculum_id))
    clips = [resolution.clip(segment.text, speed, lexicon=lexicon) for segment in segments]
    ready = speech_clips.ready_keys(session, [clip.key for clip in clips])
    items = [
        NewItem(
            {"segment_id": segment.id, "clip": vars(clip)},
            {"clip": clip.key, "cached": True} if clip.key in ready else None,
        )
        for segment, clip in zip(segments, clips, strict=True)
    ]
    if any(item.result is None for item in items):
        resolution.require()
    job, _ = submit.submit(
        session,
        KIND,
        lane=background_lane(resolution.pool),
        params={
            "curriculum_id": curriculum_id,
            "topic_id": topic_id,
            "voice_id": resolution.voice.id,
            "cached_segments": sum(item.result is not None for item in items),
        },
        resolution=resolution.as_dict(),
        account_id=account_id,
        items=items,
        # After a start the live worker is there first; those that serve the background follow within seconds.
        certain=True,
        callback_url=callback_url,
    )
    return job


def _mine(session: Session, job_id: str) -> Job:
    return queries.get_of(session, KIND, job_id, called="prefetch", visible_to=visible_to(g.caller))


def _shown(job: Job) -> dict[str, Any]:
    with_errors = job.state == SUCCEEDED and job.items_failed
    return {
        "job_id": job.id,
        "status": "completed_with_errors" if with_errors else _STATUS[job.state],
        "progress": round(job.progress, 4),
        "total_segments": job.items_total,
        "cached_segments": job.params["cached_segments"],
        "completed_segments": job.items_succeeded,
        "failed_segments": job.items_failed,
        "curriculum_id": job.params["curriculum_id"],
        "topic_id": job.params["topic_id"],
        "voice_id": job.params["voice_id"],
        "created_at": iso(job.created_at),
        "finished_at": iso(job.finished_at),
    }
