"""Zips that are sent while they are put together."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

from app.http.offload import offload

# What one step reads and sends: about a millisecond of work.
BLOCK_BYTES = 2**20


def entry(path: str, size_bytes: int, moment: datetime) -> zipfile.ZipInfo:
    """What is said of a file of that size."""
    said = zipfile.ZipInfo(path, moment.timetuple()[:6])
    said.file_size = size_bytes
    said.external_attr = 0o644 << 16
    return said


class Sink:
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


def copied(path: Path, write: Callable[[bytes], object], sink: Sink) -> Iterator[bytes]:
    """Copies a file, block by block; gives what is to be sent after each."""
    with path.open("rb") as file:

        def copy() -> bool:
            block = file.read(BLOCK_BYTES)
            if block:
                write(block)
            return len(block) == BLOCK_BYTES

        while offload(copy):
            yield sink.take()


def archived(files: Mapping[str, tuple[Path, int]], moment: datetime) -> Iterator[bytes]:
    """A zip of files (each with its size) by their paths in it, in pieces."""
    sink = Sink()
    # Stored: what is sent so does not get smaller.
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for path, (file, size_bytes) in files.items():
            with archive.open(entry(path, size_bytes, moment), "w") as out:
                yield from copied(file, out.write, sink)
            yield sink.take()
    yield sink.take()
