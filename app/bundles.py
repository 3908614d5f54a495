"""Bundles: all that a finished deployment holds as a zip, which is sent while it is put together."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator, Sequence

from app import captions
from app.deployments import CAPTION_FORMATS, Contents, File, by_topic, gone, spoken_in
from app.http.offload import offload
from app.http.zips import Sink, copied, entry
from models.db import Database
from models.files import FileStore


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
    sink = Sink()
    finished = held.job.finished_at
    assert finished is not None
    # Stored: sound does not get smaller.
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        with archive.open(entry("manifest.json", len(described), finished), "w") as out:
            offload(out.write, described)
        yield sink.take()
        for topic in by_topic(held.files):
            for file in topic:
                with archive.open(entry(file.path, file.found.size_bytes, finished), "w") as out:
                    yield from copied(store.path(file.found.file), out.write, sink)
                yield sink.take()
            keys = [file.found.clip_key for file in topic]
            track = spoken_in(database, keys)
            for name in CAPTION_FORMATS:
                text = offload(captions.written, track, name).encode()
                with archive.open(entry(f"{topic[0].topic_path}/captions.{name}", len(text), finished), "w") as out:
                    out.write(text)
            yield sink.take()
    yield sink.take()
