"""Which workers a machine gets."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from config import voices
from config.settings import Settings
from tasks import fleet, worker
from tasks.celery_app import LANES
from workers import device


def test_the_processor_s_pool_has_a_live_worker_and_one_for_bulk_on_every_core() -> None:
    names = [member.node for member in fleet.members(4)]
    assert names == ["live-neural", *(f"bulk{core}-neural" for core in range(4))]


def test_every_gpu_has_one_worker_that_sees_it_alone_and_takes_live_work_first() -> None:
    found = [member for member in fleet.members(1, gpus=2) if member.node.startswith("gpu")]
    assert [member.node for member in found] == ["gpu0", "gpu1"]
    assert {member.lanes for member in found} == {("tts.live.gpu", "tts.background.gpu")}
    assert [member.env["CUDA_VISIBLE_DEVICES"] for member in found] == ["0", "1"]
    assert {(member.env[fleet.DEVICE], member.env[fleet.ENGINES], member.nice) for member in found} == {
        ("cuda:0", "vits", 0)
    }


def test_a_remote_server_has_two_workers_where_there_is_one() -> None:
    live, other = [member for member in fleet.members(8, remote=True) if member.node.endswith("remote")]
    assert (live.node, live.lanes, live.nice) == ("live-remote", ("tts.live.remote.head", "tts.live.remote"), 0)
    assert (other.node, other.lanes, other.nice) == ("bulk0-remote", ("tts.live.remote", "tts.background.remote"), 0)
    assert {member.env[fleet.THREADS] for member in (live, other)} == {"1"}


def test_a_machine_of_which_we_are_left_some_gpus_uses_those(monkeypatch: pytest.MonkeyPatch) -> None:
    def pinned() -> list[str]:
        return [member.env["CUDA_VISIBLE_DEVICES"] for member in fleet.members(1, gpus=2) if "gpu" in member.node]

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert pinned() == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, GPU-5ae1")
    assert pinned() == ["2", "GPU-5ae1"]


def test_gpus_count_only_where_their_packages_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "gpus", lambda: [device.Gpu(0, "GPU", 1), device.Gpu(1, "GPU", 1)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert fleet.usable_gpus() == 2
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else object())
    assert fleet.usable_gpus() == 0


def test_names_are_given_once() -> None:
    names = [member.node for member in fleet.members(16, gpus=8, remote=True)]
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
    for member in fleet.members(2, gpus=1, remote=True):
        pool = member.node.partition("-")[2] or "gpu"
        assert member.env[fleet.ENGINES].split(",") == voices.catalogue().pools[pool]


def test_every_lane_a_worker_consumes_is_declared() -> None:
    assert {lane for member in fleet.members(2, gpus=1, remote=True) for lane in member.lanes} <= set(LANES)


def test_a_worker_is_one_process_that_consumes_its_lanes_in_their_order() -> None:
    argv = fleet.members(1)[1].argv
    assert "--queues=tts.live.neural,tts.background.neural" in argv
    assert "--pool=solo" in argv
    assert "--hostname=bulk0-neural@%h" in argv
    assert "--app=tasks.worker" in argv


def test_the_names_of_the_environment_are_those_a_worker_reads() -> None:
    """Written twice, because importing one from the other would load Celery into the fleet."""
    names = (worker.ENGINES, worker.THREADS, worker.DEVICE, worker.READY_FILE)
    assert names == (fleet.ENGINES, fleet.THREADS, fleet.DEVICE, fleet.READY_FILE)


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


def test_nothing_waits_for_what_a_gpu_or_another_server_may_never_bring(configured: Settings) -> None:
    live, others = fleet.stages(configured, fleet.members(1, gpus=1, remote=True))
    assert [child.name for child in live] == ["live-neural"]
    assert [child.name for child in others] == ["bulk0-neural", "gpu0", "live-remote", "bulk0-remote"]
    for child in others:
        child.prepare()
    assert [child.probe() for child in others] == [False, True, True, True]


def test_a_worker_may_finish_its_sentence_before_it_is_killed(configured: Settings) -> None:
    for child in [child for stage in fleet.stages(configured, fleet.members(1)) for child in stage]:
        assert child.grace_seconds == fleet.GRACE_SECONDS >= 20
