"""What every answer tells browsers and caches, unless its view said so itself."""

from __future__ import annotations

from flask import Flask, Response

# An answer that is no page of ours loads nothing, runs nothing and is shown in nobody's frame, whatever is in it.
_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


def install(app: Flask) -> None:
    """Says so in every answer of ``app``, errors too."""

    @app.after_request
    def say(response: Response) -> Response:
        headers = response.headers
        headers.setdefault("X-Content-Type-Options", "nosniff")
        # Addresses hold ids and, where they are signed, what opens them.
        headers.setdefault("Referrer-Policy", "no-referrer")
        # A browser that opens sound makes a page of it, which this would keep from playing.
        if not (response.mimetype or "").startswith(("audio/", "video/")):
            headers.setdefault("Content-Security-Policy", _POLICY)
        if "Cache-Control" not in headers:
            # Shared caches know nothing of API keys: unless told, they may hand one caller's answer to another.
            headers["Cache-Control"] = "private, no-cache" if "ETag" in headers else "no-store"
        return response
