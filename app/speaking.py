"""Speech for somebody who waits: find it, or have it made, and send it whole.

``app.listening`` sends it while it is made. Every door that speaks (``/api/tts``, ``/v1/audio/speech``) comes here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Response, g
from sqlalchemy.orm import Session

from app import at_once, context
from app.context import Context
from app.http import waiting
from app.http.ranges import send_stored
from app.sockets.hub import News
from app.speech_ended import location, raise_failure
from app.surfaces import MANAGEMENT
from config.versions import AUDIO_FORMATS
from config.voices import catalogue, live_lane
from models import speech_clips, speech_renditions, speech_voices
from models.accounts import Caller
from models.errors import Invalid, NotFound, Unavailable
from models.jobs import waiters
from models.jobs.tables import SUCCEEDED, Job
from models.speech_clips import ClipSpec, SpeechClip
from models.speech_renditions import Form, Found
from models.speech_voices import Resolution
from tasks import submit

MAX_CHARACTERS = 20_000
MIN_SPEED, MAX_SPEED = 0.25, 4.0


@dataclass(frozen=True)
class Wanted:
    """A text to be said, what its words mean now, and the form it is wanted in."""

    spec: ClipSpec
    form: Form
    resolution: Resolution

    def find(self, here: Context | None = None) -> Found | None:
        """The file, if it is there."""
        with (here or context.current()).database.reading() as session:
            return speech_renditions.find(session, self.spec.key, self.form)


def wanted(
    text: str,
    form: Form,
    *,
    voice_id: str | None = None,
    provider: str | None = None,
    speed: float = 1.0,
    seed: int | None = None,
    curriculum_id: str | None = None,
    here: Context | None = None,
) -> Wanted:
    """What a request asks for, resolved; ``here`` is named where no request is served.

    Raises:
        Invalid: an unknown voice or provider, or one that cannot do what is asked.
    """
    here = here or context.current()
    resolution = speech_voices.resolve(here.engines(None), voice_id, provider)
    engine = catalogue().engines[resolution.engine]
    if seed is not None and not engine.seed:
        raise Invalid(f"seed: engine {engine.name}, which speaks voice {resolution.voice.id}, knows no seed", seed=seed)
    spec = resolution.clip(text, speed, seed=seed, lexicon=here.lexicons(curriculum_id))
    return Wanted(spec, form, resolution)


def derived(clip: SpeechClip, form: Form) -> Wanted:
    """Another form of a clip that is there.

    Raises:
        NotFound: its text is read in another way by now, or its engine is gone.
    """
    spec = ClipSpec(**clip.spec)
    if spec.key != clip.key or spec.engine not in catalogue().engines:
        raise NotFound(f"Clip {clip.key} was made by former rules, and is not made in other forms; ask for its text.")
    return Wanted(spec, form, speech_voices.of_clip(spec))


def whole(wanted: Wanted) -> Response:
    """The file, found or made.

    Raises:
        Busy: too much is waiting.
        OverShare: the caller has too much waiting.
        Unavailable: no worker can speak it, or it was not made in time.
        Invalid: there is nothing in it to say.
    """
    try:
        found, outcome = fetch(wanted)
    except waiting.ClientGone:
        # Nobody reads this; leaving as a waiter is what frees the worker.
        return Response(status=499)
    response = send_found(found)
    describe(response, outcome, wanted.resolution.as_dict(), wanted.spec.speed)
    return response


def fetch(wanted: Wanted, *, gone: waiting.Gone | None = None) -> tuple[Found, str]:
    """The file, found or made, and how it was come by: ``hit``, ``miss`` or ``joined``.

    Raises:
        ClientGone: nobody waits for it any more (``gone``: by default because the client hung up).
        As ``whole``.
    """
    here = context.current()
    there = ready(here, wanted)
    if there is not None:
        return there, "hit"
    with here.hub.subscribed() as subscription:
        job, new, waiter = join(wanted)
        subscription.job_id = job.id
        with here.hub.waiting(waiter):
            seconds = here.settings.live_wait_seconds
            ended = waiting.until_ended(job.id, subscription, timeout_seconds=seconds, gone=gone)
    return made(here, wanted, ended, new=new)


def ready(here: Context, wanted: Wanted) -> Found | None:
    """The file, if it is there indeed, which counts as a hit; one that is gone is made again."""
    found = wanted.find(here)
    if found is None:
        return None
    if here.files.exists(found.file):
        here.counters.speech("hit", wanted.spec.key)
        return found
    forget(wanted.spec.key, here)
    return None


def made(here: Context, wanted: Wanted, ended: News, *, new: bool) -> tuple[Found, str]:
    """The file of a job that has ended, and how it was come by; the job was ``new``, or joined.

    Raises:
        As ``whole``.
    """
    if ended["state"] != SUCCEEDED:
        raise_failure(ended)
    outcome = "joined" if not new else "hit" if ended["result"]["cached"] else "miss"
    here.counters.speech(outcome, wanted.spec.key)
    return found_by(ended["result"]), outcome


def join(wanted: Wanted, *, stream: bool = False) -> tuple[Job, bool, str]:
    """The live job that makes it, whether it is new, and the id of the caller's waiter.

    Raises:
        As ``whole``.
    """
    _count()
    here = context.current()
    with here.database.transaction() as session:
        job, new = _submit(session, here, g.caller, wanted, stream=stream)
        return job, new, waiters.join(session, job.id)


def accept(wanted: Wanted, *, callback_url: str | None = None) -> Job:
    """The job that makes it, for somebody who comes back for the result.

    Raises:
        As ``whole``.
    """
    _count()
    return accept_of(context.current(), g.caller, wanted, callback_url=callback_url)[0]


def accept_of(here: Context, caller: Caller, wanted: Wanted, *, callback_url: str | None = None) -> tuple[Job, bool]:
    """The job that makes it for a caller who comes back for the result, and whether it is new.

    Raises:
        As ``whole``.
    """
    with here.database.transaction() as session:
        job, new = _submit(session, here, caller, wanted, stream=False, callback_url=callback_url)
        waiters.join(session, job.id, lasting=True)
    return job, new


def _count() -> None:
    """What has to be made counts against the rate of its document; what is there already, or said in a socket, not."""
    if g.get("surface") is MANAGEMENT:
        context.current().limits.count("tts")


def _submit(
    session: Session, here: Context, caller: Caller, wanted: Wanted, *, stream: bool, callback_url: str | None = None
) -> tuple[Job, bool]:
    """The live job for a clip, joined when the caller already has one for the same."""
    at_once.admit(session, here.settings, caller)
    resolution = wanted.resolution
    resolution.require()
    try:
        return submit.submit(
            session,
            "speech.speak",
            lane=live_lane(resolution.pool),
            params={"clip": vars(wanted.spec), "form": vars(wanted.form), "stream": stream},
            resolution=resolution.as_dict(),
            account_id=caller.account_id,
            dedupe=(wanted.spec.key, *vars(wanted.form).values(), stream),
            callback_url=callback_url,
        )
    except Unavailable:
        # The workers left within the last second.
        raise resolution.nobody() from None


def hit(found: Found, wanted: Wanted) -> Response:
    """The answer of a file that is there.

    Raises:
        FileNotFoundError: it is not, any more.
    """
    response = send_found(found)
    context.current().counters.speech("hit", found.clip_key)
    describe(response, "hit", wanted.resolution.as_dict(), wanted.spec.speed)
    return response


def send_result(job_id: str, result: dict[str, Any], resolution: dict[str, Any], speed: float) -> Response:
    """The audio that a ``speech.speak`` job made."""
    found = found_by(result)
    try:
        response = send_found(found)
    except FileNotFoundError:
        forget(found.clip_key)
        raise NotFound(f"The audio of job {job_id} has expired; ask for its text again.") from None
    describe(response, "hit" if result["cached"] else "miss", resolution, speed)
    return response


def found_by(result: dict[str, Any]) -> Found:
    """The file that a speech job or item says it made."""
    return Found(
        result["clip"],
        Form(**result["form"]),
        result["file"],
        result["size_bytes"],
        result["duration_seconds"],
        result["sample_rate_hz"],
    )


def send_found(found: Found) -> Response:
    """A rendition as an answer.

    Raises:
        FileNotFoundError: the file is gone.
    """
    format_ = AUDIO_FORMATS[found.form.format]
    response = send_stored(
        context.current().files.path(found.file),
        name=f"{found.clip_key[:12]}.{format_.name}",
        media_type=format_.media_type,
        etag=found.file[:32],
    )
    response.headers["Content-Location"] = location(found)
    response.headers["X-TTS-Duration-Seconds"] = f"{found.duration_seconds:.3f}"
    response.headers["X-TTS-Sample-Rate"] = str(rate_in_file(found.form, found.sample_rate_hz))
    return response


def rate_in_file(form: Form, clip_rate_hz: int) -> int:
    """The sample rate that a file of this form has."""
    return form.sample_rate_hz or AUDIO_FORMATS[form.format].rate_for(clip_rate_hz)


def describe(response: Response, outcome: str, resolution: dict[str, Any], speed: float) -> None:
    """Says how the speech was come by, which engine speaks, and what was done for it that it does not do itself."""
    response.headers["X-TTS-Cache-Status"] = outcome
    response.headers["X-TTS-Provider"] = str(resolution["engine"])
    engine = catalogue().engines.get(resolution["engine"])
    if engine is not None and not engine.speeds[0] <= speed <= engine.speeds[1]:
        response.headers["X-TTS-Emulated"] = "speed"
    if resolution["fallback"]:
        response.headers["X-TTS-Fallback"] = str(resolution["fallback"])


def forget(key: str, here: Context | None = None) -> None:
    """The clip's file is gone; it is made again when it is asked for."""
    with (here or context.current()).database.transaction() as session:
        speech_clips.forget_file(session, key)
