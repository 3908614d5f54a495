"""Whether what transcription needs is well."""

from __future__ import annotations

import time

from flask import Response, jsonify
from marshmallow import fields

from app import context, surfaces
from app.http.access import TRANSCRIBER
from app.http.answers import Answer, Shown
from app.http.parsing import one_of
from app.readiness import PATIENCE_SECONDS
from app.surfaces import TRANSCRIPTION, SurfaceBlueprint

blueprint = SurfaceBlueprint("transcription_health", surface=TRANSCRIPTION, description="Whether transcription works")


class ApiHealth(Shown):
    """The parts that transcription needs."""

    status = fields.String(validate=one_of(["healthy", "unhealthy"]))
    label_studio = fields.String(validate=one_of(["connected", "disconnected", "not_configured"]))
    redis = fields.String(validate=one_of(["connected", "disconnected"]))
    project_id = fields.Integer(allow_none=True)
    postgres = fields.String(validate=one_of(["connected", "disconnected"]))


@blueprint.endpoint("/api/health", access=TRANSCRIBER, answers={200: Answer(schema=ApiHealth)}, refuses=(500,))
def api_health() -> Response:
    """Whether the parts that transcription needs are well; 500 with the same fields where one is not."""
    here = context.current()
    found = here.readiness.look("database", "queue")
    studio = here.label_studio
    found["label_studio"] = None if studio is None else studio(time.monotonic() + PATIENCE_SECONDS)
    wrong = {name: said for name, said in found.items() if said is not None}
    words = {name: "connected" if said is None else "disconnected" for name, said in found.items()}
    told = {
        "status": "unhealthy" if wrong else "healthy",
        "label_studio": "not_configured" if studio is None else words["label_studio"],
        "redis": words["queue"],
        "project_id": None if studio is None else here.settings.label_studio_project_id,
        "postgres": words["database"],
    }
    if not wrong:
        return jsonify(told)
    sentence = "; ".join(f"{name}: {said}" for name, said in wrong.items())
    response = jsonify(surfaces.current().error_body("server_error", sentence, {}) | told)
    response.status_code = 500
    return response
