"""Figures of the system: for dashboards as JSON, for Prometheus as text."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from app import context, figures, prometheus
from app.figures import Figures
from app.http.access import ADMIN, METRICS
from app.http.answers import Answer
from app.metrics_shown import SystemMetrics
from app.surfaces import ADMINISTRATION, SurfaceBlueprint
from models import counters
from models.base import iso, utc_now
from models.metrics import families, reading

blueprint = SurfaceBlueprint("metrics", surface=ADMINISTRATION, description="Figures of the system")

_FORMATS = ("text/plain", "application/openmetrics-text")


@blueprint.endpoint("/api/v1/metrics", access=ADMIN, answers={200: Answer(schema=SystemMetrics)})
def system_metrics() -> dict[str, Any]:
    """The figures for a dashboard; those of requests are at most a second old."""
    now = figures.collect(context.current())
    return {
        "system": {
            "cpu_percent": now.cpu_percent,
            "memory_percent": now.memory.used_percent,
            "disk_usage_percent": now.disk.used_percent,
        },
        "api": _api(now),
        "models": _models(now),
        "queue": _queue(now),
        "speech": _speech(now),
        "workers": [_worker(worker) for worker in now.state.workers],
        "timestamp": iso(utc_now()),
    }


@blueprint.endpoint("/metrics", access=METRICS, answers={200: Answer(media_types=_FORMATS)})
def prometheus_metrics() -> Response:
    """The figures for Prometheus, in its text format or as OpenMetrics."""
    content, media_type = prometheus.page(figures.collect(context.current()), request.headers.get("Accept", ""))
    return Response(content, content_type=media_type)


def _api(now: Figures) -> dict[str, Any]:
    buckets, seconds = reading.distribution(now.lately, families.REQUEST_SECONDS)
    requests, timed = reading.added(now.lately, families.REQUESTS.name), sum(buckets)

    def quantile(share: float) -> float | None:
        found = reading.quantile(buckets, families.REQUEST_SECONDS.bounds, share)
        return None if found is None else round(1000 * found, 2)

    return {
        "total_requests": reading.added(now.total, families.REQUESTS.name),
        "window_seconds": round(now.window_seconds, 1),
        "requests_per_minute": round(60 * requests / now.window_seconds, 2),
        # Whole, as the document shows it: typed clients read an integer.
        "average_response_time_ms": round(1000 * seconds / timed) if timed else 0,
        "p50_response_time_ms": quantile(0.5),
        "p95_response_time_ms": quantile(0.95),
        "p99_response_time_ms": quantile(0.99),
        "error_rate_percent": round(100 * figures.errors_answered(now.lately) / requests, 2) if requests else 0.0,
        "sockets_connected": now.sockets,
    }


def _models(now: Figures) -> dict[str, Any]:
    speaking = [worker for worker in now.state.workers if worker.engines]
    return {
        "tts_loaded": bool(speaking),
        "vc_loaded": False,
        "tts_memory_mb": sum(worker.memory_bytes for worker in speaking) >> 20,
        "vc_memory_mb": 0,
        "loaded": [
            {"engine": engine, "revision": revision, "node": worker.node}
            for worker in speaking
            for engine, revision in sorted(worker.engines.items())
        ],
    }


def _queue(now: Figures) -> dict[str, Any]:
    return {
        "waiting": sum(depth.units for depth in now.state.lanes.values()),
        "lanes": [
            {
                "lane": lane,
                "waiting": depth.units,
                "oldest_waiting_seconds": round(depth.oldest_seconds, 1),
                "workers": sum(lane in worker.lanes for worker in now.state.workers),
            }
            for lane, depth in now.state.lanes.items()
        ],
        "jobs": [
            {"kind": kind, "state": state, "count": count} for (kind, state), count in sorted(now.state.jobs.items())
        ],
    }


def _speech(now: Figures) -> dict[str, Any]:
    made = families.AUDIO_SECONDS
    return {
        "audio_seconds_total": round(reading.added(now.total, made.name) * made.unit, 3),
        "audio_seconds_per_second": round(reading.added(now.lately, made.name) * made.unit / now.window_seconds, 3),
        "cache_hit_rate": counters.hit_rate(now.total),
        "cached_clips": now.clips,
        "cached_mb": round(now.clip_bytes / 2**20, 1),
    }


def _worker(worker: Any) -> dict[str, Any]:
    return {
        "node": worker.node,
        "host": worker.host,
        "device": worker.device,
        "lanes": worker.lanes,
        "current_unit": worker.current_unit,
        "memory_mb": worker.memory_bytes >> 20,
        "cpu_percent": worker.cpu_percent,
        "gpu": worker.gpu,
    }
