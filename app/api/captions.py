"""Captions of what was spoken: of one clip, of a whole topic."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify
from marshmallow import EXCLUDE, Schema

from app import captions, context
from app.captions import Word
from app.http.access import CLIENT
from app.http.parsing import QueryNumber, Text, one_of
from app.speaking import MAX_SPEED, MIN_SPEED
from app.surfaces import MANAGEMENT, SurfaceBlueprint
from models import curricula, pronunciations, speech_clips, speech_voices, workers
from models.errors import Conflict, NotFound
from models.pronunciations import Lexicon
from models.speech_clips import SpeechClip

blueprint = SurfaceBlueprint("captions", surface=MANAGEMENT, description="Captions of what was spoken")


class Which(Schema):
    """In which form."""

    class Meta:
        unknown = EXCLUDE

    format = Text(load_default="vtt", maximum=10, validate=one_of(sorted(captions.FORMATS)))


class WhichTopic(Which):
    """In which form, and spoken how."""

    voice_id = Text(load_default=None, maximum=100)
    provider = Text(load_default=None, maximum=100)
    speed = QueryNumber(MIN_SPEED, MAX_SPEED, load_default=1.0)


@blueprint.endpoint("/api/speech/<key>/captions", access=CLIENT)
@blueprint.arguments(Which, location="query")
def of_clip(query: dict[str, Any], key: str) -> Response:
    """What is said in a clip, and when."""
    with context.current().database.reading() as session:
        clip = speech_clips.ready(session, key)
    if clip is None:
        raise NotFound(f"There is no clip {key}.")
    words, estimated = _words(clip)
    return _answer(query["format"], words, estimated=estimated, duration_seconds=clip.duration_seconds or 0.0)


@blueprint.endpoint("/api/curriculum/<curriculum_id>/topics/<topic_id>/captions", access=CLIENT)
@blueprint.arguments(WhichTopic, location="query")
def of_topic(query: dict[str, Any], curriculum_id: str, topic_id: str) -> Response:
    """What is said in a topic whose segments are played one after the other."""
    with context.current().database.transaction(durable=False) as session:
        # What has no word is never spoken, and nothing of it is shown.
        segments = [
            segment
            for segment in curricula.segments(session, curriculum_id, topic_id)
            if any(character.isalnum() for character in segment.text)
        ]
        resolution = speech_voices.resolve(workers.engines(session), query["voice_id"], query["provider"])
        lexicon = Lexicon(pronunciations.entries(session, curriculum_id))
        keys = [resolution.clip(segment.text, query["speed"], lexicon=lexicon).key for segment in segments]
        clips = {clip.key: clip for clip in speech_clips.all_ready(session, keys)}
    missing = [segment.id for segment, key in zip(segments, keys, strict=True) if key not in clips]
    if missing:
        message = f"{len(missing)} of {len(segments)} segments of topic {topic_id} are not spoken yet; prefetch them."
        raise Conflict(message, missing_segments=missing[:100])
    words: list[Word] = []
    estimated, seconds = False, 0.0
    for key in keys:
        own, guessed = _words(clips[key])
        words += captions.later(own, seconds)
        seconds += clips[key].duration_seconds or 0.0
        estimated |= guessed
    return _answer(query["format"], words, estimated=estimated, duration_seconds=seconds)


def _words(clip: SpeechClip) -> tuple[list[Word], bool]:
    # A clip that was made before times were kept: all that is known is how long it is.
    whole = {"text": clip.spec["text"], "start": 0.0, "end": clip.duration_seconds or 0.0}
    return captions.words_of(clip.timing or [whole])


def _answer(format_name: str, words: list[Word], *, estimated: bool, duration_seconds: float) -> Response:
    if format_name == "json":
        response = jsonify(captions.as_json(words, estimated=estimated, duration_seconds=duration_seconds))
    else:
        text = captions.srt(words) if format_name == "srt" else captions.vtt(words, estimated=estimated)
        response = Response(text, mimetype=captions.FORMATS[format_name])
    response.headers["X-Word-Times"] = "estimated" if estimated else "engine"
    return response
