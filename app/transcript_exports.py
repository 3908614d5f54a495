"""Finished transcripts in the formats that others read, sent while they are put together."""

from __future__ import annotations

import csv
import html
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from app.http.zips import Sink, copied, entry
from models.base import iso, utc_now
from models.db import Database
from models.files import FileStore
from models.transcription import results
from models.transcription.results import Result

# What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_ENDINGS = {
    "audio/wav": ".wav",
    "audio/flac": ".flac",
    "audio/ogg": ".ogg",
    "audio/mpeg": ".mp3",
    "audio/mp4": ".m4a",
}


@dataclass(frozen=True)
class Format:
    """How transcripts are written: ``write`` gives the bytes, bit by bit."""

    media_type: str
    file_name: str
    write: Callable[[Database, FileStore], Iterator[bytes]]


def safe_cell(value: object) -> object:
    """What can stand in a table that is opened with a spreadsheet: no text there is a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _decided(database: Database) -> Iterator[Result]:
    after: int | None = 0
    while after is not None:
        # No session is held while what was found is on its way.
        with database.reading() as session:
            found, after = results.decided(session, after=after)
        yield from found


def _json(database: Database, _: FileStore) -> Iterator[bytes]:
    yield b"["
    for number, each in enumerate(_decided(database)):
        task = each.task
        shown = {
            "task_id": task.id,
            "file_name": task.file_name,
            "duration": float(task.duration_seconds or 0),
            "language": task.language,
            "text": each.text,
            "annotations": [
                {
                    "annotation_id": annotation.id,
                    "agent_id": annotation.agent_id,
                    "text": annotation.text,
                    "created_at": iso(annotation.created_at),
                    "label_studio_annotation_id": annotation.label_studio_annotation_id,
                }
                for annotation in each.annotations
            ],
        }
        yield (",\n" if number else "\n").encode() + json.dumps(shown, ensure_ascii=False).encode()
    yield b"\n]\n"


def _csv(database: Database, _: FileStore) -> Iterator[bytes]:
    titles = ("task_id", "file_name", "duration", "language", "text")
    yield _row(titles)
    for each in _decided(database):
        task = each.task
        yield _row((task.id, task.file_name, task.duration_seconds, task.language or "", each.text))


def _row(values: tuple[object, ...]) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow([safe_cell(value) for value in values])
    return line.getvalue().encode()


def _kaldi(database: Database, store: FileStore) -> Iterator[bytes]:
    """A data directory: each sound is one utterance of a speaker of its own, since nobody knows who speaks."""
    lists: dict[str, list[str]] = {name: [] for name in ("wav.scp", "text", "utt2spk", "spk2utt", "utt2dur")}

    def note(each: Result, path: str) -> None:
        name = each.speaker
        # Kaldi itself reads WAV alone.
        read = path if path.endswith(".wav") else f"ffmpeg -nostdin -v error -i {path} -f wav -c:a pcm_s16le - |"
        lists["wav.scp"].append(f"{name} {read}")
        lists["text"].append(f"{name} {' '.join(each.text.split())}")
        lists["utt2spk"].append(f"{name} {name}")
        lists["spk2utt"].append(f"{name} {name}")
        lists["utt2dur"].append(f"{name} {each.task.duration_seconds or 0}")

    def written() -> dict[str, str]:
        return {name: "".join(f"{line}\n" for line in lines) for name, lines in lists.items()}

    return _zipped(database, store, note, written)


def _audio_folder(database: Database, store: FileStore) -> Iterator[bytes]:
    """What Hugging Face's ``load_dataset("audiofolder")`` reads: sound, and a table beside it."""
    lines = [_row(("file_name", "transcription", "language", "duration")).decode()]

    def note(each: Result, path: str) -> None:
        # Read by programs: as it is.
        line = io.StringIO()
        csv.writer(line).writerow((path, each.text, each.task.language or "", each.task.duration_seconds))
        lines.append(line.getvalue())

    return _zipped(database, store, note, lambda: {"metadata.csv": "".join(lines)})


def _webvtt(database: Database, store: FileStore) -> Iterator[bytes]:
    """A file of captions for each sound: one, as long as the sound, since only that is known of its times."""
    files: dict[str, str] = {}

    def note(each: Result, _: str) -> None:
        ends = str(timedelta(seconds=round(float(each.task.duration_seconds or 0), 3)))
        hours, minutes, seconds = ends.split(":")
        # An empty line would end it; an arrow and what looks like a tag mean something there.
        said = html.escape("\n".join(line for line in each.text.splitlines() if line.strip()), quote=False)
        files[f"{each.task.id}.vtt"] = (
            f"WEBVTT\n\n00:00:00.000 --> {int(hours):02}:{minutes}:{float(seconds):06.3f}\n{said}\n"
        )

    return _zipped(database, store, note, lambda: files, with_sound=False)


def _zipped(
    database: Database,
    store: FileStore,
    note: Callable[[Result, str], None],
    written: Callable[[], dict[str, str]],
    *,
    with_sound: bool = True,
) -> Iterator[bytes]:
    """A zip of the sound, as far as it is here, and behind it of the files that ``written`` gives.

    ``note`` is called for each transcript that is in it, with the path of its sound.
    """
    sink, now = Sink(), utc_now()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for each in _decided(database):
            file = each.task.file
            path = f"audio/{each.task.id}{_ENDINGS.get(each.task.media_type or '', '')}"
            if with_sound:
                if file is None or not store.exists(file):
                    continue
                with archive.open(entry(path, store.size(file), now), "w") as out:
                    yield from copied(store.path(file), out.write, sink)
                yield sink.take()
            note(each, path)
        for name, text in written().items():
            content = text.encode()
            with archive.open(entry(name, len(content), now), "w") as out:
                out.write(content)
            yield sink.take()
    yield sink.take()


FORMATS = {
    "json": Format("application/json", "transcripts.json", _json),
    "csv": Format("text/csv", "transcripts.csv", _csv),
    "kaldi": Format("application/zip", "transcripts-kaldi.zip", _kaldi),
    "audiofolder": Format("application/zip", "transcripts-audiofolder.zip", _audio_folder),
    "webvtt": Format("application/zip", "transcripts-webvtt.zip", _webvtt),
}
