"""Speech heard while it is made, over a real web process: first bytes early, nothing ever cut short in silence."""

from __future__ import annotations

import dataclasses
import http.client
import json
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from numpy.typing import NDArray

from config.child import Child
from config.settings import Settings
from config.versions import AUDIO_FORMATS
from models.base import utc_now
from models.db import Database
from models.speech_renditions import Form
from tasks import lapses, speech, submit
from tasks.process import Process
from tests.app.conftest import row_counts
from tests.app.test_live import BOOK, PARAGRAPH, jobs
from tests.conftest import eventually
from tests.web import REPOSITORY, Web
from workers.audio import codec
from workers.audio.clip import Clip
from workers.audio.encoder import StreamEncoder

RATE = 24000
SSE = "/v1/audio/speech"
# As much as OpenAI's clients may ask for: several seconds of work.
CHAPTER = BOOK[:4096]


class Listener:
    """Somebody who asked for speech and hears it as it comes."""

    def __init__(
        self, web: Web, text: str, headers: dict[str, str], *, path: str = "/api/tts?stream=1", **fields: Any
    ) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=30)
        body = {"text": text} | fields if "/v1/" not in path else {"input": text, "model": "tts-1"} | fields
        self._connection.request("POST", path, json.dumps(body), headers | {"Content-Type": "application/json"})
        self._answer: http.client.HTTPResponse | None = None

    @property
    def answer(self) -> http.client.HTTPResponse:
        """Status and headers; waited for at first."""
        if self._answer is None:
            self._answer = self._connection.getresponse()
        return self._answer

    def first(self) -> bytes:
        """The first bytes there are."""
        return self.answer.read1(65536)

    def rest(self) -> bytes:
        """Everything to the end.

        Raises:
            http.client.IncompleteRead: the connection was cut.
        """
        return self.answer.read()

    def hang_up(self) -> None:
        """Closes the connection at once."""
        if self._answer is not None:
            self._answer.close()
        if self._connection.sock is not None:
            self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._connection.close()


def samples(wav: bytes) -> NDArray[np.int16]:
    """The sound of a WAV file, its header, which may know no length, left out."""
    assert wav[:4] == b"RIFF"
    assert wav[36:40] == b"data"
    return np.frombuffer(wav[44:], "<i2")


def test_the_first_bytes_come_while_the_rest_is_still_being_made(
    web: Web, worker: object, clean: None, customer: dict[str, str], database: Database
) -> None:
    text = PARAGRAPH * 3
    began = time.monotonic()
    listener = Listener(web, text, customer)
    first = listener.first()
    took, at = time.monotonic() - began, utc_now()
    assert listener.answer.status == 200
    assert listener.answer.headers["Transfer-Encoding"] == "chunked"
    assert "Content-Length" not in listener.answer.headers
    assert listener.answer.headers["X-TTS-Cache-Status"] == "miss"
    assert listener.answer.headers["X-TTS-Sample-Rate"] == str(RATE)
    assert first[:4] == b"RIFF"
    whole = first + listener.rest()
    print(f"first byte after {took * 1000:.0f} ms, all after {(time.monotonic() - began) * 1000:.0f} ms")
    job = eventually(lambda: (found := jobs(database)[0]).finished_at and found)
    assert job.state == "succeeded"
    assert at < job.finished_at
    stored = web.post("/api/tts", json={"text": text}, headers=customer)
    assert stored.headers["X-TTS-Cache-Status"] == "hit"
    assert np.array_equal(samples(whole), samples(stored.content))


@pytest.mark.parametrize("name", AUDIO_FORMATS)
def test_what_is_heard_is_a_stream_of_its_format_as_long_as_the_clip(
    web: Web, worker: object, clean: None, customer: dict[str, str], name: str
) -> None:
    text = "One sentence. And another one, a little longer."
    heard = Listener(web, text, customer, format=name)
    content = heard.first() + heard.rest()
    assert heard.answer.headers["Content-Type"] == AUDIO_FORMATS[name].media_type
    stored = web.post("/api/tts", json={"text": text, "format": name}, headers=customer)
    seconds = float(stored.headers["X-TTS-Duration-Seconds"])
    rate = int(heard.answer.headers["X-TTS-Sample-Rate"])
    clip = Clip(np.frombuffer(content, "<i2").astype(np.float32), rate) if name == "pcm" else codec.decode(content)
    assert clip.sample_rate_hz == rate == int(stored.headers["X-TTS-Sample-Rate"])
    # A stream of MP3 cannot say how much its encoder put before and after the sound, AAC never can.
    longest = {"mp3": 0.11, "aac": 2 * 1024 / rate}.get(name, 0.001)
    assert -0.001 <= clip.duration_seconds - seconds <= longest


