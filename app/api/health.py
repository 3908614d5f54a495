"""Whether the service lives, and its figures."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app import context
from app.http.access import PUBLIC, SIGNED_IN
from app.http.limits import UNCOUNTED
from app.surfaces import SHARED, SurfaceBlueprint
from config.versions import VERSION
from models.base import iso, utc_now

blueprint = SurfaceBlueprint("health", surface=SHARED, description="Whether the service lives")


@blueprint.endpoint("/health", access=PUBLIC, limit=UNCOUNTED)
def health() -> dict[str, Any]:
    """Whether this process answers, and whether it reaches its database."""
    here = context.current()
    try:
        with here.database.transaction(durable=False) as session:
            session.execute(text("select 1"))
        database = "connected"
    except SQLAlchemyError:
        database = "disconnected"
    return {
        "status": "healthy" if database == "connected" else "degraded",
        "version": VERSION,
        "timestamp": iso(utc_now()),
        "database": database,
        "uptime": int(time.time() - here.started_at),
    }


@blueprint.endpoint("/api/stats", access=SIGNED_IN)
def stats() -> dict[str, Any]:
    """Figures for a dashboard."""
    return collect_stats(context.current())


def collect_stats(here: context.Context) -> dict[str, Any]:
    """The figures of ``GET /api/stats`` and of the ``stats_update`` message."""
    _, size_bytes = here.cached_speech(None)
    return {
        "clients_connected": here.hub.clients_connected(),
        "active_sessions": here.active_sessions(None),
        # Whole, as the document shows it: typed clients read an integer.
        "cache_size_mb": round(size_bytes / 2**20),
        "uptime_seconds": int(time.time() - here.started_at),
    }
