"""Speech: have a text spoken, look whether it is there, fetch what was made."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flask import Response, jsonify, request, url_for
from marshmallow import EXCLUDE, Schema, ValidationError, fields

from app import context, listening, speaking
from app.callbacks import CallbackUrl
from app.http.access import ADMIN, CLIENT
from app.http.answers import SPEECH, Answer, Message, Shown
from app.http.limits import UNCOUNTED
from app.http.parsing import Number, QueryNumber, QueryWhole, Text, Voiced, Whole, one_of
from app.http.waiting import ClientGone
from app.speaking import MAX_CHARACTERS, MAX_SPEED, MIN_SPEED
from app.surfaces import MANAGEMENT, SurfaceBlueprint
from config import voices
from config.versions import AUDIO_FORMATS
from models import counters, speech_clips, speech_eviction, speech_renditions
from models.errors import Invalid, NotFound
from models.jobs import queries
from models.metrics import reading
from models.speech_renditions import Form

blueprint = SurfaceBlueprint("speech", surface=MANAGEMENT, description="Text to speech")

MIN_RATE, MAX_RATE = 8000, 48000
# Quieter is lost in a street, louder is distorted.
MIN_LUFS, MAX_LUFS = -36.0, -9.0
MAX_SEED = 2**31 - 1


def sayable(text: str) -> None:
    """Refuses what a worker would refuse, after a way through the queue."""
    if not any(character.isalnum() for character in text):
        raise ValidationError(f"{text[:60]!r} has no word that could be said")


class Speak(Voiced):
    """What is to be said, and how."""

    text = Text(required=True, minimum=1, maximum=MAX_CHARACTERS, spoken=True, validate=sayable)
    voice_id = Text(load_default=None, allow_none=True, maximum=100)
    provider = Text(load_default=None, allow_none=True, maximum=100)
    curriculum_id = Text(load_default=None, allow_none=True, maximum=200)
    speed = Number(MIN_SPEED, MAX_SPEED, load_default=1.0)
    format = Text(load_default="wav", maximum=10, validate=one_of(sorted(AUDIO_FORMATS)))
    sample_rate = Whole(MIN_RATE, MAX_RATE, load_default=None, allow_none=True)
    channels = Whole(1, 2, load_default=1)
    loudness_lufs = Number(MIN_LUFS, MAX_LUFS, load_default=None, allow_none=True)
    seed = Whole(0, MAX_SEED, load_default=None, allow_none=True)
    callback_url = CallbackUrl()


class Look(Voiced):
    """Which clip is asked about."""

    class Meta:
        unknown = EXCLUDE

    text = Text(required=True, minimum=1, maximum=MAX_CHARACTERS, spoken=True)
    voice_id = Text(load_default=None, maximum=100)
    provider = Text(load_default=None, maximum=100)
    curriculum_id = Text(load_default=None, maximum=200)
    speed = QueryNumber(MIN_SPEED, MAX_SPEED, load_default=1.0)
    seed = QueryWhole(0, MAX_SEED, load_default=None)


class Fetch(Schema):
    """In which form a stored clip is wanted."""

    class Meta:
        unknown = EXCLUDE

    sample_rate = QueryWhole(MIN_RATE, MAX_RATE, load_default=None)
    channels = QueryWhole(1, 2, load_default=1)
    loudness_lufs = QueryNumber(MIN_LUFS, MAX_LUFS, load_default=None)


def form_of(format_name: str, asked: dict[str, Any]) -> Form:
    """The form that a request describes.

    Raises:
        Invalid: the format knows no such rate.
    """
    rate = asked["sample_rate"] or 0
    wanted = AUDIO_FORMATS[format_name]
    if rate and not wanted.takes(rate):
        known = ", ".join(map(str, wanted.rates_hz))
        raise Invalid(f"sample_rate: {rate} is no rate of {format_name}; there are {known}")
    # Nobody hears a hundredth, and each number is a file of its own.
    return Form(format_name, rate, asked["channels"], round(asked["loudness_lufs"] or 0.0, 2))


class Accepted(Shown):
    """Where to come back."""

    job_id = fields.String()
    status = fields.String()
    status_url = fields.String()


class Looked(Shown):
    """Whether it is there; ``duration_seconds`` only if it is."""

    cache_hit = fields.Boolean()
    duration_seconds = fields.Float(allow_none=True)


class Emptied(Message):
    """How much was removed."""

    removed_entries = fields.Integer()
    freed_bytes = fields.Integer()


# Not in the body, which is the same with and without them.
MANNER = [
    {
        "in": "query",
        "name": "stream",
        "description": "1: the audio is sent while it is made",
        "schema": {"type": "integer", "enum": [0, 1], "default": 0},
    },
    {
        "in": "header",
        "name": "Prefer",
        "description": "`respond-async`: a job is the answer, its audio comes later",
        "schema": {"type": "string"},
    },
]


@blueprint.endpoint(
    "/api/tts",
    access=CLIENT,
    methods=("POST",),
    limit=UNCOUNTED,
    answers={200: SPEECH, 202: Answer(schema=Accepted, description="With `Prefer: respond-async`")},
    refuses=(404, 429, 503),
)
@blueprint.doc(parameters=MANNER)
@blueprint.arguments(Speak)
def generate(body: dict[str, Any]) -> Response:
    """The spoken text as one audio file; with ``Prefer: respond-async`` a job to come back for.

    With ``?stream=1`` the file is sent while it is made, in pieces, without a length.
    """
    form = form_of(body.pop("format"), body)
    streamed = _flag("stream")
    if streamed and form.loudness_lufs:
        raise Invalid("loudness_lufs: the loudness of speech is known when it is whole; ask for it without stream=1")
    asked = {name: body[name] for name in ("text", "voice_id", "provider", "speed", "seed", "curriculum_id")}
    wanted = speaking.wanted(form=form, **asked)
    if "respond-async" in request.headers.get("Prefer", ""):
        return _accepted(wanted, body["callback_url"])
    if body["callback_url"] is not None:
        raise Invalid("callback_url: this answer is the end; with Prefer: respond-async there is a job to be told of")
    return _stream(wanted) if streamed and listening.breaks_are_seen() else speaking.whole(wanted)


@blueprint.endpoint("/api/tts/cache", access=CLIENT, answers={200: Answer(schema=Looked)})
@blueprint.arguments(Look, location="query")
def look_up(query: dict[str, Any]) -> dict[str, Any]:
    """Whether a text is there already, and how long it lasts."""
    key = speaking.wanted(form=Form("wav"), **query).spec.key
    with context.current().database.reading() as session:
        seconds = speech_clips.ready_keys(session, [key]).get(key)
    return {"cache_hit": seconds is not None, "duration_seconds": seconds and round(seconds, 3)}


@blueprint.endpoint("/api/tts/cache", access=ADMIN, methods=("DELETE",), answers={200: Answer(schema=Emptied)})
def empty_cache() -> dict[str, Any]:
    """Forgets all speech that is not pinned; what is being made goes on."""
    with context.current().database.transaction() as session:
        clips, size_bytes = speech_eviction.empty(session)
    return {"message": f"{clips} clips were removed.", "removed_entries": clips, "freed_bytes": size_bytes}


@blueprint.endpoint("/api/tts/cache/stats", access=CLIENT)
def cache_stats() -> dict[str, Any]:
    """How large the cache is, how often it answers, and what waits to be spoken."""
    here = context.current()
    entries, size_bytes = here.cached_speech(None)
    with here.database.reading() as session:
        live = queries.open_by_lane(session, voices.live_lane(""))
        background = queries.open_by_lane(session, voices.background_lane(""))
    return {
        "total_entries": entries,
        "size_bytes": size_bytes,
        "hit_rate": counters.hit_rate(reading.total(here.redis)),
        "live_pending": live,
        "background_pending": background,
    }


@blueprint.endpoint(
    "/api/speech/<key>.<extension>",
    access=CLIENT,
    limit=UNCOUNTED,
    answers={200: SPEECH, 206: replace(SPEECH, description="The part that `Range` asks for")},
    refuses=(412, 416, 429, 503),
)
@blueprint.arguments(Fetch, location="query")
def stored(query: dict[str, Any], key: str, extension: str) -> Response:
    """A clip that was made, in any form, with byte ranges; HEAD works too."""
    if extension not in AUDIO_FORMATS:
        raise NotFound(f"There is no clip format {extension!r}; there are {', '.join(sorted(AUDIO_FORMATS))}.")
    form = form_of(extension, query)
    with context.current().database.reading() as session:
        found = speech_renditions.find(session, key, form)
        clip = None if found else speech_clips.ready(session, key)
    if clip is not None:
        return speaking.whole(speaking.derived(clip, form))
    if found is None:
        raise NotFound(f"There is no clip {key}.")
    try:
        return speaking.send_found(found)
    except FileNotFoundError:
        speaking.forget(key)
        raise NotFound(f"The file of clip {key} is gone; ask for its text again.") from None


def _stream(wanted: speaking.Wanted) -> Response:
    found = wanted.find()
    if found is not None and context.current().files.exists(found.file):
        return speaking.hit(found, wanted)
    try:
        streamed = listening.listen(wanted)
    except ClientGone:
        return Response(status=499)
    response = Response(streamed.content, mimetype=AUDIO_FORMATS[wanted.form.format].media_type)
    speaking.describe(response, streamed.outcome, wanted.resolution.as_dict(), wanted.spec.speed)
    response.headers["X-TTS-Sample-Rate"] = str(speaking.rate_in_file(wanted.form, wanted.resolution.rate_hz))
    return response


def _accepted(wanted: speaking.Wanted, callback_url: str | None) -> Response:
    job = speaking.accept(wanted, callback_url=callback_url)
    url = url_for("jobs.get_job", job_id=job.id)
    response = jsonify({"job_id": job.id, "status": job.state, "status_url": url})
    response.status_code = 202
    response.headers["Location"] = url
    response.headers["Preference-Applied"] = "respond-async"
    return response


def _flag(name: str) -> bool:
    """A yes or no of the query string.

    Raises:
        Invalid: it is neither.
    """
    value = request.args.get(name, "0").lower()
    if value not in ("0", "1", "false", "true"):
        raise Invalid(f"{name}: {value[:60]!r} is neither 0 nor 1")
    return value in ("1", "true")
