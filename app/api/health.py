"""Whether the service lives, whether it is ready, and its figures."""

from __future__ import annotations

import time
from typing import Any

from flask import Response, jsonify

from app import context, surfaces
from app.http.access import PUBLIC, SIGNED_IN
from app.http.limits import UNCOUNTED
from app.surfaces import SHARED, SurfaceBlueprint
from app.transcribers import source_of
from config.versions import VERSION
from models.base import iso, utc_now

blueprint = SurfaceBlueprint("health", surface=SHARED, description="Whether the service lives")


@blueprint.endpoint("/health", access=PUBLIC, limit=UNCOUNTED)
def health() -> dict[str, Any]:
    """Whether this process answers, and whether it reaches its database."""
    here = context.current()
    connected = here.readiness.look("database")["database"] is None
    return {
        "status": "healthy" if connected else "degraded",
        "version": VERSION,
        "timestamp": iso(utc_now()),
        "database": "connected" if connected else "disconnected",
        "uptime": int(time.time() - here.started_at),
    }


@blueprint.endpoint("/health/live", access=PUBLIC, limit=UNCOUNTED)
def live() -> dict[str, str]:
    """That this process answers; asks nobody else, so whoever restarts what is stuck asks here."""
    return {"status": "alive"}


@blueprint.endpoint("/health/ready", access=PUBLIC, limit=UNCOUNTED, refuses=(503,))
def ready() -> Response:
    """Whether work can be taken: every part is well, and some worker can speak the default voice.

    503 with the same fields otherwise, beside those of an error; ``missing`` names the parts. For whoever balances
    load or waits for a start.
    """
    found = context.current().readiness.look()
    missing = [name for name, wrong in found.items() if wrong is not None]
    told: dict[str, Any] = {
        "status": "not_ready" if missing else "ready",
        "missing": missing,
        "checks": {
            name: {"status": "ok"} if wrong is None else {"status": "failed", "reason": wrong}
            for name, wrong in found.items()
        },
        "timestamp": iso(utc_now()),
    }
    if not missing:
        return jsonify(told)
    # Beside an error's fields ours win: a document whose errors have a `timestamp` means the same by it.
    sentence = f"Not ready: {', '.join(missing)}."
    response = jsonify(surfaces.current().error_body("not_ready", sentence, {"missing": missing}) | told)
    response.status_code = 503
    return response


@blueprint.endpoint("/api/stats", access=SIGNED_IN)
def stats() -> dict[str, Any]:
    """Figures for a dashboard."""
    return collect_stats(context.current())


def collect_stats(here: context.Context) -> dict[str, Any]:
    """The figures of ``GET /api/stats`` and of the ``stats_update`` message."""
    _, size_bytes = here.cached_speech(None)
    counted, at = here.transcription(source_of(here.settings))
    return {
        "clients_connected": here.hub.clients_connected(),
        "active_sessions": here.active_sessions(None),
        # Whole, as the document shows it: typed clients read an integer.
        "cache_size_mb": round(size_bytes / 2**20),
        "uptime_seconds": int(time.time() - here.started_at),
        # Of transcription; counted anew every half a minute.
        "total_unlabeled": counted.unlabeled,
        "total_locked": counted.locked,
        "available": counted.available,
        "last_updated": iso(at),
    }
