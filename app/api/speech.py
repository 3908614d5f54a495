"""Speech for somebody who waits: find it or have it made, then send the file."""

from __future__ import annotations

from typing import Any, NoReturn

from flask import Response, g, jsonify, request, url_for
from marshmallow import EXCLUDE, Schema, ValidationError, pre_load
from sqlalchemy.orm import Session

from app import context
from app.http import waiting
from app.http.access import CLIENT
from app.http.parsing import Number, QueryNumber, Text, one_of
from app.http.ranges import send_stored
from app.sockets.hub import News
from app.surfaces import MANAGEMENT, SurfaceBlueprint
from config.versions import AUDIO_FORMATS
from config.voices import background_lane, live_lane
from models import counters, speech_clips, speech_voices
from models.accounts import Caller
from models.errors import Busy, Conflict, Invalid, NotFound, OverShare, Unavailable
from models.jobs import queries, waiters
from models.jobs.tables import SUCCEEDED, Job
from models.speech_clips import ClipSpec, Found
from models.speech_voices import Resolution
from tasks import submit

blueprint = SurfaceBlueprint("speech", surface=MANAGEMENT, description="Text to speech")

MAX_CHARACTERS = 20_000
MIN_SPEED, MAX_SPEED = 0.25, 4.0
BUSY_SECONDS = 2


def _sayable(text: str) -> None:
    # What a worker would refuse after a way through the queue.
    if not any(character.isalnum() for character in text):
        raise ValidationError(f"{text[:60]!r} has no word that could be said")


