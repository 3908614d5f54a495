"""Speech as tools: the voices there are, and texts that are spoken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.api import voices
from app.api.speech import Speak, form_of
from app.http import waiting
from app.http.access import CLIENT
from app.http.parsing import MAX_PAGE, Paging
from app.speaking import MAX_CHARACTERS, MAX_SPEED, MIN_SPEED, accept_of, made, ready, wanted
from app.speech_ended import location
from app.tools.own import Asked, OwnTool
from app.tools.reading import read
from config.versions import AUDIO_FORMATS

# How long an answer waits for the audio before it is a job. Models' clients give up after a minute, some sooner.
SOON_SECONDS = 10.0


def _voices(asked: Asked, arguments: Mapping[str, Any]) -> Any:
    return voices.listed(asked.here, **read(Paging(), arguments))


def _speak(asked: Asked, arguments: Mapping[str, Any]) -> Any:
    here = asked.here
    body = read(Speak(), arguments, voice="voice_id")
    form = form_of(body["format"], body)
    of_text = {name: body[name] for name in ("text", "voice_id", "provider", "speed")}
    what = wanted(form=form, here=here, **of_text)
    found, outcome = ready(here, what), "hit"
    if found is None:
        with here.hub.subscribed() as subscription:
            job, new = accept_of(here, asked.caller, what)
            subscription.job_id = job.id
            # Whoever hangs up finds it among the jobs.
            ending = waiting.Ending(job.id, subscription, lambda: False, here.database)
            ended = waiting.within(ending, SOON_SECONDS)
        if ended is None:
            return {"job_id": job.id, "status_url": f"/api/jobs/{job.id}"}
        found, outcome = made(here, what, ended, new=new)
    answer = {
        "url": location(found),
        "duration_seconds": round(found.duration_seconds, 3),
        "cache": outcome,
        "voice": what.resolution.voice.id,
        "provider": what.resolution.engine,
    }
    return answer | ({"fallback": what.resolution.fallback} if what.resolution.fallback else {})


TOOLS = (
    OwnTool(
        "voices_list",
        "Lists the voices that can speak a text, each with its language and whether it is available now.",
        {
            "limit": {
                "type": "integer",
                "minimum": 1,
                "maximum": MAX_PAGE,
                "default": 50,
                "description": "How many voices at most",
            },
            "offset": {
                "type": "integer",
                "minimum": 0,
                "default": 0,
                "description": "How many voices of the list to pass over",
            },
        },
        _voices,
        access=CLIENT,
    ),
    OwnTool(
        "speech_speak",
        "Speaks a text and gives the URL of the audio, or, when that takes longer than a few seconds, a job whose "
        "job_status tells the URL later.",
        {
            "text": {
                "type": "string",
                "minLength": 1,
                "maxLength": MAX_CHARACTERS,
                "required": True,
                "description": "What is to be said",
            },
            "voice": {
                "type": "string",
                "minLength": 1,
                "maxLength": 100,
                "description": "The id of a voice, as voices_list gives it; without it the default voice",
            },
            "provider": {
                "type": "string",
                "minLength": 1,
                "maxLength": 100,
                "description": "Which engine is to speak, where not the voice's own",
            },
            "speed": {
                "type": "number",
                "minimum": MIN_SPEED,
                "maximum": MAX_SPEED,
                "default": 1.0,
                "description": "How fast, 1 being the voice's own pace",
            },
            "format": {
                "type": "string",
                "enum": sorted(AUDIO_FORMATS),
                "default": "wav",
                "description": "The audio format of the file",
            },
        },
        _speak,
        # What is spoken is kept.
        read_only=False,
        access=CLIENT,
    ),
)
