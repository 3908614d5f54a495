"""The word, said by every voice in many ways: first a plan, then the clips.

A plan is a Latin hypercube over speed, pitch and formants for each family of voices, and goes round its voices and the
ways to write the word; so any two clips differ in something, and every stretch of every axis is there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from workers.audio.clip import Clip, faded, trim_silence
from workers.audio.pcm import finite
from workers.errors import BadInput
from workers.wakeword.phrases import FOLLOWING
from workers.wakeword.recordings import at_our_rate, frame_levels
from workers.wakeword.samples import Sample, Samples, SampleStore, Source
from workers.wakeword.spectrum import RATE_HZ
from workers.wakeword.voice_change import changed
from workers.wakeword.voices import Speak, Voice, families

Report = Callable[[float, str], None]

# Semitones around the voice's own, and how formants follow: people with high voices have short vocal tracts.
_PITCH = (-5.0, 4.0)
_FORMANTS_PER_SEMITONE, _FORMANTS_AROUND, _FORMANTS = 0.02, 0.09, (0.82, 1.22)
# Speeds are rounded to this, so that clips share a synthesis, which costs more than changing the voice.
_SPEED_STEP = 0.05
# Told, called, asked, gone on from: each changes how the word is said.
_SIGNS = (".", "!", "?", ",")
# In one take of so many the word is followed by something, said in one breath.
_FOLLOWED_EVERY = 4
_SECONDS = (0.12, 8.0)


@dataclass(frozen=True)
class Utterance:
    """One clip to be made of ``word``: ``written`` is what the voice is given.

    ``followed``: the word's own part is cut out of what is said. ``formants`` is a factor of their frequencies.
    """

    word: str
    written: str
    voice: str
    family: str
    speed: float
    seed: int
    pitch_semitones: float = 0.0
    formants: float = 1.0
    followed: bool = False
    source: Source = "positive"

    @property
    def key(self) -> str:
        """Names the clip: the same utterance has the same."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:32]

    @property
    def take(self) -> tuple[str, str, float, int]:
        """What is asked of the voice; several utterances may share it."""
        return self.voice, self.written, self.speed, self.seed


@dataclass(frozen=True)
class Made:
    """How many clips there now are, how many of these are new, and which words a voice could not say."""

    clips: int
    new: int
    unsaid: tuple[str, ...]


def plan(word: str, voices: Sequence[Voice], target: int, seed: int, *, source: Source = "positive") -> list[Utterance]:
    """``target`` different utterances of the word: as many of each family, in the order of the families.

    The same arguments give the same plan. Each voice begins with the word alone at its own pitch and speed.
    """
    return plan_all([word], voices, target, seed, source=source)


def plan_all(
    words: Sequence[str], voices: Sequence[Voice], target: int, seed: int, *, source: Source
) -> list[Utterance]:
    """As ``plan``, for several words or phrases that take turns."""
    found: dict[str, Utterance] = {}
    by_family = families(voices)
    for number, (family, members) in enumerate(by_family.items()):
        share = target // len(by_family) + (number < target % len(by_family))
        draws = np.random.default_rng([seed, number])
        for utterance in _of_family(words, family, members, share, draws, source):
            found[utterance.key] = utterance
    return list(found.values())


def _of_family(
    words: Sequence[str], family: str, voices: Sequence[Voice], count: int, draws: np.random.Generator, source: Source
) -> list[Utterance]:
    """Latin hypercube: each axis is cut into ``count`` strata, and each stratum is met once."""
    speeds, pitches, strays = (
        ((draws.permutation(count) + draws.random(count)) / max(1, count)).tolist() for _ in range(3)
    )
    signs = draws.integers(len(_SIGNS), size=count).tolist()
    planned = []
    for place in range(count):
        voice, turn = voices[place % len(voices)], place // len(voices)
        # All changes of a take share what the voice is told: that of the first of them.
        take = turn // voice.changes_per_take
        first = take * len(voices) + place % len(voices)
        # One further each time round, or a voice would always say the same words.
        word = words[(first + take) % len(words)]
        plain, own = take == 0, turn % voice.changes_per_take == 0
        pitch = _PITCH[0] + pitches[place] * (_PITCH[1] - _PITCH[0])
        formants = 1 + _FORMANTS_PER_SEMITONE * pitch + _FORMANTS_AROUND * (2 * strays[place] - 1)
        low, high = voice.speeds
        speed = round((low + speeds[first] * (high - low)) / _SPEED_STEP) * _SPEED_STEP
        followed = source == "positive" and take % _FOLLOWED_EVERY == _FOLLOWED_EVERY - 1
        # A phrase that ends in a sign keeps it.
        sign = _SIGNS[signs[first]] if word[-1:].isalnum() else ""
        written = (word if take % 2 or plain else word[:1].upper() + word[1:]) + (sign and "." if plain else sign)
        if followed:
            written = f"{word}, {FOLLOWING[take // _FOLLOWED_EVERY % len(FOLLOWING)]}"
        planned.append(
            Utterance(
                word=word,
                written=written,
                voice=voice.name,
                family=family,
                speed=1.0 if plain else round(min(high, max(low, speed)), 2),
                seed=take % voice.takes,
                pitch_semitones=0.0 if plain and own else round(pitch, 2),
                formants=1.0 if plain and own else round(min(_FORMANTS[1], max(_FORMANTS[0], formants)), 3),
                followed=followed,
                source=source,
            )
        )
    return planned


