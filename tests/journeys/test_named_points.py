"""A speech worker is killed exactly there, with real work in its hands; another one finishes what it left."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from config.child import Child
from tests.conftest import eventually
from tests.journeys import truth
from tests.journeys.product import HOST, Voiceworks
from tests.journeys.texts import text, texts

KILLING = "tests.journeys.killing_worker"
# Long enough that a fast machine does not claim all of it at once.
SEGMENTS, SENTENCES = 8, 2


@dataclass(frozen=True)
class Left:
    """What a worker leaves that dies over its third segment: in Postgres, and how many files."""

    segments_made: int
    clips_ready: int
    clips_making: int
    files: int


DEATHS = {
    "segment claimed:3": Left(2, 2, 0, 2),
    "clip claimed:3": Left(2, 2, 1, 2),
    "clip spoken:3": Left(2, 2, 1, 2),
    "file written:3": Left(2, 2, 1, 3),
    "clip written:3": Left(2, 2, 1, 3),
    "segment written:3": Left(2, 2, 1, 3),
    # The first news is that the job has begun.
    "committed:4": Left(3, 3, 0, 3),
    "told:3": Left(3, 3, 0, 3),
}


def files(product: Voiceworks) -> int:
    """How many files are stored."""
    return sum(1 for _ in (product.var_dir / "files").glob("??/*"))


def dies(child: Child) -> None:
    """Waits until the worker has killed itself."""
    status = eventually(child.poll, within_seconds=30)
    assert status == -signal.SIGKILL, child.log_tail()


# The deaths that could lose most; the others only with the slow tests.
OFTEN = ("clip spoken:3", "file written:3", "told:3")


@pytest.mark.parametrize(
    "point", [pytest.param(point, marks=() if point in OFTEN else pytest.mark.slow) for point in DEATHS]
)
def test_what_a_worker_leaves_that_dies_at(point: str, bare: Voiceworks) -> None:
    course = texts(f"a worker that dies when {point.partition(':')[0]}", SEGMENTS, sentences=SENTENCES)
    stored = files(bare)
    doomed = bare.worker("doomed", app=KILLING, KILL_AT=point)
    job_id = bare.prefetch(course)
    dies(doomed)
    clips = bare.rows("select state from speech_clips where spec ->> 'text' = any(:course)", course=course)
    found = [clip.state for clip in clips]
    left = Left(bare.done(job_id), found.count("ready"), found.count("making"), files(bare) - stored)
    assert left == DEATHS[point]
    items = bare.rows("select * from job_items where job_id = :job order by position", job=job_id)
    held = {item.position for item in items if item.state == "running"}
    assert {item.lease_node for item in items if item.state == "running"} <= {f"doomed@{HOST}"}
    assert held or left.segments_made == 3
    # The fleet starts it again under its name.
    again = bare.worker("doomed")
    assert bare.until_ended(job_id) == "succeeded"
    again.stop()
    truth.check_course(bare, job_id, course)
    truth.check_nothing_hangs(bare)
    attempts = bare.rows("select position, attempts from job_items where job_id = :job", job=job_id)
    assert {row.position: row.attempts for row in attempts} == {
        position: 2 if position in held else 1 for position in range(SEGMENTS)
    }
    # The same text makes the same file, so that a clip that is made again leaves nothing behind.
    assert files(bare) - stored == SEGMENTS


def test_an_answer_that_was_made_but_never_announced_reaches_its_listener(
    bare: Voiceworks, measured: Callable[..., None]
) -> None:
    words = text("an answer that nobody announced")
    # The first news is that the request was taken.
    doomed = bare.worker("doomed", app=KILLING, KILL_AT="committed:2")
    began = time.monotonic()
    answer = bare.speak(words)
    measured("the answer came after", time.monotonic() - began)
    dies(doomed)
    assert (answer.status_code, answer.headers["X-TTS-Cache-Status"]) == (200, "miss")
    truth.check_nothing_hangs(bare)


@pytest.mark.slow
def test_a_live_request_of_a_worker_that_never_comes_back_is_given_to_another(
    bare: Voiceworks, measured: Callable[..., None]
) -> None:
    words = text("a request whose worker never comes back")
    doomed = bare.worker("doomed", app=KILLING, KILL_AT="clip claimed:1")
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(bare.speak, words)
        dies(doomed)
        began = time.monotonic()
        other = bare.worker("other")
        answer = call.result(60)
    # Its lease lasts ten seconds, and the reclaimer looks every five.
    waited = time.monotonic() - began
    measured("the answer came after", waited)
    assert (answer.status_code, answer.headers["X-TTS-Cache-Status"]) == (200, "miss")
    assert 3 < waited < 30
    made = bare.rows("select attempts from jobs where params -> 'clip' ->> 'text' = :words", words=words)
    assert [row.attempts for row in made] == [2]
    other.stop()
    truth.check_nothing_hangs(bare)
