"""The Celery app: a doorbell system. A message carries a job's id; correctness rests on none of these settings."""

from __future__ import annotations

from typing import Any

from celery import Celery, signals
from kombu import Queue

from config import logs, settings, voices
from models.log_stream import LogStream
from tasks.kinds import KINDS

_settings = settings.load()

_pools = list(voices.catalogue().pools)
LANES = [
    *(lane(pool) for pool in _pools for lane in (voices.live_lane, voices.background_lane)),
    *(voices.head_of(voices.live_lane(pool)) for pool in _pools),
    "io",
    # Somebody waits: file tests of wake words.
    "listen",
    # Of their own: a download takes minutes, and what is told to others must not wait for it.
    "imports",
    # Trainings, which take minutes and a core or two.
    "wakeword",
    "llm",
    "upkeep",
]


def broker_url(redis_url: str) -> str:
    """kombu's spelling of a Redis URL (its scheme for a unix socket is its own)."""
    if not redis_url.startswith("unix://"):
        return redis_url
    path, _, query = redis_url.removeprefix("unix://").partition("?")
    return f"redis+socket://{path}?virtual_host={query.removeprefix('db=') or '0'}"


class _Quiet(Celery):
    """Celery without the banner of its clock, which is no log line (of its workers: tasks/worker.py)."""

    @property
    def Beat(self) -> Any:  # noqa: N802 - Celery's name
        return lambda **options: super(_Quiet, self).Beat(**options | {"quiet": True})


app = _Quiet("voiceworks")
# Before the numbers of workers that have a lane of their own: what is meant for one of them.
OWN_LANES = ("llm.",)


def know(lane: str) -> None:
    """Makes a worker's own lane known to Celery, which refuses names that it was not told of."""
    if lane.startswith(OWN_LANES) and lane not in app.amqp.queues:
        app.amqp.queues.add(Queue(lane))


app.conf.update(
    broker_url=broker_url(_settings.redis_url),
    task_queues=[Queue(lane) for lane in LANES],
    task_default_queue="io",
    task_create_missing_queues=False,
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    # A message is gone only after its slice; a slice that dies with its worker is rung again anyway.
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    worker_disable_prefetch=True,
    # Flower's view of tasks; about a millisecond a slice.
    worker_send_task_events=True,
    worker_hijack_root_logger=False,
    # Nothing that the broker does is retried for long inside a request: the reclaimer rings again.
    task_publish_retry=False,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    # Longer than any slice or training step: a message that comes back early is harmless, but useless.
    broker_transport_options={
        "visibility_timeout": 6 * 3600,
        "queue_order_strategy": "priority",
        # One more try at once, for a connection that broke while idle; kombu's own default sleeps for six seconds.
        "max_retries": 1,
        "interval_start": 0,
        "socket_connect_timeout": 1,
        "socket_timeout": 10,
        "socket_keepalive": True,
    },
    beat_schedule={
        # expires: after a pause nobody wants the missed ones.
        "reclaim": {"task": "upkeep.reclaim", "schedule": 5.0, "options": {"queue": "upkeep", "expires": 5}},
        "trim": {"task": "upkeep.trim_cache", "schedule": 60.0, "options": {"queue": "upkeep", "expires": 60}},
        "clean": {"task": "upkeep.due", "schedule": 60.0, "options": {"queue": "upkeep", "expires": 60}},
        "hours": {"task": "upkeep.keep_hours", "schedule": 600.0, "options": {"queue": "upkeep", "expires": 600}},
        # Nothing of these where there is no Label Studio.
        "annotate": {"task": "transcription.deliver", "schedule": 5.0, "options": {"queue": "io", "expires": 5}},
        "look": {"task": "transcription.sync", "schedule": 30.0, "options": {"queue": "imports", "expires": 30}},
        "fetch": {"task": "transcription.prepare", "schedule": 10.0, "options": {"queue": "imports", "expires": 10}},
        # Each service once a minute (models/gateway/services.py).
        "services": {"task": "services.check", "schedule": 10.0, "options": {"queue": "io", "expires": 10}},
        "deliver": {"task": "outbox.deliver", "schedule": 5.0, "options": {"queue": "io", "expires": 5}},
    },
)


def _add(name: str) -> None:
    # Bodies are imported in the worker, on the first message of their kind.
    @app.task(name=name)
    def perform(job_id: str) -> None:
        from tasks import run

        run.run_slice(name, job_id)


for _name in KINDS:
    _add(_name)


@app.task(name="speech.share")
def _share(job_id: str) -> None:
    from tasks import sharing

    sharing.help_with(job_id)


@app.task(name="outbox.deliver")
def _deliver(_: str = "") -> None:
    from tasks import outbox

    outbox.deliver()


@app.task(name="services.check")
def _check_services() -> None:
    from tasks import services

    services.check()


@app.task(name="transcription.deliver")
def _annotate(_: str = "") -> None:
    from tasks import annotations

    annotations.deliver()


@app.task(name="transcription.sync")
def _sync(_: str = "", *, whole: bool = False) -> None:
    from tasks import label_studio

    label_studio.sync(whole=whole)


@app.task(name="transcription.prepare")
def _prepare() -> None:
    from tasks import label_studio

    label_studio.prepare()


@app.task(name="upkeep.reclaim")
def _reclaim() -> None:
    from tasks import upkeep

    upkeep.reclaim()


@app.task(name="upkeep.trim_cache")
def _trim_cache() -> None:
    from tasks import upkeep

    upkeep.trim_cache()


@app.task(name="upkeep.due")
def _due(*, starting: bool = False) -> None:
    from tasks import cleanup

    cleanup.due(starting=starting)


@app.task(name="upkeep.keep_hours")
def _keep_hours() -> None:
    from tasks import upkeep

    upkeep.keep_hours()


@signals.beat_init.connect
def _show_logs(**_: Any) -> None:
    # The web process and the command line import this too; workers see to it in tasks/worker.py.
    LogStream(_settings.redis_url).install()


@signals.beat_init.connect
def _begin_clock(**_: Any) -> None:
    """Says from now on that the clock goes, and that it has just begun to."""
    from tasks import clock

    clock.begin(app, _settings)


logs.configure(_settings.log_level, _settings.log_format)
