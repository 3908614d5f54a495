"""Anything said on a socket: it is answered, or the socket is closed; nothing breaks, and the next one is served."""

from __future__ import annotations

import json
import os
import re
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
import websocket
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.wake_models import WakeModel
from tests.conftest import CLIENT_KEY
from tests.microphone import KEY
from tests.web import Web

HERE = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}
TYPES = [
    *("ping", "audio", "request_audio", "sync", "barge_in", "voice_config", "set_topic", "capture", "config", "stop"),
    *("__class__", "", "x" * 1000),
]
FIELDS = [
    *("segment_index", "offset_ms", "is_playing", "from_byte", "voice_id", "provider", "speed", "curriculum_id"),
    *("topic_id", "data", "sample_rate", "seconds", "threshold", "name"),
]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["\0", "AAAA", "UklGRg=="]),
)
VALUES = st.recursive(SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner)))
MESSAGES = st.builds(
    lambda kind, fields: json.dumps({"type": kind} | fields).encode(),
    st.one_of(st.sampled_from(TYPES), SCALARS),
    st.dictionaries(st.one_of(st.sampled_from(FIELDS), st.text(max_size=5)), VALUES, max_size=5),
)
ODD = [
    *(
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"type": "ping"',
        b'{"type": NaN}',
        b'{"type": "\\ud800"}',
        b"[" * 5000,
        b"\xff\xfe",
    ),
    *(b'{"type": ' + b"9" * 5000 + b"}", b"x" * 70_000, b'{"type":"audio","data":"' + b"A" * 70_000 + b'"}'),
]
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
SAID = st.one_of(
    st.tuples(st.just(TEXT), st.one_of(MESSAGES, MESSAGES, st.sampled_from(ODD))),
    st.tuples(st.just(BINARY), st.one_of(st.binary(max_size=200), st.sampled_from(ODD))),
    st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125)),
)


def framed(opcode: int, content: bytes, *, first: int = 0x80, masked: bool = True, length: int | None = None) -> bytes:
    """A client's frame; of another ``length`` than it has where one is given."""
    told = len(content) if length is None else length
    mask = os.urandom(4) if masked else b""
    bit = 0x80 if masked else 0
    if told < 126:
        head = struct.pack("!BB", first | opcode, bit | told)
    elif told < 2**16:
        head = struct.pack("!BBH", first | opcode, bit | 126, told)
    else:
        head = struct.pack("!BBQ", first | opcode, bit | 127, told)
    return head + mask + (bytes(byte ^ mask[at % 4] for at, byte in enumerate(content)) if masked else content)


# What the protocol forbids, or never ends.
BROKEN = st.one_of(
    st.binary(min_size=1, max_size=50),
    st.builds(
        framed,
        st.integers(0, 15),
        st.binary(max_size=130),
        first=st.sampled_from([0x00, 0x80, 0xC0, 0xF0]),
        masked=st.booleans(),
        length=st.sampled_from([None, None, 0, 125, 2**16 - 1, 2**20 + 1, 2**31, 2**63 - 1, 2**64 - 1]),
    ),
)


@pytest.fixture
def session_id(web: Web, clean: None) -> str:
    """A session of nothing."""
    made = web.post("/api/sessions", json={"user_id": "user_1"}, headers={"X-API-Key": CLIENT_KEY})
    return str(made.json()["id"])


@pytest.fixture
def paths(session_id: str, model: WakeModel) -> list[str]:
    """Every socket that listens to what is said."""
    return [
        "/ws",
        f"/ws/audio?session_id={session_id}",
        f"/ws/audio?session_id={session_id}&binary=1",
        "/api/test/ws/alexa",
    ]


@pytest.fixture
def unbroken(web: Web) -> Iterator[None]:
    """Fails where the web process logged an error that nobody expected."""
    log = Path(web.child.log_path)
    before = log.stat().st_size
    yield
    with log.open(errors="replace") as said:
        said.seek(before)
        found = [line for line in said if re.search(r"Traceback|Unexpected error|ended by an error", line)]
    assert not found, found[0][:2000]


def left(connection: websocket.WebSocket) -> bool:
    """Whether a last ping is answered, whatever comes before; not where the socket was closed in an orderly way."""
    try:
        connection.ping(b"the last")
        while True:
            opcode, said = connection.recv_data(control_frame=True)
            if opcode == CLOSE:
                assert int.from_bytes(said[:2], "big") in (1002, 1003, 1007, 1008, 1009, 1013, 4400, 4404, 4429), said
                return False
            if opcode == PONG and said == b"the last":
                return True
            if opcode == TEXT:
                assert isinstance(json.loads(said), dict)
    except (websocket.WebSocketConnectionClosedException, ConnectionError):
        return False


def converse(web: Web, path: str, said: list[tuple[int, bytes]]) -> None:
    """Says it all; fails where it is neither answered nor closed."""
    with web.socket(path, header=KEY) as opened:
        for opcode, content in said:
            try:
                opened.connection.sock.sendall(framed(opcode, content))
            except OSError:
                break
        left(opened.connection)
    assert_serves(web)


def disturb(web: Web, path: str, pieces: list[bytes]) -> None:
    """Sends it all past the protocol, and goes."""
    with web.socket(path, header=KEY) as opened:
        raw: socket.socket = opened.connection.sock
        try:
            for piece in pieces:
                raw.sendall(piece)
        except OSError:
            pass
        raw.close()
    assert_serves(web)


def assert_serves(web: Web) -> None:
    with web.socket("/ws", header=KEY) as opened:
        assert opened.next()["type"] == "connected"


@settings(max_examples=40, **HERE)
@given(which=st.integers(0, 3), said=st.lists(SAID, max_size=8))
def test_whatever_is_said_is_answered_or_the_socket_is_closed(
    web: Web, paths: list[str], unbroken: None, which: int, said: list[tuple[int, bytes]]
) -> None:
    converse(web, paths[which], said)


@settings(max_examples=40, **HERE)
@given(which=st.integers(0, 3), pieces=st.lists(BROKEN, min_size=1, max_size=4))
def test_frames_that_break_the_protocol_harm_nobody_else(
    web: Web, paths: list[str], unbroken: None, which: int, pieces: list[bytes]
) -> None:
    disturb(web, paths[which], pieces)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@settings(max_examples=1500, **HERE)
@given(which=st.integers(0, 3), said=st.lists(SAID, max_size=12), pieces=st.lists(BROKEN, max_size=4))
def test_thousands_of_conversations_harm_nobody_else(
    web: Web, paths: list[str], unbroken: None, which: int, said: list[tuple[int, bytes]], pieces: list[bytes]
) -> None:
    converse(web, paths[which], said)
    disturb(web, paths[which], [framed(opcode, content) for opcode, content in said] + pieces)
