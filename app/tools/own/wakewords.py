"""Wake words as tools: their detectors, training a word again, deleting one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from app.api.wake_models import as_before, remove, reserved
from app.http.access import CLIENT, visible_to
from app.tools.own import Asked, OwnTool
from app.tools.reading import administer, read
from app.wake_form import Retraining
from app.wake_shown import model_listed, training_shown
from app.wake_starting import begin, require_able
from models import wake_models, wake_trainings
from models.errors import NotFound
from models.jobs.tables import ENDED
from models.wake_models import TYPES
from workers.wakeword.options import MODEL_TYPES, Options

# Of one account hardly ever more are under way, and the newest are asked for.
_TRAININGS = 50
_EPOCHS = next(each.metadata for each in fields(Options) if each.name == "num_epochs")


def _models(asked: Asked, arguments: Mapping[str, Any]) -> Any:
    kind = arguments.get("type", "all")
    with asked.here.database.reading() as session:
        found = wake_models.listed(session, type_name=None if kind == "all" else kind)
        recent = wake_trainings.listed(session, visible_to=visible_to(asked.caller), limit=_TRAININGS)
    under_way = [training_shown(job, training) for job, training in recent if job.state not in ENDED]
    for training in under_way:
        # Figures of every epoch say nothing to whoever asks how far it is.
        del training["history"]
    return {"models": [model_listed(model) for model in found], "total": len(found), "trainings": under_way}


def _train(asked: Asked, arguments: Mapping[str, Any]) -> Any:
    here, word = asked.here, arguments["wake_word"]
    body = read(Retraining(), {name: value for name, value in arguments.items() if name != "wake_word"})
    with here.database.reading() as session:
        try:
            model = wake_models.find(session, wake_models.slug_of(word))
        except NotFound:
            raise NotFound(
                f"There is no wake-word model {word!r}; the first training of a word takes recordings of it, which are "
                "sent to POST /api/train/start."
            ) from None
    require_able(model.wake_word, here)
    options = as_before(model) | body
    return begin(model.wake_word, options, (), earlier=model.recordings, here=here, caller=asked.caller)


def _delete(asked: Asked, arguments: Mapping[str, Any]) -> Any:
    name = arguments["model_id"]
    with asked.here.database.transaction() as session:
        remove(session, name, lambda model: administer(asked.caller, reserved(model, asked.caller)))
    return {"message": f"Wake-word model {name} was deleted."}


TOOLS = (
    OwnTool(
        "wakeword_models",
        "Lists the wake words that can be detected, with how well each is told apart, and the trainings that are "
        "under way with their progress in percent.",
        {
            "type": {
                "type": "string",
                "enum": [*TYPES, "all"],
                "default": "all",
                "description": "Only models that came with Voiceworks (default), only those trained here (custom), or "
                "all of them",
            }
        },
        _models,
        access=CLIENT,
    ),
    OwnTool(
        "wakeword_train",
        "Starts a job that trains a known wake word again, with its stored recordings and all that was captured since; "
        "options are those of last time unless given.",
        {
            "wake_word": {
                "type": "string",
                "minLength": 2,
                "maxLength": 100,
                "required": True,
                "description": "The word, as wakeword_models shows it",
            },
            "model_type": {
                "type": "string",
                "enum": list(MODEL_TYPES),
                "description": "What kind of detector is made",
            },
            "num_epochs": {
                "type": "integer",
                "minimum": _EPOCHS["low"],
                "maximum": _EPOCHS["high"],
                "description": "How many rounds of training at most",
            },
            "target_false_accepts_per_hour": {
                "type": "number",
                "minimum": 0.01,
                "maximum": 100,
                "default": 0.5,
                "description": "How often an hour it may fire without the word, which its threshold is chosen for",
            },
        },
        _train,
        read_only=False,
        access=CLIENT,
    ),
    OwnTool(
        "wakeword_delete_model",
        "Deletes a wake word with all its versions (jarvis), or one version of it (jarvis@2).",
        {
            "model_id": {
                "type": "string",
                "minLength": 1,
                "maxLength": 200,
                "required": True,
                "description": "The id of the model, as wakeword_models shows it, or of one version",
            }
        },
        _delete,
        read_only=False,
        destructive=True,
        access=CLIENT,
    ),
)
