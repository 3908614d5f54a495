"""What can be asked about jobs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func

from models.db import Database
from models.errors import Invalid, NotFound
from models.jobs import lifecycle, queries
from models.jobs.lifecycle import NewItem
from models.jobs.queries import Waiting
from models.jobs.tables import Job
from tests import making


def many(database: Database, count: int, **fields: object) -> list[str]:
    """The ids of jobs that were stored in one transaction, so that all have the same time; in order."""
    with database.transaction() as session:
        return [lifecycle.submit(session, making.new_job(**fields), doorbells=0)[0].id for _ in range(count)]


def page(database: Database, *, limit: int = 100, **which: str | None) -> list[str]:
    with database.transaction() as session:
        return [job.id for job in queries.page(session, limit=limit, **which)]  # type: ignore[arg-type]


# --- One job ---------------------------------------------------------------------------------------------------------


def test_a_job_is_found_by_its_owner_and_by_who_may_see_all(database: Database) -> None:
    job = making.submit(database, account_id="mine")
    with database.transaction() as session:
        assert queries.get(session, job.id).id == job.id
        assert queries.get(session, job.id, visible_to="mine").id == job.id


@pytest.mark.parametrize("who", ["somebody else", ""])
@pytest.mark.parametrize("owner", ["mine", None])
def test_another_s_job_is_not_found_and_its_existence_not_told(database: Database, who: str, owner: str | None) -> None:
    job = making.submit(database, account_id=owner)
    with database.transaction() as session, pytest.raises(NotFound, match=rf"^There is no job '{job.id}'\.$"):
        queries.get(session, job.id, visible_to=who)


@pytest.mark.parametrize("job_id", ["", "nothing", "a\0b", "🙂", "x" * 5000])
def test_what_is_no_id_is_not_found(database: Database, job_id: str) -> None:
    with database.transaction() as session, pytest.raises(NotFound):
        queries.get(session, job_id)


# --- Pages -----------------------------------------------------------------------------------------------------------


def test_pages_show_the_newest_first_and_every_job_once_even_when_they_are_of_one_time(database: Database) -> None:
    older, newer = many(database, 7), many(database, 3)
    seen: list[str] = []
    cursor = None
    while found := page(database, limit=3, before=cursor):
        assert len(found) <= 3
        seen += found
        cursor = found[-1]
    assert seen == sorted(newer, reverse=True) + sorted(older, reverse=True)


def test_a_job_that_comes_while_one_turns_pages_shifts_nothing(database: Database) -> None:
    ids = many(database, 4)
    first = page(database, limit=2)
    many(database, 2)
    assert first + page(database, limit=9, before=first[-1]) == sorted(ids, reverse=True)


def test_pages_show_what_was_asked_for(database: Database) -> None:
    (mine,) = many(database, 1, account_id="me", kind="a")
    many(database, 1, account_id="you", kind="a")
    (other_kind,) = many(database, 1, account_id="me", kind="b")
    with database.transaction() as session:
        lifecycle.cancel(session, other_kind)
    assert page(database, visible_to="me") == [other_kind, mine]
    assert page(database, visible_to="me", kind="a") == [mine]
    assert page(database, visible_to="me", state="cancelled") == [other_kind]
    assert page(database, visible_to="") == []
    assert len(page(database)) == 3


def test_a_cursor_that_names_no_job_is_refused(database: Database) -> None:
    with pytest.raises(Invalid, match="'gone'"):
        page(database, before="gone")


def test_a_cursor_that_names_another_s_job_tells_no_more_than_one_that_names_none(database: Database) -> None:
    (theirs,) = many(database, 1, account_id="them")
    with pytest.raises(Invalid, match=f"there is no job '{theirs}'"):
        page(database, before=theirs, visible_to="me")
    assert page(database, before=theirs, visible_to="them") == []


def test_items_come_in_order_from_where_one_stopped(database: Database) -> None:
    job = making.submit(database, items=5)
    making.submit(database, items=2)
    for item in making.claim_items(database, job, 2):
        making.fail(database, item)
    with database.transaction() as session:
        assert [i.position for i in queries.items(session, job.id, state=None, after=-1, limit=3)] == [0, 1, 2]
        assert [i.position for i in queries.items(session, job.id, state=None, after=2, limit=3)] == [3, 4]
        assert [i.position for i in queries.items(session, job.id, state="failed", after=0, limit=9)] == [1]


# --- How long --------------------------------------------------------------------------------------------------------


def test_the_place_in_the_queue_counts_the_unfinished_jobs_of_the_lane_before_it(database: Database) -> None:
    first, second, third = (making.submit(database) for _ in range(3))
    elsewhere = making.submit(database, lane="elsewhere")
    with database.transaction() as session:
        assert [queries.queue_position(session, job) for job in (first, second, third)] == [0, 1, 2]
        assert queries.queue_position(session, elsewhere) == 0
    running = making.claim(database, first)
    with database.transaction() as session:
        assert queries.queue_position(session, running) is None
        assert queries.queue_position(session, third) == 2
    making.finish(database, running)
    with database.transaction() as session:
        assert queries.queue_position(session, third) == 1


@pytest.mark.parametrize(
    ("state", "progress", "seconds"),
    [
        ("running", 0.25, 30.0),
        ("running", 0.5, 10.0),
        ("running", 0.0, None),
        ("running", 1.0, None),
        ("queued", 0.5, None),
        ("paused", 0.5, None),
    ],
)
def test_the_rest_takes_as_long_as_the_pace_so_far_says(
    monkeypatch: pytest.MonkeyPatch, state: str, progress: float, seconds: float | None
) -> None:
    started = datetime(2026, 1, 1, tzinfo=UTC)
    monkeypatch.setattr(queries, "utc_now", lambda: started + timedelta(seconds=10))
    assert queries.eta_seconds(Job(state=state, progress=progress, started_at=started)) == seconds


def test_nothing_is_foretold_of_a_job_that_has_not_started() -> None:
    assert queries.eta_seconds(Job(state="running", progress=0.5, started_at=None)) is None


# --- Counts ----------------------------------------------------------------------------------------------------------


def test_versions_of_many_jobs_come_in_one_answer(database: Database) -> None:
    first, second = making.submit(database), making.submit(database)
    making.claim(database, second)
    with database.transaction() as session:
        assert queries.versions(session, [first.id, second.id, "gone"]) == {first.id: 1, second.id: 2}
        assert queries.versions(session, []) == {}


def test_live_work_that_waits_is_counted_in_all_and_for_one_account(database: Database) -> None:
    many(database, 2, live=True, account_id="me")
    many(database, 3, live=True, account_id="you")
    many(database, 4, live=False, account_id="me")
    making.claim(database, making.submit(database, live=True, account_id="me"))
    with database.transaction() as session:
        assert queries.live_waiting(session, "me") == (5, 2)
        assert queries.live_waiting(session, "nobody") == (5, 0)
        assert queries.live_waiting(session, None) == (5, 0)


def test_open_units_of_lanes_count_items_and_single_jobs(database: Database) -> None:
    parts = making.submit(database, lane="tts.live.a", items=[NewItem({}, {"cached": True}), *[NewItem({})] * 4])
    good, bad, _ = making.claim_items(database, parts, 3)
    making.finish(database, good)
    making.fail(database, bad)
    making.submit(database, lane="tts.live.b")
    making.claim(database, making.submit(database, lane="tts.live.b"))
    making.end_well(database, making.submit(database, lane="tts.live.b"))
    making.submit(database, lane="tts.background.a")
    with database.transaction() as session:
        assert queries.open_by_lane(session, "tts.live.") == 2 + 2
        assert queries.open_by_lane(session, "tts.background.") == 1
        assert queries.open_by_lane(session, "nothing") == 0


# --- What the reclaimer asks -----------------------------------------------------------------------------------------


def waiting(database: Database) -> dict[str, Waiting]:
    with database.transaction() as session:
        return {found.job_id: found for found in queries.waiting(session)}


def test_what_could_start_now_is_waiting(database: Database) -> None:
    single = making.submit(database)
    parts = making.submit(database, items=6)
    making.claim_items(database, parts, 1, node="a")
    making.claim_items(database, parts, 1, node="a")
    making.claim_items(database, parts, 1, node="b")
    assert waiting(database) == {
        single.id: Waiting(single.id, making.KIND, making.LANE, units=1, at_work=0, sliced=False),
        parts.id: Waiting(parts.id, making.KIND, making.LANE, units=3, at_work=2, sliced=True),
    }


def test_what_runs_or_ended_or_rests_is_not_waiting(database: Database) -> None:
    making.claim(database, making.submit(database))
    making.end_well(database, making.submit(database))
    all_claimed, paused, cancelled = (making.submit(database, items=1) for _ in range(3))
    making.claim_items(database, all_claimed)
    with database.transaction() as session:
        lifecycle.pause(session, paused.id)
        lifecycle.cancel(session, cancelled.id)
    later_single, later_parts = making.submit(database), making.submit(database, items=1)
    making.change(database, later_single, run_after=func.now() + timedelta(seconds=60))
    making.change_items(database, later_parts, run_after=func.now() + timedelta(seconds=60))
    assert waiting(database) == {}


def test_an_unstarted_job_with_items_waits_as_a_whole(database: Database) -> None:
    job = making.submit(database, items=3)
    assert waiting(database)[job.id] == Waiting(job.id, making.KIND, making.LANE, units=3, at_work=0, sliced=True)
