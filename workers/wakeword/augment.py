"""Every clip made into many: rooms, noise, other people, microphones, telephones, places in the window.

What is to be done to a clip is drawn first (``Change``) and then done, so that it can be told, tested and done again.
Loads torch and librosa. Set torch's threads to the cores a process owns (``torch.set_num_threads``): with two on a busy
machine a window took 33 ms, with one 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

# torchaudio's import fails without this where torch has no CUDA.
from workers import plain_torchaudio  # noqa: F401  # isort: skip
import torchaudio.functional

from workers.audio.clip import Clip, faded
from workers.wakeword import channels, noise, rooms
from workers.wakeword.recordings import frame_levels
from workers.wakeword.samples import Sample, Samples
from workers.wakeword.spectrum import RATE_HZ
from workers.wakeword.voice_change import shifted

Range = tuple[float, float]

# A word that does not fit is said so much faster at most; what then is too long loses its beginning.
_HURRIED_MAX = 1.25
# Rooms are drawn from so many, since making one costs as much as using it.
_ROOMS = 64


@dataclass(frozen=True)
class Recipe:
    """How often each thing is done (0..1), and in which range. The defaults are what a home and a desk are like.

    ``tail_seconds``: how long before the end of the window a word ends. A detector hears windows that end anywhere, and
    should answer soon after the word. ``clean_share`` of the clips get nothing but a place and digital silence around
    them: a net that never heard any is worse on clean sound than on noisy.
    """

    clean_share: float = 0.12
    tail_seconds: Range = (0.0, 0.35)
    tape_share: float = 0.35
    tape: Range = (0.92, 1.08)
    pitch_share: float = 0.15
    pitch_semitones: Range = (-1.5, 1.5)
    before_share: float = 0.25
    after_share: float = 0.15
    room_share: float = 0.5
    reverberation_seconds: Range = (0.1, 0.9)
    direct_db: Range = (-6.0, 14.0)
    equaliser_share: float = 0.4
    equaliser_db: float = 8.0
    band_share: float = 0.15
    codec_share: float = 0.12
    noise_share: float = 0.8
    babble_share: float = 0.35
    noise_db: Range = (0.0, 35.0)
    noise_exponent: Range = (-0.3, 2.2)
    level_db: Range = (-45.0, -14.0)


@dataclass(frozen=True)
class Change:
    """What is done to one clip, in this order; None or 1 or 0 is nothing.

    ``tape`` plays it faster (and higher), ``before`` and ``after`` put another's speech there, that many seconds away.
    ``noise`` is ``babble``, ``coloured`` or ``given``; ``seed`` draws the noise itself and what else is not named.
    """

    seed: int
    tail_seconds: float
    level_db: float
    tape: float = 1.0
    pitch_semitones: float = 0.0
    before_seconds: float | None = None
    after_seconds: float | None = None
    room: int | None = None
    gains_db: tuple[float, ...] = ()
    band_hz: Range | None = None
    noise: str | None = None
    noise_db: float = 0.0
    noise_exponent: float = 1.0
    codec: str | None = None


@dataclass
class Augmenter:
    """Puts clips into windows of ``window_seconds`` (a window is never longer, nor shorter).

    ``talk`` is speech that is not the word, for babble and for what is said before and after; ``noises`` are recordings
    of noise. Both may be empty. ``seed`` draws the rooms. The same clip, change and seed give the same window.
    """

    window_seconds: float
    talk: Sequence[Samples] = ()
    noises: Sequence[Samples] = ()
    recipe: Recipe = field(default_factory=Recipe)
    seed: int = 0

    def __post_init__(self) -> None:
        self._count = round(self.window_seconds * RATE_HZ)
        self._rooms: dict[int, Samples] = {}

    def window(self, sample: Sample, generator: np.random.Generator) -> Sample:
        """The clip, changed in a way drawn now; what it is called and whose it is stay."""
        return self.apply(sample, self.draw(generator))

    def nothing(self, generator: np.random.Generator) -> Sample:
        """A window without the word or anybody near: noise, or digital silence."""
        change = self.draw(generator)
        empty = Sample(np.zeros(0, np.float32), 0, "noise", "noise", f"noise:{change.seed}", "")
        return self.apply(empty, change)

    def draw(self, generator: np.random.Generator) -> Change:
        """What to do to a clip."""
        recipe, chance = self.recipe, generator.random
        seed, tail = int(generator.integers(2**63)), generator.uniform(*recipe.tail_seconds)
        level = generator.uniform(*recipe.level_db)
        if chance() < recipe.clean_share:
            return Change(seed, tail, level)
        low_hz, high_hz = generator.uniform(50, 400), generator.uniform(3000, 7500)
        noise_kinds = ["coloured", *(["given"] if self.noises else [])]
        noise_kind = "babble" if self.talk and chance() < recipe.babble_share else str(generator.choice(noise_kinds))
        gains = generator.uniform(-recipe.equaliser_db, recipe.equaliser_db, len(channels.BANDS_HZ))
        return Change(
            seed,
            tail,
            level,
            tape=generator.uniform(*recipe.tape) if chance() < recipe.tape_share else 1.0,
            pitch_semitones=generator.uniform(*recipe.pitch_semitones) if chance() < recipe.pitch_share else 0.0,
            before_seconds=generator.uniform(0.05, 0.4) if self.talk and chance() < recipe.before_share else None,
            after_seconds=generator.uniform(0.02, 0.2) if self.talk and chance() < recipe.after_share else None,
            room=int(generator.integers(_ROOMS)) if chance() < recipe.room_share else None,
            gains_db=tuple(map(float, gains)) if chance() < recipe.equaliser_share else (),
            band_hz=(low_hz, high_hz) if chance() < recipe.band_share else None,
            noise=noise_kind if chance() < recipe.noise_share else None,
            noise_db=generator.uniform(*recipe.noise_db),
            noise_exponent=generator.uniform(*recipe.noise_exponent),
            codec=str(generator.choice(list(channels.CODECS))) if chance() < recipe.codec_share else None,
        )

    def apply(self, sample: Sample, change: Change) -> Sample:
        """The clip with the change made, in a window of its own."""
        generator = np.random.default_rng(change.seed)
        samples = shifted(taped(sample.samples, change.tape), change.pitch_semitones)
        samples = self._placed(samples, sample, change, generator)
        if change.room is not None:
            samples = rooms.reverberated(samples, self._room(change.room))
        if change.gains_db:
            samples = channels.equalised(samples, np.array(change.gains_db))
        if change.band_hz:
            samples = channels.band_limited(samples, *change.band_hz)
        if change.noise:
            samples = noise.mixed(samples, self._noise(change, generator), change.noise_db)
        samples = channels.louder(samples, change.level_db)
        if change.codec:
            samples = channels.coded(samples, change.codec)
        return replace(sample, samples=samples.astype(np.float32))

    def _placed(self, samples: Samples, sample: Sample, change: Change, generator: np.random.Generator) -> Samples:
        """The clip in the window: the word whole and near its end, anything else anywhere, and others around it."""
        window = np.zeros(self._count, np.float32)
        if not len(samples):
            return window
        if sample.source == "positive" and len(samples) > self._count:
            samples = taped(samples, min(_HURRIED_MAX, len(samples) / self._count))
        if len(samples) > self._count:
            # Of a word the end is what matters, of other speech any part.
            cut = len(samples) - self._count
            start = cut if sample.source == "positive" else int(generator.integers(cut + 1))
            return faded(Clip(samples[start : start + self._count], RATE_HZ)).samples
        if sample.source in ("positive", "near"):
            end = max(len(samples), self._count - round(change.tail_seconds * RATE_HZ))
        else:
            end = int(generator.integers(len(samples), self._count + 1))
        start = end - len(samples)
        window[start:end] = faded(Clip(samples, RATE_HZ)).samples
        loudness = noise.speech_power(samples)
        if change.before_seconds is not None:
            until = start - round(change.before_seconds * RATE_HZ)
            window[: max(0, until)] += self._others(max(0, until), loudness, generator)
        if change.after_seconds is not None:
            since = min(self._count, end + round(change.after_seconds * RATE_HZ))
            window[since:] += self._others(self._count - since, loudness, generator)
        return window

    def _others(self, count: int, loudness: float, generator: np.random.Generator) -> Samples:
        """Somebody else's speech, from 9 dB softer to 3 dB louder than the word."""
        spoken = noise.stretch_of(self.talk[int(generator.integers(len(self.talk)))], count, generator)
        power = noise.speech_power(spoken)
        gain = np.sqrt(loudness / power) * 10 ** (generator.uniform(-9, 3) / 20) if power > 0 else 0.0
        return faded(Clip(spoken * np.float32(gain), RATE_HZ), 0.02).samples

    def _noise(self, change: Change, generator: np.random.Generator) -> Samples:
        if change.noise == "babble":
            return noise.babble(self.talk, self._count, int(generator.integers(1, 6)), generator)
        if change.noise == "given":
            return noise.stretch_of(self.noises[int(generator.integers(len(self.noises)))], self._count, generator)
        return noise.coloured(self._count, change.noise_exponent, generator)

    def _room(self, number: int) -> Samples:
        if number not in self._rooms:
            draws = np.random.default_rng([self.seed, number])
            seconds = draws.uniform(*self.recipe.reverberation_seconds)
            self._rooms[number] = rooms.impulse(seconds, draws.uniform(*self.recipe.direct_db), draws)
        return self._rooms[number]


def taped(samples: Samples, factor: float) -> Samples:
    """The samples as from a tape that runs ``factor`` times as fast: shorter by it, and higher."""
    if abs(factor - 1.0) < 0.005 or not len(samples):
        return samples
    # In steps of a hundredth: the resampling kernel is as large as the ratio's denominator.
    made, _ = torchaudio.functional.speed(torch.from_numpy(np.ascontiguousarray(samples)), RATE_HZ, round(factor, 2))
    return np.asarray(made.numpy(), np.float32)


def speech_end_seconds(samples: Samples) -> float:
    """When the last of the speech is heard (within 30 dB of the loudest)."""
    levels = frame_levels(samples)
    return float(np.flatnonzero(levels > levels.max() - 30.0)[-1] + 2) / 100
