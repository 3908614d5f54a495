"""Jobs over HTTP: the list and its pages, items, results, and what may be done in which state."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from kombu import Queue
from werkzeug.test import TestResponse

from models import curricula
from models.base import utc_now
from models.curricula import NewSegment, NewTopic
from models.db import Database
from models.jobs import lifecycle
from models.jobs.lifecycle import NewItem
from models.jobs.tables import STATES, Job
from tasks.celery_app import app
from tests import making
from tests.conftest import eventually

SEED_SENTENCES = [f"This is the sentence with the number {number}." for number in range(30)]


class Jobs:
    """The endpoints of jobs, as an administrator sees them."""

    def __init__(self, http: FlaskClient, headers: dict[str, str]) -> None:
        self._http, self._headers = http, headers

    def get(self, path: str = "", **query: object) -> TestResponse:
        """GET below ``/api/jobs``."""
        return self._http.get(f"/api/jobs{path}", query_string=query, headers=self._headers)

    def act(self, job: Job, action: str) -> TestResponse:
        """POST of an action."""
        return self._http.post(f"/api/jobs/{job.id}/{action}", headers=self._headers)

    def ids(self, **query: object) -> list[str]:
        """The ids of one page."""
        return [job["id"] for job in self.get(**query).get_json()["jobs"]]

    def pages(self, path: str, of: str, **query: object) -> list[list[Any]]:
        """Every page, each as its entries."""
        pages = []
        cursor: object = None
        while True:
            answer = self.get(path, **query | ({} if cursor is None else {"cursor": cursor})).get_json()
            pages.append(answer[of])
            cursor = answer["next_cursor"]
            if cursor is None:
                return pages


@pytest.fixture
def lanes() -> Iterator[list[str]]:
    """Two lanes more, which no worker serves."""
    names = ["wake.one", making.LANE]
    for name in names:
        app.amqp.queues.add(Queue(name))
    yield names
    for name in names:
        del app.amqp.queues[name]


@pytest.fixture
def jobs(client: FlaskClient, admin: dict[str, str]) -> Jobs:
    """The endpoints."""
    return Jobs(client, admin)


def assert_conflict(answer: TestResponse, state: str) -> None:
    """Fails unless it is a 409 that names the state."""
    assert answer.status_code == 409, answer.text
    body = answer.get_json()
    assert (body["code"], body["details"]) == ("CONFLICT", {"state": state})
    assert f" is {state}" in body["error"]


# --- The list -----------------------------------------------------------------------------------------------------


def test_the_newest_job_comes_first(jobs: Jobs, database: Database) -> None:
    made = [making.submit(database).id for _ in range(3)]
    assert jobs.ids() == made[::-1]


def test_no_jobs_are_an_empty_page(jobs: Jobs) -> None:
    assert jobs.get().get_json() == {"jobs": [], "next_cursor": None}


def test_a_listed_job_shows_what_a_watcher_needs(jobs: Jobs, database: Database) -> None:
    job = making.submit(database, items=3)
    making.change(database, job, progress=1 / 3, phase="speaking", error_code="broken", error_message="It broke.")
    (shown,) = jobs.get().get_json()["jobs"]
    assert shown["id"] == job.id
    assert (shown["kind"], shown["state"], shown["phase"]) == (making.KIND, "queued", "speaking")
    assert shown["progress"] == 0.3333
    assert shown["items"] == {"total": 3, "succeeded": 0, "failed": 0}
    assert shown["error"] == {"code": "broken", "message": "It broke."}
    assert shown["version"] == 1
    assert shown["created_at"].endswith("Z")
    assert (shown["started_at"], shown["finished_at"], shown["eta_seconds"]) == (None, None, None)


@pytest.mark.parametrize("state", STATES)
def test_jobs_are_filtered_by_state(jobs: Jobs, database: Database, state: str) -> None:
    made = {}
    for each in STATES:
        made[each] = making.submit(database)
        making.change(database, made[each], state=each)
    assert jobs.ids(state=state) == [made[state].id]


def test_jobs_are_filtered_by_kind_and_by_both(jobs: Jobs, database: Database) -> None:
    one, other = making.submit(database, kind="a.one"), making.submit(database, kind="a.other")
    ended = making.submit(database, kind="a.one")
    making.change(database, ended, state="failed")
    assert jobs.ids(kind="a.one") == [ended.id, one.id]
    assert jobs.ids(kind="a.one", state="queued") == [one.id]
    assert jobs.ids(kind="a.other") == [other.id]
    assert jobs.ids(kind="a") == []


def test_pages_hold_every_job_once_even_those_of_one_moment(jobs: Jobs, database: Database) -> None:
    with database.transaction() as session:
        # One transaction, one time: only the ids tell them apart.
        made = {lifecycle.submit(session, making.new_job(), doorbells=0)[0].id for _ in range(7)}
    made |= {making.submit(database).id for _ in range(5)}
    pages = [[job["id"] for job in page] for page in jobs.pages("", "jobs", limit=4)]
    assert [len(page) for page in pages] == [4, 4, 4]
    seen = [job for page in pages for job in page]
    assert len(seen) == len(set(seen)) == 12
    assert set(seen) == made


def test_jobs_that_come_or_end_while_somebody_pages_hide_none(jobs: Jobs, database: Database) -> None:
    made = [making.submit(database) for _ in range(6)]
    first = jobs.get(limit=2).get_json()
    making.submit(database)
    making.end_well(database, made[4])
    rest = jobs.ids(limit=10, cursor=first["next_cursor"])
    assert [job["id"] for job in first["jobs"]] + rest == [job.id for job in reversed(made)]


def test_filters_hold_across_pages(jobs: Jobs, database: Database) -> None:
    made = [making.submit(database, kind=f"a.{number % 2}") for number in range(9)]
    pages = jobs.pages("", "jobs", limit=2, kind="a.0")
    assert [job["id"] for page in pages for job in page] == [job.id for job in reversed(made[0::2])]


def test_a_limit_beyond_the_maximum_is_clipped(jobs: Jobs, database: Database) -> None:
    with database.transaction() as session:
        for _ in range(201):
            lifecycle.submit(session, making.new_job(), doorbells=0)
    assert [len(page) for page in jobs.pages("", "jobs", limit=10_000)] == [200, 1]
    assert len(jobs.ids()) == 50


# --- One job ------------------------------------------------------------------------------------------------------


def test_one_job_has_its_details(jobs: Jobs, database: Database) -> None:
    job = making.submit(database, resolution={"engine": "hibari"}, request_id="req", params={"text": "private"})
    shown = jobs.get(f"/{job.id}").get_json()
    assert (shown["lane"], shown["request_id"], shown["parent_id"], shown["attempts"]) == ("test", "req", None, 0)
    assert shown["resolution"] == {"engine": "hibari"}
    assert shown["updated_at"].endswith("Z")


def test_the_place_in_the_queue_counts_those_before_in_the_lane(jobs: Jobs, database: Database) -> None:
    def position(job: Job) -> object:
        return jobs.get(f"/{job.id}").get_json()["queue_position"]

    first, second, third = (making.submit(database) for _ in range(3))
    elsewhere = making.submit(database, lane="other")
    assert [position(job) for job in (first, second, third, elsewhere)] == [0, 1, 2, 0]
    held = making.claim(database, first)
    assert [position(job) for job in (first, second, third)] == [None, 1, 2]
    making.finish(database, held)
    assert [position(job) for job in (first, second, third)] == [None, 0, 1]
    jobs.act(second, "pause")
    assert [position(job) for job in (second, third)] == [None, 0]


def test_the_time_to_go_follows_from_the_pace_so_far(jobs: Jobs, database: Database) -> None:
    job = making.submit(database)
    assert jobs.get(f"/{job.id}").get_json()["eta_seconds"] is None
    begun = utc_now() - timedelta(seconds=10)
    making.change(database, job, state="running", started_at=begun, progress=0.0)
    assert jobs.get(f"/{job.id}").get_json()["eta_seconds"] is None
    making.change(database, job, progress=0.25)
    assert jobs.get(f"/{job.id}").get_json()["eta_seconds"] == pytest.approx(30, abs=5)
    making.change(database, job, state="succeeded", progress=1.0)
    assert jobs.get(f"/{job.id}").get_json()["eta_seconds"] is None


# --- Items --------------------------------------------------------------------------------------------------------


def test_items_come_in_order_in_pages_without_loss(jobs: Jobs, database: Database) -> None:
    job = making.submit(database, items=12)
    pages = jobs.pages(f"/{job.id}/items", "items", limit=5)
    assert [[item["position"] for item in page] for page in pages] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11]]
    assert jobs.get(f"/{job.id}/items").get_json()["total"] == 12
    assert jobs.get(f"/{job.id}/items", limit=12).get_json()["next_cursor"] is None


def test_items_show_their_state_and_are_filtered_by_it(jobs: Jobs, database: Database) -> None:
    job = making.submit(database, items=4)
    good, bad = making.claim_items(database, job, 2)
    making.finish(database, good, {"clip": "abc"})
    making.fail(database, bad)
    making.claim_items(database, job, 1)
    items = jobs.get(f"/{job.id}/items").get_json()["items"]
    assert [item["state"] for item in items] == ["succeeded", "failed", "running", "queued"]
    assert [item["attempts"] for item in items] == [1, 1, 1, 0]
    assert items[0]["result"] == {"clip": "abc"}
    assert items[1]["error"] == {"code": "broken", "message": "It was broken."}
    assert items[0]["error"] is items[1]["result"] is None
    assert [item["params"] for item in items] == [{"n": number} for number in range(4)]
    for position, state in enumerate(("succeeded", "failed", "running", "queued")):
        found = jobs.get(f"/{job.id}/items", state=state).get_json()["items"]
        assert [item["position"] for item in found] == [position]


def test_a_job_without_items_has_none(jobs: Jobs, database: Database) -> None:
    job = making.submit(database)
    assert jobs.get(f"/{job.id}/items").get_json() == {"items": [], "total": 0, "next_cursor": None}


def test_a_bad_item_state_is_refused_by_name(jobs: Jobs, database: Database) -> None:
    job = making.submit(database, items=1)
    for query, said in (({"state": "paused"}, "'paused'"), ({"cursor": "x"}, "'x'"), ({"limit": "0"}, "limit")):
        answer = jobs.get(f"/{job.id}/items", **query)
        assert answer.status_code == 400
        assert said in answer.get_json()["error"]


# --- Results ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", sorted(set(STATES) - {"succeeded"}))
def test_an_unfinished_or_failed_job_has_no_result(jobs: Jobs, database: Database, state: str) -> None:
    job = making.submit(database)
    making.change(database, job, state=state)
    assert_conflict(jobs.get(f"/{job.id}/result"), state)


def test_the_result_of_a_finished_job_is_what_it_made(jobs: Jobs, database: Database) -> None:
    job = making.submit(database)
    making.finish(database, making.claim(database, job), {"answer": 42})
    shown = jobs.get(f"/{job.id}/result")
    assert shown.status_code == 200
    assert (shown.get_json()["job_id"], shown.get_json()["state"]) == (job.id, "succeeded")
    assert shown.get_json()["result"] == {"answer": 42}


def test_the_result_of_a_job_with_items_counts_them(jobs: Jobs, database: Database) -> None:
    job = making.submit(database, items=2)
    good, bad = making.claim_items(database, job, 2)
    making.finish(database, good)
    making.fail(database, bad)
    assert jobs.get(f"/{job.id}/result").get_json()["items"] == {"total": 2, "succeeded": 1, "failed": 1}


# --- Actions ------------------------------------------------------------------------------------------------------

ALLOWED = {
    "cancel": ({"queued", "running", "paused"}, "cancelled"),
    "pause": ({"queued", "running"}, "paused"),
    "resume": ({"paused"}, "queued"),
    "retry": ({"failed", "cancelled"}, "queued"),
}


@pytest.mark.parametrize("action", sorted(ALLOWED))
def test_an_action_is_allowed_in_its_states_and_a_conflict_in_all_others(
    jobs: Jobs, database: Database, action: str
) -> None:
    allowed, becomes = ALLOWED[action]
    for state in STATES:
        job = making.submit(database)
        making.change(database, job, state=state)
        before = making.row(making.read(database, job))
        answer = jobs.act(job, action)
        if state in allowed:
            assert (answer.status_code, answer.get_json()["state"]) == (200, becomes), (state, answer.text)
            assert answer.get_json()["version"] == before["version"] + 1
            assert making.read(database, job).state == becomes
        else:
            assert_conflict(answer, state)
            assert making.row(making.read(database, job)) == before


def test_a_cancelled_job_says_when_it_ended(jobs: Jobs, database: Database) -> None:
    shown = jobs.act(making.submit(database), "cancel").get_json()
    assert shown["finished_at"].endswith("Z")
    assert shown["queue_position"] is None


def test_resume_and_retry_wake_a_worker(jobs: Jobs, database: Database, queue: redis.Redis, lanes: list[str]) -> None:
    paused, failed = (making.submit(database, lane=lane) for lane in lanes)
    making.change(database, paused, state="paused")
    making.change(database, failed, state="failed")
    jobs.act(paused, "resume")
    jobs.act(failed, "retry")
    assert [queue.llen(lane) for lane in lanes] == [1, 1]


def test_a_job_whose_lane_is_gone_waits_for_it(jobs: Jobs, database: Database) -> None:
    job = making.submit(database, lane="tts.background.a-pool-of-last-year")
    making.change(database, job, state="failed")
    assert jobs.act(job, "retry").get_json()["state"] == "queued"


def test_a_retry_of_a_job_with_failed_items_takes_those_items_only(jobs: Jobs, database: Database) -> None:
    job = making.submit(database, items=3)
    items = making.claim_items(database, job, 3)
    making.finish(database, items[0])
    for item in items[1:]:
        making.fail(database, item)
    assert jobs.get(f"/{job.id}").get_json()["state"] == "succeeded"
    shown = jobs.act(job, "retry").get_json()
    assert (shown["state"], shown["items"]) == ("queued", {"total": 3, "succeeded": 1, "failed": 0})
    assert (shown["error"], shown["finished_at"]) == (None, None)
    assert shown["progress"] == 0.3333
    assert [item.state for item in making.read_items(database, job)] == ["succeeded", "queued", "queued"]


def test_a_job_that_failed_begins_again_at_nothing(jobs: Jobs, database: Database) -> None:
    job = making.submit(database)
    held = making.claim(database, job)
    making.change(database, job, progress=0.8, phase="speaking")
    making.fail(database, held)
    shown = jobs.act(job, "retry").get_json()
    assert (shown["progress"], shown["phase"], shown["attempts"], shown["error"]) == (0.0, None, 0, None)


def test_a_job_all_of_whose_items_succeeded_cannot_be_retried(jobs: Jobs, database: Database) -> None:
    job = making.submit(database, items=1)
    making.finish(database, making.claim_items(database, job)[0])
    assert_conflict(jobs.act(job, "retry"), "succeeded")


def test_cancelled_items_are_not_lost_to_a_retry(jobs: Jobs, database: Database) -> None:
    job = making.submit(database, items=[NewItem({"n": 0}, {"done": True}), NewItem({"n": 1}), NewItem({"n": 2})])
    jobs.act(job, "cancel")
    assert jobs.act(job, "retry").get_json()["items"] == {"total": 3, "succeeded": 1, "failed": 0}
    assert len(making.claim_items(database, job, 9)) == 2


def test_a_real_prefetch_pauses_and_goes_on(
    jobs: Jobs, client: FlaskClient, admin: dict[str, str], database: Database, worker: object
) -> None:
    with database.transaction() as session:
        topics = [NewTopic(title="Only", segments=[NewSegment(text) for text in SEED_SENTENCES])]
        course = curricula.create(session, title="C", description="", topics=topics, extra={}, account_id=None).id
    started = client.post("/api/tts/prefetch/topic", json={"curriculum_id": course}, headers=admin).get_json()
    job = Job(id=started["job_id"])
    eventually(lambda: making.read(database, job).items_succeeded > 0)
    assert jobs.act(job, "pause").status_code == 200
    # What is in flight is finished and kept; then nothing of it is in work.
    eventually(lambda: all(item.state != "running" for item in making.read_items(database, job)))
    kept = making.read(database, job).items_succeeded
    assert 0 < kept < len(SEED_SENTENCES)
    # The same worker does something else meanwhile, and comes by no item of the paused job.
    assert client.post("/api/tts", json={"text": "Something else."}, headers=admin).status_code == 200
    assert making.read(database, job).items_succeeded == kept
    assert jobs.act(job, "resume").status_code == 200
    eventually(lambda: making.read(database, job).state == "succeeded", within_seconds=30)
    assert making.read(database, job).items_succeeded == len(SEED_SENTENCES)
