"""Streams of speech: what one sends is what all others read, from the beginning, as long as it is kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from config.settings import Settings
from models import redis_keys, speech_streams
from models.speech_streams import KEPT_PIECES, PIECE_BYTES, Part, Reader, Writer

JOB = "job"
KEY = redis_keys.speech_stream(JOB)


@pytest.fixture(scope="module")
def server(configured: Settings) -> Iterator[redis.Redis]:
    """The server of the streams."""
    client = redis.Redis.from_url(configured.stream_redis_url)
    yield client
    client.close()


@pytest.fixture
def streams(server: redis.Redis) -> redis.Redis:
    """The server, without a stream."""
    server.flushdb()
    return server


def read_all(client: redis.Redis) -> list[Part]:
    """Everything to the last part."""
    reader, found = Reader(client, JOB), list[Part]()
    while not found or not found[-1].last:
        parts = reader.read(1.0)
        assert parts, found
        found += parts
    return found


def test_what_was_written_is_read_in_order_with_its_place(streams: redis.Redis) -> None:
    writer = Writer(streams, JOB)
    writer.write(b"one")
    writer.write(b"")
    writer.write(b"three")
    writer.close()
    assert read_all(streams) == [Part(0, b"one"), Part(3, b"three"), Part(8, b"", last=True)]


def test_a_reader_who_comes_late_reads_the_same_as_one_who_was_there(streams: redis.Redis) -> None:
    writer, early = Writer(streams, JOB), Reader(streams, JOB)
    writer.write(b"one")
    first = early.read(1.0)
    writer.write(b"two")
    writer.close()
    assert [*first, *early.read(1.0)] == read_all(streams) == read_all(streams)
    assert early.read(0.0) == []


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3 * PIECE_BYTES), max_size=6))
def test_pieces_are_small_and_together_the_whole(server: redis.Redis, sizes: list[int]) -> None:
    whole = bytes(number % 251 for number in range(sum(sizes)))
    writer, at = Writer(server, JOB), 0
    server.delete(KEY)
    for size in sizes:
        writer.write(whole[at : at + size])
        at += size
    writer.close()
    parts = read_all(server)
    assert b"".join(part.content for part in parts) == whole
    assert all(len(part.content) <= PIECE_BYTES for part in parts)
    assert [part.at for part in parts] == [sum(len(before.content) for before in parts[:n]) for n in range(len(parts))]
    assert [part.last for part in parts] == [False] * (len(parts) - 1) + [True]


def test_nobody_waits_longer_than_he_said_and_news_end_the_wait(streams: redis.Redis) -> None:
    reader, writer = Reader(streams, JOB), Writer(streams, JOB)
    began = time.monotonic()
    assert reader.read(0.05) == []
    assert 0.04 < time.monotonic() - began < 1
    threading.Timer(0.05, lambda: writer.write(b"news")).start()
    began = time.monotonic()
    assert reader.read(5.0) == [Part(0, b"news")]
    assert time.monotonic() - began < 2


def test_the_first_that_a_writer_sends_removes_what_another_left(streams: redis.Redis) -> None:
    dead = Writer(streams, JOB)
    dead.write(b"before it died")
    heir = Writer(streams, JOB)
    reader = Reader(streams, JOB)
    assert reader.read(1.0) == [Part(0, b"before it died")]
    heir.write(b"before")
    heir.write(b" it died, and after")
    heir.close()
    # Who was there already sees the new beginning, and passes over it (app.listening).
    assert [part.at for part in reader.read(1.0)] == [0, 6, 25]
    assert b"".join(part.content for part in read_all(streams)) == b"before it died, and after"


def test_no_stream_takes_more_memory_than_it_may(streams: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    assert KEPT_PIECES * PIECE_BYTES <= 16 * 2**20
    monkeypatch.setattr(speech_streams, "KEPT_PIECES", 5)
    writer = Writer(streams, JOB)
    for number in range(20):
        writer.write(b"%02d" % number)
    writer.close()
    # Trimmed exactly, the oldest first; a reader sees by the place that something is missing.
    assert [part.at for part in read_all(streams)] == [32, 34, 36, 38, 40]


def test_streams_expire_by_themselves(streams: redis.Redis) -> None:
    writer = Writer(streams, JOB)
    writer.write(b"sound")
    assert 0 < streams.ttl(KEY) <= redis_keys.SPEECH_STREAM_SECONDS
    writer.close()
    assert 0 < streams.ttl(KEY) <= redis_keys.SPEECH_STREAM_ENDED_SECONDS


def test_a_stream_of_nothing_only_ends(streams: redis.Redis) -> None:
    Writer(streams, JOB).close()
    assert read_all(streams) == [Part(0, b"", last=True)]


def test_streams_of_two_jobs_are_apart(streams: redis.Redis) -> None:
    Writer(streams, "other").write(b"theirs")
    Writer(streams, JOB).write(b"mine")
    assert Reader(streams, JOB).read(1.0) == [Part(0, b"mine")]


def test_both_spellings_of_the_answer_are_understood(configured: Settings, streams: redis.Redis) -> None:
    Writer(streams, JOB).write(b"sound")
    for protocol in (2, 3):
        client = redis.Redis.from_url(configured.stream_redis_url, protocol=protocol)
        assert Reader(client, JOB).read(1.0) == [Part(0, b"sound")]
        client.close()
