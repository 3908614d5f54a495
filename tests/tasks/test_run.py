"""A slice of a job without items: every way a body can end, and what the row says then."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from config.logs import JsonFormatter, request_id
from models import speech_clips, speech_renditions
from models.base import utc_now
from models.db import Database
from models.errors import LeaseLost, NotFound
from models.jobs import lapses, lifecycle, work
from models.jobs.tables import Job
from models.speech_renditions import Form, MadeFile
from tasks import run
from tasks.process import Process
from tasks.run import BACKOFF_SECONDS, Done, Parked, Work
from tests import making
from tests.tasks.conftest import SINGLE, Act
from workers.errors import BadInput, RetryLater, Stopped, WorkError

pytestmark = pytest.mark.usefixtures("process")
Acts = Callable[[Act], list[Work]]
Rung = Callable[[], list[str]]


def raising(fault: BaseException) -> Act:
    def act(_: Work) -> Done:
        raise fault

    return act


def submit(database: Database, **fields: object) -> Job:
    return making.submit(database, kind=SINGLE, **fields)


def slice_of(database: Database, job: Job) -> Job:
    """The job's row after one more slice."""
    run.run_slice(SINGLE, job.id)
    return making.read(database, job)


def due(database: Database, job: Job) -> float:
    """In how many seconds the job may be tried; makes it due now."""
    left = (making.read(database, job).run_after - utc_now()) / timedelta(seconds=1)
    making.change(database, job, run_after=utc_now())
    return left


# --- Success ---------------------------------------------------------------------------------------------------------


def test_what_a_body_made_is_the_result(database: Database, acts: Acts) -> None:
    works = acts(lambda work: Done({"said": work.params["text"]}))
    job = submit(database, params={"text": "hello"})
    done = slice_of(database, job)
    assert (done.state, done.result, done.progress, done.attempts) == ("succeeded", {"said": "hello"}, 1.0, 1)
    assert (done.token, done.lease_until, done.lease_node) == (None, None, None)
    assert len(works) == 1


def test_what_a_body_stores_is_committed_with_its_result(database: Database, acts: Acts) -> None:
    states: list[str] = []
    job = submit(database)
    acts(lambda work: Done({}, lambda session: states.append(session.get_one(Job, job.id).state)))
    assert slice_of(database, job).state == "succeeded"
    assert states == ["running"]


def test_a_doubled_message_does_nothing(database: Database, acts: Acts) -> None:
    works = acts(lambda work: Done({"n": 1}))
    job = submit(database)
    first = slice_of(database, job)
    assert making.row(slice_of(database, job)) == making.row(first)
    assert len(works) == 1


def test_a_message_that_comes_while_the_job_runs_does_nothing(database: Database, acts: Acts) -> None:
    def ring_again(work: Work) -> Done:
        run.run_slice(SINGLE, work.job.id)
        return Done({"n": 1})

    works = acts(ring_again)
    assert slice_of(database, submit(database)).result == {"n": 1}
    assert len(works) == 1


def test_messages_that_come_at_once_run_the_job_once(database: Database, acts: Acts) -> None:
    works = acts(lambda work: Done({}))
    job = submit(database)
    making.at_once(6, lambda _: run.run_slice(SINGLE, job.id))
    assert len(works) == 1
    assert making.read(database, job).state == "succeeded"


def test_a_message_for_a_job_that_is_no_more_does_nothing(acts: Acts) -> None:
    works = acts(lambda work: Done({}))
    run.run_slice(SINGLE, "gone")
    assert works == []


def test_a_message_of_an_unknown_kind_is_refused(database: Database) -> None:
    with pytest.raises(NotFound, match=r"'no\.such'"):
        run.run_slice("no.such", submit(database).id)


# --- Failure ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [WorkError("It is over.", code="over"), BadInput("It is over.", code="over")])
def test_an_error_of_work_fails_for_good(database: Database, acts: Acts, fault: WorkError) -> None:
    acts(raising(fault))
    job = submit(database)
    failed = slice_of(database, job)
    assert (failed.state, failed.error_code, failed.error_message) == ("failed", "over", "It is over.")
    assert failed.attempts == 1


def test_an_error_that_may_pass_is_tried_again_ever_later_and_fails_in_the_end(database: Database, acts: Acts) -> None:
    works = acts(raising(RetryLater("The disk is full.", code="disk_full")))
    job = submit(database)
    for pause in BACKOFF_SECONDS[:2]:
        waiting = slice_of(database, job)
        assert (waiting.state, waiting.error_code, waiting.error_message) == (
            "queued",
            "disk_full",
            "The disk is full.",
        )
        # Nothing before its time.
        slice_of(database, job)
        assert due(database, job) == pytest.approx(pause, abs=0.9)
    failed = slice_of(database, job)
    assert (failed.state, failed.error_code, failed.attempts) == ("failed", "disk_full", 3)
    assert len(works) == 3


