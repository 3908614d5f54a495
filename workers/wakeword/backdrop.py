"""The negative cache as features: hours of other people's speech as long rows of frames, one for each source.

Made once for each frontend and kept with the source. What is trained on is there twice: as it is, and with the noise,
rooms and telephones that the word is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workers.wakeword.augment import Augmenter
from workers.wakeword.features import Frontend
from workers.wakeword.negative_sound import CHUNK_SECONDS
from workers.wakeword.negatives import NegativeCache, SourceInfo
from workers.wakeword.samples import Sample, Samples
from workers.wakeword.windows import Floats, Front, Halves, whole

Report = Callable[[float, str], None]

# Chunks that are worked on between two looks at whether anybody still wants them.
_AT_ONCE = 8
_TALK = 24


class Backdrop:
    """Speech that is not the word, as rows of frames (n, width), each of continuous sound; windows go by number.

    A detector scores a window each ``hop_seconds``, and so many are here.
    """

    def __init__(self, rows: Sequence[Halves], front: Front) -> None:
        self.front = front
        self.hop_seconds = _step_seconds(front)
        step, starts, offset = stride(front), [np.zeros(0, np.int64)], 0
        for row in rows:
            starts.append(np.arange(offset, offset + len(row) - front.window_frames + 1, step))
            offset += len(row)
        self._starts = np.concatenate(starts)
        self._frames = np.concatenate([np.zeros((0, front.width), np.float16), *rows])
        self.rows = tuple(len(each) for each in starts[1:])

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def hours(self) -> float:
        """How long its windows are listened to."""
        return len(self) * self.hop_seconds / 3600

    def windows(self, numbers: NDArray[np.int64] | slice) -> Floats:
        """These windows, (n, window_frames, width)."""
        within = np.arange(self.front.window_frames)
        return self._frames[self._starts[numbers][:, None] + within].astype(np.float32)


def stride(front: Front) -> int:
    """How many frames each window that a detector scores is after the last."""
    return front.chunk_frames * front.score_chunks if isinstance(front, Frontend) else front.window_frames


def _step_seconds(front: Front) -> float:
    return front.hop_seconds * stride(front) if isinstance(front, Frontend) else 2.0


def rows(
    cache: NegativeCache,
    sources: Sequence[SourceInfo],
    front: Front,
    *,
    changed: bool,
    threads: int,
    report: Report,
    kept_in: Path | None = None,
) -> list[Halves]:
    """The frames of the sources, made where it is not kept yet; ``changed`` adds each with noise and rooms.

    ``kept_in`` is for features of a frontend that only one training has. ``report`` is told the share done, and may
    raise ``workers.errors.Stopped``: the sources that are done are kept.
    """
    kinds = [(source, kind) for source in sources for kind in (("plain", "changed") if changed else ("plain",))]
    done = 0

    def one(source: SourceInfo, kind: str) -> Halves:
        folder = kept_in / source.name.replace("/", "_") if kept_in else cache.folder_of(source)
        path = folder / f"frames-{front.name}-{kind}.npz"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            chunks = cache.chunks_of(source)
            sound = (sample.samples for sample in chunks) if kind == "plain" else _changed(chunks)
            whole(path, frames=_row(sound, front, lambda: report(done / len(kinds), "")))
        with np.load(path) as kept:
            frames: Halves = kept["frames"]
        return frames

    found = []
    with ThreadPoolExecutor(threads) as pool:
        try:
            for made in pool.map(lambda pair: one(*pair), kinds):
                found.append(made)
                done += 1
                report(done / len(kinds), "")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return found


def _row(sound: Iterator[Samples], front: Front, check: Callable[[], None]) -> Halves:
    """The frames of pieces of sound that follow each other."""
    stream = front.stream() if isinstance(front, Frontend) else None
    parts = [np.zeros((0, front.width), np.float16)]
    while pieces := list(islice(sound, _AT_ONCE)):
        check()
        made = [stream.feed(piece) for piece in pieces] if stream else front.batch(pieces)
        parts += [frames.astype(np.float16) for frames in made]
    return np.concatenate(parts)


def _changed(chunks: Iterator[Sample]) -> Iterator[Samples]:
    """The chunks as they might have been recorded elsewhere."""
    talk: list[Samples] = []
    augmenter = Augmenter(CHUNK_SECONDS, talk=talk)
    draws = np.random.default_rng(1)
    for chunk in chunks:
        yield augmenter.window(chunk, draws).samples
        if len(talk) < _TALK:
            talk.append(chunk.samples)


def warm(cache: NegativeCache, front: Front, *, threads: int, report: Report) -> None:
    """Makes everything of the cache that trainings with this frontend will ask for."""
    sources = cache.info().sources
    # What is trained on is made twice.
    for split, changed, begins, share in (("train", True, 0.0, 0.8), ("test", False, 0.8, 0.2)):

        def within(done: float, _: str, begins: float = begins, share: float = share) -> None:
            report(begins + share * done, "extracting features")

        chosen = [source for source in sources if source.split == split]
        rows(cache, chosen, front, changed=changed, threads=threads, report=within)
