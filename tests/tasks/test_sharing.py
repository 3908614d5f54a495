"""A long live text by several workers: the same sound as by one, whatever becomes of the helpers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import redis

from models.db import Database
from models.jobs.tables import Job
from models.speech_pieces import Pieces
from tasks import run, sharing, speech
from tasks.process import Process
from tests import making
from workers import resident
from workers.audio import codec
from workers.audio.clip import Clip
from workers.errors import RetryLater, Stopped
from workers.tts.provider import Spoken, Utterance, Word

LIVE = "tts.live.test"
TEXT = " ".join(f"This is sentence number {number} of a longer text." for number in range(8))
Rung = Callable[[], list[str]]


@pytest.fixture
def invited(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The jobs that helpers were rung for."""
    jobs: list[str] = []
    monkeypatch.setattr(sharing.app, "send_task", lambda name, args, queue: jobs.append(args[0]))
    return jobs


@pytest.fixture
def able(database: Database) -> None:
    """Three workers on the lane."""
    for node in "abc":
        making.register(database, node, LIVE)


def submit(database: Database, text: str = TEXT) -> Job:
    params = {"clip": vars(making.spec(text)), "form": {"format": "wav"}}
    return making.submit(database, kind="speech.speak", lane=LIVE, live=True, params=params)


def spoken(process: Process, database: Database, text: str = TEXT) -> Clip:
    """The text by way of a live job."""
    job = submit(database, text)
    run.run_slice("speech.speak", job.id)
    done = making.read(database, job)
    assert done.state == "succeeded", done.error_message
    assert done.result is not None
    return codec.decode(process.files.path(done.result["file"]).read_bytes())


def alone(process: Process, database: Database, monkeypatch: pytest.MonkeyPatch) -> Clip:
    with monkeypatch.context() as patch:
        patch.setattr(sharing, "SHARED_FROM", 1000)
        clip = spoken(process, database)
    with database.transaction() as session:
        speech.speech_clips.forget_file(session, making.spec(TEXT).key)
    return clip


class Helper(list[int]):
    """Somebody who helps with whatever is rung for: the numbers of the pieces that were handed over."""

    over: threading.Event
    thread: threading.Thread

    def leave(self) -> None:
        """Finishes what is in hand, and helps no more."""
        self.over.set()
        self.thread.join(10)
        assert not self.thread.is_alive()


@pytest.fixture
def helper(invited: list[str], process: Process) -> Iterator[Helper]:
    """A helper."""
    handed = Helper()
    handed.over = over = threading.Event()
    put = Pieces.put

    def noting(self: Pieces, number: int, content: bytes) -> None:
        handed.append(number)
        put(self, number, content)

    def help_for_ever() -> None:
        while not over.is_set():
            if invited:
                sharing.help_with(invited.pop())
            time.sleep(0.001)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pieces, "put", noting)
        handed.thread = threading.Thread(target=help_for_ever)
        handed.thread.start()
        yield handed
        handed.leave()


@pytest.mark.usefixtures("able")
def test_a_text_that_others_help_with_sounds_as_if_one_had_spoken_it(
    process: Process, database: Database, helper: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    single = alone(process, database, monkeypatch)
    shared = spoken(process, database)
    assert helper, "nobody helped"
    assert np.array_equal(shared.samples, single.samples)


@pytest.mark.usefixtures("able")
def test_a_helper_that_dies_with_a_piece_costs_a_moment_and_no_sound(
    process: Process, database: Database, invited: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    single = alone(process, database, monkeypatch)
    monkeypatch.setattr(sharing, "PATIENCE_SECONDS", 0.2)
    opened = Pieces.open

    def and_take_some(self: Pieces, plan: dict[str, object]) -> None:
        opened(self, plan)
        assert [self.take() for _ in range(2)] == [1, 2]

    monkeypatch.setattr(Pieces, "open", and_take_some)
    assert np.array_equal(spoken(process, database).samples, single.samples)


@pytest.mark.usefixtures("able")
def test_as_many_are_rung_as_can_help(process: Process, database: Database, invited: list[str]) -> None:
    spoken(process, database)
    assert len(invited) == 2


@pytest.mark.usefixtures("able")
def test_a_short_text_is_spoken_by_one(process: Process, database: Database, invited: list[str]) -> None:
    spoken(process, database, "One. Two. Three.")
    assert invited == []


def test_where_nobody_else_is_nobody_is_rung(process: Process, database: Database, invited: list[str]) -> None:
    making.register(database, "a", LIVE)
    spoken(process, database)
    assert invited == []


@pytest.mark.usefixtures("able")
def test_nothing_is_left_when_the_text_is_spoken(process: Process, database: Database, helper: Helper) -> None:
    spoken(process, database)
    assert helper
    # One that was late takes back what it handed over.
    helper.leave()
    assert list(process.streams.scan_iter("speech-p*")) == []


@pytest.mark.usefixtures("able")
def test_without_the_scratch_server_the_text_is_spoken_alone(
    process: Process, database: Database, invited: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "streams", redis.Redis(port=1, socket_connect_timeout=0.2))
    assert spoken(process, database).duration_seconds > 5
    assert invited == []


@pytest.mark.usefixtures("able")
def test_a_text_that_nobody_wants_any_more_is_left_by_its_helpers(
    process: Process, database: Database, invited: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(work: run.Work, progress: float, phase: str) -> None:
        if progress > 0:
            raise Stopped

    monkeypatch.setattr(run.Work, "report", stop)
    job = submit(database)
    run.run_slice("speech.speak", job.id)
    assert invited
    pieces = Pieces(process.streams, job.id)
    assert pieces.plan() is None
    # Late for nothing.
    sharing.help_with(job.id)
    assert pieces.get(1) is None


def test_a_helper_without_the_engine_leaves(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise RetryLater(f"no {name}")

    monkeypatch.setattr(resident, "engine", missing)
    pieces = Pieces(process.streams, "job")
    pieces.open({"engine": "absent", "lane": LIVE, "utterances": []})
    sharing.help_with("job")
    assert pieces.take() == 1
    pieces.close(0)


def test_a_helper_does_not_run_far_ahead_of_those_who_listen(
    process: Process, invited: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "BACKLOG", 3)
    utterances = [vars(Utterance(f"Sentence {number}.", "heart")) for number in range(20)]
    pieces = Pieces(process.streams, "job")
    pieces.open({"engine": "hibari", "lane": LIVE, "utterances": utterances})
    sharing.help_with("job")
    assert pieces.backlog() <= 4
    # It comes again later.
    assert invited == ["job"]
    pieces.close(20)


def test_a_piece_survives_its_way() -> None:
    clip = Clip(np.array([0.1, -1.0, 0.0, 10 / 3], np.float32), 22050)
    sent = Spoken(clip, (Word("naïve", 0.0, 0.25), Word("\n", 0.25, 0.5)))
    came = sharing.unpack(sharing.pack(sent))
    assert came.words == sent.words
    assert came.clip.sample_rate_hz == 22050
    assert np.array_equal(came.clip.samples, clip.samples)


def test_whoever_comes_after_the_end_takes_nothing_and_leaves_nothing(process: Process) -> None:
    pieces = Pieces(process.streams, "job")
    pieces.open({"engine": "fake"})
    assert pieces.take() == 1
    pieces.close(3)
    assert pieces.take() is None
    assert list(process.streams.scan_iter("speech-p*")) == []
