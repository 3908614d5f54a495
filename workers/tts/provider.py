"""What every speech engine offers, and which file each one lives in."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from workers.audio.clip import Clip
from workers.device import Device


@dataclass(frozen=True)
class Utterance:
    """One piece to be said in one go. ``seed`` fixes what an engine would otherwise draw at random."""

    text: str
    voice: str
    speed: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Capabilities:
    """What an engine can do, so that what it cannot is refused or emulated, never ignored."""

    batch: bool
    seed: bool
    streams_in_sentence: bool
    word_times: bool
    languages: tuple[str, ...]
    licence: str


class Provider(Protocol):
    """A speech engine. Its module has ``load(device) -> Provider``."""

    name: str
    revision: str
    sample_rate_hz: int
    capabilities: Capabilities

    def synthesize_batch(self, utterances: Sequence[Utterance]) -> list[Clip]:
        """A clip for each utterance, in order; an empty one where there is nothing the engine can say."""
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
