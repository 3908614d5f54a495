"""The negative cache: human speech that is not the word, made ready once and used by every training.

A folder for each source; a source is done when its ``source.json`` is there, and until then it goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from workers.errors import BadInput
from workers.wakeword.negative_sound import ahead, chunks_of, size_bytes, units_of
from workers.wakeword.prompts import SoundSource, Split
from workers.wakeword.samples import Sample, SampleStore

Report = Callable[[float, str], None]

_ABOUT = "source.json"


@dataclass(frozen=True)
class SourceInfo:
    """What the cache holds of one source; ``unreadable`` files were left out. ``files_are`` changes when they do."""

    name: str
    family: str
    speaker: str
    language: str
    licence: str
    credit: str
    split: Split
    chunks: int
    seconds: float
    size_bytes: int
    unreadable: int
    files_are: str


@dataclass(frozen=True)
class CacheInfo:
    """What the cache holds. ``built_at`` is in seconds since 1970; None while there is nothing."""

    sources: tuple[SourceInfo, ...]
    built_at: float | None

    @property
    def chunks(self) -> int:
        """Of all sources together."""
        return sum(source.chunks for source in self.sources)

    @property
    def size_bytes(self) -> int:
        """Of all sources together."""
        return sum(source.size_bytes for source in self.sources)

    @property
    def hours(self) -> float:
        """Of all sources together."""
        return sum(source.seconds for source in self.sources) / 3600


class NegativeCache:
    """The cache in one folder. One process builds at a time; others may read what is done."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def info(self) -> CacheInfo:
        """What is done, by name."""
        found = {path: about for path in sorted(self._folder.glob(f"*/{_ABOUT}")) if (about := _about(path))}
        return CacheInfo(tuple(found.values()), max((path.stat().st_mtime for path in found), default=None))

    def clear(self) -> None:
        """Removes everything."""
        for folder in self._folder.glob("*/"):
            # What says that it is done goes first, so that a kill in between leaves nothing half there.
            (folder / _ABOUT).unlink(missing_ok=True)
            shutil.rmtree(folder)

    def chunks(self, split: Split | None = None) -> Iterator[Sample]:
        """The chunks of all sources that are done, or of those for one use; one part is in memory at a time."""
        for info in self.info().sources:
            if split in (None, info.split):
                yield from self.chunks_of(info)

    def folder_of(self, source: SourceInfo) -> Path:
        """Where the source's chunks lie, and whatever is made of them: it goes when they do."""
        return self._folder / _folder_name(source.name)

    def chunks_of(self, source: SourceInfo) -> Iterator[Sample]:
        """The chunks of one source, in order; one part is in memory at a time."""
        yield from SampleStore(self.folder_of(source))

    def build(self, sources: Sequence[SoundSource], *, max_workers: int, report: Report) -> CacheInfo:
        """Adds the sources that are not yet done, or whose files have changed; ``max_workers`` threads decode.

        ``report`` is told the share done (0..1); it may raise ``workers.errors.Stopped``, and what is made is kept.

        Raises:
            BadInput: a source of which no file can be read, or two of the same name.
        """
        names = [_folder_name(source.name) for source in sources]
        if twice := {name for name in names if names.count(name) > 1}:
            raise BadInput(f"two sources are called {min(twice)!r}", code="bad_sources")
        units = {source.name: units_of(source) for source in sources}
        total = max(1, sum(len(each) for each in units.values()))
        done = 0

        def one_done() -> None:
            nonlocal done
            done += 1
            report(min(1.0, done / total), "reading negatives")

        report(0.0, "reading negatives")
        with ThreadPoolExecutor(max(1, max_workers)) as pool:
            for source in sources:
                folder = self._folder / _folder_name(source.name)
                if self._is_done(folder, source):
                    done += len(units[source.name])
                else:
                    _build(source, folder, units[source.name], pool, max_workers + 1, one_done)
        return self.info()

    def _is_done(self, folder: Path, source: SoundSource) -> bool:
        """Whether it is there as it is now; what there is of older files is removed."""
        path = folder / _ABOUT
        if not path.is_file():
            return False
        about = _about(path)
        if about and about.files_are == _files_are(source):
            return True
        path.unlink()
        shutil.rmtree(folder)
        return False


def _about(path: Path) -> SourceInfo | None:
    """What the file says; None where it is of another version or damaged: then the source is built again."""
    try:
        return SourceInfo(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _build(
    source: SoundSource,
    folder: Path,
    units: Sequence[Sequence[str]],
    pool: ThreadPoolExecutor,
    ahead_count: int,
    done: Callable[[], None],
) -> None:
    unreadable = 0
    with SampleStore(folder) as store:
        waiting = [unit for unit in units if _key(unit[0], "last") not in store]
        for _ in range(len(units) - len(waiting)):
            done()
        for unit, (pcm, faults) in zip(waiting, ahead(pool, ahead_count, source, waiting), strict=True):
            unreadable += faults
            for number, sample in enumerate(chunks := list(chunks_of(source, unit[0], pcm))):
                store.add(_key(unit[0], "last" if number == len(chunks) - 1 else number), sample)
            done()
    if not len(store):
        shutil.rmtree(folder)
        raise BadInput(f"no sound in {source.name!r} can be read", code="no_sound_files")
    about = {name: getattr(source, name) for name in _SHARED}
    info = SourceInfo(
        **about,
        chunks=len(store),
        seconds=store.seconds,
        size_bytes=store.size_bytes,
        unreadable=unreadable,
        files_are=_files_are(source),
    )
    _write_whole(folder / _ABOUT, json.dumps(asdict(info), ensure_ascii=False, indent=1))


_SHARED = ("name", "family", "speaker", "language", "licence", "credit", "split")


def _files_are(source: SoundSource) -> str:
    """A hash of the files' names and sizes."""
    names = "".join(f"{name}\0{size_bytes(content)}\0" for name, content in sorted(source.files.items()))
    return hashlib.sha256(names.encode()).hexdigest()


def _key(name: str, part: int | str) -> str:
    return f"{name}#{part}"


def _folder_name(name: str) -> str:
    """The source's name, but safe as one of a folder."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".") or "_"


def _write_whole(path: Path, text: str) -> None:
    beside = path.with_suffix(".tmp")
    with beside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)
