"""The voices there are."""

from __future__ import annotations

from typing import Any

from flask import request

from app import context
from app.http.access import CLIENT
from app.surfaces import MANAGEMENT, SurfaceBlueprint
from config.voices import catalogue
from models import speech_voices
from models.errors import Invalid

blueprint = SurfaceBlueprint("voices", surface=MANAGEMENT, description="The voices there are")

MAX_LIMIT = 200


@blueprint.endpoint("/api/tts/voices", access=CLIENT)
def page() -> dict[str, Any]:
    """Every voice with the engine that speaks it now, and whether a worker has that engine."""
    limit, offset = min(_count("limit", MAX_LIMIT), MAX_LIMIT), _count("offset", 0)
    engines = context.current().engines(None)
    known = list(catalogue().voices.values())
    shown = []
    for voice in known[offset : offset + limit]:
        resolution = speech_voices.resolve(engines, voice.id, None)
        engine = catalogue().engines[resolution.engine]
        shown.append(
            {
                "id": voice.id,
                "provider": resolution.engine,
                "engine": resolution.engine,
                "language": voice.language,
                "description": voice.description,
                "available": resolution.available,
                "sample_rate": engine.sample_rate_hz,
                "licence": engine.licence,
                "default": voice.id == catalogue().default_voice,
            }
        )
    return {"voices": shown, "total": len(known), "limit": limit, "offset": offset}


def _count(name: str, default: int) -> int:
    value = request.args.get(name, str(default))
    if not value.isdecimal() or len(value) > 9:
        raise Invalid(f"{name}: {value[:60]!r} is not a whole number of at least 0")
    return int(value)
