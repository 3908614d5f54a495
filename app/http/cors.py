"""Which pages of other origins may read answers: a property of the surface (CORS)."""

from __future__ import annotations

from flask import Flask, Response, current_app, g, request
from flask_cors.core import get_cors_options, set_cors_headers

from app import surfaces
from app.surfaces import Surface
from config.settings import Settings

# What a page may read of an answer beyond its type and length.
_EXPOSED = [
    *("X-Request-ID", "Location", "Content-Location", "ETag", "Retry-After", "Idempotent-Replay"),
    *("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"),
    *(
        "X-TTS-Cache-Status",
        "X-TTS-Duration-Seconds",
        "X-TTS-Sample-Rate",
        "X-TTS-Provider",
        "X-TTS-Fallback",
        "X-TTS-Emulated",
    ),
]


def install(app: Flask, settings: Settings) -> None:
    """Says so on every answer of ``app``, errors and preflights too."""
    shared = {"expose_headers": _EXPOSED, "max_age": 600, "vary_header": True}
    origins = {
        "management": list(settings.cors_origins),
        # A key in a header, which the page must have itself: no cookie goes along.
        "transcription": ["*"],
    }
    options = {
        name: get_cors_options(app, shared | {"origins": allowed, "supports_credentials": False})
        for name, allowed in origins.items()
        if allowed
    }

    @app.after_request
    def allow(response: Response) -> Response:
        if "Origin" in request.headers:
            found = options.get(_surface().name)
            if found is not None:
                set_cors_headers(response, found)
        return response


def _surface() -> Surface:
    # A preflight never reaches the view, which would say so itself.
    if "surface" not in g:
        view = current_app.view_functions.get(request.endpoint or "")
        declared = getattr(view, "surface", None)
        if declared is not None:
            g.surface = declared
    return surfaces.current()
