"""Deployments: a course spoken in several voices, by a time that is set; then its manifest, bundle and captions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Response, g, request
from marshmallow import Schema, ValidationError, fields, post_load, pre_load, validate
from sqlalchemy.orm import Session

from app import context
from app import deployments as made
from app.api.captions import CAPTIONS, Which, answer
from app.callbacks import CallbackUrl
from app.http.access import CLIENT, visible_to
from app.http.answers import Answer, Shown, page_of
from app.http.offload import offload
from app.http.parsing import Listing, Number, Paging, Text, one_of
from app.speaking import MAX_SPEED, MIN_SPEED
from app.surfaces import MANAGEMENT, SurfaceBlueprint
from config.versions import AUDIO_FORMATS
from models import deployment_plans, deployments
from models.base import iso, utc_now
from models.deployment_plans import KIND, VoiceConfig
from models.deployments import VoiceFigures
from models.errors import Invalid, NotFound
from models.jobs import lifecycle
from models.jobs.tables import ENDED, Job
from tasks import submit

blueprint = SurfaceBlueprint("deployments", surface=MANAGEMENT, description="Courses spoken by a time that is set")

MAX_VOICES = 10
MAX_YEARS_AHEAD = 5
# It is planned by whoever takes imports and the like; the speech is made on the lanes of its voices.
LANE = "io"


class Moment(Text):
    """A point in time as ISO 8601, in any zone, which has to be given."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(maximum=40, metadata={"format": "date-time"}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise ValidationError(f"{text!r} is no time in ISO 8601, such as 2026-01-15T02:00:00Z") from None
        if moment.tzinfo is None:
            raise ValidationError(f"{text!r} names no zone; end it with Z (UTC) or an offset such as +02:00")
        try:
            moment = moment.astimezone(UTC)
        except OverflowError:
            raise ValidationError(f"{text!r} is out of range") from None
        if moment > utc_now() + timedelta(days=MAX_YEARS_AHEAD * 365):
            raise ValidationError(f"{text!r} is more than {MAX_YEARS_AHEAD} years ahead")
        return moment


class VoiceAsked(Schema):
    """A voice, and the form of its files."""

    voice_id = Text(required=True, minimum=1, maximum=100)
    provider = Text(load_default=None, allow_none=True, maximum=100)
    speed = Number(MIN_SPEED, MAX_SPEED, load_default=1.0)
    format = Text(load_default="wav", maximum=10, validate=one_of(sorted(AUDIO_FORMATS)))

    @pre_load
    def take_synonym(self, data: Any, **_: Any) -> Any:
        """``tts_provider`` is another word for ``provider``."""
        if not isinstance(data, dict):
            raise ValidationError(f"{data!r:.60} is not a voice (an object with voice_id)")
        if "tts_provider" in data:
            if "provider" in data:
                raise ValidationError("provider and tts_provider are the same; give one", "tts_provider")
            data = {("provider" if name == "tts_provider" else name): value for name, value in data.items()}
        return data

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> VoiceConfig:
        """The voice as it is planned."""
        return VoiceConfig(**data)


def _no_doubles(configs: list[VoiceConfig]) -> None:
    doubled = next((config for number, config in enumerate(configs) if config in configs[:number]), None)
    if doubled is not None:
        raise ValidationError(f"voice {doubled.voice_id!r} is asked for twice in the same form")


class NewDeployment(Schema):
    """Which course, in which voices, and when it is begun: at once without a time, or with one that is past."""

    curriculum_id = Text(required=True, minimum=1, maximum=200)
    title = Text(load_default=None, allow_none=True, maximum=500)
    scheduled_time = Moment(load_default=None, allow_none=True)
    voice_configs = Listing(
        fields.Nested(VoiceAsked), required=True, validate=[validate.Length(1, MAX_VOICES), _no_doubles]
    )
    callback_url = CallbackUrl()


class DeploymentList(Paging):
    """Which deployments."""

    status = Text(maximum=30, validate=one_of(list(deployments.STATUSES)))


class WhichCaptions(Which):
    """In which form, of which voice (the first unless named), of one topic or of all of them."""

    voice_id = Text(load_default=None, maximum=100)
    topic_id = Text(load_default=None, maximum=200)


class VoiceConfigShown(Shown):
    """A voice as it was asked for."""

    voice_id = fields.String()
    provider = fields.String(allow_none=True)
    speed = fields.Float()
    format = fields.String()


