"""What a worker uses: processor time of real processes, and GPUs that are there, shared, lost or hang."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import threading
import time
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.conftest import eventually
from workers import device, usage
from workers.usage import GpuUse, ProcessorUse

BUSY = "while True: pass"


def test_an_idle_process_uses_next_to_nothing() -> None:
    use = ProcessorUse()
    time.sleep(0.3)
    assert 0.0 <= use.percent() < 60.0


def test_a_busy_child_counts_and_one_that_has_ended_does_not_count_below_nothing() -> None:
    use = ProcessorUse()
    child = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        # The machine may be busy with others.
        eventually(lambda: use.percent() > 20.0 or time.sleep(0.3), within_seconds=20)
    finally:
        child.kill()
        child.wait()
    time.sleep(0.1)
    assert use.percent() >= 0.0


class _Fault(Exception):
    """As NVML has it."""


class _NotSupported(_Fault):
    pass


def nvml(**changed: Any) -> ModuleType:
    """A stand-in for the driver's library, with one GPU."""
    module = ModuleType("pynvml")
    calls: list[str] = []

    def by_uuid(uuid: str) -> str:
        calls.append(uuid)
        return "handle"

    vars(module).update(
        NVMLError=_Fault,
        NVMLError_NotSupported=_NotSupported,
        nvmlInit=lambda: calls.append("init"),
        nvmlShutdown=lambda: calls.append("shutdown"),
        nvmlDeviceGetHandleByUUID=by_uuid,
        nvmlDeviceGetName=lambda handle: "NVIDIA Stand-in",
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(total=80 * 2**30, used=3 * 2**30, free=0),
        nvmlDeviceGetUtilizationRates=lambda handle: SimpleNamespace(gpu=37, memory=5),
        calls=calls,
    )
    vars(module).update(changed)
    return module


UUID = "GPU-00010203-0405-0607-0809-0a0b0c0d0e0f"


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that knows one GPU."""

    def uuid_of(found: Any, _: Any) -> int:
        found._obj[:] = range(16)
        return 0

    cuda = SimpleNamespace(cuInit=lambda _: 0, cuDeviceGet=lambda *_: 0, cuDeviceGetUuid=uuid_of)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: cuda)


def use(monkeypatch: pytest.MonkeyPatch, **changed: Any) -> ModuleType:
    module = nvml(**changed)
    monkeypatch.setitem(sys.modules, "pynvml", module)
    return module


def test_the_gpu_that_this_process_may_use_is_asked_for_by_its_uuid(
    driver: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = use(monkeypatch)
    assert usage.gpu() == {
        "uuid": UUID,
        "name": "NVIDIA Stand-in",
        "memory_total_bytes": 80 * 2**30,
        "memory_used_bytes": 3 * 2**30,
        "utilization_percent": 37,
    }
    assert module.calls == ["init", UUID, "shutdown"]


def test_a_name_in_bytes_is_read_and_what_is_not_measured_is_none(
    driver: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(handle: str) -> None:
        raise _NotSupported

    use(monkeypatch, nvmlDeviceGetName=lambda handle: b"Old", nvmlDeviceGetUtilizationRates=refuse)
    found = usage.gpu()
    assert found is not None
    assert (found["name"], found["utilization_percent"]) == ("Old", None)


@pytest.mark.parametrize("at", ["nvmlInit", "nvmlDeviceGetHandleByUUID", "nvmlDeviceGetMemoryInfo"])
def test_a_gpu_that_fell_off_is_none_and_leaves_the_library_closed(
    driver: None, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    def lost(*_: Any) -> None:
        raise _Fault("GPU is lost")

    module = use(monkeypatch, **{at: lost})
    assert usage.gpu() is None
    assert module.calls.count("init") == module.calls.count("shutdown")


def test_without_the_package_or_a_driver_or_a_gpu_there_is_none(monkeypatch: pytest.MonkeyPatch, driver: None) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert usage.gpu() is None
    use(monkeypatch)
    assert usage.gpu() is not None
    nothing = SimpleNamespace(cuInit=lambda _: 100)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: nothing)
    assert usage.gpu() is None

    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert usage.gpu() is None


def test_a_worker_on_the_processor_never_asks_a_driver() -> None:
    asked: list[int] = []

    def read() -> None:
        asked.append(1)

    on_processor = GpuUse("cpu", read)
    time.sleep(0.1)
    assert (on_processor.latest(), asked) == (None, [])


def test_a_driver_that_hangs_holds_nobody_up_and_what_it_said_last_grows_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "FRESH_SECONDS", 0.5)
    monkeypatch.setattr(usage, "READ_SECONDS", 0.01)
    hangs, freed = threading.Event(), threading.Event()

    def read() -> dict[str, Any]:
        if hangs.is_set():
            freed.wait(30)
        return {"name": "GPU"}

    use = GpuUse("cuda:0", read)
    assert eventually(use.latest) == {"name": "GPU"}
    hangs.set()
    began = time.monotonic()
    eventually(lambda: use.latest() is None, within_seconds=5)
    # It was shown as long as it was fresh, and nobody waited for it.
    assert time.monotonic() - began < 3
    freed.set()
    hangs.clear()
    assert eventually(use.latest) == {"name": "GPU"}


@pytest.mark.gpu
def test_the_real_gpu_says_what_it_does() -> None:
    pytest.importorskip("pynvml")
    found = usage.gpu()
    assert found is not None
    first = device.gpus()[0]
    assert found["name"] == first.name
    assert found["uuid"].startswith("GPU-")
    assert 0 < found["memory_used_bytes"] < found["memory_total_bytes"]
    assert found["memory_total_bytes"] == pytest.approx(first.memory_bytes, rel=0.1)
    assert 0 <= found["utilization_percent"] <= 100
