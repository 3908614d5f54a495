"""What there is to work with and how much of it is used: disk, memory, GPUs, models, limits; and what runs short."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from marshmallow import fields

from app import context, machine
from app.http.access import ADMIN
from app.http.answers import Answer, Shown
from app.http.offload import offload
from app.machine import Space
from app.surfaces import ADMINISTRATION, SurfaceBlueprint
from config import voices
from config.settings import Settings
from models import curriculum_assets, wake_files, workers
from models.jobs import queries
from models.workers import EngineState, Worker

blueprint = SurfaceBlueprint("resources", surface=ADMINISTRATION, description="What there is, and what runs short")

# From where on it is said that something runs short.
WARN_PERCENT = 80.0
_MB, _GB = 2**20, 2**30


class Disk(Shown):
    """The disk that holds ``VAR_DIR``, and what of it is spoken audio, images of courses and temporary files."""

    promised = frozenset({"total_gb", "used_gb", "available_gb", "outputs_size_mb", "temp_files_count"})

    total_gb = fields.Integer()
    used_gb = fields.Integer()
    available_gb = fields.Integer()
    used_percent = fields.Float()
    available_bytes = fields.Integer()
    outputs_size_mb = fields.Integer()
    outputs_size_bytes = fields.Integer()
    temp_files_count = fields.Integer()


class Memory(Shown):
    """The memory of the machine or container that answers, and what workers with engines use of theirs."""

    promised = frozenset({"total_mb", "used_mb", "models_mb"})

    total_mb = fields.Integer()
    used_mb = fields.Integer()
    available_mb = fields.Integer()
    used_percent = fields.Float()
    models_mb = fields.Integer()


class GpuShown(Shown):
    """The GPU of a worker, as it said itself a few seconds ago."""

    name = fields.String()
    uuid = fields.String(allow_none=True)
    host = fields.String()
    node = fields.String()
    memory_total_mb = fields.Integer()
    memory_used_mb = fields.Integer()
    utilization_percent = fields.Float(allow_none=True)


class ModelShown(Shown):
    """An engine in the memory of a worker (whose memory is that of all its engines), or one that nobody has loaded."""

    engine = fields.String()
    revision = fields.String(allow_none=True)
    loaded = fields.Boolean()
    node = fields.String(allow_none=True)
    host = fields.String(allow_none=True)
    device = fields.String(allow_none=True)
    memory_mb = fields.Integer()


class LimitsShown(Shown):
    """The limits in force; ``max_concurrent_requests`` is of those that wait for live speech."""

    promised = frozenset({"max_file_size_mb", "max_concurrent_requests"})

    max_file_size_mb = fields.Integer()
    max_concurrent_requests = fields.Integer()
    max_concurrent_requests_per_credential = fields.Integer()
    max_wait_seconds = fields.Integer()
    max_sockets_per_process = fields.Integer()
    max_import_download_mb = fields.Integer()
    speech_cache_max_mb = fields.Integer()
    speech_cache_ttl_days = fields.Integer()
    job_retention_days = fields.Integer()
    requests_per_minute = fields.Dict(
        keys=fields.String(), values=fields.Integer(), allow_none=True, metadata={"description": "null: not counted"}
    )


class LiveQueue(Shown):
    """Live requests that wait for a worker."""

    waiting = fields.Integer()
    limit = fields.Integer()


class ResourcesShown(Shown):
    """Everything at this moment, and a sentence for each thing of which four fifths are used."""

    promised = frozenset({"disk", "memory", "limits"})

    disk = fields.Nested(Disk)
    memory = fields.Nested(Memory)
    gpus = fields.List(fields.Nested(GpuShown))
    models = fields.List(fields.Nested(ModelShown))
    live_queue = fields.Nested(LiveQueue)
    limits = fields.Nested(LimitsShown)
    warnings = fields.List(fields.String())


@blueprint.endpoint("/api/v1/resources", access=ADMIN, answers={200: Answer(schema=ResourcesShown)})
def resources() -> dict[str, Any]:
    """Disk, memory, GPUs, models, the queue of live speech, limits, and warnings of what runs short."""
    here = context.current()
    var_dir = here.settings.var_dir
    with here.database.reading() as session:
        alive, known = workers.alive(session), workers.engines(session)
        waiting, _ = queries.live_waiting(session, None)
        other_bytes = curriculum_assets.size_bytes(session) + wake_files.size_bytes(session)
    cached_bytes = here.cached_speech(None)[1]
    # A disk that is slow to answer, or a folder of many files, must not keep others waiting.
    disk, temporary = offload(_look, var_dir)
    memory = machine.memory()
    return {
        "disk": {
            "total_gb": round(disk.total_bytes / _GB),
            "used_gb": round(disk.used_bytes / _GB),
            "available_gb": round(disk.available_bytes / _GB),
            "used_percent": disk.used_percent,
            "available_bytes": disk.available_bytes,
            "outputs_size_mb": round((cached_bytes + other_bytes) / _MB),
            "outputs_size_bytes": cached_bytes + other_bytes,
            "temp_files_count": temporary,
        },
        "memory": {
            "total_mb": round(memory.total_bytes / _MB),
            "used_mb": round(memory.used_bytes / _MB),
            "available_mb": round(memory.available_bytes / _MB),
            "used_percent": memory.used_percent,
            "models_mb": round(sum(worker.memory_bytes for worker in alive if worker.engines) / _MB),
        },
        "gpus": [_gpu(worker, worker.gpu) for worker in alive if worker.gpu is not None],
        "models": list(_models(alive, known)),
        "live_queue": {"waiting": waiting, "limit": here.settings.live_waiting_max},
        "limits": _limits(here.settings),
        "warnings": list(_warnings(here.settings, disk, memory, cached_bytes, alive, waiting)),
    }


def _look(var_dir: Any) -> tuple[Space, int]:
    return machine.disk(var_dir), machine.count_temporary_files(var_dir)


def _gpu(worker: Worker, gpu: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": gpu["name"],
        "uuid": gpu.get("uuid"),
        "host": worker.host,
        "node": worker.node,
        "memory_total_mb": round(gpu["memory_total_bytes"] / _MB),
        "memory_used_mb": round(gpu["memory_used_bytes"] / _MB),
        "utilization_percent": gpu["utilization_percent"],
    }


def _models(alive: Sequence[Worker], known: dict[str, EngineState]) -> Iterator[dict[str, Any]]:
    """Every engine of every worker, then those that no worker has."""
    for worker in alive:
        for engine, revision in sorted(worker.engines.items()):
            yield {
                "engine": engine,
                "revision": revision,
                "loaded": True,
                "node": worker.node,
                "host": worker.host,
                "device": worker.device,
                "memory_mb": round(worker.memory_bytes / _MB),
            }
    loaded = {engine for worker in alive for engine in worker.engines}
    nobody = {"loaded": False, "node": None, "host": None, "device": None, "memory_mb": 0}
    for engine in voices.catalogue().engines:
        if engine not in loaded:
            yield {"engine": engine, "revision": known[engine].revision if engine in known else None, **nobody}


def _limits(settings: Settings) -> dict[str, Any]:
    return {
        "max_file_size_mb": settings.max_upload_mb,
        "max_concurrent_requests": settings.live_waiting_max,
        "max_concurrent_requests_per_credential": settings.live_waiting_share,
        "max_wait_seconds": settings.live_wait_seconds,
        "max_sockets_per_process": settings.sockets_max,
        "max_import_download_mb": settings.import_max_download_mb,
        "speech_cache_max_mb": round(settings.speech_cache_max_bytes / _MB),
        "speech_cache_ttl_days": settings.speech_cache_ttl_days,
        "job_retention_days": settings.job_retention_days,
        "requests_per_minute": settings.rate_limit_by_name if settings.rate_limits else None,
    }


def _warnings(
    settings: Settings, disk: Space, memory: Space, cached_bytes: int, alive: Sequence[Worker], waiting: int
) -> Iterator[str]:
    """A sentence for each thing of which ``WARN_PERCENT`` are used."""
    cache, queue = settings.speech_cache_max_bytes, settings.live_waiting_max
    if disk.used_percent >= WARN_PERCENT:
        free = disk.available_bytes / _GB
        yield f"The disk of {settings.var_dir} is {disk.used_percent:.0f} % full: {free:.1f} GiB are left."
    if memory.used_percent >= WARN_PERCENT:
        free = memory.available_bytes / _GB
        yield f"{memory.used_percent:.0f} % of the memory is used: {free:.1f} GiB are left."
    if (percent := 100 * cached_bytes / cache) >= WARN_PERCENT:
        yield f"The cache of spoken audio is {percent:.0f} % full; beyond 100 % what was heard longest ago goes."
    told = set()
    for worker in alive:
        gpu = worker.gpu
        # Several workers may share one.
        if gpu is None or gpu.get("uuid", worker.node) in told:
            continue
        told.add(gpu.get("uuid", worker.node))
        if (percent := 100 * gpu["memory_used_bytes"] / max(1, gpu["memory_total_bytes"])) >= WARN_PERCENT:
            yield f"{percent:.0f} % of the memory of {gpu['name']} on {worker.host} is used ({worker.node})."
    if (percent := 100 * waiting / queue) >= WARN_PERCENT:
        yield f"{waiting} live requests wait for a worker; beyond {queue} they are refused."
