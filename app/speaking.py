"""Speech for somebody who waits: find it, or have it made, and send it whole.

``app.listening`` sends it while it is made. Every door that speaks (``/api/tts``, ``/v1/audio/speech``) comes here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import urlencode

from flask import Response, g
from sqlalchemy.orm import Session

from app import context
from app.http import waiting
from app.http.ranges import send_stored
from app.sockets.hub import News
from app.surfaces import MANAGEMENT
from config.versions import AUDIO_FORMATS
from config.voices import catalogue, live_lane
from models import speech_clips, speech_renditions, speech_voices
from models.accounts import Caller
from models.errors import Busy, Conflict, Invalid, NotFound, OverShare, Unavailable
from models.jobs import queries, waiters
from models.jobs.tables import SUCCEEDED, Job
from models.speech_clips import ClipSpec, SpeechClip
from models.speech_renditions import Form, Found
from models.speech_voices import Resolution
from tasks import submit

MAX_CHARACTERS = 20_000
MIN_SPEED, MAX_SPEED = 0.25, 4.0
BUSY_SECONDS = 2
# What ends a job although its text could be spoken, later or by another worker.
_PASSING = {
    *("disk_full", "worker_lost", "abandoned", "file_missing"),
    *("temporarily_unavailable", "engine_missing", "remote_unavailable"),
}


class SpeechFailed(Exception):
    """A text was not spoken for a reason that is nobody's business but ours; the log has it."""


@dataclass(frozen=True)
class Wanted:
    """A text to be said, what its words mean now, and the form it is wanted in."""

    spec: ClipSpec
    form: Form
    resolution: Resolution

    def find(self) -> Found | None:
        """The file, if it is there."""
        with context.current().database.reading() as session:
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
) -> Wanted:
    """What a request asks for, resolved.

    Raises:
        Invalid: an unknown voice or provider, or one that cannot do what is asked.
    """
    here = context.current()
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
    found = wanted.find()
    if found is not None and here.files.exists(found.file):
        here.counters.speech("hit", wanted.spec.key)
        return found, "hit"
    if found is not None:
        forget(wanted.spec.key)
    with here.hub.subscribed() as subscription:
        job, new, waiter = join(wanted)
        subscription.job_id = job.id
        with here.hub.waiting(waiter):
            seconds = here.settings.live_wait_seconds
            ended = waiting.until_ended(job.id, subscription, timeout_seconds=seconds, gone=gone)
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
    with context.current().database.transaction() as session:
        job, new = _submit(session, g.caller, wanted, stream=stream)
        return job, new, waiters.join(session, job.id)


def accept(wanted: Wanted, *, callback_url: str | None = None) -> Job:
    """The job that makes it, for somebody who comes back for the result.

    Raises:
        As ``whole``.
    """
    _count()
    with context.current().database.transaction() as session:
        job, _ = _submit(session, g.caller, wanted, stream=False, callback_url=callback_url)
        waiters.join(session, job.id, lasting=True)
    return job


def _count() -> None:
    """What has to be made counts against the rate of its document; what is there already, or said in a socket, not."""
    if g.get("surface") is MANAGEMENT:
        context.current().limits.count("tts")


def _submit(
    session: Session, caller: Caller, wanted: Wanted, *, stream: bool, callback_url: str | None = None
) -> tuple[Job, bool]:
    """The live job for a clip, joined when the caller already has one for the same."""
    settings = context.current().settings
    waiting_in_all, waiting_here = queries.live_waiting(session, caller.account_id)
    if waiting_in_all >= settings.live_waiting_max:
        raise Busy(f"{waiting_in_all} requests are waiting already.", retry_after_seconds=BUSY_SECONDS)
    if waiting_here >= settings.live_waiting_share:
        raise OverShare(f"{waiting_here} of your requests are waiting already.", retry_after_seconds=BUSY_SECONDS)
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


def location(found: Found) -> str:
    """Where a rendition is found again."""
    given = {
        "sample_rate": found.form.sample_rate_hz,
        "channels": found.form.channels if found.form.channels != 1 else 0,
        "loudness_lufs": found.form.loudness_lufs,
    }
    query = urlencode({name: f"{value:g}" for name, value in given.items() if value})
    path = f"/api/speech/{found.clip_key}.{found.form.format}"
    return f"{path}?{query}" if query else path


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


def raise_failure(ended: News) -> NoReturn:
    """Turns the end of a job that did not succeed into the error its caller gets."""
    error = ended["error"]
    if error is None:
        raise Conflict(f"Job {ended['id']} was {ended['state']} while it was waited for.", state=ended["state"])
    if error["code"] in ("nothing_to_say", "bad_input"):
        raise Invalid(error["message"])
    if error["code"] in _PASSING:
        raise Unavailable(error["message"], retry_after_seconds=submit.RETRY_AFTER_SECONDS, code=error["code"])
    raise SpeechFailed(f"job {ended['id']} {ended['state']}: {error}")


def forget(key: str) -> None:
    """The clip's file is gone; it is made again when it is asked for."""
    with context.current().database.transaction() as session:
        speech_clips.forget_file(session, key)
