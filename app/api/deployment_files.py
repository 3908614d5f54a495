"""What a completed deployment holds: its manifest, its bundle, its captions."""

from __future__ import annotations

from typing import Any

from flask import Response, request
from marshmallow import fields

from app import bundles, context
from app import deployments as made
from app.api.captions import CAPTIONS, Which, answer
from app.api.deployments import mine
from app.http.access import CLIENT, OWN
from app.http.answers import Answer, Shown
from app.http.offload import offload
from app.http.parsing import Text
from app.surfaces import MANAGEMENT, SurfaceBlueprint
from models import deployments
from models.errors import NotFound
from models.jobs.tables import Job

blueprint = SurfaceBlueprint(
    "deployment_files", surface=MANAGEMENT, description="What was made of a course, to be taken along"
)


class WhichCaptions(Which):
    """In which form, of which voice (the first unless named), of one topic or of all of them."""

    voice_id = Text(load_default=None, maximum=100)
    topic_id = Text(load_default=None, maximum=200)


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


ZIP = Answer(("application/zip",), description="Manifest, sound and captions", headers={"ETag": "Of equal bundles"})


@blueprint.endpoint(
    "/api/deployments/<deployment_id>/manifest",
    access=CLIENT,
    whose=OWN,
    answers={200: Answer(schema=ManifestShown)},
    refuses=(409,),
)
def get_manifest(deployment_id: str) -> Response:
    """What a completed deployment holds: every file with its hash, its captions, and what failed."""
    with context.current().database.snapshot() as session:
        held = made.contents(session, mine(session, deployment_id))
    return Response(offload(lambda: made.as_json(made.manifest(held))), mimetype="application/json")


@blueprint.endpoint(
    "/api/deployments/<deployment_id>/bundle", access=CLIENT, whose=OWN, answers={200: ZIP}, refuses=(409,)
)
def get_bundle(deployment_id: str) -> Response:
    """Manifest, sound and captions of a completed deployment as a zip."""
    here = context.current()
    with here.database.snapshot() as session:
        held = made.contents(session, mine(session, deployment_id))
    offload(bundles.check_files, held.files, here.files)
    described = offload(lambda: made.as_json(made.manifest(held)))
    pieces = bundles.bundle(held, described, here.files, here.database)
    # Passed through, or Werkzeug would make all of it to see how long it is.
    response = Response(pieces, mimetype="application/zip", direct_passthrough=True)
    title = held.job.params.get("title") or held.job.params["course_title"]
    response.headers["Content-Disposition"] = f'attachment; filename="{made.slug(title, "deployment")}.zip"'
    response.set_etag(bundles.etag(described))
    response.make_conditional(request)
    return response


@blueprint.endpoint(
    "/api/deployments/<deployment_id>/captions", access=CLIENT, whose=OWN, answers={200: CAPTIONS}, refuses=(409,)
)
@blueprint.arguments(WhichCaptions, location="query")
def get_captions(query: dict[str, Any], deployment_id: str) -> Response:
    """What is said in a topic, or in all of them one after the other, as the bundle has it."""
    here = context.current()
    with here.database.snapshot() as session:
        job = mine(session, deployment_id)
        made.require_finished(job)
        voice = _voice(made.voices(session, job), query["voice_id"], job)
        topic_id = query["topic_id"]
        if topic_id is not None and all(topic["id"] != topic_id for topic in job.params["topics"]):
            raise NotFound(f"Deployment {job.id} has no topic {topic_id!r}.")
        parts = [part for some in deployments.made(session, voice.job.id, topic_id=topic_id) for part in some]
    track = made.spoken_in(here.database, [part.result["clip"] for part in parts if part.result])
    return answer(track, query["format"])


def _voice(voices: list[made.Voice], voice_id: str | None, job: Job) -> made.Voice:
    """The voice of that name, or of that folder where several have the name."""
    named = [voice for voice in voices if voice_id in (None, voice.folder)]
    named += [voice for voice in voices if voice.config.voice_id == voice_id]
    if not named:
        there = ", ".join(voice.folder for voice in voices)
        raise NotFound(f"Deployment {job.id} has no voice {voice_id!r}; it has {there}.")
    return named[0]