def test_rate_and_channels_are_those_asked_for(web: Web, worker: object, clean: None, customer: dict[str, str]) -> None:
    heard = Listener(web, "Two channels.", customer, sample_rate=16000, channels=2)
    content = heard.first() + heard.rest()
    assert int.from_bytes(content[22:24], "little") == 2
    assert int.from_bytes(content[24:28], "little") == 16000
    assert heard.answer.headers["X-TTS-Sample-Rate"] == "16000"
    both = samples(content).reshape(-1, 2)
    assert np.array_equal(both[:, 0], both[:, 1])
    stored = web.post("/api/tts", json={"text": "Two channels."}, headers=customer)
    assert len(both) / 16000 == pytest.approx(float(stored.headers["X-TTS-Duration-Seconds"]), abs=0.001)


# --- Several listeners -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["wav", "mp3"])
def test_one_who_joins_late_hears_the_same_from_the_beginning(
    web: Web, worker: object, clean: None, customer: dict[str, str], database: Database, name: str
) -> None:
    first = Listener(web, PARAGRAPH, customer, format=name)
    begun = first.first()
    late = Listener(web, PARAGRAPH, customer, format=name)
    replayed = late.first()
    assert [one.answer.headers["X-TTS-Cache-Status"] for one in (first, late)] == ["miss", "joined"]
    assert replayed + late.rest() == begun + first.rest()
    (job,) = jobs(database)
    assert job.attempts == 1
    assert row_counts(database)["speech_clips"] == 1
    eventually(lambda: row_counts(database)["job_waiters"] == 0)
    assert eventually(lambda: (state := jobs(database)[0].state) != "running" and state) == "succeeded"


def test_a_crowd_hears_one_synthesis(
    web: Web, worker: object, clean: None, customer: dict[str, str], database: Database
) -> None:
    crowd = [Listener(web, PARAGRAPH, customer) for _ in range(12)]
    heard = {samples(one.first() + one.rest()).tobytes() for one in crowd}
    assert len(heard) == 1
    outcomes = [one.answer.headers["X-TTS-Cache-Status"] for one in crowd]
    assert outcomes.count("miss") == 1
    assert set(outcomes) <= {"miss", "joined", "hit"}
    assert [job.attempts for job in jobs(database)] == [1]


def test_whoever_asks_afterwards_gets_the_file(
    web: Web, worker: object, clean: None, customer: dict[str, str], database: Database
) -> None:
    heard = Listener(web, "Said once.", customer, format="opus")
    heard.first()
    heard.rest()
    eventually(lambda: jobs(database)[0].state == "succeeded")
    again = web.post("/api/tts?stream=1", json={"text": "Said once.", "format": "opus"}, headers=customer)
    assert (again.status_code, again.headers["X-TTS-Cache-Status"]) == (200, "hit")
    assert again.headers["Content-Length"] == str(len(again.content))
    assert "Transfer-Encoding" not in again.headers
    assert again.headers["ETag"]
    assert len(jobs(database)) == 1


def test_a_job_that_was_heard_to_its_end_succeeds_though_nobody_waits_for_its_file(
    web: Web, worker: object, clean: None, customer: dict[str, str], database: Database
) -> None:
    # A minute of MP3, which is heard before it is stored.
    heard = Listener(web, PARAGRAPH * 2, customer, format="mp3")
    assert heard.first() + heard.rest()
    job = eventually(lambda: (found := jobs(database)[0]).finished_at and found)
    assert (job.state, job.error_code) == ("succeeded", None)


def test_a_listener_joins_the_one_who_waits_for_the_whole(
    web: Web, worker: object, clean: None, customer: dict[str, str], database: Database
) -> None:
    whole = Listener(web, PARAGRAPH, customer, path="/api/tts")
    eventually(lambda: [job.state for job in jobs(database)] == ["running"])
    heard = Listener(web, PARAGRAPH, customer)
    assert heard.first() + heard.rest() == whole.first() + whole.rest()
    assert row_counts(database)["speech_clips"] == 1
    assert sum(not job.result["cached"] for job in jobs(database) if job.result) == 1


