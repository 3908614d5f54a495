"""Wake-word models: what was trained, its versions, its figures, its files; and training it again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Response, g
from marshmallow import EXCLUDE, Schema, fields
from sqlalchemy.orm import Session

from app import context, wake_zip
from app.api.wake_training import ZIP
from app.http import uploads
from app.http.access import CLIENT, OWN_DETECTOR, administer
from app.http.answers import JSON, MESSAGE, Answer, Shown
from app.http.parsing import Number, Text, one_of
from app.http.ranges import send_stored
from app.http.uploads import MULTIPART, FormParser
from app.surfaces import WAKEWORDS, SurfaceBlueprint
from app.wake_form import (
    OPTION_NAMES,
    RECORDINGS,
    RECORDINGS_MAX,
    Retraining,
    RetrainingForm,
    captures_max,
    clips,
)
from app.wake_shown import ModelList, ModelListed, ModelShown, differences, model_listed, model_shown
from app.wake_starting import TrainingStarted, begin, require_able
from models import wake_captures, wake_models
from models.accounts import Caller
from models.errors import NotFound
from models.wake_models import TYPES, WakeModel
from workers.wakeword.options import MODEL_TYPES, Options

blueprint = SurfaceBlueprint("wake_models", surface=WAKEWORDS, description="Detectors of wake words")
blueprint.ARGUMENTS_PARSER = FormParser()
blueprint.before_request(uploads.allow)


class Which(Schema):
    """Which models."""

    class Meta:
        unknown = EXCLUDE

    type = Text(load_default="all", maximum=20, validate=one_of([*TYPES, "all"]))


class Two(Schema):
    """Two models, each by its word or its version's name."""

    class Meta:
        unknown = EXCLUDE

    a = Text(required=True, minimum=1, maximum=200)
    b = Text(required=True, minimum=1, maximum=200)


class Change(Schema):
    """What can be changed of a model."""

    threshold = Number(0, 1, required=True, metadata={"description": "The smoothed score at which it fires"})


class Versions(Shown):
    """The versions of a word, newest first."""

    id = fields.String()
    versions = fields.List(fields.Nested(ModelListed))
    total = fields.Integer()


class Compared(Shown):
    """Two models side by side; ``differences`` are the second one's figures less the first one's."""

    a = fields.Nested(ModelShown)
    b = fields.Nested(ModelShown)
    differences = fields.Dict()


MODEL = Answer(schema=ModelShown)
PNG = Answer(("image/png",), description="The curve", headers={"ETag": "The same bytes have the same"})
PART = Answer(("image/png",), description="The part that `Range` asks for")


@blueprint.endpoint("/api/models", access=CLIENT, answers={200: Answer(schema=ModelList)})
@blueprint.arguments(Which, location="query")
def list_models(query: dict[str, str]) -> dict[str, Any]:
    """The active version of every word, newest first."""
    wanted = None if query["type"] == "all" else query["type"]
    with context.current().database.reading() as session:
        found = wake_models.listed(session, type_name=wanted)
    return {"models": [model_listed(model) for model in found], "total": len(found)}


@blueprint.endpoint("/api/models/compare", access=CLIENT, answers={200: Answer(schema=Compared)}, refuses=(404,))
@blueprint.arguments(Two, location="query")
def compare(query: dict[str, str]) -> dict[str, Any]:
    """Two models side by side, as two versions of one word are."""
    with context.current().database.reading() as session:
        first, second = (model_shown(wake_models.find(session, query[name]), name=query[name]) for name in ("a", "b"))
    return {"a": first, "b": second, "differences": differences(first, second)}


@blueprint.endpoint("/api/models/<model_id>", access=CLIENT, answers={200: MODEL})
def get_model(model_id: str) -> dict[str, Any]:
    """A model: the active version of a word (`jarvis`), or one version (`jarvis@2`)."""
    return model_shown(_model(model_id), name=model_id)


@blueprint.endpoint(
    "/api/models/<model_id>", access=CLIENT, whose=OWN_DETECTOR, methods=("PATCH",), answers={200: MODEL}
)
@blueprint.arguments(Change)
def change(body: dict[str, float], model_id: str) -> dict[str, Any]:
    """Sets the threshold, and tells what follows from it: `operating_point`."""
    with context.current().database.transaction() as session:
        model = _changeable(session, model_id)
        model.threshold = body["threshold"]
        session.flush()
        return model_shown(model, name=model_id)


@blueprint.endpoint(
    "/api/models/<model_id>", access=CLIENT, whose=OWN_DETECTOR, methods=("DELETE",), answers={200: MESSAGE}
)
def delete(model_id: str) -> dict[str, str]:
    """Deletes a word with all its versions and captures (`jarvis`), or one version (`jarvis@2`).

    Where the active version goes, the newest of the others is active.
    """
    with context.current().database.transaction() as session:
        remove(session, model_id, _require_changeable)
    return {"message": "Model deleted successfully"}


