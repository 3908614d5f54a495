"""A clip that a net is trained on, and a folder that keeps many of them."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from workers.audio.pcm import to_float, to_pcm

Samples = NDArray[np.float32]
Source = Literal["positive", "near", "speech", "negative", "noise"]

# One part is written at a time and is what a kill loses: some seconds of work, and few enough files.
_PART_SAMPLES = 64


@dataclass(frozen=True)
class Sample:
    """A clip with what it is: ``samples`` is float32 in -1..1, mono, 16 kHz, shape (n,).

    Splits go by ``family`` (whose voice: ``hibari``, ``user``, ``prompts-fr`` …) and by ``recording`` (which take the
    clip came of), never by clip: two takes of one synthesis are as good as one.
    """

    samples: Samples
    label: int
    source: Source
    family: str
    recording: str
    text: str


class SampleStore:
    """Samples under keys, in parts of a folder; each part is written whole or not at all, so what is there is good.

    Kept with 16 bits. A key that is there already is not added again. Call ``flush`` (or leave ``with``) at the end.
    One process writes at a time.
    """

    def __init__(self, folder: Path) -> None:
        """Opens the folder, makes it if need be, and removes what a killed process left half-written."""
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for rubbish in folder.glob("*.tmp"):
            rubbish.unlink(missing_ok=True)
        self._waiting: dict[str, Sample] = {}
        self._keys: set[str] = set()
        self._parts: list[Path] = []
        for path in sorted(folder.glob("part-*.npz")):
            try:
                index = _index(path)
            except (OSError, ValueError, KeyError, zipfile.BadZipFile):
                # Damaged on the disk: its samples are made again.
                path.unlink(missing_ok=True)
                continue
            self._parts.append(path)
            self._keys.update(entry["key"] for entry in index)

    def __enter__(self) -> SampleStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()

    def __len__(self) -> int:
        return len(self._keys) + len(self._waiting)

    def __contains__(self, key: str) -> bool:
        return key in self._keys or key in self._waiting

    def add(self, key: str, sample: Sample) -> None:
        """Keeps the sample; every 64th call writes."""
        if key in self:
            return
        self._waiting[key] = sample
        if len(self._waiting) >= _PART_SAMPLES:
            self.flush()

    def flush(self) -> None:
        """Writes what was added since the last time."""
        if not self._waiting:
            return
        last = int(self._parts[-1].stem.removeprefix("part-")) if self._parts else 0
        path = self._folder / f"part-{last + 1:06d}.npz"
        index = []
        for key, sample in self._waiting.items():
            about = {name: value for name, value in asdict(sample).items() if name != "samples"}
            index.append(about | {"key": key, "length": len(sample.samples)})
        pcm = np.concatenate([to_pcm(sample.samples) for sample in self._waiting.values()])
        _write_whole(path, pcm, json.dumps(index, ensure_ascii=False).encode())
        self._parts.append(path)
        self._keys.update(self._waiting)
        self._waiting.clear()

    def keys(self) -> list[str]:
        """The keys of the samples that are written, in the order they were added."""
        return [entry["key"] for path in self._parts for entry in _index(path)]

    def __iter__(self) -> Iterator[Sample]:
        """Every sample that is written, in the order they were added; one part is in memory at a time."""
        for path in self._parts:
            with np.load(path) as part:
                pcm, index = part["pcm"], json.loads(bytes(part["index"]))
            start = 0
            for entry in index:
                end = start + entry.pop("length")
                entry.pop("key")
                yield Sample(samples=to_float(pcm[start:end]), **entry)
                start = end

    @property
    def size_bytes(self) -> int:
        """What the parts take on disk."""
        return sum(path.stat().st_size for path in self._parts)

    @property
    def seconds(self) -> float:
        """How long the written samples last together."""
        return sum(entry["length"] for path in self._parts for entry in _index(path)) / 16_000

    def clear(self) -> None:
        """Removes every sample."""
        for path in self._parts:
            path.unlink(missing_ok=True)
        self._parts, self._keys = [], set()
        self._waiting.clear()


def _index(path: Path) -> list[dict[str, Any]]:
    with np.load(path) as part:
        index: list[dict[str, Any]] = json.loads(bytes(part["index"]))
        return index


def _write_whole(path: Path, pcm: NDArray[np.int16], index: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, pcm=pcm, index=np.frombuffer(index, np.uint8))
            file.flush()
            os.fsync(file.fileno())
        Path(name).rename(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
