"""Chatter on ``/ws``: who comes and goes, over all web processes, and what every process logs."""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import psutil
import pytest
import redis
import websocket

from app.sockets.presence import CAME, HANDFUL, WENT, Presence
from config import logs
from config.child import Child
from config.settings import Settings
from models import redis_keys
from models.base import new_id
from models.log_stream import LogStream
from tests.conftest import eventually
from tests.web import Web, serving


@pytest.fixture(scope="module")
def neighbour(configured: Settings) -> Iterator[Web]:
    """A second web process on the same Redis and Postgres."""
    with serving(configured.var_dir / "log" / "neighbour.log") as running:
        yield running


def present(client: redis.Redis) -> Presence:
    """A process that has begun."""
    made = Presence(client)
    made.begin(new_id())
    return made


def settled(web: Web, headers: dict[str, str], count: int) -> None:
    """Waits until a process counts so many sockets."""
    eventually(lambda: web.get("/api/stats", headers=headers).json()["clients_connected"] == count)


# --- Real web processes -------------------------------------------------------------------------------------------


def test_who_comes_and_goes_is_told_in_every_web_process(
    web: Web, neighbour: Web, clean: None, admin: dict[str, str], customer: dict[str, str]
) -> None:
    settled(web, admin, 0)
    settled(neighbour, admin, 0)
    with web.socket("/ws", header=admin) as here, neighbour.socket("/ws", header=admin) as there:
        for opened in (here, there):
            opened.until("client_connected", lambda data: data["clients_connected"] == 2)
        with neighbour.socket("/ws", header=customer) as other:
            client_id = other.next()["data"]["client_id"]
            for opened in (here, there):
                told = opened.until("client_connected", lambda data: data["client_id"] == client_id)
                assert told == {"client_id": client_id, "clients_connected": 3}
            for process in (web, neighbour):
                assert process.get("/api/stats", headers=customer).json()["clients_connected"] == 3
        for opened in (here, there):
            told = opened.until("client_disconnected", lambda data: data["client_id"] == client_id)
            assert told == {"client_id": client_id, "clients_connected": 2}
        assert here.until("stats_update", within_seconds=6)["clients_connected"] == 2


@pytest.mark.slow
def test_the_sockets_of_a_killed_process_leave_the_count_in_time(
    configured: Settings, web: Web, clean: None, admin: dict[str, str]
) -> None:
    with ExitStack() as stack:
        doomed = stack.enter_context(serving(configured.var_dir / "log" / "doomed.log"))
        settled(web, admin, 0)
        here = stack.enter_context(web.socket("/ws", header=admin))
        there = [stack.enter_context(doomed.socket("/ws", header=admin)) for _ in range(2)]
        lost = {opened.next()["data"]["client_id"] for opened in there}
        here.until("client_connected", lambda data: data["clients_connected"] == 3)
        _kill(doomed.child)
        began = time.monotonic()
        told = set()
        while told != lost:
            told.add(here.until("client_disconnected", within_seconds=20)["client_id"])
        assert time.monotonic() - began < 16
        assert here.until("stats_update", within_seconds=6)["clients_connected"] == 1


def test_the_sockets_of_a_process_that_is_stopped_leave_at_once(
    configured: Settings, web: Web, clean: None, admin: dict[str, str]
) -> None:
    with (
        web.socket("/ws", header=admin) as here,
        serving(configured.var_dir / "log" / "stopped.log") as stopped,
        stopped.socket("/ws", header=admin) as there,
    ):
        client_id = there.next()["data"]["client_id"]
        here.until("client_connected", lambda data: data["client_id"] == client_id)
        stopped.child.stop()
        here.until("client_disconnected", lambda data: data["client_id"] == client_id, within_seconds=3)
        opcode = said = None
        while opcode != websocket.ABNF.OPCODE_CLOSE:
            opcode, said = there.connection.recv_data()
        assert int.from_bytes(said[:2], "big") == 1001


def test_many_who_come_at_once_are_told_in_few_messages(web: Web, clean: None, admin: dict[str, str]) -> None:
    settled(web, admin, 0)
    with ExitStack() as stack:
        watcher = stack.enter_context(web.socket("/ws", header=admin))
        watcher.until("client_connected")
        began = time.monotonic()
        for _ in range(60):
            stack.enter_context(web.socket("/ws", header=admin))
        heard = watcher.collect("client_connected", lambda data: data["clients_connected"] == 61)
        moments = (time.monotonic() - began) / 0.25 + 2
        told = [message for message in heard if message["type"] == "client_connected"]
        assert len(told) <= HANDFUL * moments
        assert len(told) < 60


