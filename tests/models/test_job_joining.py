"""Joining: of two unfinished jobs that would do the same, there is one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import func, select

from models.db import Database
from models.events import Doorbell
from models.jobs import lifecycle, waiters, work
from models.jobs.tables import Job
from tests import making
from tests.conftest import Signals, eventually


def join(database: Database, key: str = "same") -> tuple[Job, bool]:
    with database.transaction() as session:
        return lifecycle.submit(session, making.new_job(dedupe_key=key), doorbells=1)


def count(database: Database) -> int:
    with database.transaction() as session:
        return session.scalar(select(func.count()).select_from(Job)) or 0


def test_a_second_request_joins_the_first_and_rings_nobody(database: Database, signals: Signals) -> None:
    first, new = join(database)
    assert new
    signals.clear()
    second, new_again = join(database)
    assert (second.id, new_again) == (first.id, False)
    assert signals == []


def test_64_threads_that_ask_for_the_same_get_one_job(database: Database, signals: Signals) -> None:
    answers = making.at_once(64, lambda _: join(database))
    assert len({job.id for job, _ in answers}) == 1
    assert sum(new for _, new in answers) == 1
    assert count(database) == 1
    assert len([signal for signal in signals if isinstance(signal, Doorbell)]) == 1


def test_jobs_of_other_keys_or_none_are_not_joined(database: Database) -> None:
    ids = {join(database, "a")[0].id, join(database, "b")[0].id, making.submit(database).id, making.submit(database).id}
    assert len(ids) == 4


def test_a_running_job_is_joined(database: Database) -> None:
    first, _ = join(database)
    making.claim(database, first)
    assert join(database)[0].id == first.id


def test_a_job_that_is_tried_again_is_joined(database: Database) -> None:
    first, _ = join(database)
    making.fail(database, making.claim(database, first), again_in=600)
    assert join(database)[0].id == first.id


def test_an_ended_job_is_not_joined(database: Database) -> None:
    finished, _ = join(database)
    making.end_well(database, finished)
    failed, _ = join(database)
    making.fail(database, making.claim(database, failed))
    cancelled, _ = join(database)
    with database.transaction() as session:
        lifecycle.cancel(session, cancelled.id)
    last, new = join(database)
    assert new
    assert len({finished.id, failed.id, cancelled.id, last.id}) == 4


def test_one_who_asks_while_the_job_finishes_gets_a_new_one(database: Database) -> None:
    first, _ = join(database)
    held = making.claim(database, first)
    with ThreadPoolExecutor(1) as thread:
        with database.transaction() as session:
            work.finish(session, held, {})
            asked = thread.submit(join, database)
            eventually(lambda: making.somebody_waits(database))
            assert not asked.done()
        second, new = asked.result(10)
    assert new
    assert second.id != first.id


def test_one_who_asks_while_the_job_is_being_stored_waits_and_joins_it(database: Database) -> None:
    with ThreadPoolExecutor(1) as thread:
        with database.transaction() as session:
            first, _ = lifecycle.submit(session, making.new_job(dedupe_key="same"), doorbells=1)
            asked = thread.submit(join, database)
            eventually(lambda: making.somebody_waits(database))
        second, new = asked.result(10)
    assert (second.id, new) == (first.id, False)


def test_a_paused_job_leaves_its_key_to_a_newer_one(database: Database) -> None:
    older, _ = join(database)
    with database.transaction() as session:
        lifecycle.pause(session, older.id)
    newer, new = join(database)
    assert new
    with database.transaction() as session:
        lifecycle.resume(session, older.id, able_workers=1)
    assert {making.read(database, job).state for job in (older, newer)} == {"queued"}


def test_a_retried_job_does_not_collide_with_a_newer_one(database: Database) -> None:
    older, _ = join(database)
    making.fail(database, making.claim(database, older))
    newer, _ = join(database)
    with database.transaction() as session:
        lifecycle.retry(session, older.id, able_workers=1)
    assert {making.read(database, job).state for job in (older, newer)} == {"queued"}
    assert join(database)[0].id == newer.id


def test_one_who_joins_while_the_last_waiter_leaves_never_holds_a_cancelled_job(database: Database) -> None:
    for _ in range(15):
        with database.transaction() as session:
            job, _new = lifecycle.submit(session, making.new_job(dedupe_key="same", live=True), doorbells=1)
            last = waiters.join(session, job.id)

        def act(number: int, last: str = last) -> str | None:
            with database.transaction() as session:
                if number == 0:
                    waiters.leave(session, [last])
                    return None
                mine, _ = lifecycle.submit(session, making.new_job(dedupe_key="same", live=True), doorbells=1)
                waiters.join(session, mine.id)
                return mine.id

        joined = making.at_once(3, act)
        with database.transaction() as session:
            mine = session.get_one(Job, joined[1] or "")
            assert (mine.state, joined[1]) == ("queued", joined[2])
            lifecycle.cancel(session, mine.id)