def make(utterances: Sequence[Utterance], *, speak: Speak, store: SampleStore, report: Report) -> Made:
    """Puts the clip of each utterance into the store, under its key; those that are there already are left out.

    ``report`` is told the share done (0..1) before each clip; it may raise ``workers.errors.Stopped``, and then what is
    made is kept.

    Raises:
        BadInput: there is nothing that any of the voices could say.
    """
    unsaid, new, known = dict[str, None](), 0, 0
    said: tuple[tuple[str, str, float, int], Samples] | None = None
    alone: dict[tuple[str, str, float], float] = {}
    # Those that share a take one after the other.
    waiting = sorted((each for each in utterances if each.key not in store), key=lambda each: each.take)
    with store:
        for place, utterance in enumerate(waiting):
            report(place / len(waiting), "speaking the word")
            if said is None or said[0] != utterance.take:
                try:
                    said = (utterance.take, _said(utterance, speak, alone))
                except BadInput:
                    said = (utterance.take, np.zeros(0, np.float32))
            samples = said[1]
            if not _SECONDS[0] <= len(samples) / RATE_HZ <= _SECONDS[1]:
                unsaid[utterance.word] = None
                continue
            store.add(utterance.key, _sample(utterance, samples))
            new += 1
    known = sum(each.key in store for each in utterances)
    if utterances and not known:
        raise BadInput(f"no voice can say {utterances[0].word!r}", code="nothing_to_say")
    return Made(known, new, tuple(unsaid))


def _sample(utterance: Utterance, samples: Samples) -> Sample:
    made = changed(samples, utterance.pitch_semitones, utterance.formants)
    peak = float(np.abs(made).max())
    # Changing may raise a peak above what 16 bits hold.
    made = made if peak <= 0.99 else made * np.float32(0.99 / peak)
    label = int(utterance.source == "positive")
    # The take, not the change: two changes of a take must not lie on both sides of a split.
    take = hashlib.sha256(repr(utterance.take).encode()).hexdigest()[:16]
    return Sample(made, label, utterance.source, utterance.family, f"{utterance.voice}:{take}", utterance.word)


def _said(utterance: Utterance, speak: Speak, alone: dict[tuple[str, str, float], float]) -> Samples:
    """The word as the voice says it, at 16 kHz, without the silence around it and without what follows it."""
    samples = _spoken(utterance.written, utterance, speak)
    if not utterance.followed or not len(samples):
        return samples
    key = (utterance.voice, utterance.word, utterance.speed)
    if key not in alone:
        alone[key] = len(_spoken(f"{utterance.word},", utterance, speak)) / RATE_HZ
    return cut_after(samples, alone[key])


def _spoken(text: str, utterance: Utterance, speak: Speak) -> Samples:
    samples, rate = speak(text, utterance.voice, utterance.speed, utterance.seed)
    return trim_silence(Clip(at_our_rate(Clip(finite(samples), rate)), RATE_HZ), 0.05).samples


def cut_after(samples: Samples, alone_seconds: float) -> Samples:
    """The first word of what was said, given how long it lasts alone: up to the quietest place where it should end."""
    levels = frame_levels(samples)
    # Followed by more, a word is said a little faster, or drawn out before a pause.
    first, last = (round(alone_seconds * share * 100) for share in (0.7, 1.25))
    if last >= len(levels):
        return samples
    smooth = np.convolve(levels, np.full(3, 1 / 3), mode="same")[first : last + 1]
    quiet = np.flatnonzero(smooth <= smooth.min() + 3.0)
    end = round((first + int(quiet[0]) + 1) / 100 * RATE_HZ)
    return faded(Clip(samples[:end], RATE_HZ), 0.01).samples
