"""Deployments: courses spoken in several voices by a time that is set; what is made of them: ``deployment_files``."""

from __future__ import annotations

from typing import Any

from flask import g
from marshmallow import Schema, ValidationError, fields, post_load, validate
from sqlalchemy.orm import Session

from app import context
from app.callbacks import CallbackUrl
from app.deployment_shown import DeploymentShown, shown
from app.http.access import CLIENT, OWN, OWN_LISTED, visible_to
from app.http.answers import Answer, page_of
from app.http.offload import offload
from app.http.parsing import Listing, Moment, Number, Paging, Text, Voiced, one_of
from app.speaking import MAX_SPEED, MIN_SPEED
from app.surfaces import MANAGEMENT, SurfaceBlueprint
from config.versions import AUDIO_FORMATS
from models import deployment_plans, deployments
from models.base import iso, utc_now
from models.deployment_plans import KIND, VoiceConfig
from models.jobs import lifecycle
from models.jobs.tables import ENDED, Job
from tasks import submit

blueprint = SurfaceBlueprint("deployments", surface=MANAGEMENT, description="Courses spoken by a time that is set")

MAX_VOICES = 10
# It is planned by whoever takes imports and the like; the speech is made on the lanes of its voices.
LANE = "io"


class VoiceAsked(Voiced):
    """A voice, and the form of its files."""

    voice_id = Text(required=True, minimum=1, maximum=100)
    provider = Text(load_default=None, allow_none=True, maximum=100)
    speed = Number(MIN_SPEED, MAX_SPEED, load_default=1.0)
    format = Text(load_default="wav", maximum=10, validate=one_of(sorted(AUDIO_FORMATS)))

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> VoiceConfig:
        """The voice as it is planned."""
        # Beyond the second decimal nobody hears it, and no clip is another (models/speech_clips.py).
        return VoiceConfig(**data | {"speed": round(data["speed"], 2)})


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


DEPLOYMENT = Answer(schema=DeploymentShown)
CANCELLED = Answer(description="The deployment, cancelled; where it had ended, a message that it was removed")


@blueprint.endpoint(
    "/api/deployments", access=CLIENT, whose=OWN_LISTED, answers={200: page_of("deployments", DeploymentShown)}
)
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


@blueprint.endpoint("/api/deployments/<deployment_id>", access=CLIENT, whose=OWN, answers={200: DEPLOYMENT})
def get_deployment(deployment_id: str) -> dict[str, Any]:
    """A deployment, and how far each of its voices is."""
    with context.current().database.transaction(durable=False) as session:
        return _shown(session, mine(session, deployment_id))


@blueprint.endpoint(
    "/api/deployments/<deployment_id>/start",
    access=CLIENT,
    whose=OWN,
    methods=("POST",),
    answers={202: DEPLOYMENT},
    refuses=(409,),
)
def start(deployment_id: str) -> tuple[dict[str, Any], int]:
    """Begins a scheduled deployment now."""
    with context.current().database.transaction() as session:
        return _shown(session, lifecycle.hasten(session, mine(session, deployment_id).id)), 202


@blueprint.endpoint(
    "/api/deployments/<deployment_id>/pause",
    access=CLIENT,
    whose=OWN,
    methods=("POST",),
    answers={200: DEPLOYMENT},
    refuses=(409,),
)
def pause(deployment_id: str) -> dict[str, Any]:
    """Begins nothing more of it until it is resumed; what is in flight is finished and kept."""
    with context.current().database.transaction() as session:
        return _shown(session, lifecycle.pause(session, mine(session, deployment_id).id))


@blueprint.endpoint(
    "/api/deployments/<deployment_id>/resume",
    access=CLIENT,
    whose=OWN,
    methods=("POST",),
    answers={200: DEPLOYMENT},
    refuses=(409,),
)
def resume(deployment_id: str) -> dict[str, Any]:
    """Goes on with a paused deployment, planned anew if its course has changed; before its time, it waits for that."""
    with context.current().database.transaction() as session:
        job = mine(session, deployment_id)
        return _shown(session, submit.resume(session, job.id, lane=job.lane))


@blueprint.endpoint(
    "/api/deployments/<deployment_id>/retry",
    access=CLIENT,
    whose=OWN,
    methods=("POST",),
    answers={200: DEPLOYMENT},
    refuses=(409,),
)
def retry(deployment_id: str) -> dict[str, Any]:
    """Queues a failed or cancelled deployment again; of one that ended with errors, the segments that failed."""
    with context.current().database.transaction() as session:
        job = mine(session, deployment_id)
        return _shown(session, submit.retry(session, job.id, lane=job.lane))


@blueprint.endpoint(
    "/api/deployments/<deployment_id>", access=CLIENT, whose=OWN, methods=("DELETE",), answers={200: CANCELLED}
)
def cancel(deployment_id: str) -> dict[str, Any]:
    """Cancels a deployment, and shows it; one that has ended is removed. What was spoken stays in the cache."""
    with context.current().database.transaction() as session:
        job = mine(session, deployment_id)
        if job.state not in ENDED:
            return _shown(session, lifecycle.cancel(session, job.id))
        lifecycle.delete(session, job.id)
    return {"message": f"Deployment {deployment_id} was removed."}


def _shown(session: Session, job: Job) -> dict[str, Any]:
    return shown(job, deployments.voices(session, [job])[job.id])


def mine(session: Session, deployment_id: str) -> Job:
    """The deployment, if the caller may see it.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    return deployments.get(session, deployment_id, visible_to=visible_to(g.caller))


def _check_room(curriculum_id: str, configs: list[VoiceConfig]) -> None:
    """Refuses what could never be kept.

    Raises:
        NotFound: there is no such course.
        Invalid: an unknown voice or provider.
        Conflict: it does not fit into the speech cache, with the figures.
    """
    here = context.current()
    most, engines = here.settings.speech_cache_max_bytes, here.engines(None)
    with here.database.snapshot() as session:
        needed = deployment_plans.at_most_bytes(session, curriculum_id, configs, engines)
        if needed <= most - deployment_plans.taken_bytes(session):
            return
        course = deployment_plans.read(session, curriculum_id)
    # What is there already counts less; to find that out takes seconds for a large course.
    voices = offload(deployment_plans.plan, course, configs, engines)
    with here.database.transaction(durable=False) as session:
        deployment_plans.look(session, voices)
        deployment_plans.check_room(session, voices, max_bytes=most)
