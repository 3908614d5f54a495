"""What a deployment will consist of: the segments of a course, how each voice says them, and whether it fits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from sqlalchemy import BigInteger, Text, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from config.versions import CLIP_FORMAT, TEXT_RULES
from models import curricula, pronunciations, speech_clips, speech_renditions, speech_voices
from models.curricula import Segment
from models.errors import Conflict
from models.jobs.tables import PAUSED, QUEUED, RUNNING, Job
from models.pronunciations import Lexicon
from models.speech_clips import ClipSpec
from models.speech_pins import SpeechPin
from models.speech_renditions import Form, Found, SpeechRendition
from models.speech_voices import Resolution
from models.workers import EngineState

KIND, VOICE_KIND = "deployments.generate", "deployments.voice"

# hibari says 16 to 18 characters of prose a second, and 11 where there are many numbers; other engines are no faster.
CHARACTERS_PER_SECOND = 14.0
_SAMPLE_BYTES = 2
# Beside the clip itself: pcm is as large, flac about 0.6 of it, the rest has at most 128 kbit a second.
_FORM_SHARES = {"wav": 0.0, "pcm": 1.0, "flac": 0.7}
_COMPRESSED_BYTES_PER_SECOND = 16_000


@dataclass(frozen=True)
class VoiceConfig:
    """One voice of a deployment, and the form its files have."""

    voice_id: str
    provider: str | None = None
    speed: float = 1.0
    format: str = CLIP_FORMAT.name

    def resolve(self, engines: Mapping[str, EngineState]) -> Resolution:
        """Who speaks it now.

        Raises:
            Invalid: unknown voice or provider.
        """
        return speech_voices.resolve(engines, self.voice_id, self.provider)


@dataclass(frozen=True)
class Part:
    """A segment and its place; places count from 0."""

    topic_index: int
    topic_id: str
    segment_index: int
    segment_id: str
    text: str

    @property
    def place(self) -> dict[str, Any]:
        """For the row of its item."""
        return {name: value for name, value in vars(self).items() if name != "text"}


@dataclass(frozen=True)
class Course:
    """What a course says at one moment."""

    title: str
    topics: list[dict[str, str]]
    parts: list[Part]
    entries: dict[str, str]

    def digest(self, configs: Sequence[VoiceConfig]) -> str:
        """Equal for what would be planned alike."""
        parts = [list(vars(part).values()) for part in self.parts]
        told = [
            TEXT_RULES,
            self.title,
            self.topics,
            parts,
            sorted(self.entries.items()),
            [vars(one) for one in configs],
        ]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()


@dataclass
class VoicePlan:
    """How one voice says the parts of a course; ``found`` and ``ready`` are what is there already (``look``)."""

    config: VoiceConfig
    resolution: Resolution
    clips: list[ClipSpec]
    keys: list[str]
    found: dict[str, Found] = field(default_factory=dict)
    ready: dict[str, float] = field(default_factory=dict)

    @property
    def form(self) -> Form:
        """The form of its files."""
        return Form(self.config.format)

    @property
    def complete(self) -> bool:
        """Whether all of it is there."""
        return len(self.found) == len(set(self.keys))

    def sizes(self) -> dict[str, int]:
        """What each clip takes with its file, in bytes: known where it is there, else estimated."""
        known: dict[str, int] = {}
        for key, clip in zip(self.keys, self.clips, strict=True):
            if key not in known:
                seconds = self.ready.get(key, len(clip.text) / CHARACTERS_PER_SECOND / clip.speed)
                known[key] = round(seconds * bytes_per_second(self.config, self.resolution))
        return known


def read(session: Session, curriculum_id: str) -> Course:
    """What the course says now; a segment without a word is never spoken, and no part of it.

    Raises:
        NotFound: there is no such course.
    """
    curriculum = curricula.get(session, curriculum_id)
    outline = curricula.outline(session, curriculum_id)
    parts = [
        Part(topic_index, topic.id, segment_index, segment.id, segment.text)
        for topic_index, (topic, segments) in enumerate(outline)
        for segment_index, segment in enumerate(segments)
        if any(character.isalnum() for character in segment.text)
    ]
    topics = [{"id": topic.id, "title": topic.title} for topic, _ in outline]
    return Course(curriculum.title, topics, parts, pronunciations.entries(session, curriculum_id))


def plan(course: Course, configs: Sequence[VoiceConfig], engines: Mapping[str, EngineState]) -> list[VoicePlan]:
    """How each voice says the course; some 25 µs for every part and voice, and nothing is asked of Postgres.

    Raises:
        Invalid: unknown voice or provider.
    """
    lexicon = Lexicon(course.entries)
    planned = []
    for config in configs:
        resolution = config.resolve(engines)
        clips = [resolution.clip(part.text, config.speed, lexicon=lexicon) for part in course.parts]
        planned.append(VoicePlan(config, resolution, clips, [clip.key for clip in clips]))
    return planned


def look(session: Session, voices: Sequence[VoicePlan]) -> None:
    """Notes what of the plans is there already."""
    for voice in voices:
        keys = list(dict.fromkeys(voice.keys))
        voice.found = speech_renditions.find_all(session, keys, voice.form)
        voice.ready = speech_clips.ready_keys(session, keys)


def bytes_per_second(config: VoiceConfig, resolution: Resolution) -> float:
    """What a second of a voice takes: the clip, which all else is made from, and its file where that is another."""
    clip = resolution.rate_hz * _SAMPLE_BYTES
    share = _FORM_SHARES.get(config.format)
    return clip + (_COMPRESSED_BYTES_PER_SECOND if share is None else share * clip)


def at_most_bytes(
    session: Session, curriculum_id: str, configs: Sequence[VoiceConfig], engines: Mapping[str, EngineState]
) -> int:
    """What a course would take if nothing of it were there, estimated from its characters without reading them.

    Raises:
        NotFound: there is no such course.
        Invalid: unknown voice or provider.
    """
    curricula.get(session, curriculum_id)
    characters = select(func.coalesce(func.sum(func.char_length(Segment.text)), 0))
    seconds = (session.scalar(characters.where(Segment.curriculum_id == curriculum_id)) or 0) / CHARACTERS_PER_SECOND
    return round(sum(seconds / config.speed * bytes_per_second(config, config.resolve(engines)) for config in configs))


def taken_bytes(session: Session, *, but_for: str | None = None) -> int:
    """What deployments (``but_for`` one) hold in the cache, and what those that are being made will hold."""
    others = SpeechPin.job_id.is_distinct_from(but_for)
    pins = select(SpeechPin.clip_key).where(others, SpeechPin.clip_key == SpeechRendition.clip_key)
    held = select(func.coalesce(func.sum(SpeechRendition.size_bytes), 0)).where(pins.exists())
    to_come = func.sum(Job.params["missing_bytes"].astext.cast(BigInteger) * (1 - Job.progress))
    open_ones = (Job.kind == KIND, Job.state.in_((QUEUED, RUNNING, PAUSED)), Job.id.is_distinct_from(but_for))
    coming = select(func.coalesce(to_come, 0)).where(*open_ones, Job.params.has_key("missing_bytes"))
    return int(session.scalar(held) or 0) + int(session.scalar(coming) or 0)


def check_room(session: Session, voices: Sequence[VoicePlan], *, max_bytes: int, but_for: str | None = None) -> int:
    """How many bytes are still to come of the plans (after ``look``), which fit beside what deployments hold.

    What another deployment holds is counted there.

    Raises:
        Conflict: they do not; the figures are in its details.
    """
    sizes: dict[str, int] = {}
    for voice in voices:
        for key, size in voice.sizes().items():
            sizes[key] = max(size, sizes.get(key, 0))
    there = {key for voice in voices for key in voice.found}
    taken = taken_bytes(session, but_for=but_for)
    for key in _held_already(session, list(sizes), but_for):
        sizes[key] = 0
    needed = sum(sizes.values())
    if taken + needed > max_bytes:
        message = (
            f"It needs about {needed} bytes of the speech cache, deployments hold {taken} already, "
            f"and SPEECH_CACHE_MAX_BYTES allows {max_bytes}."
        )
        raise Conflict(message, needed_bytes=needed, held_bytes=taken, max_bytes=max_bytes)
    return sum(size for key, size in sizes.items() if key not in there)


def _held_already(session: Session, keys: list[str], but_for: str | None) -> set[str]:
    given = func.any(bindparam("keys", keys, type_=ARRAY(Text)))
    held = select(cast(Any, SpeechPin.clip_key)).where(SpeechPin.clip_key == given)
    return set(session.scalars(held.where(SpeechPin.job_id.is_distinct_from(but_for))))
