"""What every speech engine offers, and which file each one lives in."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping, Sequence
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
    """A speech engine. Its module has ``load(device, **options) -> Provider``; options are text and have defaults."""

    name: str
    revision: str
    sample_rate_hz: int
    capabilities: Capabilities

    def synthesize_batch(self, utterances: Sequence[Utterance]) -> list[Spoken]:
        """What was said for each utterance, in order; an empty clip where there is nothing the engine can say."""
        ...

    def stream(self, utterance: Utterance) -> Iterator[Spoken]:
        """The same samples and words part by part, as soon as each is ready; one part where the engine cannot."""
        ...


# A new engine is one file and one line.
MODULES = {
    "hibari": "workers.tts.hibari",
    "piper": "workers.tts.piper",
    "espeak": "workers.tts.espeak",
    "vits": "workers.tts.vits",
    "remote": "workers.tts.remote",
}


class NotSetUp(RuntimeError):
    """The engine lacks an option that only the operator can give; the text names it."""


def load(engine: str, device: Device, options: Mapping[str, str] | None = None) -> Provider:
    """The engine, ready to speak on ``device``.

    Raises:
        ImportError: its packages are not installed.
        NotSetUp: it cannot do without an option that was not given.
    """
    provider: Provider = importlib.import_module(MODULES[engine]).load(device, **(options or {}))
    return provider


@dataclass(frozen=True)
class Mark:
    """Characters [start, end) of a plain text that are to be said as ``ipa``."""

    start: int
    end: int
    ipa: str


_MARKED = re.compile(r"\[([^\[\]]*)\]\(/([^()/]*)/\)")
# Dashes part words; other signs stand at a word's edges.
_TOKEN = re.compile(r"[^\s—–…]+")
_EDGES = ".,;:!?\"'()[]{}<>«»“”‘’„¿¡*_~|/\\-"


def plain_and_marks(text: str) -> tuple[str, list[Mark]]:
    """An utterance's text without its ``[word](/ipa/)``, and where in it those were."""
    plain, marks, taken = "", list[Mark](), 0
    for found in _MARKED.finditer(text):
        plain += text[taken : found.start()]
        marks.append(Mark(len(plain), len(plain) + len(found[1]), found[2].strip()))
        plain += found[1]
        taken = found.end()
    return plain + text[taken:], marks


def written_words(plain: str) -> list[tuple[int, int]]:
    """Where the words of a text are, as characters [start, end), without the punctuation around them."""
    words = []
    for found in _TOKEN.finditer(plain):
        left = found.end() - len(found.group().lstrip(_EDGES))
        right = found.start() + len(found.group().rstrip(_EDGES))
        if any(character.isalnum() for character in plain[left:right]):
            words.append((left, right))
    return words
