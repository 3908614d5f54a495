"""A long live text, spoken by every worker that is idle: one conducts (and holds the job), others help.

Pieces are taken in order by whoever comes, and heard in order. A helper that dies costs the conductor a moment's
waiting, after which it speaks that piece itself. Without the scratch server the conductor speaks alone.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import redis
from kombu.exceptions import OperationalError

from config.logs import belonging
from models import events, workers
from models.speech_pieces import Pieces
from tasks.celery_app import app
from tasks.process import current
from tasks.run import SLICE_SECONDS, Work
from workers import resident
from workers.audio.clip import Clip, join
from workers.errors import RetryLater, Stopped
from workers.tts.provider import Provider, Spoken, Utterance, Word
from workers.tts.speak import Say, say

log = logging.getLogger(__name__)

TASK = "speech.share"
# Fewer are spoken by one worker before another has begun.
SHARED_FROM = 4
# A piece takes a tenth of this on a slow core; beyond it, its helper is taken for dead.
PATIENCE_SECONDS = 5.0
# What may wait to be heard, at up to 2 MB a piece.
BACKLOG = 32


class Sharing:
    """Lets others help with the pieces of one job; to be given to ``workers.tts.speak.speak``, and closed after it."""

    def __init__(self, work: Work, provider: Provider) -> None:
        self._work = work
        self._provider = provider
        self._pieces = Pieces(work.process.streams, work.job.id)
        self._utterances: Sequence[Utterance] = ()
        self._ahead: dict[int, Spoken] = {}
        self._open = False

    def __call__(self, utterances: Sequence[Utterance]) -> Say:
        """A way to say these pieces, each by its number, in order."""
        self._utterances = utterances
        helpers = min(self._idle(), len(utterances) // 2) if len(utterances) >= SHARED_FROM else 0
        if helpers:
            self._begin(helpers)
        return self._say if self._open else self._alone

    def close(self) -> None:
        """Nobody helps any more."""
        if self._open:
            with contextlib.suppress(redis.RedisError):
                self._pieces.close(len(self._utterances))

    def _idle(self) -> int:
        with self._work.process.database.reading() as session:
            return workers.able(session, self._work.job.lane) - 1

    def _begin(self, helpers: int) -> None:
        lane = self._work.job.lane
        written = [asdict(utterance) for utterance in self._utterances]
        try:
            self._pieces.open(
                {
                    "engine": self._provider.name,
                    "lane": lane,
                    "utterances": written,
                    "request_id": self._work.job.request_id,
                }
            )
            self._open = True
            for _ in range(helpers):
                app.send_task(TASK, args=[self._work.job.id], queue=lane)
        except (redis.RedisError, OperationalError, OSError) as fault:
            log.warning("A long text is spoken without help: %s", fault)

    def _alone(self, number: int) -> Iterator[Spoken]:
        return say(self._provider, self._utterances[number], in_parts=True)

    def _say(self, number: int) -> Iterator[Spoken]:
        # The first is heard at once, part by part.
        spoken = self._obtain(number) if number else None
        return self._alone(number) if spoken is None else iter([spoken])

    def _obtain(self, number: int) -> Spoken | None:
        """The piece as a helper made it, or as it was made ahead; None when it is to be made now."""
        try:
            self._pieces.heard(number)
            while number not in self._ahead:
                handed = self._pieces.get(number)
                if handed is not None:
                    return unpack(handed)
                taken = self._pieces.take()
                if taken is None or taken == number:
                    return None
                if taken >= len(self._utterances):
                    return self._await(number)
                # A helper has this one in work; what comes after it is needed soon.
                self._ahead[taken] = _whole(self._provider, self._utterances[taken], lambda: self._report(number))
            return self._ahead.pop(number)
        except redis.RedisError as fault:
            log.warning("A piece could not be handed over: %s", fault)
            return self._ahead.pop(number, None)

    def _await(self, number: int) -> Spoken | None:
        gives_up = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < gives_up:
            handed = self._pieces.get(number, 0.1)
            if handed is not None:
                return unpack(handed)
            self._report(number)
        return None

    def _report(self, number: int) -> None:
        self._work.report(number / len(self._utterances), "speaking")


def help_with(job_id: str) -> None:
    """Speaks pieces of a long text for the length of a slice, as long as there are any."""
    process = current()
    pieces = Pieces(process.streams, job_id)
    plan = pieces.plan()
    if plan is None:
        return
    with belonging(request=plan.get("request_id"), job=job_id):
        _help(job_id, pieces, plan)


def _help(job_id: str, pieces: Pieces, plan: dict[str, Any]) -> None:
    try:
        provider = resident.engine(plan["engine"])
    except RetryLater:
        # This worker lacks the engine; the conductor does not count on anybody.
        return
    utterances = [Utterance(**utterance) for utterance in plan["utterances"]]
    ends_at = time.monotonic() + SLICE_SECONDS
    while time.monotonic() < ends_at:
        if pieces.backlog() > BACKLOG:
            # Whoever listens, or encodes, is slower than we speak.
            time.sleep(0.01)
            continue
        number = pieces.take()
        if number is None or number >= len(utterances):
            return
        try:
            pieces.put(number, pack(_whole(provider, utterances[number], lambda: _wanted(pieces, job_id))))
            _wanted(pieces, job_id)
        except Stopped:
            # Nobody asks for what was handed over last.
            pieces.get(number)
            return
    # At the tail of the queue: others who wait have their turn first.
    app.send_task(TASK, args=[job_id], queue=plan["lane"])


def _wanted(pieces: Pieces, job_id: str) -> None:
    """Raises ``Stopped`` when the job is over: cancelled, or spoken without this helper."""
    # The conductor says so only after the part that it is at.
    if not pieces.wanted() or events.was_stopped(current().redis, job_id):
        raise Stopped


def _whole(provider: Provider, utterance: Utterance, check: Callable[[], None]) -> Spoken:
    """A piece, whole; ``check`` is called after each part of it."""
    rate = provider.sample_rate_hz
    clips: list[Clip] = []
    words: list[Word] = []
    seconds = 0.0
    for part in say(provider, utterance, in_parts=True):
        clips.append(part.clip)
        words += (Word(word.text, seconds + word.start_seconds, seconds + word.end_seconds) for word in part.words)
        seconds += part.clip.duration_seconds
        check()
    return Spoken(join(clips, rate), tuple(words))


def pack(spoken: Spoken) -> bytes:
    """A spoken piece as bytes: its words and rate as a line of JSON, then its samples as float32."""
    words = [[word.text, word.start_seconds, word.end_seconds] for word in spoken.words]
    head = json.dumps({"rate": spoken.clip.sample_rate_hz, "words": words}).encode()
    return head + b"\n" + spoken.clip.samples.astype("<f4").tobytes()


def unpack(content: bytes) -> Spoken:
    """The piece that ``pack`` made."""
    head, _, samples = content.partition(b"\n")
    told = json.loads(head)
    words = tuple(Word(text, start, end) for text, start, end in told["words"])
    return Spoken(Clip(np.frombuffer(samples, "<f4").astype(np.float32), told["rate"]), words)
