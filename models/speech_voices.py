"""What a requested voice and provider mean now: which engine speaks, for which pool, at which revision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from config import voices
from config.voices import Voice
from models.errors import Invalid
from models.speech_clips import ClipSpec
from models.workers import EngineState


@dataclass(frozen=True)
class Resolution:
    """The answer, stored with the job beside the question. ``fallback`` says what was put in whose place."""

    voice: Voice
    engine: str
    pool: str
    revision: str
    requested_provider: str | None
    fallback: str | None

    def clip(self, text: str, speed: float) -> ClipSpec:
        """What decides how ``text`` sounds with this voice."""
        return ClipSpec(text, self.engine, self.voice.engine_voice, self.revision, speed, self.voice.options)

    def as_dict(self) -> dict[str, str | None]:
        """For the job's row and for answers."""
        return {
            "voice_id": self.voice.id,
            "engine": self.engine,
            "revision": self.revision,
            "requested_provider": self.requested_provider,
            "fallback": self.fallback,
        }


def resolve(engines: Mapping[str, EngineState], voice_id: str | None, provider: str | None) -> Resolution:
    """Which engine speaks, given those that are registered (``models.workers.engines``).

    A known provider without an engine of its own falls back to the voice's default engine. Whether a worker is there
    to speak is asked at submit: speech that is ready needs none.

    Raises:
        Invalid: unknown voice or provider.
    """
    catalogue = voices.catalogue()
    voice = catalogue.voices.get(voice_id or catalogue.default_voice)
    if voice is None:
        known = ", ".join(sorted(catalogue.voices))
        raise Invalid(f"voice_id {voice_id!r} is unknown; there are {known}", voice_id=voice_id)
    if provider is not None and provider not in catalogue.providers:
        known = ", ".join(sorted(catalogue.providers))
        raise Invalid(f"provider {provider!r} is unknown; there are {known}", provider=provider)
    asked = catalogue.providers[provider] if provider else voice.engine
    # A voice belongs to one engine: another one cannot speak with it.
    fallback = None if asked == voice.engine else f"{provider} -> {voice.engine}"
    engine = catalogue.engines[voice.engine]
    revision = engines[engine.name].revision if engine.name in engines else "unknown"
    return Resolution(voice, engine.name, engine.pool, f"{revision}/{voice.revision}", provider, fallback)
