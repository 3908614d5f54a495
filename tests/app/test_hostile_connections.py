"""Clients that hold on to what they were given: lines that trickle, sockets by the thousand."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import gevent
import pytest
from werkzeug.exceptions import RequestTimeout

from app.http.patience import Patient
from config.settings import Settings
from tests.conftest import eventually
from tests.web import Web, serving

LOGIN = b"POST /api/auth/login HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
UNFINISHED = b"GET /health HTTP/1.1\r\nHost: here\r\nX-Filler: "
HOLDING = 400


class Dripping(io.RawIOBase):
    """A body of which a byte comes now and then."""

    def __init__(self, content: bytes, pause_seconds: float) -> None:
        self._left = content
        self._pause_seconds = pause_seconds

    def read(self, size: int = -1, /) -> bytes:
        """As gunicorn's: waits until all of it is there."""
        block, self._left = self._left[:size], self._left[size:]
        gevent.sleep(self._pause_seconds * len(block))
        return block


def test_a_body_is_read_whole_however_it_is_asked_for() -> None:
    content = bytes(range(256)) * 400
    assert Patient(io.BytesIO(content)).read() == content
    pieces = Patient(io.BytesIO(content))
    assert b"".join(iter(lambda: pieces.read(999), b"")) == content
    assert list(Patient(io.BytesIO(b"a\nb\nc"))) == [b"a\n", b"b\n", b"c"]


def test_a_slow_body_is_waited_for_as_long_as_each_block_comes_in_time() -> None:
    content = b"x" * 50_000
    began = time.monotonic()
    assert Patient(Dripping(content, 0.000_004), seconds=0.15).read() == content
    assert time.monotonic() - began > 0.15


def test_a_body_that_trickles_in_is_given_up() -> None:
    with pytest.raises(RequestTimeout, match=r"0\.05 s"):
        Patient(Dripping(b"x" * 1000, 0.01), seconds=0.05).read()


@contextmanager
def held(web: Web, said: bytes, count: int) -> Iterator[list[socket.socket]]:
    """So many lines on which that much was said, and no more."""
    with ExitStack() as stack:
        lines = [stack.enter_context(socket.create_connection(("127.0.0.1", web.port))) for _ in range(count)]
        for line in lines:
            line.sendall(said)
        yield lines


@pytest.mark.slow
@pytest.mark.parametrize(("said", "answer"), [(UNFINISHED, b""), (LOGIN, b"HTTP/1.1 408 ")], ids=["headers", "body"])
def test_lines_that_trickle_hold_up_nobody_and_are_let_go(
    configured: Settings, clean: None, said: bytes, answer: bytes
) -> None:
    with serving(configured.var_dir / "log" / "slow.log") as web, held(web, said, HOLDING) as lines:
        ends = time.monotonic() + 75
        heard: list[bytes] = []
        left = set(lines)
        while left and time.monotonic() < ends:
            began = time.monotonic()
            assert web.get("/health").ok
            assert time.monotonic() - began < 5
            # One byte a second: nobody is silent.
            for line in list(left):
                if (said := dripped(line)) is not None:
                    heard.append(said)
                    left -= {line} if not said else set()
            time.sleep(1)
        assert not left
        # Of some the answer is lost, since they speak on after it.
        assert {each for each in heard if each and not each.startswith(answer)} == set()
        assert any(each.startswith(answer) for each in heard)


def dripped(line: socket.socket) -> bytes | None:
    """What was answered to one byte more: None while nothing is, nothing where the line was cut."""
    try:
        line.settimeout(0.001)
        line.sendall(b"x")
        return line.recv(4096)
    except TimeoutError:
        return None
    except OSError:
        return b""


def test_one_account_cannot_take_every_place_for_sockets(
    configured: Settings, clean: None, customer: dict[str, str], admin: dict[str, str]
) -> None:
    with (
        serving(configured.var_dir / "log" / "share.log", SOCKETS_MAX="3", SOCKETS_MAX_PER_ACCOUNT="2") as web,
        web.socket("/ws", header=customer) as first,
    ):
        assert first.next()["type"] == "connected"
        with web.socket("/ws", header=customer) as second:
            assert second.next()["type"] == "connected"
            assert web.close_code("/ws", header=customer) == 4429
            with web.socket("/ws", header=admin) as other:
                assert other.next()["type"] == "connected"
        # Its place is free again.
        eventually(lambda: opens(web, customer))


def opens(web: Web, headers: dict[str, str]) -> bool:
    with web.socket("/ws", header=headers) as opened:
        return opened.alive
