"""What this is, and what it runs on."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Any

from marshmallow import fields

from app import context
from app.http.access import SIGNED_IN
from app.http.answers import Answer, Shown
from app.surfaces import WAKEWORDS, SurfaceBlueprint
from config.versions import VERSION
from models import workers

blueprint = SurfaceBlueprint("info", surface=WAKEWORDS, description="What this is, and what it runs on")


class SystemShown(Shown):
    """What it runs on; the devices are those of the workers."""

    python_version = fields.String()
    torch_version = fields.String(allow_none=True)
    cuda_available = fields.Boolean()
    device = fields.String()


class InfoShown(Shown):
    """What this is."""

    name = fields.String()
    version = fields.String()
    description = fields.String()
    docs_url = fields.String()
    system = fields.Nested(SystemShown)


@blueprint.endpoint("/api/info", access=SIGNED_IN, answers={200: Answer(schema=InfoShown)})
def info() -> dict[str, Any]:
    """What this is, its version, and what it runs on; `torch_version` is null where nothing is trained."""
    with context.current().database.reading() as session:
        devices = {worker.device for worker in workers.alive(session)}
    has_gpu = any(device.startswith("cuda") for device in devices)
    return {
        "name": "Voiceworks API",
        "version": VERSION,
        "description": "Speech, courses and wake words as durable jobs",
        "docs_url": "/docs",
        "system": {
            "python_version": platform.python_version(),
            "torch_version": _version_of("torch"),
            "cuda_available": has_gpu,
            "device": "cuda" if has_gpu else "cpu",
        },
    }


def _version_of(package: str) -> str | None:
    # Of the package, not the module: a web process does not load it.
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
