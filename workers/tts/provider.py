"""What every speech engine offers, and which file each one lives in."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from workers.audio.clip import Clip
from workers.device import Device


@dataclass(frozen=True)
class Utterance:
    """One piece to be said in one go.

    ``text`` may hold ``[word](/ipa/)``: the word, said as the IPA between the slashes. ``speed`` is within the engine's
    ``speeds``; ``seed`` fixes what an engine would otherwise draw at random.
    """

    text: str
    voice: str
    speed: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Word:
    """A spoken word; its times count from the beginning of its clip."""

    text: str
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True)
class Spoken:
    """What an engine said; ``words`` is empty unless the engine has ``word_times``."""

    clip: Clip
    words: tuple[Word, ...] = ()


@dataclass(frozen=True)
class Capabilities:
    """What an engine can do, so that what it cannot is refused or emulated, never ignored.

    ``speeds`` are those at which it keeps what it is told to within a few percent; others are reached by stretching.
    ``reads`` names the classes of the text front end that the engine's own reading does better (``workers.text``).
    """

    batch: bool
    seed: bool
    streams_in_sentence: bool
    word_times: bool
    languages: tuple[str, ...]
    licence: str
    phonemes: bool = False
    speeds: tuple[float, float] = (1.0, 1.0)
    reads: frozenset[str] = frozenset()


class Provider(Protocol):
    """A speech engine. Its module has ``load(device) -> Provider``."""

    name: str
    revision: str
    sample_rate_hz: int
    capabilities: Capabilities

    def synthesize_batch(self, utterances: Sequence[Utterance]) -> list[Spoken]:
        """What was said for each utterance, in order; an empty clip where there is nothing the engine can say."""
        ...

    def stream(self, utterance: Utterance) -> Iterator[Clip]:
        """The same samples part by part, as soon as each is ready; one part where the engine cannot."""
        ...


# A new engine is one file and one line.
MODULES = {"hibari": "workers.tts.hibari"}


def load(engine: str, device: Device) -> Provider:
    """The engine, ready to speak on ``device``.

    Raises:
        ImportError: its packages are not installed.
    """
    provider: Provider = importlib.import_module(MODULES[engine]).load(device)
    return provider
