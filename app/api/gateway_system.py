"""How the machine and the outside services are, as the gateway's document shows it."""

from __future__ import annotations

from typing import Any

from marshmallow import fields

from app import context, machine
from app.context import Context
from app.http.access import SIGNED_IN
from app.http.answers import Answer, Shown
from app.surfaces import GATEWAY, SurfaceBlueprint

blueprint = SurfaceBlueprint("gateway_system", surface=GATEWAY, description="The machine and its services")


class SystemShown(Shown):
    """Shares in percent, and how many services are well."""

    cpu_percent = fields.Float()
    memory_percent = fields.Float()
    disk_percent = fields.Float()
    services_healthy = fields.Integer()
    services_total = fields.Integer()


@blueprint.endpoint("/api/system/metrics", access=SIGNED_IN, answers={200: Answer(schema=SystemShown)})
def system_metrics() -> dict[str, Any]:
    """How busy the machine is, and how many of the services that are switched on are well."""
    return collect(context.current())


def collect(here: Context) -> dict[str, Any]:
    """The figures of ``GET /api/system/metrics`` and of ``/ws/system``."""
    well, total = here.services_healthy(None)
    return {
        "cpu_percent": machine.cpu_percent(),
        "memory_percent": machine.memory().used_percent,
        "disk_percent": machine.disk(here.settings.var_dir).used_percent,
        "services_healthy": well,
        "services_total": total,
    }