def remove(session: Session, model_id: str, require_changeable: Callable[[WakeModel], None]) -> None:
    """Removes a word with all that belongs to it, or one version; each that goes has to be the caller's to change.

    Raises:
        NotFound: there is none.
    """
    slug, whole = wake_models.find(session, model_id).slug, "@" not in model_id
    for each in wake_models.versions(session, slug) if whole else [wake_models.find(session, model_id)]:
        require_changeable(each)
    wake_models.remove(session, model_id)
    if whole:
        wake_captures.remove_all(session, slug)


@blueprint.endpoint("/api/models/<model_id>/download", access=CLIENT, answers={200: ZIP})
def download(model_id: str) -> Response:
    """The model's files as a zip."""
    return wake_zip.send(_model(model_id))


@blueprint.endpoint("/api/models/<model_id>/report", access=CLIENT, answers={200: JSON})
def get_report(model_id: str) -> dict[str, Any]:
    """All that its training found out, with the curve and the epochs."""
    return wake_zip.metadata(_model(model_id))


@blueprint.endpoint("/api/models/<model_id>/det.png", access=CLIENT, answers={200: PNG, 206: PART}, refuses=(412, 416))
def get_curve(model_id: str) -> Response:
    """False accepts an hour against misses, as a picture."""
    model = _model(model_id)
    picture = model.files.get("det_png")
    if picture is None:
        raise NotFound(f"Wake-word model {model.name} has no curve.")
    path = context.current().files.path(picture["file"])
    try:
        response = send_stored(path, name="det.png", media_type="image/png", etag=picture["file"])
    except FileNotFoundError:
        raise NotFound(f"The curve of wake-word model {model.name} is gone; train it again.") from None
    # Another version may be the active one tomorrow.
    response.cache_control.max_age = None
    response.cache_control.no_cache = True
    return response


@blueprint.endpoint("/api/models/<model_id>/versions", access=CLIENT, answers={200: Answer(schema=Versions)})
def list_versions(model_id: str) -> dict[str, Any]:
    """Every version of a word, newest first."""
    with context.current().database.reading() as session:
        found = wake_models.versions(session, wake_models.find(session, model_id).slug)
    shown = [model_listed(model, name=model.name) for model in found]
    return {"id": found[0].slug, "versions": shown, "total": len(shown)}


@blueprint.endpoint(
    "/api/models/<model_id>/activate", access=CLIENT, whose=OWN_DETECTOR, methods=("POST",), answers={200: MODEL}
)
def activate(model_id: str) -> dict[str, Any]:
    """Makes a version the active one of its word."""
    with context.current().database.transaction() as session:
        _changeable(session, model_id)
        return model_shown(wake_models.activate(session, model_id), name=model_id)


@blueprint.endpoint(
    "/api/models/<model_id>/retrain",
    access=CLIENT,
    methods=("POST",),
    answers={200: Answer(schema=TrainingStarted)},
    refuses=(409, 413, 503),
)
@blueprint.arguments(Retraining, location="form", content_type=MULTIPART)
@blueprint.doc(requestBody={"content": {MULTIPART: {"schema": RetrainingForm}}})
def retrain(body: dict[str, Any], model_id: str) -> dict[str, Any]:
    """Trains a word again, with its recordings, those that come along, and all that was captured.

    Options are those of last time unless others come.
    """
    model = _model(model_id)
    require_able(model.wake_word)
    sent = clips({RECORDINGS: (0, RECORDINGS_MAX), **captures_max()})
    return begin(model.wake_word, as_before(model) | body, sent, earlier=model.recordings)


def as_before(model: WakeModel) -> dict[str, Any]:
    """The options of a model's training, as far as they are known and still allowed."""
    config = model.report.get("training_config", {})
    known = vars(Options()) | {name: config[name] for name in OPTION_NAMES if name in config}
    asked = model.report.get("model_type_requested", model.model_type)
    return known | {"model_type": asked if asked in MODEL_TYPES else "embedding"}


def _model(model_id: str) -> WakeModel:
    with context.current().database.reading() as session:
        return wake_models.find(session, model_id)


def _changeable(session: Session, model_id: str) -> WakeModel:
    """The model, if the caller may change it.

    Raises:
        NotFound: there is none.
        Forbidden: it is somebody else's.
    """
    model = wake_models.find(session, model_id)
    _require_changeable(model)
    return model


def _require_changeable(model: WakeModel) -> None:
    what = reserved(model, g.caller)
    if what is not None:
        administer(what)


def reserved(model: WakeModel, caller: Caller) -> str | None:
    """What of a model only administrators do; None of the caller's own."""
    own = model.account_id is not None and model.account_id == caller.account_id
    return None if own else f"changing somebody else's model {model.name}"
