"""Another server that speaks: what it sends is sound, or an error that says what to do."""

from __future__ import annotations

import json
import struct
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
import requests

from workers.device import Device
from workers.errors import BadInput, RetryLater
from workers.tts import provider, remote, remote_pcm
from workers.tts.provider import NotSetUp, Utterance
from workers.tts.remote import RemoteProvider
from workers.tts.remote_pcm import NotSound

KEY = "sk-very-secret-0123"
RAMP = np.arange(0, 24000, dtype="<i2")
Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Gives the answers that the test has queued, the last of them for ever."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, self.headers.get("Authorization"), json.loads(body)))
        answers = self.server.answers
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""

    def give(self, status: int, body: bytes, kind: str = "audio/pcm", length: int | None = None, **more: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in more.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
        if length is not None:
            self.close_connection = True


class Server(ThreadingHTTPServer):
    """A speech server."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[Answer] = [sound]
        self.asked: list[tuple[str, str | None, dict[str, Any]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def sound(handler: Handler) -> None:
    handler.give(200, RAMP.tobytes())


def chunked(handler: Handler, *, ended: bool = True, pause: float = 0.0) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "audio/pcm")
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    # Odd sizes: a sample may lie in two chunks.
    for start in range(0, 48000, 9601):
        part = RAMP.tobytes()[start : start + 9601]
        handler.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        handler.wfile.flush()
        time.sleep(pause)
    if ended:
        handler.wfile.write(b"0\r\n\r\n")
    handler.close_connection = True


def failing(status: int, message: str = "broken", **more: str) -> Answer:
    body = json.dumps({"error": {"message": message, "type": "x"}}).encode()
    return lambda handler: handler.give(status, body, "application/json", **more)


def wav(rate: int = 24000, channels: int = 1, length: int | None = None) -> bytes:
    data = RAMP.tobytes()
    size = len(data) if length is None else length
    format_ = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, rate * 2 * channels, 2 * channels, 16)
    note = struct.pack("<4sI4s", b"LIST", 3, b"abc\0")
    return (
        struct.pack("<4sI4s", b"RIFF", min(36 + size, 0xFFFFFFFF), b"WAVE")
        + format_
        + note
        + struct.pack("<4sI", b"data", size)
        + data
    )


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def engine(server: Server, clock: Clock) -> RemoteProvider:
    return made(server.url, clock)


def made(url: str, clock: Clock, **more: Any) -> RemoteProvider:
    timeout = (1.0, 0.3)
    return RemoteProvider(
        url, api_key=KEY, model="m-1", timeout_seconds=timeout, sleep=clock.sleep, clock=clock, **more
    )


def say(engine: RemoteProvider, text: str = "Hello.") -> np.ndarray:
    (spoken,) = engine.synthesize_batch([Utterance(text, "nova")])
    assert spoken.clip.sample_rate_hz == engine.sample_rate_hz == 24000
    return np.rint(spoken.clip.samples * 32768).astype(np.int16)


def test_it_asks_as_openai_s_clients_do_and_gives_what_it_gets(engine: RemoteProvider, server: Server) -> None:
    assert np.array_equal(say(engine, "Say [it](/ɪt/)!"), RAMP)
    assert server.asked == [
        (
            "/v1/audio/speech",
            f"Bearer {KEY}",
            {"model": "m-1", "input": "Say it!", "voice": "nova", "response_format": "pcm"},
        )
    ]


def test_an_address_may_end_with_the_version(server: Server, clock: Clock) -> None:
    say(made(f"{server.url}/v1/", clock))
    say(made(f"{server.url}/tts/", clock))
    assert [path for path, _, _ in server.asked] == ["/v1/audio/speech", "/tts/v1/audio/speech"]


def test_sound_is_passed_on_as_it_arrives(engine: RemoteProvider, server: Server) -> None:
    server.answers = [lambda handler: chunked(handler, pause=0.02)]
    parts = list(engine.stream(Utterance("Hello.", "nova")))
    assert len(parts) > 3
    joined = np.concatenate([part.clip.samples for part in parts])
    assert np.array_equal(np.rint(joined * 32768).astype(np.int16), RAMP)


def test_nothing_to_say_asks_nobody(engine: RemoteProvider, server: Server) -> None:
    assert len(say(engine, " 🙂 ")) == 0
    assert server.asked == []


@pytest.mark.parametrize("length", [None, 0xFFFFFFFF])
def test_wav_is_understood_too(engine: RemoteProvider, server: Server, length: int | None) -> None:
    server.answers = [lambda handler: handler.give(200, wav(length=length), "audio/wav")]
    assert np.array_equal(say(engine), RAMP)


def test_another_rate_is_brought_to_ours(server: Server, clock: Clock) -> None:
    engine = made(server.url, clock, server_rate_hz=48000)
    tone = (np.sin(np.arange(48000) / 48000 * 440 * 2 * np.pi) * 10000).astype("<i2")
    server.answers = [lambda handler: handler.give(200, tone.tobytes())]
    samples = say(engine)
    assert len(samples) == pytest.approx(24000, abs=2)
    expected = np.sin(np.arange(len(samples)) / 24000 * 440 * 2 * np.pi) * 10000
    assert np.abs(samples - expected)[1000:-1000].max() < 200


def test_a_busy_server_is_asked_again_when_it_says(engine: RemoteProvider, server: Server, clock: Clock) -> None:
    server.answers = [failing(429, Retry_After="2"), failing(503), sound]
    assert np.array_equal(say(engine), RAMP)
    assert clock.slept == [2.0, 1.0]


def test_a_server_that_stays_busy_is_for_later_and_not_called_broken(
    engine: RemoteProvider, server: Server, clock: Clock
) -> None:
    server.answers = [failing(429, Retry_After="3600")]
    for _ in range(3):
        with pytest.raises(RetryLater, match=r"is busy \(429\)"):
            say(engine)
    assert len(server.asked) == 9
    assert max(clock.slept) <= 5.0


def test_failures_open_the_breaker_which_answers_at_once_until_it_lets_one_through(
    engine: RemoteProvider, server: Server, clock: Clock
) -> None:
    server.answers = [failing(500, f"no {KEY} here")]
    with pytest.raises(RetryLater, match=r"failed \(500\): no … here") as told:
        say(engine)
    assert told.value.code == "remote_unavailable"
    assert len(server.asked) == 3
    with pytest.raises(RetryLater, match="failed 3 times; next try in 15 s"):
        say(engine)
    assert len(server.asked) == 3
    clock.now += 15.1
    # One is let through; it fails, and nobody else is made to wait.
    with pytest.raises(RetryLater, match="failed 4 times"):
        say(engine)
    assert len(server.asked) == 4
    clock.now += 15.1
    server.answers = [sound]
    assert np.array_equal(say(engine), RAMP)
    server.answers = [failing(500), sound]
    assert np.array_equal(say(engine), RAMP)


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        (400, "voice 'moon' is not known", "voice 'moon' is not known"),
        (422, f"bad header Bearer {KEY}", "bad header Bearer …"),
        (404, "no such model sk-other-9999", "no such model sk-…"),
    ],
)
def test_what_the_server_refuses_is_the_asker_s_to_mend(
    engine: RemoteProvider, server: Server, status: int, message: str, expected: str
) -> None:
    server.answers = [failing(status, message)]
    with pytest.raises(BadInput) as told:
        say(engine)
    assert told.value.message == f"the remote speech server refuses it ({status}): {expected}"
    assert len(server.asked) == 1


def test_a_key_that_is_not_taken_is_the_operator_s_to_mend(engine: RemoteProvider, server: Server) -> None:
    server.answers = [failing(401, f"Incorrect API key provided: {KEY}")]
    with pytest.raises(RetryLater, match=r"does not let us in \(401; REMOTE_TTS_API_KEY\): Incorrect .* …$"):
        say(engine)


@pytest.mark.parametrize(
    "answer",
    [
        lambda handler: handler.give(200, RAMP.tobytes()[:20000], length=48000),
        lambda handler: chunked(handler, ended=False),
        lambda handler: handler.give(200, wav()[:-1000], "audio/wav"),
        lambda handler: handler.give(200, RAMP.tobytes()[:-1]),
    ],
    ids=["shorter than its length", "without the last chunk", "shorter than its header says", "half a sample"],
)
def test_a_connection_that_is_cut_is_an_error_and_never_a_short_clip(
    engine: RemoteProvider, server: Server, answer: Answer
) -> None:
    server.answers = [answer]
    with pytest.raises(RetryLater, match="broke off its answer"):
        say(engine)
    heard = []
    with pytest.raises(RetryLater):
        heard += engine.stream(Utterance("Hello.", "nova"))


def test_an_answer_without_an_end_cannot_be_told_from_a_cut_and_is_refused(
    engine: RemoteProvider, server: Server
) -> None:
    def endless(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "audio/pcm")
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(RAMP.tobytes())

    server.answers = [endless]
    with pytest.raises(RetryLater, match="where its answer ends"):
        say(engine)


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b"<html>hello</html>", "text/html", "answers with text/html"),
        (b'{"audio": "..."}', "application/json", "answers with application/json"),
        (b"ID3\x04 an MP3 file", "audio/mpeg", "which is not PCM"),
        (b'{"detail": "x"}', "audio/pcm", "which is not PCM"),
        (b"", "audio/pcm", "no sound"),
        (b"abc", "audio/pcm", "3 bytes"),
        (wav(rate=22050), "audio/wav", "REMOTE_TTS_SAMPLE_RATE says one of 16 bits at 24000 Hz"),
        (wav(channels=2), "audio/wav", "2 channels of 16 bits"),
        (b"RIFF" + b"\0" * 70000, "audio/wav", "without data"),
    ],
)
def test_what_is_no_sound_is_an_error(
    engine: RemoteProvider, server: Server, body: bytes, kind: str, words: str
) -> None:
    server.answers = [lambda handler: handler.give(200, body, kind)]
    with pytest.raises(RetryLater, match=words):
        say(engine)


def test_a_redirect_is_not_followed(engine: RemoteProvider, server: Server) -> None:
    server.answers = [lambda handler: handler.give(302, b"", Location="http://127.0.0.1:1/")]
    with pytest.raises(RetryLater, match="answers 302 instead of sound"):
        say(engine)
    assert len(server.asked) == 1


def test_a_server_that_does_not_answer_in_time_is_for_later(engine: RemoteProvider, server: Server) -> None:
    server.answers = [lambda handler: time.sleep(0.6)]
    with pytest.raises(RetryLater, match=r"does not answer \(ReadTimeout\)"):
        say(engine)


def test_a_server_that_is_not_there_is_for_later(clock: Clock) -> None:
    with pytest.raises(RetryLater, match=r"127\.0\.0\.1:1 does not answer \(ConnectionError\)"):
        say(made("http://127.0.0.1:1", clock))
    assert clock.slept == [0.5, 1.0]


def test_no_more_is_taken_than_a_text_can_need(
    engine: RemoteProvider, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "_MOST_SOUND_SECONDS", 0.5)
    with pytest.raises(RetryLater, match=r"more than 0\.5 s of sound"):
        say(engine)


def test_an_answer_that_never_ends_is_given_up(
    engine: RemoteProvider, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = remote.samples

    def slow(*arguments: Any) -> Iterator[Any]:
        for part in original(*arguments):
            clock.now += 100.0
            yield part

    monkeypatch.setattr(remote, "samples", slow)
    with pytest.raises(RetryLater, match="not done after 180 s"):
        say(engine)


def test_a_password_file_does_not_change_who_we_are(
    engine: RemoteProvider, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests.sessions, "get_netrc_auth", lambda url: ("somebody", "else"))
    say(engine)
    assert server.asked[0][1] == f"Bearer {KEY}"


def test_bytes_become_samples_wherever_they_are_parted() -> None:
    body = wav()
    for size in (1, 3, 43, 44, 45, 1000):
        pieces = [body[start : start + size] for start in range(0, len(body), size)]
        assert np.array_equal(np.concatenate(list(remote_pcm.samples(pieces, 24000))), RAMP)
    assert list(remote_pcm.samples([], 24000)) == []
    with pytest.raises(NotSound):
        list(remote_pcm.samples([b"fL", b"aC...."], 24000))


def test_without_an_address_it_is_not_set_up() -> None:
    with pytest.raises(NotSetUp, match="REMOTE_TTS_URL is not set"):
        provider.load("remote", Device("cpu", 1))
    with pytest.raises(NotSetUp, match="no http"):
        provider.load("remote", Device("cpu", 1), {"url": "ftp://x"})
    loaded = provider.load("remote", Device("cpu", 1), {"url": "http://user:pass@tts.local:8880/v1", "model": "kokoro"})
    assert loaded.revision == "kokoro@tts.local:8880"