class Speak(Schema):
    """What is to be said, and how."""

    text = Text(required=True, minimum=1, maximum=MAX_CHARACTERS, spoken=True, validate=_sayable)
    voice_id = Text(load_default=None, allow_none=True, maximum=100)
    provider = Text(load_default=None, allow_none=True, maximum=100)
    speed = Number(MIN_SPEED, MAX_SPEED, load_default=1.0)
    format = Text(load_default="wav", maximum=10, validate=one_of(sorted(AUDIO_FORMATS)))

    @pre_load
    def take_synonym(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """``tts_provider`` is another word for ``provider``."""
        if "tts_provider" in data:
            if "provider" in data:
                raise ValidationError("provider and tts_provider are the same; give one", "tts_provider")
            data = {("provider" if name == "tts_provider" else name): value for name, value in data.items()}
        return data


class Look(Schema):
    """Which clip is asked about."""

    class Meta:
        unknown = EXCLUDE

    text = Text(required=True, minimum=1, maximum=MAX_CHARACTERS, spoken=True)
    voice_id = Text(load_default=None, maximum=100)
    provider = Text(load_default=None, maximum=100)
    speed = QueryNumber(MIN_SPEED, MAX_SPEED, load_default=1.0)


@blueprint.endpoint("/api/tts", access=CLIENT, methods=("POST",))
@blueprint.arguments(Speak)
def generate(body: dict[str, Any]) -> Response:
    """The spoken text as one audio file; with ``Prefer: respond-async`` a job to come back for."""
    here = context.current()
    resolution = speech_voices.resolve(here.engines(), body["voice_id"], body["provider"])
    spec = resolution.clip(body["text"], body["speed"])
    with here.database.reading() as session:
        found = speech_clips.find(session, spec.key, body["format"])
    if "respond-async" in request.headers.get("Prefer", ""):
        return _accepted(spec, resolution, body["format"])
    if found is not None:
        try:
            return _hit(found, resolution)
        except FileNotFoundError:
            _forget(spec.key)
    return _wait(spec, resolution, body["format"])


@blueprint.endpoint("/api/tts/cache", access=CLIENT)
@blueprint.arguments(Look, location="query")
def look_up(query: dict[str, Any]) -> dict[str, Any]:
    """Whether a text is there already, and how long it lasts."""
    here = context.current()
    resolution = speech_voices.resolve(here.engines(), query["voice_id"], query["provider"])
    key = resolution.clip(query["text"], query["speed"]).key
    with here.database.reading() as session:
        seconds = speech_clips.ready_keys(session, [key]).get(key)
    return {"cache_hit": seconds is not None, "duration_seconds": seconds and round(seconds, 3)}


@blueprint.endpoint("/api/tts/cache/stats", access=CLIENT)
def cache_stats() -> dict[str, Any]:
    """How large the cache is, how often it answers, and what waits to be spoken."""
    here = context.current()
    with here.database.reading() as session:
        entries, size_bytes = speech_clips.size(session)
        live = queries.open_by_lane(session, live_lane(""))
        background = queries.open_by_lane(session, background_lane(""))
    return {
        "total_entries": entries,
        "size_bytes": size_bytes,
        "hit_rate": counters.hit_rate(here.redis),
        "live_pending": live,
        "background_pending": background,
    }


@blueprint.endpoint("/api/speech/<key>.<extension>", access=CLIENT, methods=("GET",))
def stored(key: str, extension: str) -> Response:
    """A clip that was made, with byte ranges; HEAD works too."""
    here = context.current()
    if extension not in AUDIO_FORMATS:
        raise NotFound(f"There is no clip format {extension!r}; there are {', '.join(sorted(AUDIO_FORMATS))}.")
    with here.database.reading() as session:
        found = speech_clips.find(session, key, extension)
    if found is None:
        raise NotFound(f"There is no clip {key}.{extension}.")
    try:
        return _audio(found)
    except FileNotFoundError:
        _forget(key)
        raise NotFound(f"The file of clip {key} is gone; ask for its text again.") from None


def send_result(job_id: str, result: dict[str, Any], resolution: dict[str, Any]) -> Response:
    """The audio that a ``speech.speak`` job made."""
    found = Found(
        result["clip"],
        result["format"],
        result["file"],
        result["size_bytes"],
        result["duration_seconds"],
        result["sample_rate_hz"],
    )
    try:
        response = _audio(found)
    except FileNotFoundError:
        _forget(found.clip_key)
        raise NotFound(f"The audio of job {job_id} has expired; ask for its text again.") from None
    _describe(response, "hit" if result["cached"] else "miss", resolution)
    return response


def _hit(found: Found, resolution: Resolution) -> Response:
    response = _audio(found)
    context.current().counters.speech("hit", found.clip_key)
    _describe(response, "hit", resolution.as_dict())
    return response


def _wait(spec: ClipSpec, resolution: Resolution, format_name: str) -> Response:
    here = context.current()
    try:
        with here.hub.subscribed() as subscription:
            with here.database.transaction() as session:
                job, new = _submit(session, g.caller, spec, resolution, format_name)
                waiter = waiters.join(session, job.id)
            subscription.job_id = job.id
            with here.hub.waiting(waiter):
                ended = waiting.until_ended(job.id, subscription, timeout_seconds=here.settings.live_wait_seconds)
    except waiting.ClientGone:
        # Nobody reads this; leaving as a waiter is what frees the worker.
        return Response(status=499)
    if ended["state"] != SUCCEEDED:
        _raise_failure(ended)
    response = send_result(job.id, ended["result"], resolution.as_dict())
    outcome = "joined" if not new else "hit" if ended["result"]["cached"] else "miss"
    response.headers["X-TTS-Cache-Status"] = outcome
    here.counters.speech(outcome, spec.key)
    return response


def _accepted(spec: ClipSpec, resolution: Resolution, format_name: str) -> Response:
    with context.current().database.transaction() as session:
        job, _ = _submit(session, g.caller, spec, resolution, format_name)
        waiters.join(session, job.id, lasting=True)
    url = url_for("jobs.get_job", job_id=job.id)
    response = jsonify({"job_id": job.id, "status": job.state, "status_url": url})
    response.status_code = 202
    response.headers["Location"] = url
    response.headers["Preference-Applied"] = "respond-async"
    return response


def _submit(
    session: Session, caller: Caller, spec: ClipSpec, resolution: Resolution, format_name: str
) -> tuple[Job, bool]:
    """The live job for a clip, joined when the caller already has one for the same.

    Raises:
        Busy: too much is waiting.
        OverShare: the caller has too much waiting.
        Unavailable: no worker can speak it.
    """
    settings = context.current().settings
    waiting_in_all, waiting_here = queries.live_waiting(session, caller.account_id)
    if waiting_in_all >= settings.live_waiting_max:
        raise Busy(f"{waiting_in_all} requests are waiting already.", retry_after_seconds=BUSY_SECONDS)
    if waiting_here >= settings.live_waiting_share:
        raise OverShare(f"{waiting_here} of your requests are waiting already.", retry_after_seconds=BUSY_SECONDS)
    try:
        return submit.submit(
            session,
            "speech.speak",
            lane=live_lane(resolution.pool),
            params={"clip": vars(spec), "format": format_name},
            resolution=resolution.as_dict(),
            account_id=caller.account_id,
            dedupe=(spec.key, format_name),
        )
    except Unavailable as fault:
        message = f"No worker with engine {resolution.engine} is running for voice {resolution.voice.id}."
        raise Unavailable(message, retry_after_seconds=fault.retry_after_seconds) from None


def _raise_failure(ended: News) -> NoReturn:
    error = ended["error"]
    if error is None:
        raise Conflict(f"Job {ended['id']} was {ended['state']} while it was waited for.", state=ended["state"])
    if error["code"] == "nothing_to_say":
        raise Invalid(error["message"])
    if error["code"] in ("disk_full", "worker_lost", "abandoned", "file_missing"):
        raise Unavailable(error["message"], retry_after_seconds=submit.RETRY_AFTER_SECONDS, code=error["code"])
    raise RuntimeError(f"job {ended['id']} {ended['state']}: {error}")


def _forget(key: str) -> None:
    with context.current().database.transaction() as session:
        speech_clips.forget_file(session, key)


def _audio(found: Found) -> Response:
    form = AUDIO_FORMATS[found.format]
    response = send_stored(
        context.current().files.path(found.file),
        name=f"{found.clip_key[:12]}.{found.format}",
        media_type=form.media_type,
        etag=found.file[:32],
    )
    response.headers["Content-Location"] = f"/api/speech/{found.clip_key}.{found.format}"
    response.headers["X-TTS-Duration-Seconds"] = f"{found.duration_seconds:.3f}"
    response.headers["X-TTS-Sample-Rate"] = str(found.sample_rate_hz)
    return response


def _describe(response: Response, outcome: str, resolution: dict[str, Any]) -> None:
    response.headers["X-TTS-Cache-Status"] = outcome
    response.headers["X-TTS-Provider"] = str(resolution["engine"])
    if resolution["fallback"]:
        response.headers["X-TTS-Fallback"] = str(resolution["fallback"])
