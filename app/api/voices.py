"""The voices there are."""

from __future__ import annotations

from typing import Any

from marshmallow import fields

from app import context
from app.context import Context
from app.http.access import CLIENT
from app.http.answers import Shown, page_of
from app.http.parsing import Paging
from app.surfaces import MANAGEMENT, SurfaceBlueprint
from config.voices import catalogue
from models import speech_voices

blueprint = SurfaceBlueprint("voices", surface=MANAGEMENT, description="The voices there are")


class VoiceShown(Shown):
    """A voice."""

    id = fields.String()
    provider = fields.String()
    engine = fields.String()
    language = fields.String()
    description = fields.String()
    available = fields.Boolean()
    sample_rate = fields.Integer()
    licence = fields.String()
    default = fields.Boolean()


@blueprint.endpoint("/api/tts/voices", access=CLIENT, answers={200: page_of("voices", VoiceShown)})
@blueprint.arguments(Paging, location="query")
def page(query: dict[str, int]) -> dict[str, Any]:
    """Every voice with the engine that speaks it now, and whether a worker has that engine."""
    return listed(context.current(), **query)


def listed(here: Context, *, limit: int, offset: int) -> dict[str, Any]:
    """A page of the voices."""
    engines = here.engines(None)
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
