"""Testing wake words: whether a word is in a file, and on which device. Live testing: ``app/sockets/wakeword.py``."""

from __future__ import annotations

from typing import Any, NoReturn

from flask import Response, g
from marshmallow import EXCLUDE, Schema, fields

from app import at_once, context, wake_device
from app.http import uploads, waiting
from app.http.access import CLIENT, OPERATOR
from app.http.answers import Answer, Shown
from app.http.offload import offload
from app.http.parsing import QueryNumber, Text, refuse_bad_text
from app.http.uploads import MULTIPART
from app.sockets.hub import News
from app.surfaces import WAKEWORDS, SurfaceBlueprint
from models import wake_models, wake_trainings
from models.base import new_id
from models.errors import Conflict, Invalid, NotFound
from models.jobs.tables import SUCCEEDED
from models.wake_models import WakeModel

KIND, LANE = "wakeword.listen", "listen"
# A file that is longer is told where in it the word is.
LONG_SECONDS = 10.0
_BAD_SOUND = {"not_audio", "no_sound", "audio_too_long", "bad_sample_rate"}

blueprint = SurfaceBlueprint("wake_tests", surface=WAKEWORDS, description="Testing wake words")


class ListeningFailed(Exception):
    """A file was not listened to for a reason that is nobody's business but ours; the log has it."""


class FileTest(Schema):
    """Which model listens. The file comes as the part ``audio`` of the form."""

    class Meta:
        unknown = EXCLUDE

    model_id = Text(required=True, minimum=1, maximum=120, metadata={"description": "`jarvis`, or `jarvis@2`"})
    threshold = QueryNumber(
        0.0,
        1.0,
        load_default=None,
        metadata={"description": "Above which score it fires; the model's own unless given"},
    )


class FileTestForm(FileTest):
    """A test as a form, with the file itself."""

    audio = fields.Raw(required=True, metadata={"type": "string", "format": "binary"})


class FoundAt(Shown):
    """A place where the word was heard."""

    time_seconds = fields.Float()
    confidence = fields.Float()


class FileTested(Shown):
    """Whether the word is in the file; ``confidence`` is the highest smoothed score.

    ``detections`` are there for a file of more than 10 s.
    """

    promised = frozenset({"detected", "confidence", "threshold", "model_id", "processing_time_ms"})

    detected = fields.Boolean()
    confidence = fields.Float()
    threshold = fields.Float()
    model_id = fields.String()
    processing_time_ms = fields.Integer()
    version = fields.Integer()
    duration_seconds = fields.Float()
    detections = fields.List(fields.Nested(FoundAt))


class NewDevice(Schema):
    """The device to test on."""

    device = Text(required=True, minimum=1, maximum=50)


class DeviceShown(Shown):
    """The chosen device, and those there are."""

    promised = frozenset({"device", "cuda_available", "gpu_name"})

    device = fields.String()
    cuda_available = fields.Boolean()
    gpu_name = fields.String(allow_none=True)
    devices = fields.List(fields.String())


blueprint.before_request(uploads.allow)


@blueprint.endpoint(
    "/api/test/file",
    access=CLIENT,
    methods=("POST",),
    answers={200: Answer(schema=FileTested)},
    refuses=(404, 409, 503),
)
@blueprint.arguments(FileTest, location="form")
@blueprint.doc(requestBody={"required": True, "content": {MULTIPART: {"schema": FileTestForm}}})
def test_file(form: dict[str, Any]) -> Any:
    """Listens to a whole file: at most 30 minutes and `MAX_UPLOAD_MB`, in any usual format."""
    refuse_bad_text(form["model_id"], "model_id")
    here = context.current()
    with here.database.reading() as session:
        model = wake_models.find(session, form["model_id"])
    threshold = model.threshold if form["threshold"] is None else form["threshold"]
    upload = wake_trainings.folders(here.settings.var_dir).uploads / new_id()
    try:
        offload(uploads.keep, uploads.sent("audio"), upload, uploads.most_bytes(), "audio")
        result = _heard(model, upload.name, threshold)
    except waiting.ClientGone:
        # Nobody reads this; leaving as a waiter is what frees the worker.
        return Response(status=499)
    finally:
        upload.unlink(missing_ok=True)
    long = {"detections": result["detections"]} if result["duration_seconds"] > LONG_SECONDS else {}
    return {
        "detected": bool(result["detections"]),
        "confidence": round(result["confidence"], 4),
        "threshold": threshold,
        "model_id": form["model_id"],
        "version": model.version,
        "processing_time_ms": max(1, round(result["took_seconds"] * 1000)),
        "duration_seconds": result["duration_seconds"],
        **long,
    }


@blueprint.endpoint("/api/test/device", access=CLIENT, answers={200: Answer(schema=DeviceShown)})
def get_device() -> dict[str, Any]:
    """The device on which wake words are tested, and those that workers have."""
    return _device_shown()


@blueprint.endpoint(
    "/api/test/device", access=OPERATOR, methods=("POST",), answers={200: Answer(schema=DeviceShown)}, audited=True
)
@blueprint.arguments(NewDevice)
def set_device(body: dict[str, Any]) -> dict[str, Any]:
    """Chooses the device for tests with files, for the whole installation; sockets listen on the web's processor.

    It has to be one that a worker has now, or `cpu`. Detectors are small: this version runs every one of them on the
    processor of the worker that takes the test, whatever is chosen.
    """
    here = context.current()
    with here.database.reading() as session:
        wake_device.choose(session, here.redis, body["device"])
    return _device_shown()


def _device_shown() -> dict[str, Any]:
    here = context.current()
    with here.database.reading() as session:
        return wake_device.shown(session, here.redis)


def _heard(model: WakeModel, upload: str, threshold: float) -> dict[str, Any]:
    """What a worker hears in the file.

    Raises:
        Busy, OverShare: too much is waiting, or too much of the caller's.
        Unavailable: no worker listens, or none did in time.
        Invalid: the file is no sound, or too much.
        NotFound: the model was deleted meanwhile.
        ClientGone: nobody waits any more.
    """
    params = {
        "model": model.name,
        "detector": model.files["detector"]["file"],
        "upload": upload,
        "threshold": threshold,
    }
    nobody = f"Nobody listens to files: no worker of lane {LANE} (worker_io) is running."
    ended = at_once.done(g.caller, KIND, lane=LANE, params=params, nobody=nobody)
    if ended["state"] != SUCCEEDED:
        _raise_failure(ended)
    found: dict[str, Any] = ended["result"]
    return found


def _raise_failure(ended: News) -> NoReturn:
    error = ended["error"]
    if error is None:
        raise Conflict(f"Job {ended['id']} was {ended['state']} while it was waited for.", state=ended["state"])
    if error["code"] in _BAD_SOUND:
        raise Invalid(f"audio: {error['message']}")
    if error["code"] == "model_missing":
        raise NotFound(error["message"])
    raise ListeningFailed(f"job {ended['id']} {ended['state']}: {error}")
