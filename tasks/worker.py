"""The life of a Celery worker process: take back what its former life held, load engines, register, leave."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from celery import signals
from celery.apps import worker as celery_worker

from config import logs, settings, voices
from config.logs import job_id
from config.settings import Settings
from models import idle_workers
from models.llm import workers as llm_workers
from models.log_stream import LogStream
from tasks import lapses, process, upkeep
from tasks.celery_app import app, know
from tasks.training_child import TRAINER
from workers import resident
from workers.device import Device

__all__ = ["app"]

log = logging.getLogger(__name__)

# Set by the fleet for speech workers; other workers have no engines.
ENGINES = "WORKER_ENGINES"
THREADS = "WORKER_THREADS"
DEVICE = "WORKER_DEVICE"
# Made once the worker can take work, for whoever waits to start the next.
READY_FILE = "WORKER_READY_FILE"
# What a lane's work cannot do without, and the target that installs it.
NEEDS = {"wakeword": ("torch", "make train"), "llm": ("trl", "make train")}


@signals.celeryd_init.connect
def _speak_in_lines(instance: Any, **_: Any) -> None:
    """What Celery would print past the log: no banner, and its last words in the form of all others."""
    instance.quiet = True
    form = logs.formatter(settings.load().log_format)

    def say(words: str, stream: Any = None) -> None:
        # In a signal handler, which may have interrupted a line being logged: past the log's handler and its lock.
        record = logging.makeLogRecord({"name": "celery.apps.worker", "levelname": "INFO", "msg": words})
        os.write(2, f"{form.format(record)}\n".encode())

    celery_worker.safe_say = say


@signals.celeryd_after_setup.connect
def _begin(sender: str, instance: Any, **_: Any) -> None:
    """Before the first message: ``sender`` is the node's name."""
    with _or_end():
        _prepare(sender, instance)


@contextmanager
def _or_end() -> Iterator[None]:
    """Ends the process where the block fails, so that it is started again.

    Celery itself passes over what a signal's handler raises: a worker that nobody knows of would take work.
    """
    done = False
    try:
        yield
        done = True
    finally:
        if not done and not isinstance(sys.exception(), SystemExit):
            log.critical("This worker cannot begin its work", exc_info=sys.exception())
            raise SystemExit(os.EX_UNAVAILABLE)


def _prepare(sender: str, instance: Any) -> None:
    queues = instance.app.amqp.queues
    for lane, why in _unable(list(queues.consume_from)).items():
        log.warning(why)
        queues.deselect(lane)
    # In the order of -Q; the register is told last, when the first message could really be taken.
    lanes = list(queues.consume_from)
    process.name(sender)
    this = process.current()
    lanes += _own_lane(this, queues)
    LogStream(this.settings.redis_url).install()
    lapses.take_back(this, node=sender)
    device = Device(os.environ.get(DEVICE, "cpu"), int(os.environ.get(THREADS, "1")))
    engines = [name for name in os.environ.get(ENGINES, "").split(",") if name]
    optional = [name for name in engines if voices.catalogue().engines[name].needs]
    revisions = resident.load(engines, device, options=_options(this.settings), optional=optional)
    this.start_heartbeat()

    def ready(**_: Any) -> None:
        with _or_end():
            begin_taking()

    def begin_taking() -> None:
        this.register(device=device.name, lanes=lanes, engines=revisions)
        _say_when_idle(this, [lane for lane in lanes if voices.head_of(lane) in lanes])
        # What was submitted while nobody was here to be rung.
        upkeep.reclaim()
        if READY_FILE in os.environ:
            Path(os.environ[READY_FILE]).touch()
        if engines:
            # The encoders of compressed formats take a tenth of a second to load, which the first listener would wait.
            threading.Thread(target=importlib.import_module, args=["workers.audio.container"], daemon=True).start()

    signals.worker_ready.connect(ready, weak=False)


def _own_lane(this: process.Process, queues: Any) -> list[str]:
    """The lane of a worker that trains language models, for what is meant for it alone; it takes from it from now on.

    While it is drained it takes from neither; the register has both, for when it takes work again.
    """
    if llm_workers.LANE not in queues.consume_from:
        return []
    with this.database.transaction() as session:
        known = llm_workers.get(session, llm_workers.number(session, this.node))
    own = llm_workers.lane_of(known.worker.id)
    know(own)
    queues.deselect(llm_workers.LANE)
    if not known.worker.drained:
        # What nobody else may do comes first.
        queues.select_add(own)
        queues.select_add(llm_workers.LANE)
    return [own]


def _unable(lanes: list[str]) -> dict[str, str]:
    """The lanes whose work could not be done here, and why: submitters are told at once that nobody can.

    A trainer of somebody's own (``TRAINER``) needs nothing of ours. Where no lane is left the process ends.
    """
    found = {}
    for lane in lanes:
        module, target = NEEDS.get(lane, ("", ""))
        if module and importlib.util.find_spec(module) is None and TRAINER not in os.environ:
            found[lane] = f"Lane {lane} needs {module}, which is not installed here: `{target}` installs it."
    if len(found) == len(lanes):
        raise SystemExit(" ".join(found.values()))
    return found


@signals.task_prerun.connect
def _name_job(args: Any = (), **_: Any) -> None:
    """What Celery itself logs of a message names the job, too."""
    job_id.set(args[0] if args else None)


@signals.task_postrun.connect
def _forget_job(**_: Any) -> None:
    job_id.set(None)


def _options(settings: Settings) -> dict[str, dict[str, str]]:
    """What the settings say to engines, which do not read settings themselves."""
    remote = {
        "url": settings.remote_tts_url,
        "api_key": settings.remote_tts_api_key,
        "model": settings.remote_tts_model,
        "sample_rate_hz": str(settings.remote_tts_sample_rate),
    }
    return {"piper": {"cache": str(settings.var_dir / "cache" / "piper")}, "remote": remote}


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
