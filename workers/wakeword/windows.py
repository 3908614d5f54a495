"""Windows of features: clips of the word and of what is nearly it, made into what a net looks at, once, and stored."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from workers.wakeword.augment import Augmenter
from workers.wakeword.samples import Sample, Samples

Floats = NDArray[np.float32]
Halves = NDArray[np.float16]
Report = Callable[[float, str], None]

# What a kill loses, and what a thread works on at a time.
_PART_WINDOWS = 64


class Front(Protocol):
    """What is asked of a frontend here: ``features.Frontend`` or ``SpectrogramTransformer``."""

    @property
    def name(self) -> str: ...

    @property
    def width(self) -> int: ...

    @property
    def window_frames(self) -> int: ...

    def batch(self, clips: Sequence[Samples]) -> list[Floats]: ...


@dataclass(frozen=True)
class Windows:
    """Windows (n, window_frames, width) with what each is: labels (n,) of 0 and 1, and the texts that were said."""

    frames: Halves
    labels: NDArray[np.int8]
    texts: tuple[str, ...]
    families: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def floats(self) -> Floats:
        """The frames as a net takes them."""
        return self.frames.astype(np.float32)


def make(
    samples: Sequence[Sample],
    count: int,
    *,
    front: Front,
    augmenter: Augmenter,
    folder: Path,
    seed: int,
    threads: int,
    report: Report,
) -> Windows:
    """``count`` windows of the samples in turn, each changed in another way; kept in ``folder`` part by part.

    Called again it goes on with the part that is not there yet. ``report`` is told the share done, and may raise
    ``workers.errors.Stopped``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = range(0, count if samples else 0, _PART_WINDOWS)

    def one(start: int) -> Path:
        path = folder / f"{start:07d}.npz"
        if not path.exists():
            draws = np.random.default_rng([seed, start])
            chosen = [samples[at % len(samples)] for at in range(start, min(start + _PART_WINDOWS, count))]
            frames = front.batch([augmenter.window(sample, draws).samples for sample in chosen])
            _save(path, chosen, [each[-front.window_frames :] for each in frames])
        return path

    paths = []
    with ThreadPoolExecutor(threads) as pool:
        try:
            for path in pool.map(one, parts):
                paths.append(path)
                report(len(paths) / len(parts), "")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return joined([_load(path) for path in paths], front)


def joined(parts: Sequence[Windows], front: Front) -> Windows:
    """One after the other."""
    empty = np.zeros((0, front.window_frames, front.width), np.float16)
    return Windows(
        np.concatenate([empty, *(part.frames for part in parts)]),
        np.concatenate([np.zeros(0, np.int8), *(part.labels for part in parts)]),
        tuple(text for part in parts for text in part.texts),
        tuple(family for part in parts for family in part.families),
    )


def _save(path: Path, samples: Sequence[Sample], frames: Sequence[Floats]) -> None:
    whole(
        path,
        frames=np.stack(frames).astype(np.float16),
        labels=np.array([sample.label for sample in samples], np.int8),
        texts=np.array([sample.text for sample in samples]),
        families=np.array([sample.family for sample in samples]),
    )


def _load(path: Path) -> Windows:
    with np.load(path) as part:
        texts, families = (tuple(map(str, part[name].tolist())) for name in ("texts", "families"))
        return Windows(part["frames"], part["labels"], texts, families)


def whole(path: Path, **arrays: NDArray[Any]) -> None:
    """Writes arrays as one file, whole or not at all."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with part.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    part.replace(path)


def batches(count: int, size: int) -> Iterator[slice]:
    """Slices that together are ``count`` long."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
