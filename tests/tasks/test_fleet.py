"""Which workers a machine gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from config import voices
from config.settings import Settings
from tasks import fleet, worker
from tasks.celery_app import LANES


def test_each_pool_has_a_live_worker_and_one_for_bulk_on_every_core() -> None:
    found = fleet.members(4)
    pools = voices.catalogue().pools
    assert len(found) == len(pools) * 5
    for pool in pools:
        names = [member.node for member in found if member.node.endswith(pool)]
        assert names == [f"live-{pool}", *(f"bulk{core}-{pool}" for core in range(4))]


def test_names_are_given_once() -> None:
    names = [member.node for member in fleet.members(16)]
    assert len(set(names)) == len(names)


def test_live_work_has_a_worker_of_its_own_at_normal_priority_and_bulk_workers_help_it_first() -> None:
    live, bulk = fleet.members(1)
    assert (live.lanes, live.nice) == (("tts.live.neural.head", "tts.live.neural"), 0)
    # In this order: live work is taken before background work.
    assert (bulk.lanes, bulk.nice) == (("tts.live.neural", "tts.background.neural"), 10)


@pytest.mark.parametrize(("cores", "threads"), [(1, "1"), (2, "2"), (64, "2")])
def test_the_live_worker_has_two_threads_where_there_are_two_cores_and_bulk_workers_one(
    cores: int, threads: str
) -> None:
    live, *bulk = fleet.members(cores)
    assert live.env[fleet.THREADS] == threads
    assert {member.env[fleet.THREADS] for member in bulk} == {"1"}


def test_every_worker_loads_the_engines_of_its_pool() -> None:
    for member in fleet.members(2):
        pool = member.node.partition("-")[2]
        assert member.env[fleet.ENGINES].split(",") == voices.catalogue().pools[pool]


def test_every_lane_a_worker_consumes_is_declared() -> None:
    assert {lane for member in fleet.members(2) for lane in member.lanes} <= set(LANES)


def test_a_worker_is_one_process_that_consumes_its_lanes_in_their_order() -> None:
    argv = fleet.members(1)[1].argv
    assert "--queues=tts.live.neural,tts.background.neural" in argv
    assert "--pool=solo" in argv
    assert "--hostname=bulk0-neural@%h" in argv
    assert "--app=tasks.worker" in argv


def test_the_names_of_the_environment_are_those_a_worker_reads() -> None:
    """Written twice, because importing one from the other would load Celery into the fleet."""
    assert (fleet.ENGINES, fleet.THREADS, fleet.READY_FILE) == (worker.ENGINES, worker.THREADS, worker.READY_FILE)


def test_live_workers_start_first_and_a_stale_sign_of_readiness_is_removed(configured: Settings) -> None:
    live, bulk = fleet.stages(configured, fleet.members(3))
    assert [child.name for child in live] == ["live-neural"]
    assert [child.name for child in bulk] == ["bulk0-neural", "bulk1-neural", "bulk2-neural"]
    assert {child.nice for child in bulk} == {10}
    (child,) = live
    sign = Path(child.env[fleet.READY_FILE])
    sign.parent.mkdir(parents=True, exist_ok=True)
    sign.touch()
    assert child.probe()
    child.prepare()
    assert not child.probe()


def test_a_worker_may_finish_its_sentence_before_it_is_killed(configured: Settings) -> None:
    for child in [child for stage in fleet.stages(configured, fleet.members(1)) for child in stage]:
        assert child.grace_seconds == fleet.GRACE_SECONDS >= 20