def test_what_any_process_logs_is_told(
    web: Web, clean: None, admin: dict[str, str], configured: Settings, queue: redis.Redis
) -> None:
    with web.socket("/ws", header=admin) as opened:
        opened.until("stats_update")
        # The web process itself, by gunicorn's own logger.
        with socket.create_connection(("127.0.0.1", web.port)) as connection:
            connection.sendall(b"GET /ws?token=abc\r\n\r\n")
        line = opened.until("log_entry", lambda data: data["logger"] == "gunicorn.error")
        assert "/ws?token=…" in line["message"]
        assert "abc" not in web.child.log_path.read_text()
        _say(configured, queue, "A worker's line, token=abc.")
        line = opened.until("log_entry", lambda data: data["message"].startswith("A worker"))
        assert set(line) == {"timestamp", "level", "logger", "message", "request_id", "job_id"}
        assert line["message"] == "A worker's line, token=…"
        assert (line["level"], line["logger"], line["request_id"]) == ("WARNING", "tests.presence", "req_said")


def test_a_flood_of_lines_is_thinned_and_says_so(
    web: Web, clean: None, admin: dict[str, str], configured: Settings, queue: redis.Redis
) -> None:
    with web.socket("/ws", header=admin) as opened:
        opened.until("stats_update")
        _say(configured, queue, *(f"Line {number}." for number in range(500)))
        heard = opened.collect("log_entry", lambda data: data["message"] == "Line 499.")
    lines = [message["data"]["message"] for message in heard if message["type"] == "log_entry"]
    assert lines[0].startswith("450 lines were left out")
    assert lines[1:] == [f"Line {number}." for number in range(450, 500)]


def test_a_client_sees_neither_logs_nor_presence_of_others(
    web: Web, clean: None, customer: dict[str, str], admin: dict[str, str], configured: Settings, queue: redis.Redis
) -> None:
    with web.socket("/ws", header=customer) as mine, web.socket("/ws", header=admin) as theirs:
        mine.until("stats_update")
        with web.socket("/ws", header=admin) as other:
            client_id = other.next()["data"]["client_id"]
        theirs.until("client_disconnected", lambda data: data["client_id"] == client_id)
        _say(configured, queue, "Not for everybody.")
        theirs.until("log_entry", lambda data: data["message"] == "Not for everybody.")
        heard = mine.collect("stats_update", within_seconds=7)
    assert {message["type"] for message in heard} == {"stats_update"}


# --- The book of who is there ---------------------------------------------------------------------------------------


def test_each_process_counts_the_sockets_of_all(queue: redis.Redis, empty: None) -> None:
    one, two = present(queue), present(queue)
    for name in "abc":
        one.came(name)
    one.went("b")
    two.came("d")
    for each in (one, two):
        each.tell()
    for each in (one, two):
        each.look()
        assert each.count() == 3
    assert one.news()[-1] == (CAME, {"client_id": "d", "clients_connected": 3})


def test_what_a_lost_message_would_have_said_is_found_by_looking(queue: redis.Redis, empty: None) -> None:
    one, two = present(queue), present(queue)
    one.came("a")
    one.renew()
    two.look()
    assert two.news() == [(CAME, {"client_id": "a", "clients_connected": 1})]
    one.went("a")
    one.renew()
    two.look()
    assert two.news() == [(WENT, {"client_id": "a", "clients_connected": 0})]
    assert queue.smembers(redis_keys.PRESENT) == set()


def test_a_process_whose_key_expired_is_gone(queue: redis.Redis, empty: None) -> None:
    one, two = present(queue), present(queue)
    one.came("a")
    one.tell()
    two.look()
    assert two.count() == 1
    (key,) = queue.keys("presence:*")
    assert 0 < queue.ttl(key) <= redis_keys.PRESENCE_SECONDS
    queue.delete(key)
    two.look()
    assert two.count() == 0
    # And back, should it only have been slow.
    one.renew()
    two.look()
    assert two.count() == 1


def test_of_many_the_newest_of_each_kind_are_told_in_order(queue: redis.Redis, empty: None) -> None:
    one = present(queue)
    for number in range(100):
        one.came(str(number))
    for number in range(10):
        one.went(str(number))
    told = [(kind, data["client_id"]) for kind, data in one.news()]
    assert told == [(CAME, "97"), (CAME, "98"), (CAME, "99"), (WENT, "7"), (WENT, "8"), (WENT, "9")]
    assert one.news() == []


def test_a_process_that_leaves_takes_its_sockets_along(queue: redis.Redis, empty: None) -> None:
    one, two = present(queue), present(queue)
    one.came("a")
    one.renew()
    two.look()
    one.leave()
    two.look()
    assert two.count() == 0


def _say(configured: Settings, queue: redis.Redis, *messages: str) -> None:
    """Logs as another process would."""
    stream = LogStream(configured.redis_url)
    stream._begin = lambda: None  # type: ignore[method-assign]
    mark = logs.request_id.set("req_said")
    for message in messages:
        values = {"name": "tests.presence", "msg": message, "levelno": logging.WARNING, "levelname": "WARNING"}
        stream.handle(logging.makeLogRecord(values))
    logs.request_id.reset(mark)
    stream.send(queue)


def _kill(child: Child) -> None:
    """The master and its workers, without a chance to say goodbye."""
    assert child._process is not None
    master = psutil.Process(child._process.pid)
    for process in [master, *master.children(recursive=True)]:
        os.kill(process.pid, signal.SIGKILL)
