"""Log lines on their way to whoever watches: published, kept, bounded, and never in anybody's way."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator

import pytest
import redis

from config import logs
from models import log_stream, redis_keys
from models.log_stream import BUFFERED, LogStream
from tests.conftest import eventually

NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """A logger without any other handler."""
    made = logging.getLogger("tests.stream")
    made.propagate = False
    made.setLevel(logging.DEBUG)
    yield made
    made.handlers.clear()
    made.propagate = True
    made.setLevel(logging.NOTSET)


@pytest.fixture
def away(logger: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> LogStream:
    """A stream whose thread was not started: a test sends by hand."""
    made = LogStream(NOWHERE)
    monkeypatch.setattr(made, "_begin", lambda: None)
    logger.addHandler(made)
    return made


def test_a_line_is_published_within_a_moment_and_kept(
    configured: object, queue: redis.Redis, empty: None, logger: logging.Logger
) -> None:
    pubsub = queue.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe(redis_keys.LOG_EVENTS)
    pubsub.get_message(timeout=1)
    logger.addHandler(LogStream(configured.redis_url))  # type: ignore[attr-defined]
    mark = logs.request_id.set("req_1")
    try:
        logger.warning("GET %s", "/ws?token=abc")
    finally:
        logs.request_id.reset(mark)
    message = eventually(lambda: pubsub.get_message(timeout=0.1), within_seconds=3)
    (line,) = json.loads(message["data"])
    assert set(line) == {"timestamp", "level", "logger", "message", "request_id", "job_id"}
    assert (line["level"], line["logger"], line["message"]) == ("WARNING", "tests.stream", "GET /ws?token=…")
    assert line["request_id"] == "req_1"
    assert line["timestamp"].endswith("Z")
    assert log_stream.recent(queue) == [line]
    pubsub.close()


def test_only_the_newest_lines_are_kept_the_newest_first(
    queue: redis.Redis, empty: None, logger: logging.Logger, away: LogStream
) -> None:
    for number in range(redis_keys.RECENT_LOGS_KEPT + 20):
        logger.info("Line %d.", number)
    away.send(queue)
    kept = log_stream.recent(queue)
    assert len(kept) == redis_keys.RECENT_LOGS_KEPT
    assert kept[0]["message"] == f"Line {redis_keys.RECENT_LOGS_KEPT + 19}."
    assert log_stream.recent(queue, limit=2) == kept[:2]
    assert 0 < queue.ttl(redis_keys.RECENT_LOGS) <= redis_keys.RECENT_LOGS_SECONDS


def test_while_redis_is_away_logging_is_quick_and_what_was_lost_is_counted(
    queue: redis.Redis, empty: None, logger: logging.Logger, away: LogStream
) -> None:
    began = time.monotonic()
    for number in range(BUFFERED + 500):
        logger.info("Line %d.", number)
    assert time.monotonic() - began < 2
    assert away.dropped == 500
    away.send(redis.Redis.from_url(NOWHERE, socket_connect_timeout=1))
    assert away.dropped == BUFFERED + 500
    logger.info("It is back.")
    away.send(queue)
    told, back = log_stream.recent(queue)
    assert back["message"] == "It is back."
    assert f"{BUFFERED + 500} lines" in told["message"]
    assert away.dropped == 0


def test_its_own_lines_and_those_of_the_client_are_not_sent(queue: redis.Redis, empty: None, away: LogStream) -> None:
    for name in ("redis", "redis.connection", "models.log_stream"):
        away.handle(logging.makeLogRecord({"name": name, "msg": "About sending.", "levelno": logging.ERROR}))
    away.send(queue)
    assert log_stream.recent(queue) == []


def test_a_line_that_cannot_be_put_together_hurts_nobody(away: LogStream) -> None:
    away.handle(logging.makeLogRecord({"name": "x", "msg": "%d of %d", "args": ("one",), "levelno": logging.ERROR}))
    assert away.dropped == 1


def test_an_exception_is_named_and_a_long_line_is_cut(
    queue: redis.Redis, empty: None, logger: logging.Logger, away: LogStream
) -> None:
    try:
        raise KeyError("vw_Abcdefgh1234")
    except KeyError:
        logger.exception("It failed")
    logger.info("x" * 100_000)
    logger.debug("Of no interest.")
    away.send(queue)
    long, failed = log_stream.recent(queue)
    assert failed["message"] == "It failed: KeyError: 'vw_…'"
    assert len(long["message"]) == log_stream.LONGEST


def test_a_second_stream_takes_the_place_of_the_first() -> None:
    root = logging.getLogger()
    first, second = LogStream(NOWHERE), LogStream(NOWHERE)
    try:
        first.install()
        second.install()
        assert [handler for handler in root.handlers if isinstance(handler, LogStream)] == [second]
    finally:
        root.removeHandler(second)
        logging.getLogger("gunicorn.error").removeHandler(second)
