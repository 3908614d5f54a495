"""The queue as it is declared: lanes, kinds, and what the clocks ring."""

from __future__ import annotations

import pytest

from config import voices
from models.errors import NotFound
from tasks import kinds, run
from tasks.celery_app import LANES, app, broker_url
from tasks.kinds import KINDS

OURS = [name for name in KINDS if not name.startswith("test.")]


def test_every_pool_has_its_lanes() -> None:
    for pool in voices.catalogue().pools:
        live = voices.live_lane(pool)
        assert {live, voices.head_of(live), voices.background_lane(pool)} <= set(LANES)
    assert {"io", "upkeep"} <= set(LANES)
    assert len(set(LANES)) == len(LANES)


@pytest.mark.parametrize("name", OURS)
def test_every_kind_can_be_sent_and_its_body_exists(name: str) -> None:
    assert name in app.tasks
    assert callable(run._resolve(KINDS[name].body))


@pytest.mark.parametrize("name", OURS)
def test_every_kind_is_named_by_area_and_verb_and_can_be_tried(name: str) -> None:
    kind = kinds.get(name)
    assert kind.name == name
    assert name.count(".") == 1
    assert kind.attempts >= 1
    # A heartbeat is three seconds; a lease outlives two that were missed.
    assert kind.lease_seconds >= 10


def test_somebody_waits_for_live_kinds_so_their_leases_are_short() -> None:
    assert {kind.lease_seconds for kind in KINDS.values() if kind.live} == {10.0}


def test_an_unknown_kind_is_not_found_naming_those_there_are() -> None:
    with pytest.raises(NotFound, match=r"'no\.such'; there are .*speech\.prefetch, speech\.speak"):
        kinds.get("no.such")


# What waits for others must not hold up upkeep, nor what fetches files those who tell others.
ELSEWHERE = {
    "services.check": "io",
    "outbox.deliver": "io",
    "transcription.deliver": "io",
    "transcription.sync": "imports",
    "transcription.prepare": "imports",
}


def test_what_the_clock_rings_exists_and_is_dropped_when_it_comes_late() -> None:
    for entry in app.conf.beat_schedule.values():
        assert entry["task"] in app.tasks
        assert entry["options"]["queue"] == ELSEWHERE.get(entry["task"], "upkeep")
        assert entry["options"]["expires"] <= entry["schedule"]


def test_a_message_is_gone_only_after_its_slice_and_none_is_taken_before_its_turn() -> None:
    assert app.conf.task_acks_late
    assert app.conf.worker_disable_prefetch
    assert app.conf.task_ignore_result
    assert app.conf.accept_content == ["json"]
    assert app.conf.broker_transport_options["queue_order_strategy"] == "priority"
    assert app.conf.broker_transport_options["visibility_timeout"] == 6 * 3600


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("redis://queue:6379/3", "redis://queue:6379/3"),
        ("rediss://:secret@queue:6380/0", "rediss://:secret@queue:6380/0"),
        ("unix:///run/queue.sock?db=0", "redis+socket:///run/queue.sock?virtual_host=0"),
        ("unix:///run/queue.sock?db=5", "redis+socket:///run/queue.sock?virtual_host=5"),
        ("unix:///run/queue.sock", "redis+socket:///run/queue.sock?virtual_host=0"),
    ],
)
def test_a_redis_url_in_kombu_s_spelling(ours: str, theirs: str) -> None:
    assert broker_url(ours) == theirs
