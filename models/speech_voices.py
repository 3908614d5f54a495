"""What a requested voice and provider mean now: which engine speaks, for which pool, at which revision."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from config import voices
from config.voices import Voice
from models.errors import Invalid, Unavailable
from models.pronunciations import Lexicon
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
    # Whether a worker that has the engine takes work. Its lane alone does not tell: others of its pool may be there.
    available: bool = True

    @property
    def rate_hz(self) -> int:
        """The engine's own sample rate."""
        return voices.catalogue().engines[self.engine].sample_rate_hz

    def require(self) -> None:
        """Asked before speech has to be made, not before it is found.

        Raises:
            Unavailable: no worker that has the engine takes work.
        """
        if not self.available:
            raise self.nobody()

    def nobody(self) -> Unavailable:
        """What is said where no worker has the engine."""
        message = f"No worker with engine {self.engine} is running for voice {self.voice.id}."
        needs = voices.catalogue().engines[self.engine].needs
        return Unavailable(f"{message} It needs {needs}." if needs else message, retry_after_seconds=5)

    def clip(self, text: str, speed: float, *, seed: int | None = None, lexicon: Lexicon | None = None) -> ClipSpec:
        """What decides how ``text`` sounds with this voice: of the lexicon only the entries that occur in it."""
        text = unicodedata.normalize("NFC", text)
        options = dict(self.voice.options)
        # 0 is what engines take when none is given.
        if seed:
            options["seed"] = seed
        if lexicon is not None and (entries := lexicon.matching(text)):
            options["lexicon"] = entries
        return ClipSpec(text, self.engine, self.voice.engines[self.engine], self.revision, speed, options)

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

    The provider asked for, where it has an engine that can speak the voice, also if no worker has it now; else the
    best of the voice's engines that is alive. Whether a worker is there to speak (``available``) is asked at submit:
    speech that is ready needs none.

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
    asked = catalogue.providers[provider] if provider else None
    if asked in voice.engines:
        name, fallback = asked, None
    else:
        name = _choice(engines, voice)
        fallback = f"{provider} -> {name}" if provider else _other_speaker(voice, name)
    state = engines.get(name)
    return Resolution(
        voice,
        name,
        catalogue.engines[name].pool,
        f"{state.revision if state else 'unknown'}/{voice.revision}",
        provider,
        fallback,
        available=state is not None and state.alive,
    )


def _choice(engines: Mapping[str, EngineState], voice: Voice) -> str:
    """The voice's best engine that is alive; if none is, the best that was; if none was, the best."""
    registered = [name for name in voice.engines if name in engines]
    alive = [name for name in registered if engines[name].alive]
    return next(iter([*alive, *registered, *voice.engines]))


def _other_speaker(voice: Voice, chosen: str) -> str | None:
    """What is said when somebody else speaks than the voice is named for; two engines of one speaker are no matter."""
    speaker = next(iter(voice.engines.values()))
    if voice.engines[chosen] == speaker:
        return None
    nearest = [name for name, who in voice.engines.items() if who == speaker][-1]
    return f"{nearest} -> {chosen}"


def of_clip(spec: ClipSpec) -> Resolution:
    """The answer of which a clip came, as far as its spec tells it."""
    catalogue = voices.catalogue()
    speakers = [voice for voice in catalogue.voices.values() if voice.engines.get(spec.engine) == spec.voice]
    voice = next(iter(speakers), catalogue.voices[catalogue.default_voice])
    return Resolution(voice, spec.engine, catalogue.engines[spec.engine].pool, spec.voice_revision, None, None)
