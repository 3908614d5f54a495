"""Body of deployments: plans what every voice has to say, once it is due, and spreads it over the speech workers."""

from __future__ import annotations

from sqlalchemy.orm import Session

from config.voices import background_lane
from models import deployment_plans, speech_pins, workers
from models.base import new_id
from models.deployment_plans import VOICE_KIND, Course, VoiceConfig, VoicePlan
from models.errors import Conflict, Invalid, NotFound
from models.files import FileStore
from models.jobs import work as units
from models.jobs.lifecycle import NewItem, NewJob
from models.jobs.tables import Job
from tasks.run import Spread, Work
from workers.errors import RetryLater, WorkError


def generate(work: Work) -> Spread:
    """A job for every voice (``params``: ``curriculum_id``, ``voice_configs``), whose items are the segments.

    Called again for one that goes on: with what it has, as long as the course says the same and its clips are held.
    """
    database = work.process.database
    configs = [VoiceConfig(**config) for config in work.params["voice_configs"]]
    with database.snapshot() as session:
        course = _read(session, work.params["curriculum_id"])
        engines = workers.engines(session)
        held = speech_pins.holds(session, work.job.id)
    digest = course.digest(configs)
    if held and work.params.get("planned") == digest:
        return Spread(None)
    try:
        voices = deployment_plans.plan(course, configs, engines)
    except Invalid as fault:
        raise WorkError(fault.message, code=fault.code) from fault
    with database.transaction(durable=False) as session:
        deployment_plans.look(session, voices)
    for voice in voices:
        _forget_lost_files(voice, work.process.files)
        if not voice.complete and not voice.resolution.available:
            _wait_for_a_speaker(work, voice)
    notes = {
        "planned": digest,
        "course_title": course.title,
        "topics": course.topics,
        "missing_bytes": _missing_bytes(work, voices),
    }
    keys = {key for voice in voices for key in voice.keys}

    def hold(session: Session) -> None:
        speech_pins.unpin(session, work.job.id)
        speech_pins.pin(session, work.job.id, keys)

    return Spread([_child(work.job, course, number, voice) for number, voice in enumerate(voices)], notes, hold)


def _read(session: Session, curriculum_id: str) -> Course:
    try:
        return deployment_plans.read(session, curriculum_id)
    except NotFound as fault:
        message = f"Curriculum {curriculum_id} was removed before it could be deployed."
        raise WorkError(message, code="curriculum_gone") from fault


def _forget_lost_files(voice: VoicePlan, files: FileStore) -> None:
    """What somebody removed from the store by hand is made again."""
    voice.found = {key: found for key, found in voice.found.items() if files.exists(found.file)}


def _wait_for_a_speaker(work: Work, voice: VoicePlan) -> None:
    """Says what is waited for.

    Raises:
        RetryLater: always.
    """
    with work.process.database.transaction(durable=False) as session:
        phase = f"waiting for a worker with {voice.resolution.engine}"
        units.report(session, work.job, progress=0.0, phase=phase)
    raise RetryLater(voice.resolution.nobody().message, code="provider_unavailable")


def _missing_bytes(work: Work, voices: list[VoicePlan]) -> int:
    limit = work.process.settings.speech_cache_max_bytes
    try:
        with work.process.database.transaction(durable=False) as session:
            return deployment_plans.check_room(session, voices, max_bytes=limit, but_for=work.job.id)
    except Conflict as fault:
        raise WorkError(fault.message, code="cache_too_small") from fault


def _child(job: Job, course: Course, number: int, voice: VoicePlan) -> NewJob:
    items = []
    for part, clip, key in zip(course.parts, voice.clips, voice.keys, strict=True):
        found = voice.found.get(key)
        params = part.place | {"clip": vars(clip), "form": vars(voice.form)}
        items.append(NewItem(params, found.as_result(cached=True) if found else None))
    return NewJob(
        id=new_id(),
        kind=VOICE_KIND,
        lane=background_lane(voice.resolution.pool),
        params={"deployment_id": job.id, "number": number, "voice_config": vars(voice.config)},
        resolution=voice.resolution.as_dict(),
        account_id=job.account_id,
        request_id=job.request_id,
        parent_id=job.id,
        items=items,
        sliced=True,
    )
