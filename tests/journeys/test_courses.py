"""A course made for later: watched, paused, resumed, cancelled, shared by workers, found again after a restart."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from tests.conftest import eventually
from tests.journeys import truth
from tests.journeys.product import BULK, HOST, Voiceworks
from tests.journeys.texts import texts

# Segments enough that the bulk workers are not through with them before a test has looked.
PLENTY = 6 * len(BULK)
# How long nothing may happen before we believe that nothing will.
QUIET_SECONDS = 2.0


def claimed(product: Voiceworks, job_id: str) -> set[int]:
    """The positions of the items that some worker has begun."""
    begun = "select position from job_items where job_id = :job and attempts > 0"
    return {row.position for row in product.rows(begun, job=job_id)}


def running(product: Voiceworks, job_id: str) -> int:
    """How many items of a job are in some worker's hands."""
    return int(product.value("select count(*) from job_items where job_id = :job and state = 'running'", job=job_id))


def check_nothing_starts(product: Voiceworks, job_id: str) -> None:
    """What is in hand is finished and kept; for two seconds nothing else is begun."""
    changed_at = product.value("select updated_at from jobs where id = :job", job=job_id)
    eventually(lambda: running(product, job_id) == 0)
    begun, ends = claimed(product, job_id), time.monotonic() + QUIET_SECONDS
    while time.monotonic() < ends:
        assert claimed(product, job_id) == begun
        time.sleep(0.05)
    # A claim that was under way at that moment may still have come through.
    late = "select count(*) from job_items where job_id = :job and started_at > :changed_at + interval '250 ms'"
    assert product.value(late, job=job_id, changed_at=changed_at) == 0
    assert product.done(job_id) == len(begun)


def test_a_course_is_watched_from_its_first_segment_to_its_last(product: Voiceworks) -> None:
    # One text comes three times: three segments, one clip.
    course = texts("a course that is watched", 20 * len(BULK), sentences=2)
    course += [course[0], course[10]]
    job_id = product.prefetch(course)
    with product.socket(f"/ws/jobs/{job_id}") as opened:
        heard = opened.collect("job.finished", within_seconds=60)
        assert opened.closed() == 1000
    assert heard[0]["type"] == "job.snapshot"
    assert [message["type"] for message in heard[1:-1]] == ["job.progress"] * (len(heard) - 2)
    news = [message["data"] for message in heard]
    assert all(one["version"] < other["version"] for one, other in pairwise(news))
    assert all(one["progress"] <= other["progress"] for one, other in pairwise(news))
    assert len({one["progress"] for one in news}) > 4
    assert (news[-1]["state"], news[-1]["progress"]) == ("succeeded", 1.0)
    assert news[-1]["items"] == {"total": len(course), "succeeded": len(course), "failed": 0}
    truth.check_course(product, job_id, course)
    assert sum(truth.synthesized(product)[key] for key in truth.keys_of(product, job_id)) == len(course) - 2
    shown = product.api("GET", f"/api/tts/prefetch/{job_id}").json()
    assert (shown["status"], shown["completed_segments"], shown["cached_segments"]) == ("completed", len(course), 0)


def test_a_paused_course_begins_nothing_until_it_is_resumed(product: Voiceworks) -> None:
    course = texts("a course that is paused", PLENTY, sentences=4)
    job_id = product.prefetch(course)
    eventually(lambda: product.done(job_id) > 1)
    paused = product.api("POST", f"/api/jobs/{job_id}/pause")
    assert (paused.status_code, paused.json()["state"]) == (200, "paused")
    check_nothing_starts(product, job_id)
    assert product.state(job_id) == "paused"
    assert 0 < product.done(job_id) < len(course)
    assert product.api("POST", f"/api/jobs/{job_id}/pause").status_code == 409
    resumed = product.api("POST", f"/api/jobs/{job_id}/resume")
    assert (resumed.status_code, resumed.json()["state"]) == (200, "queued")
    assert product.until_ended(job_id) == "succeeded"
    truth.check_course(product, job_id, course)
    assert product.value("select max(attempts) from job_items where job_id = :job", job=job_id) == 1


def test_a_cancelled_course_stops_and_keeps_what_was_made(product: Voiceworks) -> None:
    course = texts("a course that is cancelled", PLENTY, sentences=4)
    job_id = product.prefetch(course)
    eventually(lambda: product.done(job_id) > 1)
    cancelled = product.api("DELETE", f"/api/tts/prefetch/{job_id}")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    check_nothing_starts(product, job_id)
    assert product.state(job_id) == "cancelled"
    made = product.rows(
        "select position, result from job_items where job_id = :job and state = 'succeeded'", job=job_id
    )
    assert 0 < len(made) < len(course)
    truth.check_clips(product, {row.result["clip"] for row in made})
    answers = [product.speak(course[row.position]) for row in made]
    assert {answer.headers["X-TTS-Cache-Status"] for answer in answers} == {"hit"}
    truth.check_nothing_hangs(product)
    # Another try makes the rest only.
    again = product.prefetch(course)
    assert product.until_ended(again) == "succeeded"
    truth.check_course(product, again, course)
    cached = "select (params ->> 'cached_segments')::int from jobs where id = :job"
    assert product.value(cached, job=again) == len(made)


@pytest.mark.skipif(len(BULK) < 2, reason="one core has one bulk worker")
def test_all_bulk_workers_share_one_course(product: Voiceworks) -> None:
    course = texts("a course for many hands", PLENTY, sentences=4)
    job_id = product.prefetch(course)
    at_work: set[str] = set()
    named: set[str] = set()

    def ended() -> bool:
        held = "select distinct lease_node from job_items where job_id = :job and state = 'running'"
        at_work.update(row.lease_node for row in product.rows(held, job=job_id))
        busy = "select node from workers where current_unit like 'speech.prefetch %'"
        named.update(row.node for row in product.rows(busy))
        return product.state(job_id) == "succeeded"

    eventually(ended, within_seconds=60)
    assert at_work == {f"{name}@{HOST}" for name in BULK}
    # What a worker does now is told with its heartbeat, so not each is seen at it.
    assert named <= at_work
    truth.check_course(product, job_id, course)


@pytest.mark.slow
def test_a_second_start_finds_everything_made(product: Voiceworks, measured: Callable[..., None]) -> None:
    course = texts("a course for two days", 6)
    job_id = product.prefetch(course)
    assert product.until_ended(job_id) == "succeeded"
    product.stop()
    measured("from the command until it can speak, the second time", product.start())
    truth.check_course(product, job_id, course)
    curriculum_id = product.value("select params ->> 'curriculum_id' from jobs where id = :job", job=job_id)
    again = product.api("POST", "/api/tts/prefetch/topic", json={"curriculum_id": curriculum_id}).json()
    assert (again["status"], again["cached_segments"], again["total_segments"]) == ("completed", 6, 6)
    assert product.speak(course[3]).headers["X-TTS-Cache-Status"] == "hit"
    truth.check_nothing_hangs(product)
