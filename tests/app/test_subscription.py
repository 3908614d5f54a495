"""What waits for one reader: every state, rising versions, and a bound that is said."""

from __future__ import annotations

import random
from typing import Any

import pytest

from app.sockets.subscription import BACKLOG, BATCH, CHATTER, SAID, Subscription, TooSlow


@pytest.fixture
def waiting() -> Subscription:
    """Of somebody who wants everything."""
    return Subscription(None, lambda news: True)


def news(job_id: str, version: int, state: str = "running") -> dict[str, Any]:
    """Of a job."""
    return {"id": job_id, "version": version, "state": state}


def everything(subscription: Subscription) -> list[dict[str, Any]]:
    """All that waits."""
    taken: list[dict[str, Any]] = []
    while batch := subscription.take(0):
        assert len(batch) <= BATCH
        taken += batch
    return taken


def test_newer_news_of_a_state_takes_the_place_of_older(waiting: Subscription) -> None:
    for version in range(2, 100):
        waiting.put(news("a", version))
    waiting.put(news("b", 2))
    waiting.put(news("a", 100))
    assert everything(waiting) == [news("a", 100), news("b", 2)]


def test_every_change_of_state_has_a_place_and_versions_rise(waiting: Subscription) -> None:
    states = ["queued", "running", "paused", "queued", "running", "succeeded"]
    for version, state in enumerate(states, start=1):
        waiting.put(news("a", version * 2, state))
        waiting.put(news("a", version * 2 + 1, state))
    assert everything(waiting) == [news("a", version * 2 + 1, state) for version, state in enumerate(states, start=1)]


def test_what_was_taken_does_not_change_any_more(waiting: Subscription) -> None:
    waiting.put(news("a", 2))
    taken = waiting.get(0)
    waiting.put(news("a", 3))
    assert taken == news("a", 2)
    assert waiting.get(0) == news("a", 3)
    assert waiting.get(0) is None


def test_whatever_the_pace_of_the_reader_no_state_is_lost_and_no_version_falls(waiting: Subscription) -> None:
    chance = random.Random(7)
    told: dict[str, list[dict[str, Any]]] = {}
    changes: dict[str, list[str]] = {}
    for version in range(1, 5_000):
        job_id, state = chance.choice("abcdefgh"), chance.choice(["queued", "running", "paused"])
        if changes.setdefault(job_id, [])[-1:] != [state]:
            changes[job_id].append(state)
        waiting.put(news(job_id, version, state))
        if chance.random() < 0.01:
            for each in waiting.take(0, most=chance.randint(1, 20)):
                told.setdefault(each["id"], []).append(each)
    for each in everything(waiting):
        told.setdefault(each["id"], []).append(each)
    for job_id, heard in told.items():
        versions = [each["version"] for each in heard]
        assert versions == sorted(set(versions))
        states = [each["state"] for each in heard]
        assert [state for at, state in enumerate(states) if at == 0 or states[at - 1] != state] == changes[job_id]


def test_beyond_its_bound_the_reader_is_told_and_nothing_is_kept(waiting: Subscription) -> None:
    for number in range(BACKLOG):
        waiting.put(news(f"job{number}", 1))
    # This one has a place already.
    waiting.put(news("job0", 2))
    assert waiting.get(0) == news("job0", 2)
    waiting.put(news("one more", 1))
    waiting.put(news("one too many", 1))
    for _ in range(2):
        with pytest.raises(TooSlow):
            waiting.get(0)
    waiting.put(news("late", 1))
    assert not waiting._places


def test_chatter_gives_way_and_never_takes_the_place_of_a_state(waiting: Subscription) -> None:
    waiting.put(news("a", 1, "queued"))
    for number in range(CHATTER + 10):
        waiting.chat({"frame": number})
    waiting.put(news("a", 2))
    waiting.put({"said": "ping"})
    taken = everything(waiting)
    assert taken[:3] == [{"said": "ping"}, news("a", 1, "queued"), news("a", 2)]
    assert [each["frame"] for each in taken[3:]] == list(range(10, CHATTER + 10))


def test_a_client_that_talks_without_listening_is_cut_off(waiting: Subscription) -> None:
    for _ in range(SAID + 1):
        waiting.put({"said": "ping"})
    with pytest.raises(TooSlow):
        waiting.get(0)