def test_success_after_an_error_that_passed_leaves_no_error(database: Database, acts: Acts) -> None:
    job = submit(database)
    acts(raising(RetryLater("The disk is full.", code="disk_full")))
    slice_of(database, job)
    due(database, job)
    acts(lambda work: Done({}))
    done = slice_of(database, job)
    assert (done.state, done.error_code, done.error_message, done.attempts) == ("succeeded", None, None, 2)


def test_a_job_that_may_be_tried_more_often_waits_at_most_as_long_as_the_last_pause(
    database: Database, acts: Acts
) -> None:
    acts(raising(RetryLater("Away.")))
    job = submit(database)
    making.change(database, job, attempts=1)
    assert slice_of(database, job).state == "queued"
    assert due(database, job) == pytest.approx(BACKOFF_SECONDS[1], abs=0.9)


SECRET = "password=hunter2"


@pytest.mark.parametrize("fault", [ValueError(SECRET), KeyError(SECRET), RecursionError(SECRET), MemoryError(SECRET)])
def test_an_unknown_error_is_told_by_a_fixed_sentence_and_its_cause_is_in_the_log_alone(
    database: Database, acts: Acts, caplog: pytest.LogCaptureFixture, fault: Exception
) -> None:
    acts(raising(fault))
    job = submit(database)
    waiting = slice_of(database, job)
    assert (waiting.state, waiting.error_code) == ("queued", "internal_error")
    assert waiting.error_message == "The work failed unexpectedly; the worker's log has the cause."
    assert not any("hunter2" in str(value) for value in making.row(waiting).values())
    assert "hunter2" in caplog.text


def test_an_unknown_error_is_tried_again_as_often_as_any(database: Database, acts: Acts) -> None:
    works = acts(raising(ValueError("x")))
    job = submit(database)
    for _ in range(5):
        slice_of(database, job)
        due(database, job)
    assert making.read(database, job).state == "failed"
    assert len(works) == 3


