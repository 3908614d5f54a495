"""Webhook deliveries: written with the end of a job whatever ends it, sent by one at a time, tried for a day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from models import webhooks
from models.base import utc_now
from models.db import Database
from models.errors import Conflict, Invalid, NotFound
from models.events import Doorbell
from models.jobs import lapses, lifecycle, waiters
from models.jobs.lifecycle import NewItem
from models.jobs.tables import Job
from models.webhooks import Claimed, Outcome, WebhookDelivery
from tests import making
from tests.conftest import Signals

URL = "http://there.example/told"
TAKEN, FAILED_THERE = Outcome(200, None, 5), Outcome(500, None, 5)
NOBODY = Outcome(None, "It refused the connection.", 1)


def submit(database: Database, **fields: Any) -> Job:
    """A job whose end is told."""
    return making.submit(database, **{"callback_url": URL} | fields)


def deliveries(database: Database, job: Job) -> list[WebhookDelivery]:
    with database.transaction() as session:
        return webhooks.of_job(session, job.id)


def events(database: Database, job: Job) -> list[str]:
    return [each.payload["event"] for each in deliveries(database, job)]


def claim(database: Database, **kwargs: Any) -> Claimed:
    with database.transaction() as session:
        claimed = webhooks.claim(session, **kwargs)
    assert claimed is not None
    return claimed


def settle(database: Database, claimed: Claimed, outcome: Outcome, *, now: datetime | None = None) -> WebhookDelivery:
    with database.transaction() as session:
        webhooks.settle(session, claimed, outcome, now=now)
        return session.get_one(WebhookDelivery, claimed.id)


def make_due(database: Database) -> None:
    with database.transaction() as session:
        session.execute(update(WebhookDelivery).values(due_at=func.now()))


# --- Every end is told --------------------------------------------------------------------------------------------


def cancelled(database: Database) -> Job:
    job = submit(database)
    with database.transaction() as session:
        lifecycle.cancel(session, job.id)
    return job


def succeeded(database: Database) -> Job:
    job = submit(database)
    making.end_well(database, job)
    return job


def failed(database: Database) -> Job:
    job = submit(database)
    making.fail(database, making.claim(database, job))
    return job


def last_item_done(database: Database) -> Job:
    job = submit(database, items=2)
    for item in making.claim_items(database, job, 2):
        making.finish(database, item)
    return job


def all_items_failed(database: Database) -> Job:
    job = submit(database, items=2)
    for item in making.claim_items(database, job, 2):
        making.fail(database, item)
    return job


def all_there_already(database: Database) -> Job:
    return submit(database, items=[NewItem({}, {"done": True})])


def left_by_its_last_waiter(database: Database) -> Job:
    job = submit(database, live=True)
    with database.transaction() as session:
        waiters.leave(session, [waiters.join(session, job.id)])
    return job


def lost_with_its_worker(database: Database) -> Job:
    job = submit(database)
    making.claim(database, job, lease_seconds=-1)
    with database.transaction() as session:
        lapses.return_lapsed(session, {making.KIND: 1})
    return job


ENDS = [
    (cancelled, "job.cancelled"),
    (succeeded, "job.finished"),
    (failed, "job.failed"),
    (last_item_done, "job.finished"),
    (all_items_failed, "job.failed"),
    (all_there_already, "job.finished"),
    (left_by_its_last_waiter, "job.cancelled"),
    (lost_with_its_worker, "job.failed"),
]


@pytest.mark.parametrize(("end", "event"), ENDS, ids=lambda each: getattr(each, "__name__", each))
def test_every_end_is_told_once_and_a_sender_is_rung(
    database: Database, signals: Signals, end: Callable[[Database], Job], event: str
) -> None:
    job = end(database)
    found = deliveries(database, job)
    assert [(each.url, each.payload["event"], each.state, each.attempts) for each in found] == [
        (URL, event, "pending", 0)
    ]
    told = found[0].payload["job"]
    ended = making.read(database, job)
    assert (told["id"], told["state"], told["version"]) == (job.id, ended.state, ended.version)
    assert told["finished_at"] is not None
    assert signals.count(Doorbell("io", "outbox.deliver", job.id)) == 1


def test_a_job_that_has_not_ended_or_has_no_url_is_not_told(database: Database, signals: Signals) -> None:
    open_job, paused = submit(database), submit(database)
    making.fail(database, making.claim(database, open_job), again_in=1.0)
    with database.transaction() as session:
        lifecycle.pause(session, paused.id)
    silent = making.submit(database)
    making.end_well(database, silent)
    assert all(deliveries(database, job) == [] for job in (open_job, paused, silent))
    assert not [signal for signal in signals if isinstance(signal, Doorbell) and signal.lane == "io"]


def test_an_item_that_is_finished_after_the_cancel_tells_nobody_again(database: Database) -> None:
    job = submit(database, items=3)
    items = making.claim_items(database, job, 2)
    with database.transaction() as session:
        lifecycle.cancel(session, job.id)
    for item in items:
        making.finish(database, item)
    assert making.read(database, job).items_succeeded == 2
    assert events(database, job) == ["job.cancelled"]


def test_a_retried_job_that_ends_again_is_told_again(database: Database) -> None:
    job = failed(database)
    with database.transaction() as session:
        lifecycle.retry(session, job.id, able_workers=1)
    making.end_well(database, job)
    assert events(database, job) == ["job.failed", "job.finished"]


def test_an_end_that_is_rolled_back_is_not_told(database: Database, signals: Signals) -> None:
    job = submit(database)
    with database.transaction() as session:
        lifecycle.cancel(session, job.id)
        session.rollback()
    assert deliveries(database, job) == []
    assert not [signal for signal in signals if isinstance(signal, Doorbell) and signal.lane == "io"]


def test_what_is_told_says_nothing_of_whose_it_is_or_what_was_asked(database: Database) -> None:
    job = submit(database, account_id="an account", params={"secret": "of the params"}, request_id="a request")
    making.finish(database, making.claim(database, job), {"secret": "of the result"})
    said = str(deliveries(database, job)[0].payload)
    assert not [word for word in ("an account", "of the params", "of the result", "a request") if word in said]


# --- Whom ---------------------------------------------------------------------------------------------------------


def test_who_joins_a_job_is_told_too_and_once(database: Database) -> None:
    job = submit(database, dedupe_key="same")
    for url in ("http://other.example/", URL, None, "http://other.example/"):
        assert submit(database, dedupe_key="same", callback_url=url).id == job.id
    making.end_well(database, job)
    assert sorted(each.url for each in deliveries(database, job)) == ["http://other.example/", URL]


def test_many_who_join_at_once_are_all_told(database: Database) -> None:
    urls = [f"http://{number}.example/" for number in range(8)]
    jobs = making.at_once(8, lambda number: submit(database, dedupe_key="same", callback_url=urls[number]))
    assert len({job.id for job in jobs}) == 1
    assert sorted(making.read(database, jobs[0]).callback_urls or []) == urls


def test_a_job_is_told_to_a_bounded_number_of_places(database: Database) -> None:
    for number in range(webhooks.MAX_URLS):
        submit(database, dedupe_key="same", callback_url=f"http://{number}.example/")
    with pytest.raises(Invalid, match=r"callback_url: .* 20 other places"):
        submit(database, dedupe_key="same", callback_url="http://one-more.example/")


# --- One sender at a time -----------------------------------------------------------------------------------------


def test_of_many_senders_each_gets_another_delivery(database: Database) -> None:
    jobs = [succeeded(database) for _ in range(4)]

    def one(_: int) -> Claimed | None:
        with database.transaction() as session:
            return webhooks.claim(session)

    got = [claimed for claimed in making.at_once(8, one) if claimed is not None]
    assert sorted(claimed.payload["job"]["id"] for claimed in got) == sorted(job.id for job in jobs)


def test_a_claimed_delivery_comes_back_when_its_sender_is_gone_for_longer_than_its_lease(database: Database) -> None:
    job = succeeded(database)
    first = claim(database)
    with database.transaction() as session:
        assert webhooks.claim(session) is None
        lease = session.get_one(WebhookDelivery, first.id).due_at - utc_now()
    assert timedelta(seconds=55) < lease <= timedelta(seconds=60)
    make_due(database)
    second = claim(database)
    assert (second.id, second.attempt, first.attempt) == (first.id, 2, 1)
    # The one who was too slow changes nothing any more.
    assert settle(database, first, FAILED_THERE).log == []
    assert settle(database, second, TAKEN).state == "delivered"
    assert settle(database, second, FAILED_THERE).state == "delivered"
    assert len(deliveries(database, job)) == 1


def test_receivers_that_have_enough_are_passed_over(database: Database) -> None:
    busy = submit(database, callback_url="http://busy.example:8080/a?b=/c")
    making.end_well(database, busy)
    free = succeeded(database)
    assert claim(database, but_to=["busy.example:8080"]).payload["job"]["id"] == free.id
    with database.transaction() as session:
        assert webhooks.claim(session, but_to=["busy.example:8080"]) is None
    assert claim(database, but_to=["busy.example"]).payload["job"]["id"] == busy.id


def test_a_claim_says_whose_job_it_is_for_the_key(database: Database) -> None:
    making.end_well(database, submit(database, account_id="an account"))
    assert claim(database).account_id == "an account"


# --- A day of attempts --------------------------------------------------------------------------------------------


def test_what_is_not_taken_is_tried_again_within_ten_seconds_then_less_and_less_for_a_day(database: Database) -> None:
    job = succeeded(database)
    now = began = deliveries(database, job)[0].created_at
    pauses = []
    while (row := deliveries(database, job)[0]).state == "pending":
        make_due(database)
        row = settle(database, claim(database), NOBODY if len(pauses) % 2 else FAILED_THERE, now=now)
        if row.state == "pending":
            pauses.append((row.due_at - now).total_seconds())
            now = row.due_at
    # With the clock's five seconds.
    assert pauses[0] + 5 < 10
    assert pauses[:8] == [4, 30, 120, 600, 1800, 3600, 7200, 14400]
    assert pauses[8:-1] == [14400] * (len(pauses) - 9)
    assert (row.state, row.finished_at) == ("failed", now)
    assert (now - began).total_seconds() == 24 * 3600
    assert [entry["status"] for entry in row.log[:2]] == [500, None]
    assert row.log[1]["error"] == NOBODY.error
    assert row.log[0]["took_ms"] == 5
    assert row.attempts == len(row.log) == len(pauses) + 1


def test_who_says_gone_is_not_asked_again(database: Database) -> None:
    succeeded(database)
    row = settle(database, claim(database), Outcome(410, None, 1))
    assert (row.state, row.attempts) == ("failed", 1)
    assert row.finished_at is not None


@pytest.mark.parametrize(("asked", "waits"), [(0, 4), (2, 4), (90, 90), (3600, 3600), (1e9, 3600)])
def test_a_receiver_may_say_when_within_reason(database: Database, asked: float, waits: float) -> None:
    succeeded(database)
    now = utc_now()
    row = settle(database, claim(database), Outcome(503, None, 1, retry_after_seconds=asked), now=now)
    assert (row.due_at - now).total_seconds() == waits


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_two_hundred_is_taken(database: Database, status: int) -> None:
    succeeded(database)
    assert settle(database, claim(database), Outcome(status, None, 1)).state == "delivered"


@pytest.mark.parametrize("status", [199, 300, 302, 400, 404, 429, 500, 503])
def test_nothing_else_is(database: Database, status: int) -> None:
    succeeded(database)
    assert settle(database, claim(database), Outcome(status, None, 1)).state == "pending"


def test_the_log_keeps_the_last_fifty_attempts(database: Database) -> None:
    job = succeeded(database)
    for number in range(60):
        make_due(database)
        settle(database, claim(database), Outcome(500, str(number), 1), now=utc_now())
    log = deliveries(database, job)[0].log
    assert [entry["error"] for entry in log] == [str(number) for number in range(10, 60)]


# --- Once more ----------------------------------------------------------------------------------------------------


def test_what_was_given_up_is_sent_once_more_on_request(database: Database, signals: Signals) -> None:
    job, other = succeeded(database), making.submit(database)
    claimed = claim(database)
    settle(database, claimed, Outcome(410, None, 1))
    signals.clear()
    with database.transaction() as session:
        with pytest.raises(NotFound, match=claimed.id):
            webhooks.retry(session, other.id, claimed.id)
        with pytest.raises(NotFound, match="nothing"):
            webhooks.retry(session, job.id, "nothing")
        assert webhooks.retry(session, job.id, claimed.id).state == "pending"
        with pytest.raises(Conflict, match="pending"):
            webhooks.retry(session, job.id, claimed.id)
    assert signals == [Doorbell("io", "outbox.deliver", job.id)]
    assert settle(database, claim(database), TAKEN).state == "delivered"


def test_deliveries_go_with_their_job(database: Database) -> None:
    job = succeeded(database)
    with database.transaction() as session:
        lifecycle.delete(session, job.id)
        assert session.scalar(select(func.count()).select_from(WebhookDelivery)) == 0


def test_each_account_has_a_key_of_its_own_unless_one_is_chosen() -> None:
    keys = {webhooks.signing_key("secret", None, account) for account in ("a", "b", None)}
    assert len(keys) == 3
    assert all(len(bytes.fromhex(key)) == 32 for key in keys)
    assert webhooks.signing_key("other", None, "a") not in keys
    assert webhooks.signing_key("secret", "", "a") in keys
    assert {webhooks.signing_key("secret", "chosen", account) for account in ("a", "b")} == {"chosen"}