# --- Who hangs up ----------------------------------------------------------------------------------------------------


def test_a_listener_who_hangs_up_frees_the_worker_for_the_next(
    web: Web, worker: object, clean: None, customer: dict[str, str], database: Database
) -> None:
    gaps = []
    for number in range(3):
        gone = Listener(web, f"{number}. {BOOK}", customer)
        gone.first()
        following = Listener(web, f"Number {number}, please.", customer)
        (first, _) = eventually(lambda: len(found := jobs(database)[-2:]) == 2 and found)
        at = utc_now()
        gone.hang_up()
        assert following.first() + following.rest()
        (first, second) = jobs(database)[-2:]
        assert (first.state, first.error_code) == ("cancelled", "abandoned")
        gaps.append((second.started_at - at).total_seconds())
        eventually(lambda: {job.state for job in jobs(database)} <= {"cancelled", "succeeded"})
    print(f"from hanging up to the worker's next job: {', '.join(f'{gap * 1000:.0f}' for gap in gaps)} ms")
    assert sorted(gaps)[1] < 1.0


def test_one_of_two_listeners_takes_nothing_from_the_other(
    web: Web, worker: object, clean: None, customer: dict[str, str], database: Database
) -> None:
    gone, stays = (Listener(web, PARAGRAPH, customer, format="pcm") for _ in range(2))
    gone.first()
    begun = stays.first()
    gone.hang_up()
    whole = begun + stays.rest()
    eventually(lambda: jobs(database)[0].state == "succeeded")
    stored = web.post("/api/tts", json={"text": PARAGRAPH, "format": "pcm"}, headers=customer)
    assert stored.content == whole


# --- What goes wrong -------------------------------------------------------------------------------------------------


def test_a_failure_before_the_first_byte_is_an_error_with_its_status(
    web: Web, worker: object, clean: None, customer: dict[str, str]
) -> None:
    for fields in ({"text": "你好"}, {"text": "Hi.", "voice_id": "nobody"}, {"text": "Hi.", "loudness_lufs": -16}):
        answer = web.post("/api/tts?stream=1", json=fields, headers=customer)
        assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR")
    said = web.post(SSE, json={"model": "tts-1", "voice": "nova", "input": "你好"}, headers=customer)
    assert (said.status_code, said.json()["error"]["type"]) == (400, "invalid_request_error")


def test_without_a_worker_a_stream_is_refused(web: Web, clean: None, customer: dict[str, str], no_worker: None) -> None:
    answer = web.post("/api/tts?stream=1", json={"text": "Nobody can say this."}, headers=customer)
    assert (answer.status_code, answer.json()["code"]) == (503, "PROVIDER_UNAVAILABLE")
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize("path", ["/api/tts?stream=1", "/v1/audio/speech"])
def test_a_failure_after_the_first_byte_never_looks_like_the_end(
    web: Web, worker: object, clean: None, customer: dict[str, str], database: Database, path: str
) -> None:
    heard = Listener(web, CHAPTER, customer, path=path, **({"voice": "nova"} if "/v1/" in path else {}))
    assert heard.first()
    (job,) = jobs(database)
    assert web.post(f"/api/jobs/{job.id}/cancel", headers=customer).status_code == 200
    with pytest.raises((http.client.IncompleteRead, http.client.RemoteDisconnected, ConnectionError)):
        heard.rest()


