"""espeak-ng: a robot that speaks very many languages in a millisecond; the floor below every other engine.

Its library comes from the package espeakng-loader (GPL-3.0-or-later), an optional part.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Sequence

import numpy as np

from workers.audio.clip import Clip
from workers.device import Device
from workers.tts import espeak_library
from workers.tts.espeak_library import WordStart
from workers.tts.provider import Capabilities, Spoken, Utterance, Word, plain_and_marks, written_words

# Its own unhurried rate.
_WORDS_PER_MINUTE = 175
# Those the catalogue has voices for; the library has about 130.
LANGUAGES = ("en", "de", "es", "fr", "it", "nl", "pl", "pt")


class EspeakProvider:
    """The voices are the library's own names: ``en-us``, ``de``, ``pt-br`` …

    Its wave generator goes on where the last text left off, so two takes differ by some samples: there is no seed.
    """

    name = "espeak"
    revision = importlib.metadata.version("espeakng-loader")
    capabilities = Capabilities(
        batch=False,
        seed=False,
        streams_in_sentence=False,
        word_times=True,
        languages=LANGUAGES,
        licence="GPL-3.0-or-later",
        # Length times rate is constant to 3 % from 120 to 450 words a minute; at 80 it is 9 % less.
        speeds=(0.7, 2.5),
    )

    def __init__(self) -> None:
        self._espeak = espeak_library.shared()
        self.sample_rate_hz = self._espeak.sample_rate_hz

    def synthesize_batch(self, utterances: Sequence[Utterance]) -> list[Spoken]:
        """One after the other: the library does one thing at a time.

        Raises:
            ValueError: the library has no such voice.
        """
        return [self._say(utterance) for utterance in utterances]

    def stream(self, utterance: Utterance) -> Iterator[Spoken]:
        """In one part: it takes a millisecond."""
        yield self._say(utterance)

    def _say(self, utterance: Utterance) -> Spoken:
        # It takes phonemes in an alphabet of its own only, and reads marked words by its own rules.
        text, _ = plain_and_marks(utterance.text)
        spans = written_words(text)
        if not spans:
            return Spoken(Clip(np.zeros(0, np.float32), self.sample_rate_hz))
        rate = round(_WORDS_PER_MINUTE * utterance.speed)
        samples, starts = self._espeak.speak(text, utterance.voice, rate)
        clip = Clip(samples.astype(np.float32) / np.float32(32768), self.sample_rate_hz)
        return Spoken(clip, _words(text, spans, starts, clip.duration_seconds))


def _words(
    text: str, spans: Sequence[tuple[int, int]], starts: Sequence[WordStart], duration_seconds: float
) -> tuple[Word, ...]:
    """The written words; each lasts until the next begins. One the library is silent about has no length."""
    times: list[float] = []
    for start, end in spans:
        said = [begin.seconds for begin in starts if start <= begin.position < end]
        times.append(min(duration_seconds, said[0] if said else times[-1] if times else 0.0))
    times.append(duration_seconds)
    return tuple(Word(text[slice(*span)], *times[place : place + 2]) for place, span in enumerate(spans))


def load(device: Device) -> EspeakProvider:
    """The engine; it computes in whatever thread asks."""
    return EspeakProvider()
