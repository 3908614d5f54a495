"""The device on which wake words are tested: chosen for the whole installation, among those that workers have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import redis
from sqlalchemy.orm import Session

from models import redis_keys, workers
from models.errors import Invalid
from models.workers import Worker

CPU, CUDA = "cpu", "cuda"


def choose(session: Session, client: redis.Redis, device: str) -> None:
    """From now on that device: ``cpu``, or one that a worker has (``cuda`` is the first GPU, ``cuda:1`` the second).

    Raises:
        Invalid: nobody has it; the text names those there are.
    """
    there = _there(workers.alive(session))
    if device not in there:
        raise Invalid(f"device: there is no {device!r}, only {', '.join(there)}", devices=there)
    client.set(redis_keys.WAKE_DEVICE, device)


def shown(session: Session, client: redis.Redis) -> dict[str, Any]:
    """The device and those there are; ``cpu`` where none was chosen, or the chosen one is gone."""
    alive = workers.alive(session)
    there = _there(alive)
    chosen = cast("bytes | None", client.get(redis_keys.WAKE_DEVICE))
    device = chosen.decode() if chosen else CPU
    return {
        "device": device if device in there else CPU,
        "cuda_available": CUDA in there,
        "gpu_name": next((str(worker.gpu["name"]) for worker in alive if worker.gpu), None),
        "devices": there,
    }


def _there(alive: Sequence[Worker]) -> list[str]:
    devices = {CPU, *(worker.device for worker in alive)}
    if any(device.startswith(CUDA) for device in devices):
        devices.add(CUDA)
    return sorted(devices)
