"""The word under three conditions: near and clean, in noise at 10 dB, and across a room."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workers.wakeword.augment import Augmenter, Change, Recipe
from workers.wakeword.features import Frontend
from workers.wakeword.samples import Sample, Samples
from workers.wakeword.windows import Floats, Front

CONDITIONS = ("clean", "noise_10_db", "far")

# Long enough that a detector has heard what is before the word, and a while of what is after it.
_STREAM_SECONDS = 3.0
_AFTER_SECONDS = 0.5
_WINDOW_SECONDS = 2.0
_AT_ONCE = 16
_FAR = Recipe(reverberation_seconds=(0.4, 0.8), direct_db=(-6.0, 0.0))


def sounds(samples: Sequence[Sample], condition: str, seed: int, *, one_window: bool = False) -> list[Samples]:
    """Each clip under a condition, in three seconds (or in two, a window of a net); the same for the same seed."""
    seconds, after = (_WINDOW_SECONDS, 0.1) if one_window else (_STREAM_SECONDS, _AFTER_SECONDS)
    augmenter = Augmenter(seconds, recipe=_FAR, seed=seed)
    made = []
    for number, sample in enumerate(samples):
        draws = np.random.default_rng([seed, number])
        made.append(augmenter.apply(sample, _change(condition, draws, after)).samples)
    return made


def frames(samples: Sequence[Sample], condition: str, front: Front, seed: int) -> list[Floats]:
    """The frames (n, width) of what ``sounds`` gives."""
    heard = sounds(samples, condition, seed, one_window=not isinstance(front, Frontend))
    found: list[Floats] = []
    for start in range(0, len(heard), _AT_ONCE):
        found += front.batch(heard[start : start + _AT_ONCE])
    return found


def _change(condition: str, draws: np.random.Generator, after: float) -> Change:
    seed = int(draws.integers(2**63))
    if condition == "clean":
        return Change(seed, after, level_db=-26.0)
    if condition == "noise_10_db":
        return Change(seed, after, level_db=-26.0, noise="coloured", noise_db=10.0, noise_exponent=1.0)
    if condition == "far":
        room = int(draws.integers(16))
        return Change(seed, after, level_db=-36.0, room=room, noise="coloured", noise_db=20.0, noise_exponent=1.0)
    raise ValueError(f"there is no condition {condition!r}: {', '.join(CONDITIONS)} are known")
