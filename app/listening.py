"""Speech that is heard while it is made: the bytes of a live job, as its worker sends them."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import redis
from flask import request

from app import context, speaking
from app.context import Context
from app.http import recording
from app.http.ranges import read_from
from app.http.waiting import ClientGone, Ending, Gone
from app.sockets.hub import News
from app.speaking import Wanted
from app.speech_ended import raise_failure
from models.errors import Invalid, Unavailable
from models.jobs.tables import SUCCEEDED
from models.speech_streams import Part, Reader

# How long one look at the stream lasts before the job and the client are looked at.
LOOK_SECONDS = 0.1
# Formats whose file, made afterwards, continues what was streamed at the same byte.
CONTINUED = ("wav", "pcm")


@dataclass(frozen=True)
class Streamed:
    """Sound on its way: how it was come by (``hit``, ``miss``, ``joined``), and its bytes."""

    outcome: str
    content: Iterator[bytes]


def breaks_are_seen() -> bool:
    """Whether the client can tell an answer that broke off from one that ended.

    Before HTTP/1.1, which many a proxy still speaks to what is behind it, both are a connection that closes.
    """
    return bool(request.environ.get("SERVER_PROTOCOL") != "HTTP/1.0")


def rest_of(path: Path, from_byte: int) -> Iterator[bytes]:
    """The bytes of a file from one on; from its end there are none.

    Raises:
        Invalid: it ends before.
        FileNotFoundError: the file is gone.
    """
    size_bytes = path.stat().st_size
    if from_byte > size_bytes:
        raise Invalid(f"from_byte: {from_byte} is beyond the {size_bytes} bytes that there are")
    return read_from(path, from_byte)


def listen(wanted: Wanted, *, from_byte: int = 0, gone: Gone | None = None) -> Streamed:
    """The sound from a byte on, while it is made; returns once there is some, so that a failure until then is an error.

    A failure after that is raised by ``content``, which breaks the connection off: it must not look like the end.
    ``content`` must be closed. ``gone`` says that nobody listens any more, by default because the client hung up.

    Raises:
        As ``speaking.whole``, and ``ClientGone``.
    """
    here = context.current()
    found = wanted.find()
    if found is not None and here.files.exists(found.file):
        content = rest_of(here.files.path(found.file), from_byte)
        here.counters.speech("hit", wanted.spec.key)
        return Streamed("hit", content)
    with ExitStack() as leaving:
        subscription = leaving.enter_context(here.hub.subscribed())
        job, new, waiter = speaking.join(wanted, stream=True)
        subscription.job_id = job.id
        leaving.enter_context(here.hub.waiting(waiter))
        pieces = _pieces(here, wanted, job.id, Ending(job.id, subscription, gone), from_byte)
        first = next(pieces, b"")
        outcome = "joined" if not new else "miss"
        here.counters.speech(outcome, wanted.spec.key)
        # From here on the listener leaves when the bytes were sent, or cannot be.
        return Streamed(outcome, _Content(first, pieces, leaving.pop_all(), recording.Place.here().broke_off))


class _Content:
    """The first bytes and the rest; a generator would not leave if it were closed before it began."""

    def __init__(
        self, first: bytes, rest: Iterator[bytes], leaving: ExitStack, broke: Callable[[Exception], None] | None = None
    ) -> None:
        self._first: bytes | None = first
        self._rest = rest
        self._leaving = leaving
        self._broke = broke

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        try:
            return next(self._rest)
        except StopIteration:
            self._leaving.close()
            raise
        except ClientGone:
            # To gunicorn the same as a write that failed; anything else would be an error in its log.
            raise BrokenPipeError(errno.EPIPE, "the client hung up") from None
        except Exception as fault:
            if self._broke is not None:
                self._broke(fault)
            raise

    def close(self) -> None:
        """Whoever listens does so no more; without effect after the end."""
        self._leaving.pop_all().__exit__(ClientGone, ClientGone(), None)


def _pieces(here: Context, wanted: Wanted, job_id: str, ending: Ending, sent: int) -> Iterator[bytes]:
    """The bytes in order but for the first ``sent``: from the stream while it has no gap, else from the file."""
    reader = Reader(here.streams, job_id)
    heard_at = time.monotonic()
    ended: News | None = None
    while True:
        # Before the stream is read: what is not in it when the job has ended will never be.
        ended = ended or ending.poll(0.0)
        parts = _read(reader, 0.0 if ended else LOOK_SECONDS)
        for part in parts:
            # A worker that took the job over begins anew; what was sent is the same again.
            fresh = part.content[max(0, sent - part.at) :] if part.at <= sent else b""
            if fresh:
                sent += len(fresh)
                yield fresh
            if part.last and part.at == sent:
                return
        if parts:
            # Not before they were sent, which takes as long as the listener likes.
            heard_at = time.monotonic()
        elif ended is not None or time.monotonic() - heard_at > here.settings.live_wait_seconds:
            break
    if ended is None:
        raise Unavailable(f"Job {job_id} was silent for too long.", retry_after_seconds=5)
    if ended["state"] != SUCCEEDED:
        raise_failure(ended)
    # It was found ready, or this listener was too slow for the stream.
    if sent and (wanted.form.format not in CONTINUED or wanted.form.sample_rate_hz):
        raise Unavailable(f"Job {job_id} ended without this listener, who was too slow.", retry_after_seconds=1)
    yield from rest_of(here.files.path(ended["result"]["file"]), sent)


def _read(reader: Reader, wait_seconds: float) -> list[Part]:
    try:
        return reader.read(wait_seconds)
    except redis.RedisError:
        # The job goes on without its listeners; the file is there in the end.
        time.sleep(wait_seconds)
        return []
