"""From a text to a clip: pieces, synthesis, pauses, and when each piece is heard."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from workers.audio.clip import Clip, silence
from workers.audio.stretch import stretch
from workers.errors import BadInput
from workers.text.script import script
from workers.tts.edges import Edges, Samples
from workers.tts.provider import Provider, Spoken, Utterance, Word

Report = Callable[[float, str], None]
Heard = Callable[[Clip], None]
# Gives the parts of a piece, by its number; called for each in order.
Say = Callable[[int], Iterator[Spoken]]
# Told all pieces, gives a way to say them (with the help of others).
Share = Callable[[Sequence[Utterance]], Say]


@dataclass(frozen=True)
class Passage:
    """When a piece of the text, as it was written, is heard; ``words`` where the engine says when it says them."""

    text: str
    start_seconds: float
    end_seconds: float
    words: tuple[Word, ...] = ()


@dataclass(frozen=True)
class Speech:
    """A whole text, spoken."""

    clip: Clip
    passages: tuple[Passage, ...]


def speak(
    provider: Provider,
    text: str,
    *,
    voice: str,
    speed: float,
    seed: int = 0,
    lexicon: Mapping[str, str] | None = None,
    report: Report,
    heard: Heard | None = None,
    share: Share | None = None,
) -> Speech:
    """The whole text as one clip at the engine's rate.

    ``report`` is told the share done (0..1) before each piece and after each part of one; it may raise
    ``workers.errors.Stopped``. ``heard`` is given the same samples in order, part by part, as soon as each is ready.
    With ``share`` others may say some of the pieces.

    Raises:
        BadInput: there is no word in the text that the voice can say.
    """
    rate = provider.sample_rate_hz
    sound: list[Samples] = []
    passages: list[Passage] = []
    length = 0
    rest = silence(0.0, rate).samples

    def give(samples: Samples) -> None:
        nonlocal length
        if len(samples):
            sound.append(samples)
            length += len(samples)
            if heard is not None:
                heard(Clip(samples, rate))

    pieces = script(text, reads=provider.capabilities.reads, lexicon=lexicon)
    utterances = [Utterance(piece.spoken, voice, speed, seed) for piece in pieces]
    say_one = share(utterances) if share else lambda number: say(provider, utterances[number], in_parts=bool(heard))
    for number, piece in enumerate(pieces):
        report(number / len(pieces), "speaking")
        edges, words, start = Edges(rate), tuple[Word, ...](), length + len(rest)
        for part in say_one(number):
            ready, begins = edges.add(part.clip)
            at = (start + begins) / rate
            words += tuple(Word(word.text, at + word.start_seconds, at + word.end_seconds) for word in part.words)
            if len(ready):
                # The rest after a piece is heard only if something follows it.
                give(rest)
                rest = rest[:0]
                give(ready)
            report(number / len(pieces), "speaking")
        give(edges.end() if edges.given else rest[:0])
        if edges.given:
            passages.append(Passage(piece.written, start / rate, length / rate, words))
            rest = silence(piece.pause_seconds / speed, rate).samples
    if not sound:
        raise BadInput(f"text has no word that voice {voice} can say", code="nothing_to_say")
    return Speech(Clip(np.concatenate(sound), rate), tuple(passages))


def say(provider: Provider, wanted: Utterance, *, in_parts: bool) -> Iterator[Spoken]:
    """The parts of one piece at the speed wanted: by the engine as far as it goes, the rest by stretching."""
    slowest, fastest = provider.capabilities.speeds
    own = min(max(wanted.speed, slowest), fastest)
    utterance = Utterance(wanted.text, wanted.voice, own, wanted.seed)
    factor = wanted.speed / own
    if in_parts and factor == 1.0 and provider.capabilities.streams_in_sentence:
        yield from provider.stream(utterance)
        return
    (whole,) = provider.synthesize_batch([utterance])
    if factor == 1.0:
        yield whole
    else:
        words = (Word(word.text, word.start_seconds / factor, word.end_seconds / factor) for word in whole.words)
        yield Spoken(stretch(whole.clip, factor), tuple(words))
