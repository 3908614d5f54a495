"""Bodies of speech jobs: one text for somebody who waits, one segment of a course for later."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from config.versions import AUDIO_FORMATS, CLIP_FORMAT
from models import speech_clips
from models.files import FileStore
from models.jobs import work as units
from models.speech_clips import ClipSpec, Found, MadeFile
from tasks.run import Done, Parked, Work
from workers import resident
from workers.audio import codec
from workers.audio.clip import Clip
from workers.errors import RetryLater
from workers.tts.speak import speak as speak_text


@dataclass(frozen=True)
class _Made:
    found: Found
    cached: bool


def speak(work: Work) -> Done:
    """Makes one text in one format (``params``: the clip's spec and ``format``); the result names the file."""
    return _speak(work, work.params["format"])


def prefetch_segment(work: Work) -> Done:
    """Makes one segment, so that it is there when somebody asks."""
    return _speak(work, CLIP_FORMAT.name)


def _speak(work: Work, format_name: str) -> Done:
    spec = ClipSpec(**work.params["clip"])
    database = work.process.database
    with database.transaction(durable=False) as session:
        token = speech_clips.claim(session, spec, node=work.process.node, lease_seconds=work.kind.lease_seconds)
        wanted = source = None
        if token is None:
            wanted = speech_clips.find(session, spec.key, format_name)
            source = wanted or speech_clips.find(session, spec.key, CLIP_FORMAT.name)
    if token is not None:
        return _make(work, spec, token, format_name)
    if wanted is not None and work.process.files.exists(wanted.file):
        return Done(_result(wanted, cached=True))
    if source is None:
        # Somebody else makes it; who claimed it just now may have finished in between, which _park sees.
        raise Parked(
            f"clip:{spec.key}",
            lambda session: speech_clips.await_maker(session, spec.key),
            for_seconds=work.kind.lease_seconds,
        )
    return _derive(work, source, format_name)


def _make(work: Work, spec: ClipSpec, token: str, format_name: str) -> Done:
    """Synthesizes the clip that the caller claimed, and stores it in its own format and the wanted one."""
    database = work.process.database
    provider = resident.engine(spec.engine)
    try:
        with work.process.holding(token, _renew_clip, work.kind.lease_seconds):
            clip = speak_text(
                provider,
                spec.text,
                voice=spec.voice,
                speed=spec.speed,
                seed=int(spec.options.get("seed", 0)),
                report=work.report,
            )
            files = [store(work.process.files, clip, name) for name in dict.fromkeys((CLIP_FORMAT.name, format_name))]
    except BaseException:
        # Whatever stopped us, the next one must not wait for a lease to lapse.
        database.persist(lambda session: _abandon(session, spec.key, token))
        raise

    def write(session: Session) -> None:
        awaited = speech_clips.made(
            session,
            spec.key,
            token,
            duration_seconds=clip.duration_seconds,
            sample_rate_hz=clip.sample_rate_hz,
            files=files,
        )
        if awaited:
            units.wake(session, f"clip:{spec.key}")

    asked = files[-1]
    found = Found(spec.key, asked.format, asked.file, asked.size_bytes, clip.duration_seconds, clip.sample_rate_hz)
    return Done(_result(found, cached=False), write)


def _derive(work: Work, source: Found, format_name: str) -> Done:
    """Makes another format from a clip that is ready."""
    path = work.process.files.path(source.file)
    if not path.exists():
        # Somebody removed the file by hand: forget the clip, and make it again.
        work.process.database.persist(lambda session: speech_clips.forget_file(session, source.clip_key))
        raise RetryLater(f"The file of clip {source.clip_key} is missing; it is made again.", code="file_missing")
    clip = codec.decode(path.read_bytes())
    file = store(work.process.files, clip, format_name)
    found = Found(
        source.clip_key, file.format, file.file, file.size_bytes, source.duration_seconds, source.sample_rate_hz
    )
    return Done(_result(found, cached=True), lambda session: speech_clips.add_rendition(session, source.clip_key, file))


def store(files: FileStore, clip: Clip, format_name: str) -> MadeFile:
    """The clip, encoded and stored.

    Raises:
        RetryLater: the disk is full.
    """
    content = codec.encode(clip, AUDIO_FORMATS[format_name])
    try:
        return MadeFile(format_name, files.put(content), len(content))
    except OSError as fault:
        if fault.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RetryLater("The disk is full.", code="disk_full") from fault
        raise


def _abandon(session: Session, key: str, token: str) -> None:
    if speech_clips.abandon(session, key, token):
        units.wake(session, f"clip:{key}")


def _renew_clip(session: Session, tokens: Iterable[str], seconds: float) -> set[str]:
    return speech_clips.renew(session, tokens, lease_seconds=seconds)


def _result(found: Found, *, cached: bool) -> dict[str, object]:
    return {
        "clip": found.clip_key,
        "format": found.format,
        "file": found.file,
        "size_bytes": found.size_bytes,
        "duration_seconds": round(found.duration_seconds, 3),
        "sample_rate_hz": found.sample_rate_hz,
        "cached": cached,
    }
