"""Bundles: all that a finished deployment holds as a zip, which is sent while it is put together."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from app import captions
from app.deployments import CAPTION_FORMATS, Contents, File, by_topic, gone, spoken_in
from app.http.offload import offload
from models.db import Database
from models.files import FileStore

# What one step of a bundle reads and sends: about a millisecond of work.
BLOCK_BYTES = 2**20


def check_files(files: Sequence[File], store: FileStore) -> None:
    """Refuses a bundle before its first byte.

    Raises:
        Conflict: naming the first file that is not there as it was stored.
    """
    for file in files:
        try:
            size = store.size(file.found.file)
        except FileNotFoundError:
            size = -1
        if size != file.found.size_bytes:
            raise gone(file.path, file.found.clip_key)


def etag(content: bytes) -> str:
    """Equal for bundles that are equal, byte for byte: their times are those of the deployment."""
    return hashlib.sha256(content).hexdigest()


def bundle(held: Contents, described: bytes, store: FileStore, database: Database) -> Iterator[bytes]:
    """The zip with manifest, sound and captions, in pieces; of a file that vanishes meanwhile it breaks off."""
    sink = _Sink()
    finished = held.job.finished_at
    assert finished is not None
    # Stored: sound does not get smaller.
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        with archive.open(_entry("manifest.json", len(described), finished), "w") as out:
            offload(out.write, described)
        yield sink.take()
        for topic in by_topic(held.files):
            for file in topic:
                with archive.open(_entry(file.path, file.found.size_bytes, finished), "w") as out:
                    yield from _copied(store.path(file.found.file), out.write, sink)
                yield sink.take()
            keys = [file.found.clip_key for file in topic]
            track = spoken_in(database, keys)
            for name in CAPTION_FORMATS:
                text = offload(captions.written, track, name).encode()
                with archive.open(_entry(f"{topic[0].topic_path}/captions.{name}", len(text), finished), "w") as out:
                    out.write(text)
            yield sink.take()
    yield sink.take()


def _entry(path: str, size_bytes: int, moment: datetime) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(path, moment.timetuple()[:6])
    entry.file_size = size_bytes
    entry.external_attr = 0o644 << 16
    return entry


class _Sink:
    """What the zip writes to: it is taken out piece by piece, and nobody goes back in it."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, piece: bytes, /) -> int:
        """Keeps a piece until it is taken."""
        self._pieces.append(bytes(piece))
        return len(piece)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is to be closed."""

    def take(self) -> bytes:
        """All that was written since."""
        taken, self._pieces = b"".join(self._pieces), []
        return taken


def _copied(path: Path, write: Callable[[bytes], object], sink: _Sink) -> Iterator[bytes]:
    """Copies a file, block by block; gives what is to be sent after each."""
    with path.open("rb") as file:

        def copy() -> bool:
            block = file.read(BLOCK_BYTES)
            if block:
                write(block)
            return len(block) == BLOCK_BYTES

        while offload(copy):
            yield sink.take()
