"""What a worker process uses: processor time of all that it started, and the GPU that it computes on.

The driver is asked through NVML (the package ``nvidia-ml-py``, in requirements/gpu), which needs no torch.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import threading
import time
from collections.abc import Callable
from typing import Any

import psutil

# A GPU that hangs takes whoever asks for it along; what is older than this says nothing about now.
FRESH_SECONDS = 15.0
READ_SECONDS = 3.0


class ProcessorUse:
    """Processor time of a process and its children, from one question to the next."""

    def __init__(self, process: psutil.Process | None = None) -> None:
        self._process = process or psutil.Process()
        self._at = time.monotonic()
        self._before = self._times()

    def percent(self) -> float:
        """The share of one core since the last question, in percent; several cores are more than 100."""
        now, times = time.monotonic(), self._times()
        # A child that is new since then began at nothing; what one that has ended did last is not known.
        spent = sum(max(0.0, seconds - self._before.get(who, 0.0)) for who, seconds in times.items())
        passed, self._at, self._before = now - self._at, now, times
        return round(100.0 * spent / passed, 1) if passed > 0 else 0.0

    def _times(self) -> dict[tuple[int, float], float]:
        found = {}
        with contextlib.suppress(psutil.NoSuchProcess):
            for each in (self._process, *self._process.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    times = each.cpu_times()
                    # The number of a process that has ended may be another's by now.
                    found[each.pid, each.create_time()] = times.user + times.system
        return found


class GpuUse:
    """The use of the GPU of this process, read beside the heartbeat, which a driver that hangs must not stop."""

    def __init__(self, device: str, read: Callable[[], dict[str, Any] | None] | None = None) -> None:
        self._read = read or gpu
        self._latest: tuple[float, dict[str, Any] | None] = (0.0, None)
        if device.startswith("cuda"):
            threading.Thread(target=self._read_for_ever, name="gpu", daemon=True).start()

    def latest(self) -> dict[str, Any] | None:
        """What was read last; None without a GPU, or when it has not answered for a while."""
        at, found = self._latest
        return found if time.monotonic() - at < FRESH_SECONDS else None

    def _read_for_ever(self) -> None:
        while True:
            found = self._read()
            self._latest = (time.monotonic(), found)
            time.sleep(READ_SECONDS)


def gpu() -> dict[str, Any] | None:
    """The first GPU that this process may use: its name, memory in bytes and utilization in percent.

    None without one, without NVML, or when the driver has lost it. ``utilization_percent`` is None where the driver
    does not measure it (a part of a GPU).
    """
    uuid = _uuid()
    if uuid is None:
        return None
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
        try:
            handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
            memory, name = nvml.nvmlDeviceGetMemoryInfo(handle), nvml.nvmlDeviceGetName(handle)
            try:
                utilization = int(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
            except nvml.NVMLError_NotSupported:
                utilization = None
        finally:
            nvml.nvmlShutdown()
    except nvml.NVMLError:
        return None
    return {
        "uuid": uuid,
        # Bytes in older releases of the package.
        "name": name.decode() if isinstance(name, bytes) else str(name),
        "memory_total_bytes": int(memory.total),
        "memory_used_bytes": int(memory.used),
        "utilization_percent": utilization,
    }


def _uuid() -> str | None:
    """What the driver calls the first GPU that this process may use; NVML knows nothing of CUDA_VISIBLE_DEVICES."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    device, found = ctypes.c_int(), (ctypes.c_ubyte * 16)()
    if cuda.cuInit(0) != 0 or cuda.cuDeviceGet(ctypes.byref(device), 0) != 0:
        return None
    if cuda.cuDeviceGetUuid(ctypes.byref(found), device) != 0:
        return None
    text = bytes(found).hex()
    return "GPU-" + "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
