"""What a worker process computes on."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Device:
    """``name`` is ``cpu`` or ``cuda:0`` (a pinned process sees one GPU); ``threads`` are for one model call."""

    name: str
    threads: int


@dataclass(frozen=True)
class Gpu:
    """A GPU of this machine."""

    index: int
    name: str
    memory_bytes: int


def cores() -> int:
    """The processors this process may use."""
    return len(os.sched_getaffinity(0))


def gpus() -> list[Gpu]:
    """The NVIDIA GPUs of this machine, asked of the driver; none where there is no driver. Needs no torch."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return []
    count = ctypes.c_int()
    if cuda.cuInit(0) != 0 or cuda.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return []
    found: list[Gpu] = []
    for index in range(count.value):
        device, name, memory = ctypes.c_int(), ctypes.create_string_buffer(100), ctypes.c_size_t()
        cuda.cuDeviceGet(ctypes.byref(device), index)
        cuda.cuDeviceGetName(name, 100, device)
        cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
        found.append(Gpu(index, name.value.decode(), memory.value))
    return found
