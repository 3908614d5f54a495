"""Training wake words: a few recordings in, a job that makes a detector of them."""

from __future__ import annotations

from typing import Any

from flask import Response, g
from marshmallow import EXCLUDE, Schema, fields

from app import context, wake_zip
from app.http import uploads
from app.http.access import CLIENT, OWN, OWN_LISTED, visible_to
from app.http.answers import MESSAGE, Answer, Shown
from app.http.parsing import Count
from app.http.uploads import MULTIPART, FormParser
from app.surfaces import WAKEWORDS, SurfaceBlueprint
from app.wake_form import (
    RECORDINGS,
    RECORDINGS_MAX,
    NewTraining,
    NewTrainingForm,
    captures_max,
    clips,
)
from app.wake_shown import TrainingListed, TrainingShown, listed, training_shown
from app.wake_starting import TrainingStarted, begin, require_able
from models import wake_models, wake_trainings
from models.errors import Conflict, NotFound
from models.jobs.tables import SUCCEEDED

blueprint = SurfaceBlueprint("wake_training", surface=WAKEWORDS, description="Training detectors of wake words")
blueprint.ARGUMENTS_PARSER = FormParser()
blueprint.before_request(uploads.allow)

# More jobs than these are under /api/jobs, page by page.
JOBS_MAX = 1000


class JobList(Schema):
    """How many."""

    class Meta:
        unknown = EXCLUDE

    limit = Count(load_default=JOBS_MAX, minimum=1, clip=JOBS_MAX)


class TrainingList(Shown):
    """Trainings, newest first."""

    jobs = fields.List(fields.Nested(TrainingListed))


ZIP = Answer(
    ("application/zip",), description="The model's files and what is known of it", headers={"ETag": "Of equal"}
)


@blueprint.endpoint(
    "/api/train/start",
    access=CLIENT,
    methods=("POST",),
    answers={200: Answer(schema=TrainingStarted)},
    refuses=(409, 413, 503),
)
@blueprint.arguments(NewTraining, location="form", content_type=MULTIPART)
@blueprint.doc(requestBody={"content": {MULTIPART: {"schema": NewTrainingForm}}})
def start(body: dict[str, Any]) -> dict[str, Any]:
    """Begins a training: a form with the word, 1 to 5 recordings of it (`audio_files`), and options.

    A word that was trained before gets a new version. Clips on which a detector was wrong may come along
    (`false_alarms`, `misses`); they are kept for the word's next trainings, too.
    """
    require_able(body["wake_word"])
    sent = clips({RECORDINGS: (1, RECORDINGS_MAX), **captures_max()})
    return begin(body["wake_word"], body, sent)


@blueprint.endpoint("/api/train/status/<job_id>", access=CLIENT, whose=OWN, answers={200: Answer(schema=TrainingShown)})
def status(job_id: str) -> dict[str, Any]:
    """A training: its phase, its progress in percent, and its figures epoch by epoch."""
    with context.current().database.reading() as session:
        return training_shown(*wake_trainings.get(session, job_id, visible_to=visible_to(g.caller)))


@blueprint.endpoint("/api/train/jobs", access=CLIENT, whose=OWN_LISTED, answers={200: Answer(schema=TrainingList)})
@blueprint.arguments(JobList, location="query")
def list_trainings(query: dict[str, int]) -> dict[str, Any]:
    """Trainings, the newest first."""
    with context.current().database.reading() as session:
        found = wake_trainings.listed(session, visible_to=visible_to(g.caller), **query)
    return {"jobs": [listed(job, training) for job, training in found]}


@blueprint.endpoint("/api/train/download/<job_id>", access=CLIENT, whose=OWN, answers={200: ZIP}, refuses=(409,))
def download(job_id: str) -> Response:
    """The model that a training made, as a zip."""
    with context.current().database.reading() as session:
        job, _ = wake_trainings.get(session, job_id, visible_to=visible_to(g.caller))
        if job.state != SUCCEEDED:
            state = wake_trainings.STATUS[job.state]
            raise Conflict(f"Training job {job_id} is {state}; only a completed one has a model.", status=state)
        model = wake_models.of_job(session, job.id)
    if model is None:
        raise NotFound(f"The model of training job {job_id} was deleted.")
    return wake_zip.send(model)


@blueprint.endpoint(
    "/api/train/<job_id>", access=CLIENT, whose=OWN, methods=("DELETE",), answers={200: MESSAGE}, refuses=(409,)
)
def delete(job_id: str) -> dict[str, str]:
    """Deletes a training that has ended; the model that it made stays."""
    with context.current().database.transaction() as session:
        wake_trainings.remove(session, job_id, visible_to=visible_to(g.caller))
    return {"message": "Job deleted successfully"}
