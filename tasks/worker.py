"""The life of a Celery worker process: take back what its former life held, load engines, register, leave."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery import signals

from config import voices
from models import idle_workers
from tasks import process, upkeep
from tasks.celery_app import app
from workers import resident
from workers.device import Device

__all__ = ["app"]

# Set by the fleet for speech workers; other workers have no engines.
ENGINES = "WORKER_ENGINES"
THREADS = "WORKER_THREADS"
DEVICE = "WORKER_DEVICE"
# Made once the worker can take work, for whoever waits to start the next.
READY_FILE = "WORKER_READY_FILE"


@signals.celeryd_after_setup.connect
def _begin(sender: str, instance: Any, **_: Any) -> None:
    """Before the first message: ``sender`` is the node's name."""
    process.name(sender)
    this = process.current()
    upkeep.take_back(this, node=sender)
    device = Device(os.environ.get(DEVICE, "cpu"), int(os.environ.get(THREADS, "1")))
    engines = [name for name in os.environ.get(ENGINES, "").split(",") if name]
    revisions = resident.load(engines, device)
    # In the order of -Q; the register is told last, when the first message could really be taken.
    lanes = list(instance.app.amqp.queues.consume_from)
    this.start_heartbeat()

    def ready(**_: Any) -> None:
        this.register(device=device.name, lanes=lanes, engines=revisions)
        _say_when_idle(this, [lane for lane in lanes if voices.head_of(lane) in lanes])
        if READY_FILE in os.environ:
            Path(os.environ[READY_FILE]).touch()

    signals.worker_ready.connect(ready, weak=False)


def _say_when_idle(this: process.Process, lanes: list[str]) -> None:
    """Tells those who ring the ``lanes``, which this worker is resident in, whenever it has nothing to do."""

    def idle(**_: Any) -> None:
        for lane in lanes:
            idle_workers.enter(this.redis, lane, this.node)

    def busy(**_: Any) -> None:
        for lane in lanes:
            idle_workers.leave(this.redis, lane, this.node)

    signals.task_prerun.connect(busy, weak=False)
    signals.task_postrun.connect(idle, weak=False)
    signals.worker_shutdown.connect(busy, weak=False)
    idle()


@signals.worker_shutting_down.connect
def _drain(**_: Any) -> None:
    """No new work is meant for this worker; what it holds is finished."""
    process.current().leave()