class VoiceShown(VoiceConfigShown):
    """A voice, who speaks it, and how far it is; what is cached is known once it is planned."""

    engine = fields.String()
    fallback = fields.String(allow_none=True)
    status = fields.String()
    total = fields.Integer()
    cached = fields.Integer(allow_none=True)
    generated = fields.Integer()
    failed = fields.Integer()
    bytes = fields.Integer()
    duration_seconds = fields.Float()
    eta_seconds = fields.Float(allow_none=True)


class ErrorShown(Shown):
    """What went wrong last."""

    code = fields.String()
    message = fields.String(allow_none=True)


class DeploymentShown(Shown):
    """A deployment."""

    id = fields.String()
    curriculum_id = fields.String()
    title = fields.String(allow_none=True)
    status = fields.String(validate=validate.OneOf(deployments.STATUSES))
    progress = fields.Float()
    phase = fields.String(allow_none=True)
    scheduled_time = fields.DateTime(allow_none=True)
    voice_configs = fields.List(fields.Nested(VoiceConfigShown))
    voices = fields.List(fields.Nested(VoiceShown))
    total_segments = fields.Integer()
    error = fields.Nested(ErrorShown, allow_none=True)
    created_at = fields.DateTime()
    started_at = fields.DateTime(allow_none=True)
    finished_at = fields.DateTime(allow_none=True)


class FileShown(Shown):
    """A file of the bundle."""

    path = fields.String()
    voice_id = fields.String()
    topic_index = fields.Integer()
    topic_id = fields.String()
    segment_index = fields.Integer()
    segment_id = fields.String()
    format = fields.String()
    sha256 = fields.String()
    size_bytes = fields.Integer()
    duration_seconds = fields.Float()
    sample_rate_hz = fields.Integer()
    clip = fields.String()
    url = fields.String()


class ManifestShown(Shown):
    """What the bundle holds."""

    deployment_id = fields.String()
    curriculum_id = fields.String()
    title = fields.String()
    generated_at = fields.DateTime()
    voices = fields.List(fields.Dict())
    topics = fields.List(fields.Dict())
    files = fields.List(fields.Nested(FileShown))
    captions = fields.List(fields.Dict())
    missing = fields.List(fields.Dict())
    totals = fields.Dict()


DEPLOYMENT = Answer(schema=DeploymentShown)
CANCELLED = Answer(description="The deployment, cancelled; where it had ended, a message that it was removed")
ZIP = Answer(("application/zip",), description="Manifest, sound and captions", headers={"ETag": "Of equal bundles"})


@blueprint.endpoint("/api/deployments", access=CLIENT, answers={200: page_of("deployments", DeploymentShown)})
@blueprint.arguments(DeploymentList, location="query")
def list_deployments(query: dict[str, Any]) -> dict[str, Any]:
    """The newest deployments first."""
    paging = {name: query[name] for name in ("limit", "offset")}
    with context.current().database.transaction(durable=False) as session:
        found, total = deployments.page(session, word=query.get("status"), visible_to=visible_to(g.caller), **paging)
        figures = deployments.voices(session, found)
    return {"deployments": [shown(job, figures[job.id]) for job in found], "total": total, **paging}


