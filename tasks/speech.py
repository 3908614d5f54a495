"""Bodies of speech jobs: one text for somebody who waits, one segment of a course for later."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

import redis
from sqlalchemy.orm import Session

from config.versions import AUDIO_FORMATS, CLIP_FORMAT
from models import speech_clips, speech_renditions, speech_streams
from models.files import FileStore
from models.jobs import work as units
from models.metrics import families
from models.speech_clips import ClipSpec
from models.speech_renditions import Form, Found, MadeFile
from tasks.run import Done, Parked, Work
from tasks.sharing import Sharing
from workers import resident
from workers.audio import codec, loudness
from workers.audio.clip import Clip
from workers.audio.encoder import StreamEncoder
from workers.errors import BadInput, RetryLater
from workers.tts.speak import Passage
from workers.tts.speak import speak as speak_text

log = logging.getLogger(__name__)

# What an engine makes is kept in this form.
CLIP_FORM = Form(CLIP_FORMAT.name)


def speak(work: Work) -> Done:
    """Makes one text in one form (``params``: the clip's spec, ``form``); the result names the file.

    With ``stream`` true in its params the sound can be listened to while it is made (``models.speech_streams``).
    """
    return _speak(work, Form(**work.params["form"]), streamed=bool(work.params.get("stream")))


def prefetch_segment(work: Work) -> Done:
    """Makes one segment, so that it is there when somebody asks."""
    return _speak(work, CLIP_FORM)


def batch_text(work: Work) -> Done:
    """Makes one text of a batch in the form it is wanted in (``params`` as those of ``speak``)."""
    return _speak(work, Form(**work.params["form"]))


def _speak(work: Work, form: Form, *, streamed: bool = False) -> Done:
    spec = ClipSpec(**work.params["clip"])
    database = work.process.database
    with database.transaction(durable=False) as session:
        token = speech_clips.claim(session, spec, node=work.process.node, lease_seconds=work.kind.lease_seconds)
        wanted = source = None
        if token is None:
            wanted = speech_renditions.find(session, spec.key, form)
            source = wanted or speech_renditions.find(session, spec.key, CLIP_FORM)
    if token is not None:
        return _make(work, spec, token, form, streamed=streamed)
    if wanted is not None and work.process.files.exists(wanted.file):
        return Done(wanted.as_result(cached=True))
    if source is None:
        # Somebody else makes it; who claimed it just now may have finished in between, which _park sees.
        raise Parked(
            f"clip:{spec.key}",
            lambda session: speech_clips.await_maker(session, spec.key),
            for_seconds=work.kind.lease_seconds,
        )
    return _derive(work, source, form)


def _make(work: Work, spec: ClipSpec, token: str, form: Form, *, streamed: bool) -> Done:
    """Synthesizes the clip that the caller claimed, and stores it in its own form and the wanted one."""
    database = work.process.database
    provider = resident.engine(spec.engine)
    outlet = Outlet(work.process.streams, work.job.id, form, provider.sample_rate_hz) if streamed else None
    sharing = Sharing(work, provider) if work.kind.live else None
    began = time.perf_counter()
    try:
        with work.process.holding(token, _renew_clip, work.kind.lease_seconds):
            speech = speak_text(
                provider,
                spec.text,
                voice=spec.voice,
                speed=spec.speed,
                seed=int(spec.options.get("seed", 0)),
                lexicon=spec.options.get("lexicon"),
                report=work.report,
                heard=outlet.hear if outlet else None,
                share=sharing,
            )
            families.SYNTHESIS_SECONDS.add(spec.engine, by=time.perf_counter() - began)
            families.AUDIO_SECONDS.add(spec.engine, by=speech.clip.duration_seconds)
            if outlet:
                outlet.close()
            files = [store(work.process.files, speech.clip, each) for each in dict.fromkeys((CLIP_FORM, form))]
    except BaseException:
        # Whatever stopped us, the next one must not wait for a lease to lapse.
        database.persist(lambda session: _abandon(session, spec.key, token))
        raise
    finally:
        if sharing:
            sharing.close()
    clip = speech.clip

    def write(session: Session) -> None:
        awaited = speech_clips.made(
            session,
            spec.key,
            token,
            duration_seconds=clip.duration_seconds,
            sample_rate_hz=clip.sample_rate_hz,
            timing=[_timed(passage) for passage in speech.passages],
        )
        for file in files:
            speech_renditions.add(session, spec.key, file)
        if awaited:
            units.wake(session, f"clip:{spec.key}")

    asked = files[-1]
    found = Found(spec.key, asked.form, asked.file, asked.size_bytes, clip.duration_seconds, clip.sample_rate_hz)
    return Done(found.as_result(cached=False), write)


def _timed(passage: Passage) -> dict[str, Any]:
    times = {"start": round(passage.start_seconds, 3), "end": round(passage.end_seconds, 3)}
    words = [[word.text, round(word.start_seconds, 3), round(word.end_seconds, 3)] for word in passage.words]
    return {"text": passage.text, **times} | ({"words": words} if words else {})


def _derive(work: Work, source: Found, form: Form) -> Done:
    """Makes another form from a clip that is ready."""
    try:
        clip = codec.decode(work.process.files.path(source.file).read_bytes())
    except (FileNotFoundError, BadInput) as fault:
        # Somebody removed or damaged the file: forget the clip, and make it again.
        work.process.database.persist(lambda session: speech_clips.forget_file(session, source.clip_key))
        message = f"The file of clip {source.clip_key} is missing; it is made again."
        raise RetryLater(message, code="file_missing") from fault
    file = store(work.process.files, clip, form)
    found = Found(
        source.clip_key, file.form, file.file, file.size_bytes, source.duration_seconds, source.sample_rate_hz
    )
    return Done(found.as_result(cached=True), lambda session: speech_renditions.add(session, source.clip_key, file))


def store(files: FileStore, clip: Clip, form: Form) -> MadeFile:
    """The clip in this form, stored.

    Raises:
        RetryLater: the disk is full.
    """
    if form.loudness_lufs:
        clip = loudness.normalize(clip, form.loudness_lufs)
    content = codec.encode(
        clip, AUDIO_FORMATS[form.format], sample_rate_hz=form.sample_rate_hz or None, channels=form.channels
    )
    try:
        return MadeFile(form, files.put(content), len(content))
    except OSError as fault:
        if fault.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RetryLater("The disk is full.", code="disk_full") from fault
        raise


class Outlet:
    """Sends a clip's sound to whoever listens while it is made, in the form they asked for."""

    def __init__(self, client: redis.Redis, job_id: str, form: Form, rate_hz: int) -> None:
        self._writer = speech_streams.Writer(client, job_id)
        self._encoder = StreamEncoder(
            AUDIO_FORMATS[form.format], rate_hz, sample_rate_hz=form.sample_rate_hz or None, channels=form.channels
        )

        self._away = False

    def hear(self, clip: Clip) -> None:
        """Sends the next part of the clip."""
        self._send(lambda: self._writer.write(self._encoder.feed(clip.samples)))

    def close(self) -> None:
        """Sends what the encoder still holds, and says that this was all."""
        self._send(lambda: self._writer.write(self._encoder.finish()))
        self._send(self._writer.close)

    def _send(self, act: Callable[[], None]) -> None:
        # The clip is made all the same, and whoever listened gets its file.
        if not self._away:
            try:
                act()
            except redis.RedisError as fault:
                log.warning("Speech cannot be heard while it is made: %s", fault)
                self._away = True


def _abandon(session: Session, key: str, token: str) -> None:
    if speech_clips.abandon(session, key, token):
        units.wake(session, f"clip:{key}")


def _renew_clip(session: Session, tokens: Iterable[str], seconds: float) -> set[str]:
    return speech_clips.renew(session, tokens, lease_seconds=seconds)