@pytest.mark.parametrize("path", ["/api/tts?stream=1", SSE])
def test_a_client_that_cannot_see_a_break_gets_the_whole_with_its_length(
    web: Web, worker: object, clean: None, customer: dict[str, str], path: str
) -> None:
    body = json.dumps({"text": "Old."} if path != SSE else {"input": "Old.", "model": "tts-1", "voice": "nova"})
    head = [f"POST {path} HTTP/1.0", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    head += [f"{name}: {value}" for name, value in customer.items()]
    with socket.create_connection(("127.0.0.1", web.port), timeout=30) as connection:
        connection.sendall("\r\n".join([*head, "", body]).encode())
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert (answer.status, answer.headers["X-TTS-Cache-Status"]) == (200, "miss")
        assert len(answer.read()) == int(answer.headers["Content-Length"])


def test_a_failure_after_the_first_event_is_an_event(
    web: Web, worker: object, clean: None, customer: dict[str, str], database: Database
) -> None:
    heard = Listener(web, CHAPTER, customer, path=SSE, voice="nova", stream_format="sse")
    begun = heard.first()
    (job,) = jobs(database)
    web.post(f"/api/jobs/{job.id}/cancel", headers=customer)
    events = [
        json.loads(line.removeprefix("data: "))
        for line in (begun + heard.rest()).decode().splitlines()
        if line.startswith("data: ")
    ]
    assert {event["type"] for event in events[:-1]} == {"speech.audio.delta"}
    assert events[-1]["type"] == "error"
    assert job.id in events[-1]["error"]["message"]


@pytest.fixture
def doomed(configured: Settings, worker: object, tmp_path: Path) -> Iterator[Child]:
    """A worker beside the others, to be killed."""
    ready = tmp_path / "ready"
    child = Child(
        name="doomed",
        argv=[
            *(sys.executable, "-m", "celery", "--app=tasks.worker", "worker", "--pool=solo", "--hostname=doomed@here"),
            *("--queues=tts.live.neural", "--without-gossip", "--without-mingle"),
        ],
        log_path=tmp_path / "doomed.log",
        env={"WORKER_ENGINES": "hibari", "WORKER_READY_FILE": str(ready)},
        cwd=REPOSITORY,
    )
    child.start()
    eventually(ready.exists, within_seconds=60)
    yield child
    child.stop()


@pytest.mark.slow
def test_when_a_worker_dies_another_goes_on_at_the_same_byte(
    web: Web, configured: Settings, doomed: Child, clean: None, customer: dict[str, str], database: Database
) -> None:
    text = PARAGRAPH * 4
    # Two workers, one of which has to have this book in hand.
    books = [Listener(web, f"{number}. {BOOK}", customer) for number in range(2)]
    eventually(lambda: [job.state for job in jobs(database)] == ["running"] * 2)
    (in_hand,) = (job.params["clip"]["text"] for job in jobs(database) if job.lease_node == "doomed@here")
    on_doomed = int(in_hand[0])
    books[on_doomed].hang_up()
    heard = Listener(web, text, customer, format="mp3")
    begun = heard.first()
    assert jobs(database)[-1].lease_node == "doomed@here"
    doomed.kill()
    books[1 - on_doomed].hang_up()
    process = Process(configured)
    lapses.take_back(process, node="doomed@here")
    process.database.dispose()
    whole = begun + heard.rest()
    job = eventually(lambda: (found := jobs(database)[-1]).finished_at and found)
    assert (job.state, job.attempts) == ("succeeded", 2)
    stored = web.post("/api/tts", json={"text": text}, headers=customer)
    assert stored.headers["X-TTS-Cache-Status"] == "hit"
    encoder = StreamEncoder(AUDIO_FORMATS["mp3"], RATE)
    assert whole == encoder.feed(samples(stored.content).astype(np.float32) / 32768) + encoder.finish()


@pytest.mark.parametrize("path", ["/api/tts?stream=1", "/v1/audio/speech"])
def test_without_the_stream_server_the_whole_comes_at_the_end(
    configured: Settings, worker: object, clean: None, customer: dict[str, str], path: str
) -> None:
    from app import create_app

    app = create_app(dataclasses.replace(configured, stream_redis_url="redis://127.0.0.1:1/0"))
    http: FlaskClient = app.test_client()
    both = {"text": "No stream.", "input": "No stream.", "model": "tts-1", "voice": "nova"}
    names = ("input", "model", "voice") if "/v1/" in path else ("text",)
    answer = http.post(path, json={name: both[name] for name in names}, headers=customer)
    assert (answer.status_code, answer.headers["X-TTS-Cache-Status"]) == (200, "miss")
    stored = http.post(
        "/api/tts", json={"text": "No stream.", "format": "mp3" if "/v1/" in path else "wav"}, headers=customer
    )
    assert stored.headers["X-TTS-Cache-Status"] == "hit"
    assert answer.data == stored.data
    app.extensions["voiceworks"].hub.stop()
    app.extensions["voiceworks"].database.dispose()


def test_a_worker_that_cannot_reach_the_stream_server_makes_the_clip_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    outlet = speech.Outlet(submit.open_redis("redis://127.0.0.1:1/0"), "job", Form("wav"), RATE)
    for _ in range(3):
        outlet.hear(Clip(np.zeros(100, np.float32), RATE))
    outlet.close()
    # It is tried once, and said once: each try would cost the clip its time.
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "Speech cannot be heard while it is made"
    ]