@blueprint.endpoint("/api/deployments", access=CLIENT, methods=("POST",), answers={201: DEPLOYMENT}, refuses=(404, 409))
@blueprint.arguments(NewDeployment)
def schedule(body: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Stores a deployment, which is begun at its time; one that cannot fit into the speech cache is refused."""
    due = body["scheduled_time"]
    configs: list[VoiceConfig] = body["voice_configs"]
    _check_room(body["curriculum_id"], configs)
    with context.current().database.transaction() as session:
        job, _ = submit.submit(
            session,
            KIND,
            lane=LANE,
            params={
                "curriculum_id": body["curriculum_id"],
                "title": body["title"],
                "voice_configs": [vars(config) for config in configs],
                "scheduled_time": iso(due),
            },
            account_id=g.caller.account_id,
            # Whoever plans it is there when it is due.
            certain=True,
            callback_url=body["callback_url"],
            run_after=due if due and due > utc_now() else None,
        )
        return _shown(session, job), 201


@blueprint.endpoint("/api/deployments/<deployment_id>", access=CLIENT, answers={200: DEPLOYMENT})
def get_deployment(deployment_id: str) -> dict[str, Any]:
    """A deployment, and how far each of its voices is."""
    with context.current().database.transaction(durable=False) as session:
        return _shown(session, _mine(session, deployment_id))


@blueprint.endpoint(
    "/api/deployments/<deployment_id>/start",
    access=CLIENT,
    methods=("POST",),
    answers={202: DEPLOYMENT},
    refuses=(409,),
)
def start(deployment_id: str) -> tuple[dict[str, Any], int]:
    """Begins a scheduled deployment now."""
    with context.current().database.transaction() as session:
        return _shown(session, lifecycle.hasten(session, _mine(session, deployment_id).id)), 202


@blueprint.endpoint(
    "/api/deployments/<deployment_id>/pause",
    access=CLIENT,
    methods=("POST",),
    answers={200: DEPLOYMENT},
    refuses=(409,),
)
def pause(deployment_id: str) -> dict[str, Any]:
    """Begins nothing more of it until it is resumed; what is in flight is finished and kept."""
    with context.current().database.transaction() as session:
        return _shown(session, lifecycle.pause(session, _mine(session, deployment_id).id))


@blueprint.endpoint(
    "/api/deployments/<deployment_id>/resume",
    access=CLIENT,
    methods=("POST",),
    answers={200: DEPLOYMENT},
    refuses=(409,),
)
def resume(deployment_id: str) -> dict[str, Any]:
    """Goes on with a paused deployment, planned anew if its course has changed; before its time, it waits for that."""
    with context.current().database.transaction() as session:
        job = _mine(session, deployment_id)
        return _shown(session, submit.resume(session, job.id, lane=job.lane))


@blueprint.endpoint(
    "/api/deployments/<deployment_id>/retry",
    access=CLIENT,
    methods=("POST",),
    answers={200: DEPLOYMENT},
    refuses=(409,),
)
def retry(deployment_id: str) -> dict[str, Any]:
    """Queues a failed or cancelled deployment again; of one that ended with errors, the segments that failed."""
    with context.current().database.transaction() as session:
        job = _mine(session, deployment_id)
        return _shown(session, submit.retry(session, job.id, lane=job.lane))


@blueprint.endpoint("/api/deployments/<deployment_id>", access=CLIENT, methods=("DELETE",), answers={200: CANCELLED})
def cancel(deployment_id: str) -> dict[str, Any]:
    """Cancels a deployment, and shows it; one that has ended is removed. What was spoken stays in the cache."""
    with context.current().database.transaction() as session:
        job = _mine(session, deployment_id)
        if job.state not in ENDED:
            return _shown(session, lifecycle.cancel(session, job.id))
        lifecycle.delete(session, job.id)
    return {"message": f"Deployment {deployment_id} was removed."}


@blueprint.endpoint(
    "/api/deployments/<deployment_id>/manifest",
    access=CLIENT,
    answers={200: Answer(schema=ManifestShown)},
    refuses=(409,),
)
def get_manifest(deployment_id: str) -> Response:
    """What a completed deployment holds: every file with its hash, its captions, and what failed."""
    with context.current().database.transaction(durable=False) as session:
        held = made.contents(session, _mine(session, deployment_id))
    return Response(offload(lambda: made.as_json(made.manifest(held))), mimetype="application/json")


@blueprint.endpoint("/api/deployments/<deployment_id>/bundle", access=CLIENT, answers={200: ZIP}, refuses=(409,))
def get_bundle(deployment_id: str) -> Response:
    """Manifest, sound and captions of a completed deployment as a zip."""
    here = context.current()
    with here.database.transaction(durable=False) as session:
        held = made.contents(session, _mine(session, deployment_id))
    offload(made.check_files, held.files, here.files)
    described = offload(lambda: made.as_json(made.manifest(held)))
    pieces = made.bundle(held, described, here.files, here.database)
    # Passed through, or Werkzeug would make all of it to see how long it is.
    response = Response(pieces, mimetype="application/zip", direct_passthrough=True)
    title = held.job.params.get("title") or held.job.params["course_title"]
    response.headers["Content-Disposition"] = f'attachment; filename="{made.slug(title, "deployment")}.zip"'
    response.set_etag(made.etag(described))
    response.make_conditional(request)
    return response


@blueprint.endpoint("/api/deployments/<deployment_id>/captions", access=CLIENT, answers={200: CAPTIONS}, refuses=(409,))
@blueprint.arguments(WhichCaptions, location="query")
def get_captions(query: dict[str, Any], deployment_id: str) -> Response:
    """What is said in a topic, or in all of them one after the other, as the bundle has it."""
    here = context.current()
    with here.database.transaction(durable=False) as session:
        job = _mine(session, deployment_id)
        made.require_finished(job)
        voice = _voice(made.voices(session, job), query["voice_id"], job)
        topic_id = query["topic_id"]
        if topic_id is not None and all(topic["id"] != topic_id for topic in job.params["topics"]):
            raise NotFound(f"Deployment {job.id} has no topic {topic_id!r}.")
        parts = [part for some in deployments.made(session, voice.job.id, topic_id=topic_id) for part in some]
    track = made.spoken_in(here.database, [part.result["clip"] for part in parts if part.result])
    return answer(track, query["format"])


def shown(job: Job, figures: list[VoiceFigures]) -> dict[str, Any]:
    """A deployment as it is shown; ``figures`` are those of its voices."""
    configs = job.params["voice_configs"]
    return {
        "id": job.id,
        "curriculum_id": job.params["curriculum_id"],
        "title": job.params["title"],
        "status": deployments.status(job),
        "progress": round(job.progress, 4),
        "phase": job.phase,
        "scheduled_time": job.params["scheduled_time"],
        "voice_configs": configs,
        "voices": [_figures(job, config, each) for config, each in zip(configs, figures, strict=True)],
        "total_segments": sum(each.total for each in figures),
        "error": {"code": job.error_code, "message": job.error_message} if job.error_code else None,
        "created_at": iso(job.created_at),
        "started_at": iso(job.started_at),
        "finished_at": iso(job.finished_at),
    }


def _figures(job: Job, config: dict[str, Any], figures: VoiceFigures) -> dict[str, Any]:
    return config | {
        **(_speaker(VoiceConfig(**config)) if figures.job is None else _planned_speaker(figures.job)),
        "status": deployments.status(figures.job or job),
        "total": figures.total,
        "cached": figures.cached,
        "generated": figures.generated,
        "failed": figures.job.items_failed if figures.job else 0,
        "bytes": figures.size_bytes,
        "duration_seconds": round(figures.duration_seconds, 3),
        "eta_seconds": figures.eta_seconds,
    }


def _speaker(config: VoiceConfig) -> dict[str, Any]:
    """Who would speak it now; nobody, where the voice has gone from the catalogue since."""
    try:
        resolution = config.resolve(context.current().engines(None))
    except Invalid:
        return {"engine": None, "fallback": None}
    return {"engine": resolution.engine, "fallback": resolution.fallback}


def _planned_speaker(job: Job) -> dict[str, Any]:
    return {name: job.resolution.get(name) for name in ("engine", "fallback")}


def _shown(session: Session, job: Job) -> dict[str, Any]:
    return shown(job, deployments.voices(session, [job])[job.id])


def _mine(session: Session, deployment_id: str) -> Job:
    return deployments.get(session, deployment_id, visible_to=visible_to(g.caller))


def _voice(voices: list[made.Voice], voice_id: str | None, job: Job) -> made.Voice:
    """The voice of that name, or of that folder where several have the name."""
    named = [voice for voice in voices if voice_id in (None, voice.folder)]
    named += [voice for voice in voices if voice.config.voice_id == voice_id]
    if not named:
        there = ", ".join(voice.folder for voice in voices)
        raise NotFound(f"Deployment {job.id} has no voice {voice_id!r}; it has {there}.")
    return named[0]


def _check_room(curriculum_id: str, configs: list[VoiceConfig]) -> None:
    """Refuses what could never be kept.

    Raises:
        NotFound: there is no such course.
        Invalid: an unknown voice or provider.
        Conflict: it does not fit into the speech cache, with the figures.
    """
    here = context.current()
    most, engines = here.settings.speech_cache_max_bytes, here.engines(None)
    with here.database.transaction(durable=False) as session:
        needed = deployment_plans.at_most_bytes(session, curriculum_id, configs, engines)
        if needed <= most - deployment_plans.taken_bytes(session):
            return
        course = deployment_plans.read(session, curriculum_id)
    # What is there already counts less; to find that out takes seconds for a large course.
    voices = offload(deployment_plans.plan, course, configs, engines)
    with here.database.transaction(durable=False) as session:
        deployment_plans.look(session, voices)
        deployment_plans.check_room(session, voices, max_bytes=most)
