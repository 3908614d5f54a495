"""Captions of what was spoken: of one clip, of a whole topic."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify
from marshmallow import EXCLUDE, Schema, fields, validate

from app import captions, context
from app.captions import Track
from app.http.access import CLIENT
from app.http.answers import Answer, Shown
from app.http.offload import offload
from app.http.parsing import QueryNumber, Text, one_of
from app.speaking import MAX_SPEED, MIN_SPEED
from app.surfaces import MANAGEMENT, SurfaceBlueprint
from models import curricula, pronunciations, speech_clips, speech_voices, workers
from models.errors import Conflict, NotFound
from models.pronunciations import Lexicon

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


class CueShown(Shown):
    """A line or two, and when they are shown."""

    text = fields.String()
    start = fields.Float()
    end = fields.Float()


class WordShown(Shown):
    """A word, and when it is said."""

    word = fields.String()
    start = fields.Float()
    end = fields.Float()


class CaptionsShown(Shown):
    """Cues and words with their times in seconds."""

    duration_seconds = fields.Float()
    word_times = fields.String(validate=validate.OneOf(["engine", "estimated"]))
    cues = fields.List(fields.Nested(CueShown))
    words = fields.List(fields.Nested(WordShown))


CAPTIONS = Answer(
    tuple(captions.FORMATS.values()),
    schema=CaptionsShown,
    headers={"X-Word-Times": "`engine`: the times are the engine's own; `estimated`: they are guessed"},
)


@blueprint.endpoint("/api/speech/<key>/captions", access=CLIENT, answers={200: CAPTIONS})
@blueprint.arguments(Which, location="query")
def of_clip(query: dict[str, Any], key: str) -> Response:
    """What is said in a clip, and when."""
    with context.current().database.reading() as session:
        clip = speech_clips.ready(session, key)
    if clip is None:
        raise NotFound(f"There is no clip {key}.")
    return answer(captions.track([clip]), query["format"])


@blueprint.endpoint(
    "/api/curriculum/<curriculum_id>/topics/<topic_id>/captions",
    access=CLIENT,
    answers={200: CAPTIONS},
    refuses=(409,),
)
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
    return answer(captions.track(clips[key] for key in keys), query["format"])


def answer(track: Track, format_name: str) -> Response:
    """A track in the form asked for; its header says whether the times of words are the engine's own."""
    # Of a whole course it takes some 100 ms.
    if format_name == "json":
        told = offload(
            lambda: captions.as_json(track.words, estimated=track.estimated, duration_seconds=track.duration_seconds)
        )
        response = jsonify(told)
    else:
        response = Response(offload(captions.written, track, format_name), mimetype=captions.FORMATS[format_name])
    response.headers["X-Word-Times"] = "estimated" if track.estimated else "engine"
    return response
