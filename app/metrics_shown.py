"""How the figures of the system are shown as JSON."""

from __future__ import annotations

from marshmallow import fields

from app.http.answers import Shown


class SystemFigures(Shown):
    """The machine that answers."""

    promised = frozenset({"cpu_percent", "memory_percent", "disk_usage_percent"})

    cpu_percent = fields.Float()
    memory_percent = fields.Float()
    disk_usage_percent = fields.Float()


class ApiFigures(Shown):
    """Requests: ever (``total_requests``), and over the last ``window_seconds``."""

    promised = frozenset({"total_requests", "requests_per_minute", "average_response_time_ms", "error_rate_percent"})

    total_requests = fields.Integer()
    window_seconds = fields.Float()
    requests_per_minute = fields.Float()
    average_response_time_ms = fields.Integer()
    p50_response_time_ms = fields.Float(allow_none=True)
    p95_response_time_ms = fields.Float(allow_none=True)
    p99_response_time_ms = fields.Float(allow_none=True)
    error_rate_percent = fields.Float()
    sockets_connected = fields.Integer()


class LoadedModel(Shown):
    """An engine that a worker has loaded."""

    engine = fields.String()
    revision = fields.String()
    node = fields.String()


class ModelFigures(Shown):
    """What is loaded: engines for speech (``tts``); there are none for voice conversion (``vc``)."""

    promised = frozenset({"tts_loaded", "vc_loaded", "tts_memory_mb", "vc_memory_mb"})

    tts_loaded = fields.Boolean()
    vc_loaded = fields.Boolean()
    tts_memory_mb = fields.Integer()
    vc_memory_mb = fields.Integer()
    loaded = fields.List(fields.Nested(LoadedModel))


class LaneFigures(Shown):
    """A queue: what waits in it, and who serves it."""

    lane = fields.String()
    waiting = fields.Integer()
    oldest_waiting_seconds = fields.Float()
    workers = fields.Integer()


class JobFigures(Shown):
    """How many jobs of a kind are in a state."""

    kind = fields.String()
    state = fields.String()
    count = fields.Integer()


class QueueFigures(Shown):
    """What there is to do, and what was done."""

    waiting = fields.Integer()
    lanes = fields.List(fields.Nested(LaneFigures))
    jobs = fields.List(fields.Nested(JobFigures))


class SpeechFigures(Shown):
    """Speech that was made; ``audio_seconds_per_second`` over the window of the requests."""

    audio_seconds_total = fields.Float()
    audio_seconds_per_second = fields.Float()
    cache_hit_rate = fields.Float()
    cached_clips = fields.Integer()
    cached_mb = fields.Float()


class GpuFigures(Shown):
    """A worker's GPU."""

    name = fields.String()
    memory_total_bytes = fields.Integer()
    memory_used_bytes = fields.Integer()
    utilization_percent = fields.Float()


class WorkerFigures(Shown):
    """A worker that lives; ``cpu_percent`` is of one core."""

    node = fields.String()
    host = fields.String()
    device = fields.String()
    lanes = fields.List(fields.String())
    current_unit = fields.String(allow_none=True)
    memory_mb = fields.Integer()
    cpu_percent = fields.Float(allow_none=True)
    gpu = fields.Nested(GpuFigures, allow_none=True)


class SystemMetrics(Shown):
    """Everything that is measured."""

    promised = frozenset({"system", "api", "models"})

    system = fields.Nested(SystemFigures)
    api = fields.Nested(ApiFigures)
    models = fields.Nested(ModelFigures)
    queue = fields.Nested(QueueFigures)
    speech = fields.Nested(SpeechFigures)
    workers = fields.List(fields.Nested(WorkerFigures))
    timestamp = fields.DateTime()
