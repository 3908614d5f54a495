"""The OpenAI speech API: what every speech client already speaks."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from flask import Response
from marshmallow import EXCLUDE, Schema, ValidationError, fields

from app import context, listening, speaking
from app.api.speech import sayable
from app.http.access import CLIENT
from app.http.answers import SPEECH, Answer, Shown
from app.http.parsing import Number, Text, one_of
from app.http.waiting import ClientGone
from app.speaking import MAX_SPEED, MIN_SPEED, Wanted
from app.surfaces import OPENAI, SurfaceBlueprint
from config.versions import AUDIO_FORMATS
from config.voices import catalogue
from models.errors import ModelError, NotFound
from models.speech_renditions import Form

blueprint = SurfaceBlueprint("openai", surface=OPENAI, description="OpenAI's speech API")

MAX_INPUT_CHARACTERS = 4096
# OpenAI's names mean the voice's own engine; ours name one.
OPENAI_MODELS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts")
ENGINE_PREFIX = "voiceworks-"
# When the names were first answered to, which clients want as a number.
CREATED = 1_795_219_200


class VoiceName(fields.Field[str]):
    """The name of a voice, or an object that holds it as ``id``."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        name = value.get("id") if isinstance(value, dict) else value
        if not isinstance(name, str) or not 0 < len(name) <= 100:
            raise ValidationError(f"{str(value)[:60]!r} is not the name of a voice")
        return name


class Speech(Schema):
    """What is to be said, and how; what we do not know is passed over."""

    class Meta:
        unknown = EXCLUDE

    model = Text(required=True, minimum=1, maximum=100)
    input = Text(required=True, minimum=1, maximum=MAX_INPUT_CHARACTERS, spoken=True, validate=sayable)
    voice = VoiceName(required=True)
    response_format = Text(load_default="mp3", maximum=10, validate=one_of(sorted(AUDIO_FORMATS)))
    speed = Number(MIN_SPEED, MAX_SPEED, load_default=1.0)
    # Accepted: our engines take no directions.
    instructions = Text(load_default=None, allow_none=True, maximum=MAX_INPUT_CHARACTERS)
    stream_format = Text(load_default="audio", maximum=10, validate=one_of(["audio", "sse"]))


class ModelShown(Shown):
    """A name for speech."""

    id = fields.String()
    object = fields.String()
    created = fields.Integer()
    owned_by = fields.String()


class ModelList(Shown):
    """All of them."""

    object = fields.String()
    data = fields.List(fields.Nested(ModelShown))


class NamedVoice(Shown):
    """A voice that can be named."""

    id = fields.String()
    name = fields.String()
    language = fields.String()
    description = fields.String()


class VoiceList(Shown):
    """All of them."""

    voices = fields.List(fields.Nested(NamedVoice))


SPOKEN = replace(SPEECH, media_types=(*SPEECH.media_types, "text/event-stream"))


@blueprint.endpoint(
    "/v1/audio/speech", access=CLIENT, methods=("POST",), answers={200: SPOKEN}, refuses=(404, 429, 503)
)
@blueprint.arguments(Speech)
def speech(body: dict[str, Any]) -> Response:
    """The spoken text, sent while it is made: as audio, or (``stream_format`` ``sse``) as events."""
    wanted = what_is_wanted(body)
    found = wanted.find()
    if body["stream_format"] == "audio" and found is not None and context.current().files.exists(found.file):
        return speaking.hit(found, wanted)
    if body["stream_format"] == "audio" and not listening.breaks_are_seen():
        return speaking.whole(wanted)
    try:
        streamed = listening.listen(wanted)
    except ClientGone:
        return Response(status=499)
    if body["stream_format"] == "sse":
        response = Response(_events(streamed.content, body["input"]), mimetype="text/event-stream")
        response.headers["Cache-Control"] = "no-cache"
    else:
        response = Response(streamed.content, mimetype=AUDIO_FORMATS[wanted.form.format].media_type)
    speaking.describe(response, streamed.outcome, wanted.resolution.as_dict(), wanted.spec.speed)
    return response


def what_is_wanted(body: dict[str, Any]) -> Wanted:
    """The clip that a request asks for.

    Raises:
        NotFound: there is no such model.
        Invalid: there is no such voice.
    """
    form = Form(body["response_format"])
    provider = _provider(body["model"])
    return speaking.wanted(body["input"], form, voice_id=body["voice"], provider=provider, speed=body["speed"])


def _provider(model: str) -> str | None:
    if model in OPENAI_MODELS:
        return None
    engine = model.removeprefix(ENGINE_PREFIX)
    if model == engine or engine not in catalogue().engines:
        known = ", ".join(model["id"] for model in _models())
        raise NotFound(f"The model {model!r} does not exist; there are {known}.", code="model_not_found", param="model")
    return engine


def _events(content: Iterator[bytes], text: str) -> Iterator[str]:
    """The sound as server-sent events; a failure is an event too, so that it cannot be taken for the end."""
    try:
        for piece in content:
            yield _event({"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()})
    except (ModelError, RuntimeError, OSError) as fault:
        message = fault.message if isinstance(fault, ModelError) else "The speech could not be finished."
        yield _event({"type": "error", "error": {"message": message, "type": "server_error", "code": "broken_off"}})
        return
    finally:
        close = getattr(content, "close", None)
        if close is not None:
            close()
    # There are no tokens here: what was read is counted in characters.
    usage = {"input_tokens": len(text), "output_tokens": 0, "total_tokens": len(text)}
    yield _event({"type": "speech.audio.done", "usage": usage})


def _event(data: dict[str, Any]) -> str:
    return f"event: {data['type']}\ndata: {json.dumps(data)}\n\n"


@blueprint.endpoint("/v1/models", access=CLIENT, answers={200: Answer(schema=ModelList)})
def models() -> dict[str, Any]:
    """OpenAI's names for speech, and one model for each of our engines."""
    return {"object": "list", "data": _models()}


@blueprint.endpoint("/v1/models/<model>", access=CLIENT, answers={200: Answer(schema=ModelShown)})
def model(model: str) -> dict[str, Any]:
    """One of them."""
    _provider(model)
    return next(known for known in _models() if known["id"] == model)


def _models() -> list[dict[str, Any]]:
    names = [*OPENAI_MODELS, *(f"{ENGINE_PREFIX}{engine}" for engine in catalogue().engines)]
    return [{"id": name, "object": "model", "created": CREATED, "owned_by": "voiceworks"} for name in names]


@blueprint.endpoint("/v1/audio/voices", access=CLIENT, answers={200: Answer(schema=VoiceList)})
def voices() -> dict[str, Any]:
    """Every voice that can be named."""
    found = catalogue().voices.values()
    return {
        "voices": [
            {"id": voice.id, "name": voice.id, "language": voice.language, "description": voice.description}
            for voice in found
        ]
    }
