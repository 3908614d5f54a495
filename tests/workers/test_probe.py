"""What a machine can load, told without harm."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from workers import device, probe
from workers.tts import provider


def test_the_probe_prints_json_and_nothing_else() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "workers.probe"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = json.loads(ran.stdout)
    assert set(found) == {"engines", "cores", "gpus"}
    assert found["cores"] == len(os.sched_getaffinity(0))
    hibari = found["engines"]["hibari"]
    assert hibari["available"] is True
    assert (hibari["sample_rate_hz"], hibari["licence"]) == (24000, "Apache-2.0")
    assert hibari["revision"]
    assert hibari["load_seconds"] > 0
    assert set(found["engines"]) == set(provider.MODULES)


def test_an_engine_that_does_not_load_says_why_and_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        provider,
        "MODULES",
        {"ghost": "workers.tts.ghost", **{name: provider.MODULES[name] for name in ("hibari", "remote")}},
    )
    monkeypatch.setenv("REMOTE_TTS_URL", "not an address")
    engines = probe.probe()["engines"]
    assert isinstance(engines, dict)
    assert (engines["remote"]["available"], engines["remote"]["installed"]) == (False, False)
    assert engines["ghost"] == {
        "available": False,
        "installed": False,
        "reason": "No module named 'workers.tts.ghost'",
    }
    assert engines["hibari"]["available"] is True


def test_a_machine_without_a_driver_has_no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert device.gpus() == []


class Driver:
    """A driver that knows two GPUs, or fails at ``broken``."""

    def __init__(self, broken: str = "") -> None:
        self.broken = broken

    def cuInit(self, flags: int) -> int:  # noqa: N802 - the driver's names
        return 3 if self.broken == "cuInit" else 0

    def cuDeviceGetCount(self, count: ctypes.c_int) -> int:  # noqa: N802
        count._obj.value = 2  # type: ignore[attr-defined]
        return 3 if self.broken == "cuDeviceGetCount" else 0

    def cuDeviceGet(self, found: ctypes.c_int, index: int) -> int:  # noqa: N802
        found._obj.value = index  # type: ignore[attr-defined]
        return 0

    def cuDeviceGetName(self, name: ctypes.Array[ctypes.c_char], length: int, found: ctypes.c_int) -> int:  # noqa: N802
        name.value = b"GPU %d" % found.value
        return 0

    def cuDeviceTotalMem_v2(self, memory: ctypes.c_size_t, found: ctypes.c_int) -> int:  # noqa: N802
        memory._obj.value = 80 * 2**30  # type: ignore[attr-defined]
        return 0


def test_the_driver_names_the_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver())
    assert device.gpus() == [device.Gpu(0, "GPU 0", 80 * 2**30), device.Gpu(1, "GPU 1", 80 * 2**30)]


@pytest.mark.parametrize("broken", ["cuInit", "cuDeviceGetCount"])
def test_a_driver_that_does_not_work_is_none(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver(broken))
    assert device.gpus() == []


@pytest.mark.gpu
@pytest.mark.skipif(not Path("/dev/nvidiactl").exists(), reason="there is no NVIDIA driver here")
def test_a_real_gpu_is_seen() -> None:
    found = device.gpus()
    assert found
    assert found[0].memory_bytes > 2**30
