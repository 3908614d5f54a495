"""``python -m tasks.flower``: Flower on its own port, on loopback unless ``HOST`` says otherwise."""

from __future__ import annotations

import os
import sys

from config import settings

if __name__ == "__main__":
    configured = settings.load()
    arguments = [
        "celery",
        "--app=tasks.celery_app",
        "flower",
        f"--address={configured.host}",
        f"--port={configured.flower_port}",
        "--logging=warning",
    ]
    # In our place: whoever stops us stops it.
    os.execv(sys.executable, [sys.executable, "-m", *arguments])  # noqa: S606 - no shell is wanted
