"""The reclaimer's round and the cache's."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
import redis
from sqlalchemy import func, select, update

from models import curriculum_assets, speech_clips
from models.base import utc_now
from models.curriculum_assets import NewAsset
from models.db import Database
from models.events import Doorbell
from models.files import GRACE_SECONDS
from models.jobs import lifecycle, waiters, work
from models.jobs.tables import Job, JobWaiter
from models.speech_clips import SpeechClip
from models.speech_renditions import Form, MadeFile
from tasks import lapses, submit, upkeep
from tasks.kinds import KINDS
from tasks.process import Process
from tests import making
from tests.tasks.conftest import LIVE, PARTS, SINGLE

Rung = Callable[[], list[str]]
pytestmark = pytest.mark.usefixtures("process")


def workers(database: Database, count: int) -> None:
    for number in range(count):
        making.register(database, f"w{number}", making.LANE)


def test_the_attempts_of_every_kind_are_known() -> None:
    assert set(lapses.ATTEMPTS) == set(KINDS)


# --- Lost doorbells --------------------------------------------------------------------------------------------------


def test_a_job_nobody_was_rung_for_is_rung_once(database: Database, rung: Rung) -> None:
    workers(database, 2)
    job = making.submit(database, kind=SINGLE)
    upkeep.reclaim()
    assert rung() == [job.id]
    upkeep.reclaim()
    upkeep.reclaim()
    assert rung() == [job.id]


def test_no_more_is_rung_than_waits_and_is_not_in_the_queue_already(database: Database, rung: Rung) -> None:
    workers(database, 1)
    jobs = [making.submit(database, kind=SINGLE) for _ in range(5)]
    for job in jobs[:2]:
        submit.ring(Doorbell(making.LANE, SINGLE, job.id))
    upkeep.reclaim()
    assert len(rung()) == 5
    # Whichever were taken for those in the queue: a message buys a slice of its own job.
    assert set(rung()) <= {job.id for job in jobs}


def test_a_job_with_items_is_rung_for_the_hands_that_are_free(database: Database, rung: Rung) -> None:
    workers(database, 3)
    job = making.submit(database, kind=PARTS, items=10)
    making.claim_items(database, job, 2, node="w0")
    upkeep.reclaim()
    assert rung() == [job.id] * 2
    upkeep.reclaim()
    assert rung() == [job.id] * 2


def test_a_job_with_fewer_items_than_hands_is_rung_for_its_items(database: Database, rung: Rung) -> None:
    workers(database, 3)
    job = making.submit(database, kind=PARTS, items=2)
    upkeep.reclaim()
    assert rung() == [job.id] * 2


def test_a_job_that_has_all_hands_is_not_rung(database: Database, rung: Rung) -> None:
    workers(database, 2)
    job = making.submit(database, kind=PARTS, items=10)
    making.claim_items(database, job, 1, node="w0")
    making.claim_items(database, job, 1, node="w1")
    upkeep.reclaim()
    assert rung() == []


def test_the_oldest_job_is_rung_first(database: Database, rung: Rung) -> None:
    workers(database, 1)
    jobs = [making.submit(database, kind=SINGLE).id for _ in range(3)]
    upkeep.reclaim()
    assert rung() == jobs


def test_what_is_not_due_or_rests_or_runs_is_not_rung(database: Database, rung: Rung) -> None:
    workers(database, 2)
    later, parked, paused, ended = (making.submit(database, kind=SINGLE) for _ in range(4))
    making.claim(database, making.submit(database, kind=SINGLE))
    making.change(database, later, run_after=func.now() + timedelta(seconds=60))
    with database.transaction() as session:
        lifecycle.pause(session, paused.id)
        lifecycle.cancel(session, ended.id)
    held = making.claim(database, parked)
    with database.transaction() as session:
        work.release(session, held, waits_on="clip:x", for_seconds=60)
    upkeep.reclaim()
    assert rung() == []
    making.change(database, later, run_after=func.now())
    upkeep.reclaim()
    assert rung() == [later.id]


def test_a_job_of_a_lane_that_is_no_more_does_not_keep_the_others_waiting(database: Database, rung: Rung) -> None:
    workers(database, 1)
    making.submit(database, kind=SINGLE, lane="a.removed.lane")
    job = making.submit(database, kind=SINGLE)
    upkeep.reclaim()
    assert rung() == [job.id]


# --- Lost workers ----------------------------------------------------------------------------------------------------


def test_a_lapsed_job_comes_back_and_is_rung_once(database: Database, rung: Rung) -> None:
    workers(database, 1)
    job = making.submit(database, kind=SINGLE)
    making.claim(database, job, lease_seconds=-1)
    upkeep.reclaim()
    upkeep.reclaim()
    assert making.read(database, job).state == "queued"
    assert rung() == [job.id]


def test_a_job_that_kills_its_workers_fails_as_often_as_its_kind_may_be_tried(database: Database, rung: Rung) -> None:
    workers(database, 1)
    job = making.submit(database, kind=SINGLE)
    for _ in range(KINDS[SINGLE].attempts):
        making.claim(database, job, lease_seconds=-1)
        upkeep.reclaim()
    failed = making.read(database, job)
    assert (failed.state, failed.error_code, failed.attempts) == ("failed", "worker_lost", 3)


def test_who_waits_for_a_clip_of_a_lost_maker_is_woken(database: Database, rung: Rung) -> None:
    workers(database, 1)
    job = making.submit(database, kind=SINGLE)
    held = making.claim(database, job)
    with database.transaction() as session:
        assert speech_clips.claim(session, making.spec(), node="dead", lease_seconds=-1)
        speech_clips.await_maker(session, making.spec().key)
        work.release(session, held, waits_on=f"clip:{making.spec().key}", for_seconds=600)
    upkeep.reclaim()
    assert rung() == [job.id]
    assert making.claim(database, job)
    with database.transaction() as session:
        assert session.get_one(SpeechClip, making.spec().key).state == "absent"


def test_a_new_life_takes_back_what_its_node_held_at_once(process: Process, database: Database, rung: Rung) -> None:
    mine, theirs, parts = (
        making.submit(database, kind=SINGLE),
        making.submit(database, kind=SINGLE),
        making.submit(database, kind=PARTS, items=3),
    )
    making.claim(database, mine, node="gpu0@here", lease_seconds=600)
    making.claim(database, theirs, node="gpu1@here", lease_seconds=600)
    making.claim_items(database, parts, 2, node="gpu0@here", lease_seconds=600)
    with database.transaction() as session:
        speech_clips.claim(session, making.spec("mine"), node="gpu0@here", lease_seconds=600)
        speech_clips.claim(session, making.spec("theirs"), node="gpu1@here", lease_seconds=600)
    assert lapses.take_back(process, node="gpu0@here") == 3
    assert making.read(database, mine).state == "queued"
    assert making.read(database, theirs).state == "running"
    assert set(rung()) == {mine.id, parts.id}
    with database.transaction() as session:
        assert session.get_one(SpeechClip, making.spec("mine").key).state == "absent"
        assert session.get_one(SpeechClip, making.spec("theirs").key).state == "making"


# --- Waiters ---------------------------------------------------------------------------------------------------------


def test_live_work_of_a_web_process_that_vanished_is_cancelled(database: Database, rung: Rung) -> None:
    workers(database, 1)
    job = making.submit(database, kind=LIVE, live=True)
    with database.transaction() as session:
        waiters.join(session, job.id)
        session.execute(update(JobWaiter).values(expires_at=func.now() - timedelta(seconds=1)))
    upkeep.reclaim()
    assert making.read(database, job).state == "cancelled"
    assert rung() == []


# --- A round again ---------------------------------------------------------------------------------------------------


def test_a_second_round_at_once_changes_nothing(database: Database, queue: redis.Redis, rung: Rung) -> None:
    workers(database, 2)
    lapsed, waiting = making.submit(database, kind=SINGLE), making.submit(database, kind=PARTS, items=4)
    making.claim(database, lapsed, lease_seconds=-1)
    making.claim_items(database, waiting, 1, node="w0", lease_seconds=-1)

    def everything() -> list[object]:
        with database.transaction() as session:
            jobs = [making.row(job) for job in session.query(Job).order_by(Job.id)]
        return [jobs, [making.row(item) for item in making.read_items(database, waiting)], rung()]

    upkeep.reclaim()
    first = everything()
    upkeep.reclaim()
    assert everything() == first


def test_two_rounds_at_the_same_time_take_each_unit_back_once(database: Database) -> None:
    jobs = [making.submit(database, kind=SINGLE) for _ in range(8)]
    for job in jobs:
        making.claim(database, job, lease_seconds=-1)
    making.at_once(3, lambda _: upkeep.reclaim())
    assert {(making.read(database, job).state, making.read(database, job).version) for job in jobs} == {("queued", 3)}


# --- The cache -------------------------------------------------------------------------------------------------------


def put(process: Process, content: bytes, *, age_seconds: float) -> str:
    name = process.files.put(content)
    then = time.time() - age_seconds
    os.utime(process.files.path(name), (then, then))
    return name


def test_evicted_clips_take_their_files_with_them(process: Process, database: Database) -> None:
    process.settings = dataclasses.replace(process.settings, speech_cache_max_bytes=100)
    old = put(process, b"o" * 80, age_seconds=GRACE_SECONDS * 2)
    new = put(process, b"n" * 80, age_seconds=GRACE_SECONDS * 2)
    earlier = utc_now() - timedelta(hours=1)
    making.make_clip(database, making.spec("old"), MadeFile(Form("wav"), old, 80), last_used_at=earlier)
    making.make_clip(database, making.spec("new"), MadeFile(Form("wav"), new, 80))
    upkeep.trim_cache()
    assert [process.files.exists(name) for name in (old, new)] == [False, True]
    process.files.remove([new])


def test_a_file_that_was_written_a_moment_ago_goes_in_a_later_round(process: Process, database: Database) -> None:
    process.settings = dataclasses.replace(process.settings, speech_cache_max_bytes=1)
    file = put(process, b"just made", age_seconds=0)
    making.make_clip(database, making.spec(), MadeFile(Form("wav"), file, 9))
    upkeep.trim_cache()
    assert process.files.exists(file)
    put(process, b"just made", age_seconds=GRACE_SECONDS + 60)
    upkeep.trim_cache()
    assert not process.files.exists(file)


def test_an_evicted_clips_file_that_another_row_needs_stays(process: Process, database: Database) -> None:
    process.settings = dataclasses.replace(process.settings, speech_cache_max_bytes=100)
    shared, image = (put(process, content, age_seconds=GRACE_SECONDS * 2) for content in (b"shared", b"an image"))
    earlier = utc_now() - timedelta(hours=1)
    files = MadeFile(Form("wav"), shared, 90), MadeFile(Form("flac"), image, 1)
    making.make_clip(database, making.spec("old"), *files, last_used_at=earlier)
    making.make_clip(database, making.spec("new"), MadeFile(Form("wav"), shared, 60))
    course = making.course(database, ["One."])
    with database.transaction() as session:
        curriculum_assets.replace(session, course, [NewAsset("a.png", image, "image/png", 8)])
    upkeep.trim_cache()
    with database.transaction() as session:
        assert list(session.scalars(select(SpeechClip.key))) == [making.spec("new").key]
    assert process.files.exists(shared)
    assert process.files.exists(image)
    process.files.remove([shared, image])
