"""One listener, piece by piece: a stream that the test writes, news that it tells, and the file behind both."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from app import listening
from app.http.waiting import ClientGone
from config.settings import Settings
from models import speech_streams
from models.errors import Conflict, Unavailable
from models.files import FileStore
from models.speech_renditions import Form
from models.speech_streams import Writer


class Ending:
    """What is heard of the job: each call does the next of ``acts``, then there is no more news."""

    def __init__(self, *acts: Callable[[], dict[str, Any] | None]) -> None:
        self._acts = list(acts)

    def poll(self, timeout_seconds: float) -> dict[str, Any] | None:
        """As ``app.http.waiting.Ending``."""
        return self._acts.pop(0)() if self._acts else None


def nothing() -> None:
    """No news."""


@dataclasses.dataclass
class Hearing:
    """A stream that the test writes, its file, and a listener to it."""

    writer: Writer
    file: str
    here: Any

    def ended(self, state: str = "succeeded", **error: str) -> dict[str, Any]:
        """The news that the job has ended."""
        return {"id": "job", "state": state, "result": {"file": self.file}, "error": error or None}

    def listen(self, ending: Ending, form: Form | None = None) -> Iterator[bytes]:
        """The bytes that a listener hears."""
        wanted: Any = SimpleNamespace(form=form or Form("wav"))
        return listening._pieces(self.here, wanted, "job", ending, 0)  # type: ignore[arg-type]


WHOLE = bytes(range(200))


@pytest.fixture
def hearing(configured: Settings, empty: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hearing]:
    """A job ``job`` whose sound is ``WHOLE``, in pieces of 10 bytes of which 4 are kept."""
    monkeypatch.setattr(speech_streams, "PIECE_BYTES", 10)
    monkeypatch.setattr(speech_streams, "KEPT_PIECES", 4)
    client = redis.Redis.from_url(configured.stream_redis_url)
    client.flushdb()
    files = FileStore(tmp_path)
    here = SimpleNamespace(streams=client, files=files, settings=SimpleNamespace(live_wait_seconds=5.0))
    yield Hearing(Writer(client, "job"), files.put(WHOLE), here)
    client.flushdb()


def test_pieces_come_in_order_to_the_end(hearing: Hearing) -> None:
    hearing.writer.write(WHOLE[:30])
    pieces = hearing.listen(Ending())
    assert [next(pieces) for _ in range(3)] == [WHOLE[at : at + 10] for at in (0, 10, 20)]
    hearing.writer.write(WHOLE[30:35])
    hearing.writer.close()
    assert list(pieces) == [WHOLE[30:35]]


@pytest.mark.parametrize("form", [Form("wav"), Form("pcm"), Form("wav", channels=2)])
def test_who_fell_behind_goes_on_from_the_file_at_the_same_byte(hearing: Hearing, form: Form) -> None:
    hearing.writer.write(WHOLE[:10])
    pieces = hearing.listen(Ending(nothing, nothing, hearing.ended), form)
    heard = next(pieces)
    # More than is kept: what comes next in the stream begins at 160.
    hearing.writer.write(WHOLE[10:])
    assert heard + b"".join(pieces) == WHOLE


@pytest.mark.parametrize("form", [Form("mp3"), Form("opus"), Form("flac"), Form("aac"), Form("wav", 16000)])
def test_who_fell_behind_in_a_format_whose_file_is_another_is_broken_off(hearing: Hearing, form: Form) -> None:
    hearing.writer.write(WHOLE[:10])
    pieces = hearing.listen(Ending(nothing, nothing, hearing.ended), form)
    next(pieces)
    hearing.writer.write(WHOLE[10:])
    with pytest.raises(Unavailable, match="too slow"):
        list(pieces)


def test_who_comes_after_the_beginning_was_trimmed_gets_the_file_of_any_format(hearing: Hearing) -> None:
    hearing.writer.write(WHOLE)
    hearing.writer.close()
    assert b"".join(hearing.listen(Ending(nothing, hearing.ended), Form("mp3"))) == WHOLE


def test_another_worker_s_new_beginning_is_passed_over(hearing: Hearing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech_streams, "KEPT_PIECES", 100)
    hearing.writer.write(WHOLE[:25])
    pieces = hearing.listen(Ending())
    heard = b"".join(next(pieces) for _ in range(3))
    heir = Writer(hearing.here.streams, "job")
    heir.write(WHOLE[:32])
    # The first was not dead after all, and writes on.
    hearing.writer.write(WHOLE[25:40])
    heir.write(WHOLE[32:50])
    heir.close()
    assert heard + b"".join(pieces) == WHOLE[:50]


def test_what_comes_with_the_end_of_the_job_is_heard(hearing: Hearing) -> None:
    hearing.writer.write(WHOLE[:10])

    def finish() -> dict[str, Any]:
        hearing.writer.write(WHOLE[10:30])
        hearing.writer.close()
        return hearing.ended()

    pieces = hearing.listen(Ending(nothing, nothing, finish), Form("mp3"))
    assert b"".join(pieces) == WHOLE[:30]


def test_a_listener_may_take_longer_than_anybody_waits(hearing: Hearing) -> None:
    hearing.here.settings.live_wait_seconds = 0.02
    hearing.writer.write(WHOLE[:10])
    pieces = hearing.listen(Ending())
    next(pieces)
    time.sleep(0.05)
    hearing.writer.write(WHOLE[10:20])
    hearing.writer.close()
    assert list(pieces) == [WHOLE[10:20]]


def test_silence_is_no_end(hearing: Hearing) -> None:
    hearing.here.settings.live_wait_seconds = 0.05
    hearing.writer.write(WHOLE[:10])
    pieces = hearing.listen(Ending())
    next(pieces)
    with pytest.raises(Unavailable, match="silent"):
        next(pieces)


def test_the_end_of_a_job_that_failed_is_no_end(hearing: Hearing) -> None:
    hearing.writer.write(WHOLE[:10])
    ending = Ending(nothing, lambda: hearing.ended("failed", code="disk_full", message="The disk is full."))
    pieces = hearing.listen(ending)
    next(pieces)
    with pytest.raises(Unavailable, match="The disk is full"):
        next(pieces)
    with pytest.raises(Conflict, match="cancelled"):
        list(hearing.listen(Ending(lambda: hearing.ended("cancelled")), Form("wav")))


def test_a_stream_server_that_dies_leaves_the_rest_to_the_file(
    hearing: Hearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    hearing.writer.write(WHOLE[:10])
    pieces = hearing.listen(Ending(nothing, nothing, hearing.ended))
    heard = next(pieces)

    def away(*_: Any, **__: Any) -> None:
        raise redis.ConnectionError

    monkeypatch.setattr(hearing.here.streams, "xread", away)
    assert heard + b"".join(pieces) == WHOLE


def test_a_client_that_hung_up_is_no_error_of_the_server_s() -> None:
    def gone() -> Iterator[bytes]:
        raise ClientGone
        yield b""

    with ExitStack() as leaving, pytest.raises(BrokenPipeError):
        list(listening._Content(b"first", gone(), leaving))


def test_a_listener_who_left_is_noticed_while_there_is_plenty_to_hear(hearing: Hearing) -> None:
    def gone() -> None:
        raise ClientGone

    hearing.writer.write(WHOLE[:10])
    pieces = hearing.listen(Ending(nothing, gone))
    next(pieces)
    hearing.writer.write(WHOLE[10:20])
    with pytest.raises(ClientGone):
        next(pieces)