def test_an_unknown_error_while_the_result_is_stored_is_one_of_the_work(
    database: Database, acts: Acts, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise ValueError(SECRET)

    acts(lambda work: Done({}, fail))
    job = submit(database)
    waiting = slice_of(database, job)
    assert (waiting.state, waiting.error_code, waiting.result) == ("queued", "internal_error", None)
    assert "hunter2" in caplog.text


# --- Not wanted any more ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop", [lifecycle.cancel, lifecycle.pause])
def test_a_body_that_reports_learns_that_nobody_wants_its_work(
    database: Database, acts: Acts, monkeypatch: pytest.MonkeyPatch, stop: Callable[..., Job]
) -> None:
    monkeypatch.setattr(run, "REPORT_SECONDS", 0.0)
    stopped: list[bool] = []

    def act(work: Work) -> Done:
        work.report(0.25, "speaking")
        with database.transaction() as session:
            stop(session, work.job.id)
        try:
            work.report(0.5, "speaking")
        except Stopped:
            stopped.append(True)
            raise
        return Done({"never": True})

    acts(act)
    job = slice_of(database, submit(database))
    assert stopped == [True]
    assert job.state == ("cancelled" if stop is lifecycle.cancel else "paused")
    assert (job.progress, job.phase, job.result, job.error_code) == (0.25, "speaking", None, None)


def test_a_result_that_comes_after_the_job_was_taken_over_is_thrown_away(database: Database, acts: Acts) -> None:
    def slow(work: Work) -> Done:
        making.change(database, work.job, lease_until=utc_now() - timedelta(seconds=1))
        with database.transaction() as session:
            assert lapses.return_lapsed(session, {}) == 1
        making.claim(database, work.job, node="another")
        return Done({"by": "the slow one"})

    acts(slow)
    job = submit(database)
    held = slice_of(database, job)
    assert (held.state, held.lease_node, held.result) == ("running", "another", None)


@pytest.mark.parametrize("ending", ["failed", "parked"])
def test_any_end_that_comes_too_late_is_thrown_away(database: Database, acts: Acts, ending: str) -> None:
    def act(work: Work) -> Done:
        with database.transaction() as session:
            lifecycle.cancel(session, work.job.id)
        if ending == "failed":
            raise WorkError("Too late.")
        raise Parked("clip:x", lambda session: True, 10)

    acts(act)
    job = slice_of(database, submit(database))
    assert (job.state, job.error_code, job.waits_on) == ("cancelled", None, None)


def test_what_was_made_for_a_job_that_was_cancelled_meanwhile_is_kept(database: Database, acts: Acts) -> None:
    clip = making.spec()

    def act(work: Work) -> Done:
        with database.transaction() as session:
            token = speech_clips.claim(session, clip, node="a", lease_seconds=60)
        with database.transaction() as session:
            lifecycle.cancel(session, work.job.id)

        def store(session: Session) -> None:
            making.store_clip(session, clip.key, token or "", MadeFile(Form("wav"), "f", 1))

        return Done({}, store)

    acts(act)
    job = submit(database)
    assert slice_of(database, job).state == "cancelled"
    with database.transaction() as session:
        assert speech_renditions.find(session, clip.key, Form("wav")) is not None


def test_a_lease_lost_inside_a_body_is_no_failure(
    database: Database, acts: Acts, process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    def act(work: Work) -> Done:
        with database.transaction() as session:
            lifecycle.cancel(session, work.job.id)
        raise LeaseLost("gone")

    acts(act)
    job = slice_of(database, submit(database))
    assert (job.state, job.error_code) == ("cancelled", None)
    assert process.current_unit is None
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []


# --- Waiting for another ---------------------------------------------------------------------------------------------


def test_a_body_that_waits_for_another_is_parked_and_rung_when_that_is_done(
    database: Database, process: Process, acts: Acts, rung: Rung
) -> None:
    acts(raising(Parked("clip:x", lambda session: True, 90)))
    job = submit(database)
    parked = slice_of(database, job)
    assert (parked.state, parked.waits_on, parked.attempts, parked.error_code) == ("queued", "clip:x", 0, None)
    assert rung() == []
    with process.database.transaction() as session:
        work.wake(session, "clip:x")
    assert rung() == [job.id]
    acts(lambda work: Done({}))
    assert slice_of(database, job).state == "succeeded"


def test_a_body_whose_wait_is_over_before_it_is_parked_is_rung_at_once(
    database: Database, acts: Acts, rung: Rung
) -> None:
    acts(raising(Parked("clip:x", lambda session: False, 90)))
    job = submit(database)
    slice_of(database, job)
    assert rung() == [job.id]
    acts(lambda work: Done({}))
    assert slice_of(database, job).state == "succeeded"


def test_a_wait_that_nobody_ends_ends_by_itself(database: Database, acts: Acts) -> None:
    acts(raising(Parked("clip:x", lambda session: True, 90)))
    job = submit(database)
    slice_of(database, job)
    assert due(database, job) == pytest.approx(90, abs=5)
    acts(lambda work: Done({}))
    assert slice_of(database, job).state == "succeeded"


# --- Reports ---------------------------------------------------------------------------------------------------------


def test_reports_are_written_no_more_often_than_watchers_see_them(database: Database, acts: Acts) -> None:
    def act(work: Work) -> Done:
        for share in range(50):
            work.report(share / 50, "speaking")
        return Done({})

    acts(act)
    job = submit(database)
    # Submitted, claimed, finished; fifty reports in a moment are none.
    assert slice_of(database, job).version == 3


def test_work_goes_on_while_postgres_is_away_and_cannot_hear_of_its_progress(
    database: Database, process: Process, acts: Acts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "REPORT_SECONDS", 0.0)
    nowhere = Database("postgresql+psycopg://nobody@/nothing?host=/nowhere", lambda signals: None)

    def act(work: Work) -> Done:
        with monkeypatch.context() as away:
            away.setattr(process, "database", nowhere)
            work.report(0.5, "speaking")
        return Done({"n": 1})

    acts(act)
    done = slice_of(database, submit(database))
    assert (done.state, done.result, done.attempts) == ("succeeded", {"n": 1}, 1)


# --- Logs ------------------------------------------------------------------------------------------------------------


def test_every_line_a_worker_logs_names_the_request_that_caused_it(database: Database, acts: Acts) -> None:
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    handler.setFormatter(JsonFormatter())
    engine = logging.getLogger("tests.engine")
    engine.addHandler(handler)

    def act(work: Work) -> Done:
        engine.warning("speaking")
        return Done({})

    acts(act)
    try:
        for request in ("request-1", None, "request-2"):
            slice_of(database, submit(database, request_id=request))
    finally:
        engine.removeHandler(handler)
    lines = [json.loads(line) for line in said.getvalue().splitlines()]
    assert [(line["message"], line["request_id"]) for line in lines] == [
        ("speaking", "request-1"),
        ("speaking", None),
        ("speaking", "request-2"),
    ]
    assert all(line["job_id"] for line in lines)
    assert len({line["job_id"] for line in lines}) == 3


def test_the_request_ends_with_a_slice_that_failed(database: Database, acts: Acts) -> None:
    acts(raising(ValueError("x")))
    mark = request_id.set(None)
    try:
        slice_of(database, submit(database, request_id="request-1"))
        assert request_id.get() is None
    finally:
        request_id.reset(mark)


def test_the_request_of_the_process_itself_comes_back(database: Database, acts: Acts) -> None:
    seen: list[str | None] = []

    def act(work: Work) -> Done:
        seen.append(request_id.get())
        return Done({})

    acts(act)
    mark = request_id.set("outer")
    try:
        slice_of(database, submit(database, request_id="inner"))
        assert (seen, request_id.get()) == (["inner"], "outer")
    finally:
        request_id.reset(mark)
